"""Scenes in which pods, those that serve and those of Jobs, are kept from running, in the words of a cluster."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from condition_scenes import Scene, Stage, from_hub, held_up, name_namespace, unresolved, verified_by
from condition_scenes_refusals import FROM_CLAIM, create_claim, end_container
from played_cluster import write_time

from embedding_model.ports import GateState, Progress
from embedding_operator.api.conditions import AnyReason
from embedding_operator.api.reasons import Reason

Status = Mapping[str, Any]

PROGRESS: Final = Progress(files=11, files_done=3, bytes=90_000_000, bytes_done=40_000_000)
KEYS: Final = {"auth": {"apiKeysSecretRef": {"name": "keys"}}}
TOKENS: Final = {"auth": {"jwt": {"jwksConfigMapRef": {"name": "jwks"}, "audiences": ["search"]}}}
PRIVATE: Final = from_hub("acme/private", tokenSecretRef={"name": "hf-token"})


def _find_no_node(words: str) -> Status:
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    return {"phase": "Pending", "conditions": [said]}


def _wait_in(container: str, *, reason: str, message: str) -> Status:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"phase": "Pending", "containerStatuses": [_describe(container, state=state)]}


def _describe(container: str, **fields: Any) -> dict[str, Any]:
    image = {"image": "registry.example/runtime:1", "imageID": ""}
    return {"name": container, "ready": False, "restartCount": 0, **image, **fields}


def _load(seconds: float, *, started: bool = False) -> Status:
    """A server that has been loading its model for so long."""
    running = {"running": {"startedAt": write_time(seconds_ago=seconds)}}
    unready = {
        "type": "Ready",
        "status": "False",
        "reason": "ContainersNotReady",
        "lastTransitionTime": write_time(seconds_ago=seconds + 10),
    }
    container = _describe("runtime", started=started, state=running)
    return {"phase": "Running", "podIP": "", "conditions": [unready], "containerStatuses": [container]}


def _lose_node(container: str) -> Status:
    """The node lifecycle controller takes Ready away, and says nothing."""
    conditions = [
        {"type": "Ready", "status": "False", "lastTransitionTime": write_time()},
        {"type": "ContainersReady", "status": "True", "lastTransitionTime": write_time(seconds_ago=60)},
    ]
    running = {"running": {"startedAt": write_time(seconds_ago=90)}}
    return {
        "phase": "Running",
        "conditions": conditions,
        "containerStatuses": [_describe(container, ready=True, started=True, state=running)],
    }


def _await_mounts() -> Status:
    """What a pod says that waits for a Secret or a ConfigMap; why is in an event."""
    conditions = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": write_time(seconds_ago=60)},
        {"type": "PodReadyToStartContainers", "status": "False", "lastTransitionTime": write_time(seconds_ago=60)},
    ]
    return {"phase": "Pending", "conditions": conditions}


def _end_fetch() -> Status:
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": "the hub did not answer in time"}}
    return {"phase": "Pending", "initContainerStatuses": [_describe("fetch", state=ended)]}


def _fetch() -> Status:
    running = {"running": {"startedAt": write_time(seconds_ago=5)}}
    return {"phase": "Pending", "podIP": "", "initContainerStatuses": [_describe("fetch", state=running)]}


EVICTED: Final = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}

# By a container's name; of pods that serve and of Jobs alike.
TROUBLES: Final[Mapping[Reason, Callable[[str], Status]]] = {
    Reason.INSUFFICIENT_CAPACITY: lambda _: _find_no_node("0/1 nodes are available: 1 Insufficient nvidia.com/gpu."),
    Reason.UNSCHEDULABLE: lambda _: _find_no_node("0/1 nodes are available: 1 node(s) had untolerated taint(s)."),
    Reason.VOLUME_NOT_FOUND: lambda _: _find_no_node('persistentvolumeclaim "cache" is being deleted'),
    Reason.NODE_LOST: _lose_node,
    Reason.IMAGE_UNAVAILABLE: lambda name: _wait_in(name, reason="ImagePullBackOff", message="back-off pulling image"),
    Reason.CRASH_LOOPING: lambda name: end_container(name, reason="Error", message="ValueError"),
    Reason.OUT_OF_MEMORY: lambda name: end_container(name, reason="OOMKilled", code=137),
    Reason.POD_FAILED: lambda _: EVICTED,
}
# Of pods that serve alone, with what their spec asks for.
SERVER_TROUBLES: Final[Mapping[Reason, tuple[Callable[[], Status], Mapping[str, Any]]]] = {
    Reason.PROGRESSING: (lambda: {"phase": "Pending"}, {}),
    Reason.DOWNLOAD_FAILED: (_end_fetch, {}),
    Reason.DOWNLOADING: (_fetch, {}),
    Reason.SECRET_NOT_FOUND: (_await_mounts, KEYS),
    Reason.JWKS_CONFIG_MAP_NOT_FOUND: (_await_mounts, TOKENS),
    Reason.SLOW_START: (lambda: _load(100), {}),
    Reason.VERIFYING: (lambda: _load(10, started=True), {}),
}


def _trouble_server(make: Callable[[], Status], *, spec: Mapping[str, Any] | None = None) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        status = make()  # once: its times stand still
        stage.play.trouble = lambda pod: status
        stage.play.answer = lambda pod, server: setattr(server, "fetch", PROGRESS)
        stage.create_model(**(spec or {}))

    return play


def _trouble_job(make: Callable[[str], Status]) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        status = make("inspect")
        stage.play.trouble = lambda pod: status
        create_claim(stage)
        stage.create_model(model=FROM_CLAIM)

    return play


def _hide_the_jobs_secret(stage: Stage) -> None:
    status = _await_mounts()
    stage.play.trouble = lambda pod: status
    stage.create_model(model=PRIVATE)


def _end_the_job_that_asks_a_hub(stage: Stage) -> None:
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": "the hub did not answer in time"}}
    status = {"phase": "Failed", "containerStatuses": [_describe("inspect", state=ended)]}
    stage.play.trouble = lambda pod: status
    stage.create_model(model=PRIVATE)
    job = stage.await_one("Job")
    end = {"status": "True", "reason": "BackoffLimitExceeded", "lastTransitionTime": write_time()}
    conditions = [{"type": "FailureTarget", **end}, {"type": "Failed", **end}]
    change = {"status": {"startTime": write_time(), "failed": 1, "conditions": conditions}}
    stage.api.patch("Job", job["metadata"]["name"], change, namespace=stage.namespace, subresource="status")


def _name_a_claim_that_does_not_exist(stage: Stage) -> None:
    stage.create_model(model=FROM_CLAIM)


def _stop_answering_cases(stage: Stage) -> None:
    stage.play.answer = lambda pod, server: setattr(server, "gate", GateState.PENDING)
    stage.create_model(verification=verified_by("paris"))


def _refuse_pods(stage: Stage) -> None:
    """As the Deployment controller reports a quota on pods."""
    stage.play.makes_pods = False
    stage.create_model()
    deployment = stage.await_one("Deployment")["metadata"]
    refused = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": 'pods "m-0" is forbidden: exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0',
    }
    change = {"status": {"conditions": [refused]}}
    stage.api.patch("Deployment", deployment["name"], change, namespace=stage.namespace, subresource="status")


def _name(reason: AnyReason) -> str:
    return name_namespace("server", reason)


POD_SCENES: Final = (
    *(
        Scene(_name(reason), _trouble_server(partial(make, "runtime")), held_up(reason))
        for reason, make in TROUBLES.items()
    ),
    *(
        Scene(_name(reason), _trouble_server(make, spec=spec), held_up(reason))
        for reason, (make, spec) in SERVER_TROUBLES.items()
    ),
    *(
        Scene(name_namespace("job", reason), _trouble_job(make), unresolved(reason))
        for reason, make in TROUBLES.items()
    ),
    Scene(
        _name(Reason.STARTUP_TIMEOUT),
        _trouble_server(lambda: _load(3600)),
        held_up(Reason.STARTUP_TIMEOUT, kind="Stalled"),
    ),
    Scene("job-without-its-secret", _hide_the_jobs_secret, unresolved(Reason.SECRET_NOT_FOUND)),
    Scene("job-that-failed", _end_the_job_that_asks_a_hub, unresolved(Reason.DOWNLOAD_FAILED)),
    Scene("claim-that-is-missing", _name_a_claim_that_does_not_exist, unresolved(Reason.VOLUME_NOT_FOUND)),
    Scene(
        "cases-not-answered",
        _stop_answering_cases,
        held_up(Reason.VERIFYING, verified=("Unknown", Reason.VERIFYING)),
    ),
    Scene("pods-refused", _refuse_pods, held_up(Reason.QUOTA_EXCEEDED)),
)
