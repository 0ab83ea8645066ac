"""Events: one for each turn of a condition, after the status that says so was written.

An event tells what changed; the condition tells what is. A crash between the two loses the event and nothing else.
"""

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from embedding_operator.api import names
from embedding_operator.api.reasons import ConditionType, Reason
from embedding_operator.api.status import Condition, EmbeddingModelStatus, shorten
from embedding_operator.kube.gateway import Gateway, GatewayError
from embedding_operator.observe.snapshot import Snapshot

logger = logging.getLogger(__name__)

MAX_NOTE: Final = 1024  # events.k8s.io/v1
_ACTIONS: Final = {
    ConditionType.READY: "Serve",
    ConditionType.VERIFIED: "Verify",
    ConditionType.RESOLVED: "Resolve",
    ConditionType.STALLED: "Reconcile",
}


async def tell_changes(gateway: Gateway, *, snapshot: Snapshot, after: EmbeddingModelStatus, instance: str) -> None:
    """Post what turned between the snapshot's status and `after`. Losing an event is logged and never fails."""
    before = snapshot.before
    for kind, reason, note, is_warning in _list_changes(before, after=after):
        event = _build_event(
            snapshot, action=_ACTIONS[kind], reason=reason, note=note, is_warning=is_warning, instance=instance
        )
        await _post(gateway, event, snapshot=snapshot)


async def tell_quarantined(gateway: Gateway, *, snapshot: Snapshot, why: str, instance: str) -> None:
    """Post that a pod was taken out of the Service. As `tell_changes`."""
    event = _build_event(
        snapshot, action="Quarantine", reason=Reason.QUARANTINED, note=why, is_warning=True, instance=instance
    )
    await _post(gateway, event, snapshot=snapshot)


async def _post(gateway: Gateway, event: dict[str, Any], *, snapshot: Snapshot) -> None:
    try:
        await gateway.create(event)
    except GatewayError as error:
        logger.warning("event %s of %s was not posted: %s", event["reason"], snapshot.key, error.message)


def _list_changes(
    before: EmbeddingModelStatus, *, after: EmbeddingModelStatus
) -> Iterator[tuple[ConditionType, str, str, bool]]:
    for kind in (ConditionType.RESOLVED, ConditionType.VERIFIED, ConditionType.READY):
        condition = after.condition(kind)
        if condition is not None and condition.is_true and not _was_true(before.condition(kind)):
            yield kind, condition.reason, condition.message, False
    old, new = before.space, after.space
    if old and new and old.fingerprint and new.fingerprint and old.fingerprint != new.fingerprint:
        note = f"the Service moved from {old.fingerprint} to {new.fingerprint}"
        yield ConditionType.READY, Reason.SERVICE_MOVED, note, False
    stalled, before_stalled = after.condition(ConditionType.STALLED), before.condition(ConditionType.STALLED)
    if stalled is not None and (before_stalled is None or before_stalled.reason != stalled.reason):
        yield ConditionType.STALLED, stalled.reason, stalled.message, True


def _was_true(condition: Condition | None) -> bool:
    return condition is not None and condition.is_true


def _build_event(
    snapshot: Snapshot, *, action: str, reason: str, note: str, is_warning: bool, instance: str
) -> dict[str, Any]:
    metadata = snapshot.model["metadata"]
    digest = names.hash10([snapshot.uid, reason, note, snapshot.now.isoformat()])
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": snapshot.key.namespace, "name": f"{snapshot.key.name}.{digest}"},
        "eventTime": _write_time(snapshot.now),
        "reportingController": names.GROUP,
        "reportingInstance": instance[:128],
        "action": action,
        "reason": reason,
        "note": shorten(note or reason, limit=MAX_NOTE),
        "type": "Warning" if is_warning else "Normal",
        "regarding": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "namespace": snapshot.key.namespace,
            "name": snapshot.key.name,
            "uid": snapshot.uid,
            "resourceVersion": metadata.get("resourceVersion", ""),
        },
    }


def _write_time(now: datetime) -> str:
    """RFC 3339 with microseconds, as metav1.MicroTime."""
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
