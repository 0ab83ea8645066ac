"""Other pods of the same model and vector space: what they failed, and whom a pod is compared with."""

from collections.abc import Iterable, Sequence
from typing import Final

from embedding_operator.audit.checks import Peer
from embedding_operator.audit.pod_record import PodRecord

# Of a space, on the same hardware: two are compared with each other, and all others with one of them. What each of them
# answered is kept, tens of KiB of a large model.
WITNESSES: Final = 2


def list_colleagues(pods: Iterable[PodRecord], *, pod: PodRecord) -> Sequence[PodRecord]:
    """Those of `pods`, which are of one model, that are audited for the same space, but for `pod`."""
    space = pod.order.space if pod.order else None
    return [other for other in pods if other is not pod and other.order is not None and other.order.space == space]


def find_suspects(pods: Iterable[PodRecord]) -> frozenset[str]:
    """Cases that one of them failed last."""
    return frozenset(name for pod in pods for name in pod.failed_cases)


def find_peer(colleagues: Iterable[PodRecord], *, pod: PodRecord) -> Peer | None:
    """One whose last audit passed, on the same device and with the same dtype."""
    witness = next(iter(_list_witnesses(colleagues, pod=pod)), None)
    return Peer(name=witness.ref.name, answers=witness.audit.fixed) if witness and witness.audit else None


def needs_witness(colleagues: Iterable[PodRecord], *, pod: PodRecord) -> bool:
    """Whether others may have to be compared with what `pod` answers."""
    return len(_list_witnesses(colleagues, pod=pod)) < WITNESSES


def _list_witnesses(colleagues: Iterable[PodRecord], *, pod: PodRecord) -> Sequence[PodRecord]:
    return [
        other
        for other in colleagues
        if other.audit is not None
        and other.audit.fixed
        and other.hardware is not None
        and other.hardware == pod.hardware
    ]
