"""What keeps a pod from serving, in the words of the scheduler, the kubelet or the container itself."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from embedding_model.refusal import RefusalDocument
from embedding_operator.api import names
from embedding_operator.api.reasons import Reason
from embedding_operator.judge.verdict import RECHECK_SECONDS, Verdict, stalled, waiting

Object = Mapping[str, Any]

IMAGE_REASONS: Final = frozenset(
    {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
CONFIG_REASONS: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
LAST_WORDS: Final = 600  # characters of a container's last words that go into a condition


# Mounting a Secret or a ConfigMap that exists takes a second or two.
MOUNT_SECONDS: Final = 15.0


def find_trouble(pod: Object, *, now: datetime | None = None) -> Verdict | None:
    """The first cause that keeps this pod from starting; None while it simply starts, or runs.

    With `now`, also a Secret or a ConfigMap of the user's that seems to be missing.
    """
    status = pod.get("status") or {}
    if status.get("phase") == "Failed" and status.get("reason"):
        words = f"{status['reason']}: {status.get('message', '')}".strip()
        # The kubelet names no field, and this volume is ours.
        full = f'volume "{names.VOLUME_WORK}" exceeds' in words
        more = "; raise spec.resources.limits.ephemeral-storage" if full else ""
        return waiting(Reason.POD_FAILED, _describe_pod(pod, f"{words}{more}"))
    causes = (
        *_find_placement(pod, status=status),
        *_find_lost_node(pod, status=status),
        *_find_containers(pod, status=status),
        *(_find_missing_key(pod, now=now) if now else ()),
    )
    return next(iter(causes), None)


def read_refusal(pod: Object) -> RefusalDocument | None:
    """What a container of this pod refused with, when it ended."""
    for item in _containers(pod.get("status") or {}):
        ended = _last_end(item)
        document = _parse_refusal(ended) if ended else None
        if document:
            return document
    return None


def _find_placement(pod: Object, *, status: Object) -> Iterator[Verdict]:
    for condition in status.get("conditions") or ():
        if condition.get("type") != "PodScheduled" or condition.get("status") != "False":
            continue
        words = condition.get("message", "")
        if condition.get("reason") == "Unschedulable":
            yield waiting(_name_placement(words), _describe_pod(pod, f"the scheduler says: {words}"))


def _name_placement(words: str) -> Reason:
    """NodeResourcesFit, of kube-scheduler, says "Insufficient RESOURCE", and of the number of pods "Too many pods"."""
    if "persistentvolumeclaim" in words.lower():
        return Reason.VOLUME_NOT_FOUND
    is_full = "Insufficient " in words or "Too many pods" in words
    return Reason.INSUFFICIENT_CAPACITY if is_full else Reason.UNSCHEDULABLE


def _find_lost_node(pod: Object, *, status: Object) -> Iterator[Verdict]:
    """A kubelet that calls a pod unready gives a reason, and counts its containers with it.

    The node lifecycle controller, which speaks for a kubelet that is silent, takes Ready away and nothing else.
    """
    conditions = {item.get("type"): item for item in status.get("conditions") or ()}
    ready, containers = conditions.get("Ready", {}), conditions.get("ContainersReady", {})
    if ready.get("status") == "False" and not ready.get("reason") and containers.get("status") == "True":
        node = (pod.get("spec") or {}).get("nodeName", "")
        words = (
            f'its node "{node}" answers no more. Kubernetes makes another pod once it gives the node up, after five '
            "minutes unless the cluster says otherwise"
        )
        yield waiting(Reason.NODE_LOST, _describe_pod(pod, words))


def _find_containers(pod: Object, *, status: Object) -> Iterator[Verdict]:
    for item in _containers(status):
        name, state = item["name"], item.get("state") or {}
        held = state.get("waiting") or {}
        if held.get("reason") in IMAGE_REASONS:
            words = held.get("message") or held["reason"]
            yield waiting(Reason.IMAGE_UNAVAILABLE, _describe_pod(pod, f"image {item.get('image', '')}: {words}"))
        elif held.get("reason") in CONFIG_REASONS:
            words = f"container {name}: {held['reason']}: {held.get('message', '')}"
            yield waiting(Reason.POD_FAILED, _describe_pod(pod, words))
        ended = _last_end(item)
        if ended is not None:
            yield _judge_end(pod, container=name, ended=ended)


def find_mount_overdue(pod: Object, *, now: datetime) -> float | None:
    """Seconds until what this pod still waits for, a Secret or a ConfigMap of the user's, counts as missing.

    None when it waits for none.
    """
    status = pod.get("status") or {}
    conditions = {item.get("type"): item for item in status.get("conditions") or ()}
    scheduled, ready = conditions.get("PodScheduled", {}), conditions.get("PodReadyToStartContainers", {})
    since = scheduled.get("lastTransitionTime")
    if not _list_keys(pod) or scheduled.get("status") != "True" or ready.get("status") != "False" or not since:
        return None
    return MOUNT_SECONDS - (now - datetime.fromisoformat(since)).total_seconds()


def _find_missing_key(pod: Object, *, now: datetime) -> Iterator[Verdict]:
    """A volume of a Secret or a ConfigMap that does not exist keeps the pod without a sandbox.

    The kubelet's words are in an event of the pod, and the operator reads neither events nor Secrets.
    """
    left = find_mount_overdue(pod, now=now)
    if left is None or left > 0:
        return
    keys = _list_keys(pod)
    needed = ", ".join(f'{key.keys} of {key.kind} "{key.name}"' for key in keys)
    words = (
        f"it waits for its volumes, and needs the key {needed}. Create the {keys[0].kind} with this key, or correct "
        "the spec; if it is there, kubectl describe pod tells what else is awaited"
    )
    is_secret = any(key.kind == "Secret" for key in keys)
    reason = Reason.SECRET_NOT_FOUND if is_secret else Reason.JWKS_CONFIG_MAP_NOT_FOUND
    yield waiting(reason, _describe_pod(pod, words), recheck_seconds=RECHECK_SECONDS)


@dataclass(frozen=True)
class _Mounted:
    kind: str
    name: str
    keys: str


def _list_keys(pod: Object) -> list[_Mounted]:
    """Secrets and ConfigMaps that the user named, Secrets first: only of these we mount single keys."""
    volumes = (pod.get("spec") or {}).get("volumes") or ()
    found = []
    for kind, part, name in (("Secret", "secret", "secretName"), ("ConfigMap", "configMap", "name")):
        for source in (item[part] for item in volumes if item.get(part)):
            if source.get("items"):
                keys = " and ".join(entry["key"] for entry in source["items"])
                found.append(_Mounted(kind=kind, name=source[name], keys=keys))
    return found


def _judge_end(pod: Object, *, container: str, ended: Object) -> Verdict:
    refusal = _parse_refusal(ended)
    if refusal is not None:
        return stalled(refusal.reason, _describe_pod(pod, f"{container}: {refusal.message}"))
    if ended.get("reason") == "OOMKilled":
        words = (
            f"container {container} was killed: it needs more memory than its limit; raise spec.resources.limits.memory"
        )
        return waiting(Reason.OUT_OF_MEMORY, _describe_pod(pod, words))
    reason = Reason.DOWNLOAD_FAILED if container == names.CONTAINER_FETCH else Reason.CRASH_LOOPING
    words = (ended.get("message") or "").strip()[-LAST_WORDS:] or ended.get("reason") or "no last words"
    return waiting(reason, _describe_pod(pod, f"container {container} ended with {ended.get('exitCode')}: {words}"))


def _last_end(item: Object) -> Object | None:
    """How a container that has not started since last ended badly; None when it did not, or has started again."""
    state = item.get("state") or {}
    now = state.get("terminated")
    if now is not None:
        return now if now.get("exitCode") else None
    if item.get("started") and "running" in state:
        return None
    before: Object | None = (item.get("lastState") or {}).get("terminated")
    return before if before and before.get("exitCode") else None


def _parse_refusal(ended: Object) -> RefusalDocument | None:
    try:
        return RefusalDocument.model_validate_json(ended.get("message") or "")
    except ValidationError:
        return None


def _containers(status: Object) -> Iterable[Object]:
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _describe_pod(pod: Object, words: str) -> str:
    return f"pod {pod['metadata']['name']}: {words}"
