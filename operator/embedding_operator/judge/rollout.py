"""How far is the wanted generation, and what holds it up?"""

from dataclasses import replace
from datetime import datetime

from embedding_model.resolved import Weights
from embedding_operator.api.reasons import Reason
from embedding_operator.api.rollout_spec import RolloutSpec, RolloutStrategy
from embedding_operator.judge.generations import Generation, find_condition, is_started
from embedding_operator.judge.pod_trouble import find_mount_overdue, find_trouble
from embedding_operator.judge.progress import describe_progress
from embedding_operator.judge.startup import StartPolicy, find_next_look, judge_startup
from embedding_operator.judge.verdict import State, Verdict, good, waiting
from embedding_operator.observe.snapshot import ObservedPod, is_fetching


def judge_rollout(
    target: Generation, *, inputs: str, replicas: int, policy: RolloutSpec, weights: Weights, now: datetime
) -> Verdict:
    """Good when exactly the pods that are asked for exist, of the wanted template, ready."""
    if target.deployment is None or target.inputs != inputs:
        return waiting(Reason.PROGRESSING, "the Deployment is being written")
    if target.is_rolled_out(replicas=replicas):
        if replicas == 0:
            return good(Reason.SCALED_TO_ZERO, "spec.replicas is 0: there are no pods")
        return good(Reason.SERVING, f"{replicas} of {replicas} pods are ready")
    pods = [pod for pod in target.updated_pods(inputs) if not pod.is_ready]
    start = StartPolicy(timeout_seconds=policy.startup_timeout_seconds, weights_bytes=weights.bytes)
    slow = judge_startup(pods, policy=start, now=now)
    if slow is not None and slow.state is State.STALLED:
        staying = len(target.ready_pods)
        return replace(slow, message=f"{slow.message}; {staying} ready pods go on serving") if staying else slow
    # What ended long ago explains nothing once there is another pod.
    speaking = pods or ([] if target.pods else target.updated_ended(inputs))
    troubles = [trouble for trouble in (find_trouble(pod.object, now=now) for pod in speaking) if trouble]
    if troubles:
        return next((trouble for trouble in troubles if trouble.state is State.STALLED), troubles[0])
    refused = find_condition(target.status, kind="ReplicaFailure")
    if refused.get("status") == "True":
        return waiting(Reason.QUOTA_EXCEEDED, f"pods are refused: {refused.get('message', '')}")
    looks = [left for pod in pods if (left := find_mount_overdue(pod.object, now=now)) is not None]
    next_look = find_next_look(pods, policy=start, now=now)
    progress = slow or _describe_progress(target, pods=pods, replicas=replicas)
    if _is_replacing(target, policy=policy):
        progress = _describe_gap(progress)
    return replace(progress, recheck_seconds=min([*looks, *([next_look] if next_look else [])], default=None))


def _is_replacing(target: Generation, *, policy: RolloutSpec) -> bool:
    """Whether new pods of the same space come up, and those that served went before them.

    A pod that fails on its own later leaves the Deployment's last rollout complete.
    """
    progressing = find_condition(target.status, kind="Progressing")
    is_complete = progressing.get("reason") == "NewReplicaSetAvailable"
    return (
        policy.strategy is RolloutStrategy.REPLACE
        and target.was_served
        and not target.ready_pods
        and not is_complete
        and target.is_observed
    )


def _describe_gap(progress: Verdict) -> Verdict:
    message = (
        f"spec.rollout.strategy is Replace: the pod before went first, and nothing serves until a new one is verified; "
        f"{progress.message}"
    )
    return replace(progress, reason=Reason.REPLACING, message=message)


def _describe_progress(target: Generation, *, pods: list[ObservedPod], replicas: int) -> Verdict:
    ready = len(target.ready_pods)
    counts = f"{ready} of {replicas} pods ready"
    progressing = find_condition(target.status, kind="Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return waiting(Reason.PROGRESSING, f"{counts}; the rollout makes no progress: {progressing.get('message', '')}")
    if ready and not pods:
        return waiting(Reason.ROLLING_OUT, f"{counts}; pods are being added, replaced or taken away")
    fetching = [pod for pod in pods if is_fetching(pod.object)]
    if fetching:
        progress = describe_progress(pod.progress for pod in fetching)
        return waiting(Reason.DOWNLOADING, f"{counts}; pods fetch and verify the model's files{progress}")
    if any(is_started(pod) for pod in pods):
        return waiting(Reason.VERIFYING, f"{counts}; pods have loaded the model and are not ready yet")
    return waiting(Reason.ROLLING_OUT if ready else Reason.PROGRESSING, f"{counts}; pods are starting")
