"""What the metrics say of questions about tracked branches."""

from prometheus_client import generate_latest

from embedding_operator.metrics import Metrics


def test_polls_are_counted_by_result() -> None:
    metrics = Metrics()
    for result in ("Unchanged", "Unchanged", "Unavailable"):
        metrics.record_poll(result)
    text = generate_latest(metrics.registry).decode()
    assert 'embedding_operator_branch_polls_total{result="Unchanged"} 2.0' in text
    assert 'embedding_operator_branch_polls_total{result="Unavailable"} 1.0' in text
