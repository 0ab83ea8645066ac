"""A pod that takes long to load its model, or too long: `spec.rollout.startupTimeoutSeconds`.

The clock of a start begins when the server's container runs, its files being there, and ends when the pod is ready for
the first time. The kubelet ends a container that has not loaded its model by then and starts it anew; one that has
loaded it and does not pass its gate runs on. Both are reported alike, and forgotten once the pod is ready after all.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from embedding_model.ports import GateState
from embedding_operator.api import names
from embedding_operator.api.reasons import Reason
from embedding_operator.judge.generations import find_condition, is_started
from embedding_operator.judge.progress import describe_duration
from embedding_operator.judge.verdict import Verdict, stalled, waiting
from embedding_operator.observe.snapshot import ObservedPod

# Loading reads the weights once: an ordinary network disk gives this much. Opening, and the warm-up, take the rest.
LOAD_BYTES_PER_SECOND: Final = 50_000_000
WARM_UP_SECONDS: Final = 60.0
# The kubelet counts probes, and not seconds: it may end a container a probe or two before its time.
PROBE_SLACK_SECONDS: Final = 4.0


@dataclass(frozen=True)
class StartPolicy:
    """`timeout_seconds`: how long a start may take. `weights_bytes`: what there is to load."""

    timeout_seconds: float
    weights_bytes: int

    @property
    def slow_seconds(self) -> float:
        """From when on a start is called slow; always before it is too long."""
        expected = WARM_UP_SECONDS + self.weights_bytes / LOAD_BYTES_PER_SECOND
        return min(expected, self.timeout_seconds / 2)


@dataclass(frozen=True)
class _Start:
    """The start of one container: `seconds` that it took, or has taken so far; `is_over` when it was ended for that."""

    pod: ObservedPod
    seconds: float
    is_over: bool = False


def judge_startup(pods: Iterable[ObservedPod], *, policy: StartPolicy, now: datetime) -> Verdict | None:
    """The slowest start of pods that are not ready; None when none is slow."""
    slowest = max(_list_starts(pods, policy=policy, now=now), key=lambda start: start.seconds, default=None)
    if slowest is None or slowest.seconds < policy.slow_seconds:
        return None
    if slowest.is_over or slowest.seconds >= policy.timeout_seconds:
        return _report_timeout(slowest, policy=policy)
    if is_started(slowest.pod):
        return None  # loaded: what it does since is the gate's to say
    message = (
        f"pod {slowest.pod.name} has been loading its model for more than {describe_duration(policy.slow_seconds)}: "
        f"{WARM_UP_SECONDS:.0f} s and the weights' size at {LOAD_BYTES_PER_SECOND // 10**6} MB/s are usual, at most "
        "half of spec.rollout.startupTimeoutSeconds. After "
        f"{describe_duration(policy.timeout_seconds)} it counts as failed"
    )
    return waiting(Reason.SLOW_START, message)


def find_next_look(pods: Iterable[ObservedPod], *, policy: StartPolicy, now: datetime) -> float | None:
    """Seconds until a start becomes slow, or too long; None when none will."""
    left = [
        limit - start.seconds
        for start in _list_starts(pods, policy=policy, now=now)
        for limit in (policy.slow_seconds, policy.timeout_seconds)
        if not start.is_over and start.seconds < limit
    ]
    return max(min(left), 1.0) if left else None


def _list_starts(pods: Iterable[ObservedPod], *, policy: StartPolicy, now: datetime) -> Iterable[_Start]:
    for pod in pods:
        status = pod.object.get("status") or {}
        if pod.is_ready or pod.has_ended:
            continue
        server = _find_server(status)
        running = (server.get("state") or {}).get("running") or {}
        ended = _find_timed_out(server, status=status, policy=policy)
        if ended is not None:
            yield _Start(pod, seconds=ended, is_over=True)
        elif running.get("startedAt") and not _was_ready(status, since=running["startedAt"]):
            yield _Start(pod, seconds=_seconds_between(running["startedAt"], now))


def _find_server(status: Mapping[str, Any]) -> Mapping[str, Any]:
    containers: Sequence[Mapping[str, Any]] = status.get("containerStatuses") or ()
    return next((item for item in containers if item.get("name") == names.CONTAINER_RUNTIME), {})


def _find_timed_out(server: Mapping[str, Any], *, status: Mapping[str, Any], policy: StartPolicy) -> float | None:
    """How long the container ran that ended last, when its start was too long and no later one has succeeded."""
    state = server.get("state") or {}
    if server.get("started") and "running" in state:
        return None
    ended = state.get("terminated") or (server.get("lastState") or {}).get("terminated") or {}
    began, end = ended.get("startedAt"), ended.get("finishedAt")
    if not began or not end or _was_ready(status, since=began):
        return None
    ran = _seconds_between(began, datetime.fromisoformat(end))
    return ran if ran >= policy.timeout_seconds - PROBE_SLACK_SECONDS else None


def _was_ready(status: Mapping[str, Any], *, since: str) -> bool:
    """Whether the pod was ready after that time: only then has its unreadiness begun later."""
    began = find_condition(status, kind="Ready").get("lastTransitionTime")
    return began is not None and datetime.fromisoformat(began) > datetime.fromisoformat(since)


def _seconds_between(start: str, end: datetime) -> float:
    return (end - datetime.fromisoformat(start)).total_seconds()


def _report_timeout(start: _Start, *, policy: StartPolicy) -> Verdict:
    message = (
        f"pod {start.pod.name} was not ready {describe_duration(policy.timeout_seconds)} after its start "
        f"(spec.rollout.startupTimeoutSeconds): {_describe_last(start)}. Raise the time if it only needs longer, or "
        "correct the spec; a pod that becomes ready after all ends this by itself"
    )
    return stalled(Reason.STARTUP_TIMEOUT, message)


def _describe_last(start: _Start) -> str:
    """What it did last."""
    report = start.pod.report
    if not is_started(start.pod):
        return "it was still loading its model" + (", and is started anew" if start.is_over else "")
    if report is None or report.state is GateState.PENDING:
        last = report.results[-1].name if report and report.results else None
        return f'it was answering the golden cases, the last one "{last}"' if last else "it was checking itself"
    if report.state is GateState.FAILED:
        return "its golden cases failed"
    return "its golden cases passed, and it waits for the operator's verdict"
