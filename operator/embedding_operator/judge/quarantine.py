"""Pods that serve wrong answers: taken out of the Service, then deleted, so that others take their place.

A pod is bad that fails, by the operator's audit or by its own check, while another pod of its generation takes requests
and passes a case that this one fails: then the case is right and the pod is not. When all fail the same case, or there
is no other pod, nothing is deleted: what replaces them would fail as well. They have closed themselves, and the model
is Stalled with the case.

Of a pod that has not been ready since its container started, the other one must be of the same template. The first pods
of a new template that fail are none: they hold up a rollout, and what replaces them would do the same.

First the label, which takes the pod out of the Service; then, once no EndpointSlice lists it as ready, the deletion, of
one pod of a model at a time, at most one a minute, and ever more rarely while that does not help.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from embedding_model.ports import CaseResult, GateState
from embedding_operator.api import names
from embedding_operator.api.spec import FailurePolicy
from embedding_operator.judge.audits import list_audit_failures
from embedding_operator.judge.endpoints import list_ready_pods
from embedding_operator.judge.failures import describe_case, list_failed
from embedding_operator.judge.generations import Generation, find_condition, is_quarantined
from embedding_operator.observe.facts import QuarantineRecord
from embedding_operator.observe.snapshot import ObservedPod, Snapshot

FIRST_SECONDS: Final = 60.0
MAX_SECONDS: Final = 3600.0


@dataclass(frozen=True)
class Quarantine:
    """`label`: pods to be taken out of the Service now; `delete`: at most one, to be deleted now.

    `replaced`: names of all pods that are being replaced, with the words why. `recheck_seconds`: until the next one may
    be deleted.
    """

    label: Sequence[ObservedPod] = ()
    delete: Sequence[ObservedPod] = ()
    replaced: Mapping[str, str] = field(default_factory=dict)
    recheck_seconds: float | None = None


def judge_quarantine(snapshot: Snapshot, *, generations: Mapping[str, Generation]) -> Quarantine:
    """Nothing under failurePolicy Warn, and while the spec cannot be read."""
    if snapshot.spec is None or snapshot.spec.verification.failure_policy is FailurePolicy.WARN:
        return Quarantine()
    replaced = {pod.name: _describe(pod) for generation in generations.values() for pod in _find_bad(generation.pods)}
    pods = [pod for generation in generations.values() for pod in generation.pods if pod.name in replaced]
    listed = list_ready_pods(snapshot)
    gone = [pod for pod in pods if is_quarantined(pod) and pod.name not in listed]
    wait = _read_wait(snapshot.quarantine, now=snapshot.now)
    return Quarantine(
        label=[pod for pod in pods if not is_quarantined(pod)],
        delete=gone[:1] if wait <= 0 else (),
        replaced=replaced,
        recheck_seconds=wait if gone and wait > 0 else None,
    )


def has_been_ready(pod: ObservedPod) -> bool:
    """Whether this start of its container has been ready: its readiness turned false after the container had started.

    The kubelet says Ready=False of a new pod before it starts a container, and moves the time only when that turns.
    """
    if pod.is_ready:
        return True
    status = pod.object.get("status") or {}
    turned = find_condition(status, kind="Ready").get("lastTransitionTime")
    started = [
        item["state"]["running"].get("startedAt")
        for item in status.get("containerStatuses") or ()
        if item.get("name") == names.CONTAINER_RUNTIME and "running" in (item.get("state") or {})
    ]
    if not turned or not started or not started[0]:
        return False
    return datetime.fromisoformat(turned) > datetime.fromisoformat(started[0])


def _find_bad(pods: Sequence[ObservedPod]) -> Sequence[ObservedPod]:
    """Those to be replaced. One that is out of the Service already goes also when it answers rightly again: it would
    never get requests."""
    failed = {pod.name: _list_failed(pod) for pod in pods}
    sound = [pod for pod in pods if pod.is_ready and not failed[pod.name] and not is_quarantined(pod)]

    def is_bad(pod: ObservedPod) -> bool:
        results = failed[pod.name]
        if not results:
            return is_quarantined(pod)
        has_served = is_quarantined(pod) or has_been_ready(pod)
        judges = [other for other in sound if has_served or _is_same_template(pod, other)]
        return any(_passes_one(other, of=results) for other in judges)

    return [pod for pod in pods if is_bad(pod)]


def _is_same_template(pod: ObservedPod, other: ObservedPod) -> bool:
    template, theirs = (item.object["metadata"].get("labels", {}).get(names.LABEL_TEMPLATE) for item in (pod, other))
    return template is not None and template == theirs


def _list_failed(pod: ObservedPod) -> Sequence[CaseResult]:
    """Of the audit first: its cases are the ones that the pod does not know."""
    audited = list_failed(list_audit_failures(pod))
    if audited or pod.report is None or pod.report.state is not GateState.FAILED:
        return audited
    return list_failed(pod.report.results)


def _passes_one(pod: ObservedPod, *, of: Sequence[CaseResult]) -> bool:
    """Whether it answers rightly at least one of the cases that another one failed."""
    passed = set()
    if pod.audit is not None and pod.audit.state is GateState.PASSED:
        passed |= {result.name for result in pod.audit.results}
    if pod.report is not None and pod.report.state is GateState.PASSED:
        passed |= {result.name for result in pod.report.results}
    return any(result.name in passed for result in of)


def _describe(pod: ObservedPod) -> str:
    failed = _list_failed(pod)
    why = describe_case(failed[0]) if failed else "it failed before, and is out of the Service"
    return f"pod {pod.name}: {why}"


def _read_wait(record: QuarantineRecord | None, *, now: datetime) -> float:
    """Seconds until a pod may be deleted."""
    if record is None:
        return 0.0
    pause = min(FIRST_SECONDS * 2.0 ** min(record.count - 1, 30), MAX_SECONDS)
    return (record.at + timedelta(seconds=pause) - now).total_seconds()
