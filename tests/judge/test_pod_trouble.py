"""What keeps a pod from serving, in whose words."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from embedding_operator.judge.pod_trouble import find_trouble
from embedding_operator.judge.verdict import State


def _pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "tiny-abc"}, "status": status}


def _unschedulable(words: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    return _pod(phase="Pending", conditions=[condition])


def _container(name: str = "runtime", **state: Any) -> dict[str, Any]:
    return {"name": name, "image": "runtime:1", "restartCount": 3, **state}


def _waiting(reason: str, *, ended: dict[str, Any] | None = None, message: str = "", name: str = "runtime") -> Any:
    state = {"waiting": {"reason": reason, "message": message}}
    return _container(name, state=state, lastState={"terminated": ended} if ended else {})


NO_GPU = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
NO_PLACE = "0/1 nodes are available: 1 Too many pods."
NO_CLAIM = '0/1 nodes are available: persistentvolumeclaim "models" not found.'
NO_NODE = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
HASH = {"reason": "HashMismatch", "message": "model.safetensors: expected sha256 aa, found bb"}
NO_DEVICE = {"reason": "DeviceUnavailable", "message": "no CUDA device was found"}

CASES = [
    pytest.param(_unschedulable(NO_GPU), State.WAITING, "InsufficientCapacity", NO_GPU, id="too few GPUs"),
    pytest.param(_unschedulable(NO_PLACE), State.WAITING, "InsufficientCapacity", NO_PLACE, id="a node full of pods"),
    pytest.param(_unschedulable(NO_CLAIM), State.WAITING, "VolumeNotFound", NO_CLAIM, id="a claim that is missing"),
    pytest.param(_unschedulable(NO_NODE), State.WAITING, "Unschedulable", NO_NODE, id="a selector that fits no node"),
    pytest.param(
        _pod(containerStatuses=[_waiting("ImagePullBackOff", message="Back-off pulling image")]),
        State.WAITING,
        "ImageUnavailable",
        "Back-off pulling image",
        id="an image that cannot be pulled",
    ),
    pytest.param(
        _pod(initContainerStatuses=[_waiting("ErrImagePull", message="not found", name="fetch")]),
        State.WAITING,
        "ImageUnavailable",
        "not found",
        id="an image that the init container cannot pull",
    ),
    pytest.param(
        _pod(containerStatuses=[_waiting("CrashLoopBackOff", ended={"exitCode": 1, "message": "boom"})]),
        State.WAITING,
        "CrashLooping",
        "ended with 1: boom",
        id="a container that ends again and again",
    ),
    pytest.param(
        _pod(containerStatuses=[_waiting("CrashLoopBackOff", ended={"exitCode": 137, "reason": "OOMKilled"})]),
        State.WAITING,
        "OutOfMemory",
        "spec.resources.limits.memory",
        id="a container that was killed for its memory",
    ),
    pytest.param(
        _pod(
            initContainerStatuses=[
                _waiting("CrashLoopBackOff", ended={"exitCode": 1, "message": json.dumps(HASH)}, name="fetch")
            ]
        ),
        State.STALLED,
        "HashMismatch",
        "model.safetensors: expected sha256 aa, found bb",
        id="a file whose bytes are not those resolved",
    ),
    pytest.param(
        _pod(
            initContainerStatuses=[
                _waiting("CrashLoopBackOff", ended={"exitCode": 1, "message": "the hub does not answer"}, name="fetch")
            ]
        ),
        State.WAITING,
        "DownloadFailed",
        "the hub does not answer",
        id="a download that failed for now",
    ),
    pytest.param(
        _pod(containerStatuses=[_container(state={"terminated": {"exitCode": 1, "message": json.dumps(NO_DEVICE)}})]),
        State.STALLED,
        "DeviceUnavailable",
        "no CUDA device was found",
        id="a GPU profile without a device",
    ),
    pytest.param(
        _pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
        State.WAITING,
        "PodFailed",
        "Evicted: The node was low on resource: memory.",
        id="an evicted pod",
    ),
]


@pytest.mark.parametrize(("pod", "state", "reason", "words"), CASES)
def test_trouble_is_named_in_the_words_of_its_source(pod: Any, state: State, reason: str, words: str) -> None:
    found = find_trouble(pod)
    assert found is not None
    assert (found.state, found.reason) == (state, reason)
    assert words in found.message
    assert "tiny-abc" in found.message


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(_pod(phase="Pending"), id="just created"),
        pytest.param(_pod(containerStatuses=[_waiting("PodInitializing")]), id="initialising"),
        pytest.param(_pod(containerStatuses=[_waiting("ContainerCreating")]), id="creating its container"),
        pytest.param(
            _pod(initContainerStatuses=[_container("fetch", state={"terminated": {"exitCode": 0}})]),
            id="its download done",
        ),
        pytest.param(
            _pod(
                initContainerStatuses=[
                    _container(
                        "fetch",
                        state={"terminated": {"exitCode": 0}},
                        lastState={"terminated": {"exitCode": 1, "message": "the hub does not answer"}},
                    )
                ]
            ),
            id="its download done after a failure",
        ),
        pytest.param(
            _pod(
                containerStatuses=[
                    _container(started=True, state={"running": {}}, lastState={"terminated": {"exitCode": 1}})
                ]
            ),
            id="running again after a crash",
        ),
    ],
)
def test_a_pod_that_simply_starts_or_runs_has_no_trouble(pod: Any) -> None:
    assert find_trouble(pod) is None


def test_a_container_that_starts_again_after_a_crash_still_says_why_it_ended() -> None:
    """Without this the message would come and go with every restart."""
    again = _container(
        started=False, state={"running": {}}, lastState={"terminated": {"exitCode": 1, "message": "boom"}}
    )
    found = find_trouble(_pod(containerStatuses=[again]))
    assert found is not None
    assert found.reason == "CrashLooping"


def test_the_message_does_not_change_from_one_restart_to_the_next() -> None:
    """A status that counts restarts would be written at each of them."""
    ended = {"exitCode": 1, "message": "boom"}
    first = find_trouble(_pod(containerStatuses=[_waiting("CrashLoopBackOff", ended=ended, message="back-off 10s")]))
    second = find_trouble(_pod(containerStatuses=[_waiting("CrashLoopBackOff", ended=ended, message="back-off 5m")]))
    assert first == second


def test_long_last_words_are_cut_from_the_front() -> None:
    found = find_trouble(
        _pod(containerStatuses=[_waiting("CrashLoopBackOff", ended={"exitCode": 1, "message": "x" * 5000 + "END"})])
    )
    assert found is not None
    assert found.message.endswith("END")
    assert len(found.message) < 1000


@pytest.mark.parametrize(("volume", "is_settable"), [("work", True), ("model", False)])
def test_a_folder_that_was_too_small_names_the_field_that_makes_it_larger(volume: str, is_settable: bool) -> None:
    words = f'Usage of EmptyDir volume "{volume}" exceeds the limit "100Gi".'
    found = find_trouble(_pod(phase="Failed", reason="Evicted", message=words))
    assert found is not None
    assert words in found.message
    assert ("spec.resources.limits.ephemeral-storage" in found.message) == is_settable


NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
SECRET = {"name": "api-keys", "secret": {"secretName": "embed-keys", "items": [{"key": "embedding-api-keys"}]}}
JWKS = {"name": "jwks", "configMap": {"name": "login", "items": [{"key": "jwks.json"}]}}
OURS = {"name": "model-config", "configMap": {"name": "tiny-model-a"}}


def _mounting(*volumes: Any, seconds: float) -> dict[str, Any]:
    since = (NOW - timedelta(seconds=seconds)).isoformat()
    conditions = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": since},
        {"type": "PodReadyToStartContainers", "status": "False"},
    ]
    return {**_pod(phase="Pending", conditions=conditions), "spec": {"volumes": [OURS, *volumes]}}


@pytest.mark.parametrize(
    ("volumes", "reason", "words"),
    [
        ([SECRET], "SecretNotFound", 'embedding-api-keys of Secret "embed-keys"'),
        ([JWKS], "JwksConfigMapNotFound", 'jwks.json of ConfigMap "login"'),
        ([JWKS, SECRET], "SecretNotFound", 'Secret "embed-keys", jwks.json of ConfigMap "login"'),
    ],
    ids=["keys", "a JWKS", "both"],
)
def test_a_pod_that_waits_for_what_the_user_was_to_create_names_it(volumes: list[Any], reason: str, words: str) -> None:
    assert find_trouble(_mounting(*volumes, seconds=5), now=NOW) is None, "mounting takes a moment"
    found = find_trouble(_mounting(*volumes, seconds=60), now=NOW)
    assert found is not None
    assert (found.state, found.reason) == (State.WAITING, reason)
    assert words in found.message


def test_a_pod_that_waits_for_our_own_config_maps_is_not_the_users_to_heal() -> None:
    assert find_trouble(_mounting(seconds=60), now=NOW) is None
