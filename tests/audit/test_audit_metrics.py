"""Audits and quarantines as the operator's metrics tell them."""

from datetime import UTC, datetime

from embedding_operator.audit.quarantine_log import QuarantineLog
from embedding_operator.metrics import Metrics
from embedding_operator.observe.facts import QUARANTINE_MEMORY_SECONDS, Key

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KEY, OTHER = Key("search", "a"), Key("search", "b")


def test_audits_are_counted_by_their_result() -> None:
    metrics = Metrics()
    for result, seconds in (("Passed", 0.2), ("Passed", 0.3), ("Unreachable", 3.0)):
        metrics.record_audit(result, seconds)
    name = "embedding_operator_audit_seconds"
    assert metrics.registry.get_sample_value(f"{name}_count", {"result": "Passed"}) == 2
    assert metrics.registry.get_sample_value(f"{name}_sum", {"result": "Unreachable"}) == 3.0


def test_every_pod_that_is_deleted_is_counted_and_remembered_by_its_model() -> None:
    metrics = Metrics()
    log = QuarantineLog(on_quarantine=metrics.record_quarantine)
    assert log.read(KEY) is None
    log.record(KEY, at=NOW)
    log.record(KEY, at=NOW)
    log.record(OTHER, at=NOW)
    records = [log.read(key) for key in (KEY, OTHER)]
    assert [record.count if record else 0 for record in records] == [2, 1]
    assert metrics.registry.get_sample_value("embedding_operator_quarantined_pods_total") == 3


def test_what_is_long_past_is_forgotten() -> None:
    log = QuarantineLog()
    log.record(KEY, at=NOW)
    later = datetime.fromtimestamp(NOW.timestamp() + QUARANTINE_MEMORY_SECONDS + 1, tz=UTC)
    log.record(OTHER, at=later)
    assert log.read(KEY) is None
    log.record(OTHER, at=datetime.fromtimestamp(later.timestamp() + QUARANTINE_MEMORY_SECONDS, tz=UTC))
    record = log.read(OTHER)
    assert record is not None
    assert record.count == 1
