"""Words about running pods that do not answer the operator: the way to them may be closed."""

from collections.abc import Iterable

from embedding_model.ports import PRIVATE_PORT
from embedding_operator.observe.snapshot import ObservedPod


def describe_silence(pods: Iterable[ObservedPod]) -> str:
    """A clause to end a message with; empty when nobody has been silent for long."""
    silent = [pod for pod in pods if pod.silence]
    if not silent:
        return ""
    more = f" and {len(silent) - 1} more" if len(silent) > 1 else ""
    return (
        f"; the operator cannot ask pod {silent[0].name}{more} ({silent[0].silence}): does a NetworkPolicy admit it to "
        f"port {PRIVATE_PORT} of the pods?"
    )
