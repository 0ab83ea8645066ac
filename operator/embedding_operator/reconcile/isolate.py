"""Carry out a quarantine, before everything else: a rejected child must not keep a wrong pod in the Service.

Label and deletion name the pod by its uid, so that neither meets another pod of the same name.
"""

import logging
from collections.abc import Sequence

from embedding_operator.api import names
from embedding_operator.kube.gateway import POD, Forbidden, Gateway
from embedding_operator.observe.facts import Facts
from embedding_operator.observe.snapshot import Snapshot
from embedding_operator.plan.plan import Isolate, Plan

logger = logging.getLogger(__name__)


async def isolate(gateway: Gateway, plan: Plan, *, snapshot: Snapshot, facts: Facts) -> Sequence[Isolate]:
    """The pods that were taken out of the Service just now. Raises GatewayError, but for a missing permission: what
    has nothing to do with pods goes on without."""
    isolated = []
    try:
        for item in plan.isolate:
            labels = {names.LABEL_TRAFFIC: names.TRAFFIC_QUARANTINED}
            if await gateway.label(POD, namespace=item.namespace, name=item.name, uid=item.uid, labels=labels):
                logger.warning("%s: out of the Service: %s", snapshot.key, item.why)
                isolated.append(item)
        for pod in plan.replace:
            # Noted first: one deletion too few is better than one too many.
            facts.record_quarantine(snapshot.key, at=snapshot.now)
            await gateway.delete(POD, namespace=pod.namespace, name=pod.name, uid=pod.uid)
            logger.warning("%s: deleted: %s", snapshot.key, pod.why)
    except Forbidden as error:
        logger.error("%s: a pod with wrong answers cannot be replaced: %s", snapshot.key, error.message)
    return isolated
