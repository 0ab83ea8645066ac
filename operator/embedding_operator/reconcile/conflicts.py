"""Fields of a child that somebody else holds: what a hand changed is restored, what another manager wants is not.

An update (kubectl edit, scale, patch) happens once, and so does its restoration. What applies (a GitOps tool, another
controller) states its fields for good, and what updates them again and again (an autoscaler) means them too: forced,
the two would take them from each other for ever.
"""

from collections.abc import Sequence
from typing import Final

from embedding_operator.api.names import FIELD_MANAGER
from embedding_operator.api.reasons import Reason
from embedding_operator.judge.verdict import Verdict, waiting
from embedding_operator.kube.gateway import Conflict, FieldConflict, Gateway, HeldField, Kind, Object
from embedding_operator.reconcile.restorations import Restorations

# Its end is an event of the child, which wakes us; only where the value stays as it is, nothing tells us.
RECHECK_SECONDS: Final = 60.0
_MAX_NAMED: Final = 5
_REPLICAS: Final = ".spec.replicas"


class ContestedFields(FieldConflict):
    """`held` are fields that somebody updates again and again; nothing was written. `seconds`: until the next try."""

    def __init__(self, message: str, *, held: Sequence[HeldField], seconds: float) -> None:
        super().__init__(message, held=held)
        self.seconds = seconds


async def apply_or_restore(
    gateway: Gateway, manifest: Object, *, kind: Kind, uid: str, restorations: Restorations
) -> Object:
    """Apply `manifest` to the object of this uid, forced where only updates stand against it. Raises GatewayError.

    Raises:
        Conflict: that object has gone; nothing was written.
        FieldConflict: `held` are the fields that others apply; nothing was written.
        ContestedFields: nobody applies them, and who updates them was undone too often.
    """
    metadata = {**manifest["metadata"], "uid": uid}
    guarded = {**manifest, "metadata": metadata}
    try:
        return await gateway.apply(guarded)
    except FieldConflict as error:
        live = await gateway.get(kind, namespace=metadata["namespace"], name=metadata["name"])
        if live is None or live["metadata"]["uid"] != uid:
            raise Conflict(error.message, status=409) from error
        applied = _list_applied(error.held, live=live)
        if applied:
            raise FieldConflict(error.message, held=applied) from error
        updated = [item for item in error.held if item.manager != FIELD_MANAGER]
        contested = restorations.list_contested(updated, child=live)
        if contested:
            seconds = restorations.count_seconds(contested, child=live)
            raise ContestedFields(error.message, held=contested, seconds=seconds) from error
    restored = await gateway.apply(guarded, force=True)
    restorations.record(updated, child=live)
    return restored


def _list_applied(held: Sequence[HeldField], *, live: Object) -> Sequence[HeldField]:
    """Those of the fields that others apply.

    Raises:
        Conflict: a manager is not there any more, or not yet to be seen.
    """
    entries = live.get("metadata", {}).get("managedFields") or ()
    operations: dict[tuple[str, str], set[str]] = {}
    for entry in entries:
        writer = (entry.get("manager", ""), entry.get("subresource", ""))
        operations.setdefault(writer, set()).add(entry.get("operation", ""))
    applied = []
    # What our own name holds against us was written by update, by an operator of before: none conflicts with itself.
    for item in (item for item in held if item.manager != FIELD_MANAGER):
        found = operations.get((item.manager, item.subresource))
        if found is None and item.manager:
            raise Conflict(f'field manager "{item.manager}" came or went meanwhile', status=409)
        # A name that both applies and updates may do either again: it is not taken from.
        if found != {"Update"}:
            applied.append(item)
    return applied


def describe_field_conflict(kind: str, name: str, *, model: str, error: FieldConflict) -> Verdict:
    """`model`: name of the EmbeddingModel."""
    is_contested = isinstance(error, ContestedFields)
    claims = _describe_claims(error.held, verb="updates" if is_contested else "applies")
    said = (
        f"{kind} {name}: {claims}, which this operator sets. It is not fought over, and nothing of this object is "
        "written meanwhile"
    )
    if not isinstance(error, ContestedFields):
        advice = "take these fields out of what that manager applies, or ask for them in the EmbeddingModel"
        return waiting(Reason.FIELD_CONFLICT, f"{said}: {advice}", recheck_seconds=RECHECK_SECONDS)
    if any(item.field == _REPLICAS for item in error.held):
        advice = f"scale EmbeddingModel {model} instead, which an autoscaler takes as its scaleTargetRef"
    else:
        advice = "stop who does it, and ask for these fields in the EmbeddingModel"
    message = f"{said}: {advice}. They are restored now and then, and at once when the EmbeddingModel changes"
    return waiting(Reason.FIELD_CONFLICT, message, recheck_seconds=max(1.0, error.seconds))


def _describe_claims(held: Sequence[HeldField], *, verb: str) -> str:
    fields: dict[str, list[str]] = {}
    for item in held:
        fields.setdefault(item.manager or "of an unreadable name", []).append(item.field)
    again = " again and again" if verb == "updates" else ""
    claims = (f'field manager "{manager}" {verb} {_write_list(paths)}{again}' for manager, paths in fields.items())
    return "; ".join(claims)


def _write_list(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _MAX_NAMED} more" if len(paths) > _MAX_NAMED else ""
    return ", ".join(paths[:_MAX_NAMED]) + more
