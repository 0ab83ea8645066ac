"""Other pods of the same model and vector space: what they failed, and whom a pod is compared with."""

from collections.abc import Iterable, Sequence

from embedding_model.ports import GateState
from embedding_operator.audit.checks import Peer
from embedding_operator.audit.pod_record import PodRecord


def list_colleagues(pods: Iterable[PodRecord], *, pod: PodRecord) -> Sequence[PodRecord]:
    """Pods of the same model that are audited for the same space, but for `pod`."""
    space = pod.order.space if pod.order else None
    return [
        other
        for other in pods
        if other is not pod and other.ref.key == pod.ref.key and other.order is not None and other.order.space == space
    ]


def find_suspects(pods: Iterable[PodRecord]) -> frozenset[str]:
    """Cases that one of them failed last."""
    return frozenset(name for pod in pods for name in pod.failed_cases)


def find_peer(colleagues: Iterable[PodRecord], *, pod: PodRecord) -> Peer | None:
    """One whose last audit passed, on the same device and with the same dtype."""
    for other in colleagues:
        passed = other.audit is not None and other.audit.report.state is GateState.PASSED
        if passed and other.audit is not None and other.hardware is not None and other.hardware == pod.hardware:
            return Peer(name=other.ref.name, answers=other.audit.fixed)
    return None
