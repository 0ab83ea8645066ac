"""Carry out a quarantine, before everything else: a rejected child must not keep a wrong pod in the Service.

Label and deletion name the pod by its uid, so that neither meets another pod of the same name.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from embedding_operator.api import names
from embedding_operator.kube.gateway import POD, Forbidden, Gateway, GatewayError
from embedding_operator.observe.facts import Facts
from embedding_operator.observe.snapshot import Snapshot
from embedding_operator.plan.plan import Delete, Isolate, Plan

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Isolated:
    """`pods` were taken out of the Service just now. `error`: a call that may work the next time."""

    pods: Sequence[Isolate]
    error: GatewayError | None = None


async def isolate(gateway: Gateway, plan: Plan, *, snapshot: Snapshot, facts: Facts) -> Isolated:
    """Raises nothing: what has nothing to do with these pods goes on, and the status says that they are wrong."""
    isolated: list[Isolate] = []
    try:
        for item in plan.isolate:
            labels = {names.LABEL_TRAFFIC: names.TRAFFIC_QUARANTINED}
            if await gateway.label(POD, namespace=item.namespace, name=item.name, uid=item.uid, labels=labels):
                logger.warning("%s: out of the Service: %s", snapshot.key, item.why)
                isolated.append(item)
        for pod in plan.replace:
            await _delete(gateway, pod, snapshot=snapshot, facts=facts)
            logger.warning("%s: deleted: %s", snapshot.key, pod.why)
    except GatewayError as error:
        logger.error("%s: a pod with wrong answers cannot be replaced: %s", snapshot.key, error.message)
        # A missing permission comes with an upgrade, which starts us anew.
        return Isolated(isolated, error=None if isinstance(error, Forbidden) else error)
    return Isolated(isolated)


async def _delete(gateway: Gateway, pod: Delete, *, snapshot: Snapshot, facts: Facts) -> None:
    """One that was refused is not counted; one without an answer is: a deletion too few is better than one too many."""
    is_counted = True
    try:
        await gateway.delete(POD, namespace=pod.namespace, name=pod.name, uid=pod.uid)
    except GatewayError as error:
        is_counted = not error.is_refusal
        raise
    finally:  # also of a reconcile that is given up meanwhile
        if is_counted:
            facts.record_quarantine(snapshot.key, at=snapshot.now)
