"""Carry out a plan: writes in order, each idempotent: a crash between any two is healed by the next reconcile."""

import logging
from collections.abc import Mapping
from typing import Final

from embedding_operator.api.reasons import Reason
from embedding_operator.judge.verdict import Verdict, stalled, waiting
from embedding_operator.kube.gateway import (
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    Forbidden,
    Gateway,
    Invalid,
    Kind,
    Object,
)
from embedding_operator.observe.snapshot import Snapshot
from embedding_operator.plan.build import Planned, describe_conflict, identify

logger = logging.getLogger(__name__)

KINDS: Final[Mapping[str, Kind]] = {
    kind.kind: kind for kind in (DEPLOYMENT, SERVICE, CONFIG_MAP, JOB, POD_DISRUPTION_BUDGET)
}
FORBIDDEN_SECONDS: Final = 60.0  # permissions and quotas change rarely, and nothing tells us


async def carry_out(gateway: Gateway, planned: Planned, *, snapshot: Snapshot) -> Verdict | None:
    """What stopped the plan, for the status; None when all of it was written.

    Raises GatewayError for what a retry may cure by itself (conflict, overload, no answer).
    """
    known = {identify(item) for item in snapshot.children.all()}
    for manifest in planned.plan.apply:
        try:
            if identify(manifest) not in known and await _is_taken(gateway, manifest, uid=snapshot.uid):
                return describe_conflict(*identify(manifest))
            await gateway.apply(manifest)
        except Invalid as error:
            return stalled(Reason.CHILD_REJECTED, f"{' '.join(identify(manifest))}: {error.message}")
        except Forbidden as error:
            return _describe_forbidden(manifest, message=error.message)
        logger.info("applied %s %s of %s", *identify(manifest), snapshot.key)
    for item in planned.plan.delete:
        await gateway.delete(KINDS[item.kind], namespace=item.namespace, name=item.name, uid=item.uid)
        logger.info("deleted %s %s of %s: %s", item.kind, item.name, snapshot.key, item.why)
    return None


async def _is_taken(gateway: Gateway, manifest: Object, *, uid: str) -> bool:
    """Whether an object of this name exists that we do not control: one without our label is in no listing."""
    metadata = manifest["metadata"]
    found = await gateway.get(KINDS[manifest["kind"]], namespace=metadata["namespace"], name=metadata["name"])
    if found is None:
        return False
    owners = found["metadata"].get("ownerReferences") or ()
    return not any(owner.get("controller") and owner.get("uid") == uid for owner in owners)


def _describe_forbidden(manifest: Object, *, message: str) -> Verdict:
    kind, name = identify(manifest)
    if "being terminated" in message:
        return waiting(Reason.TERMINATING, "the namespace is being deleted")
    reason = Reason.QUOTA_EXCEEDED if "exceeded quota" in message else Reason.API_FORBIDDEN
    return waiting(reason, f"{kind} {name}: {message}", recheck_seconds=FORBIDDEN_SECONDS)
