"""Writes that the API server refuses for as long as a test wants, and a cluster that goes on beside them."""

import pytest
from refusing_gateway import RefusingGateway
from simulated_cluster import KEY, SimulatedCluster

from embedding_operator.api import names
from embedding_operator.kube.gateway import (
    Forbidden,
    Gateway,
    GatewayError,
    Invalid,
    Kind,
    TooManyRequests,
    Unreachable,
)

QUOTA = Forbidden("configmaps is forbidden: exceeded quota: small, count/configmaps", status=403)
DENIED = GatewayError('admission webhook "x" denied the request', status=400)
INVALID = Invalid("denied by policy", status=422)
WEBHOOK = Unreachable('failed calling webhook "x": connection refused', status=500)
SILENCE = Unreachable("no answer from the API server")
BUSY = TooManyRequests("too many requests", status=429)
REFUSALS = [pytest.param(error, id=str(error.status)) for error in (DENIED, QUOTA, INVALID, WEBHOOK)]
TROUBLES = [*REFUSALS, pytest.param(SILENCE, id="no answer"), pytest.param(BUSY, id="429")]


async def run(cluster: SimulatedCluster, gateway: Gateway, *, rounds: int = 15) -> None:
    """As the work queue does: what raises is tried again."""
    for _ in range(rounds):
        cluster.step()
        try:
            await cluster.reconcile(gateway=gateway)
        except GatewayError:
            continue


def refuse(cluster: SimulatedCluster, verb: str, kind: Kind, error: GatewayError) -> RefusingGateway:
    """What is there already may be written."""
    spares = {item["metadata"]["name"] for item in cluster.all(kind)} if verb == "apply" else ()
    return RefusingGateway(cluster.gateway, verb=verb, kind=kind.kind, error=error, spares=spares)


def edit_by_hand(cluster: SimulatedCluster, kind: Kind) -> None:
    """From now on each reconcile wants to write the first of this kind."""
    name = cluster.all(kind)[0]["metadata"]["name"]

    def take_mark(item: dict[str, dict[str, dict[str, str]]]) -> None:
        item["metadata"]["annotations"].pop(names.ANNOTATION_APPLIED)

    cluster.gateway.edit(kind, take_mark, namespace=KEY.namespace, name=name)
