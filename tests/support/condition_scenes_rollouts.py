"""Scenes of models that serve, of their rollouts and moves, and of whatever else writes to the same objects."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from condition_scenes import (
    AVAILABLE,
    DIMENSIONS,
    NAME,
    NO_GOLDENS,
    RESOLVED,
    Scene,
    Stage,
    held_up,
    verified_by,
)
from scripted_pods import ScriptedPod

from embedding_model.ports import GateState
from embedding_operator.api import names
from embedding_operator.api.reasons import Reason

PENDING: Final = {"phase": "Pending"}
OTHER_SPACE: Final = {"embedding": {"dimensions": DIMENSIONS // 2}}
PREVIOUS: Final = ("True", Reason.PREVIOUS_GENERATION_SERVING)
PASSED: Final = ("True", Reason.GOLDENS_PASSED)


def ready(reason: Reason, *, verified: tuple[str, str] = NO_GOLDENS) -> dict[str, tuple[str, str]]:
    return {"Ready": ("True", reason), "Available": AVAILABLE, "Verified": verified, "Resolved": RESOLVED}


def serve(stage: Stage, **spec: Any) -> None:
    stage.create_model(**spec)
    stage.await_serving()


def _serve_verified(stage: Stage) -> None:
    serve(stage, verification=verified_by("paris"))


def _scale_to_zero(stage: Stage) -> None:
    stage.create_model(replicas=0, verification=verified_by("paris"))


def _hold_new_pods(stage: Stage) -> None:
    """Pods that are there go on; others stay pending."""
    known = {pod["metadata"]["uid"] for pod in stage.find("Pod")}
    stage.play.trouble = lambda pod: None if pod["metadata"]["uid"] in known else PENDING


def _roll_out(stage: Stage) -> None:
    serve(stage)
    _hold_new_pods(stage)
    stage.change_spec(resources={"limits": {"memory": "3Gi"}})


def _replace(stage: Stage) -> None:
    rollout = {"rollout": {"strategy": "Replace"}}
    serve(stage, **rollout)
    _hold_new_pods(stage)
    stage.change_spec(**OTHER_SPACE)


def _move(stage: Stage) -> None:
    serve(stage)
    stage.change_spec(**OTHER_SPACE)
    stage.await_true("the Service has moved", lambda: Reason.SERVICE_MOVED in stage.list_events())


def _move_without_endpoints(stage: Stage) -> None:
    """The old pod stays listed: nobody who lists endpoints takes it out."""
    serve(stage)
    stage.play.lists_endpoints = False
    stage.change_spec(**OTHER_SPACE)


def _serve_unlisted(stage: Stage) -> None:
    stage.play.lists_endpoints = False
    stage.create_model()


def _withdraw_approval(stage: Stage) -> None:
    serve(stage)
    stage.change_spec(space=f"sp1-{'0' * 32}")


def _delete_a_child_with_a_finalizer(stage: Stage) -> None:
    serve(stage)
    service = stage.await_one("Service")["metadata"]["name"]
    finalizer = {"metadata": {"finalizers": ["example.com/wait"]}}
    stage.api.patch("Service", service, finalizer, namespace=stage.namespace)
    stage.api.delete("Service", service, namespace=stage.namespace)


def _apply_a_field_of_a_child(stage: Stage) -> None:
    serve(stage)
    deployment = stage.await_one("Deployment")["metadata"]["name"]
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": stage.namespace, "name": deployment},
        "spec": {"revisionHistoryLimit": 9},
    }
    stage.api.apply_as("gitops", manifest=manifest)


def _fall_ill(change: Callable[[ScriptedPod], None]) -> Callable[[Stage], None]:
    """One of two pods gives wrong answers while it serves."""

    def play(stage: Stage) -> None:
        serve(stage, replicas=2, verification=verified_by("paris"))
        ill = stage.find("Pod")[0]["metadata"]["uid"]

        def answer(pod: Mapping[str, Any], server: ScriptedPod) -> None:
            if pod["metadata"]["uid"] == ill:
                change(server)

        stage.play.answer = answer
        stage.await_true("the pod is replaced", lambda: all(pod["metadata"]["uid"] != ill for pod in stage.find("Pod")))

    return play


def _take_a_childs_name(stage: Stage) -> None:
    stage.create("Service", NAME, spec={"ports": [{"port": 80}]})
    stage.create_model()


def _collide(stage: Stage) -> None:
    """A Deployment of another space has the name that this one's would have."""
    stage.play.makes_pods = False
    stage.create_model()
    deployment = stage.await_one("Deployment")
    stage.change_spec(suspend=True)
    stage.await_true("it is suspended", lambda: stage.model()["status"]["observedGeneration"] == 2)
    metadata = deployment["metadata"]
    stage.api.delete("Deployment", metadata["name"], namespace=stage.namespace)
    space = metadata["labels"][names.LABEL_SPACE]
    other = space[:-1] + ("0" if space[-1] != "0" else "1")
    stage.create(
        "Deployment",
        metadata["name"],
        api_version="apps/v1",
        metadata={
            "namespace": stage.namespace,
            "name": metadata["name"],
            "labels": {**metadata["labels"], names.LABEL_SPACE: other},
            "ownerReferences": metadata["ownerReferences"],
        },
        spec=deployment["spec"],
    )
    stage.change_spec(suspend=False)


def _wait_for_the_newer_image(stage: Stage) -> None:
    """What served under the release before goes on as it is."""
    assert stage.api.get(names.KIND, NAME, namespace=stage.namespace) is not None


def _wrong(reason: Reason) -> tuple[tuple[str, str, str], ...]:
    return (
        ("Ready", "False", str(reason)),
        ("Reconciling", "True", str(reason)),
        ("Verified", "False", str(reason)),
    )


_MOVING: Final = held_up(Reason.MOVING_SERVICE, available=AVAILABLE)

ROLLOUT_SCENES: Final = (
    Scene("serving", _serve_verified, ready(Reason.SERVING, verified=PASSED)),
    Scene("serving-unverified", serve, ready(Reason.SERVING)),
    Scene(
        "zero",
        _scale_to_zero,
        {
            "Ready": ("True", Reason.SCALED_TO_ZERO),
            "Available": ("False", Reason.SCALED_TO_ZERO),
            "Verified": ("Unknown", Reason.SCALED_TO_ZERO),
            "Resolved": RESOLVED,
        },
    ),
    Scene("rolling-out", _roll_out, held_up(Reason.ROLLING_OUT, available=PREVIOUS)),
    Scene("replacing", _replace, held_up(Reason.REPLACING, available=("False", Reason.REPLACING))),
    Scene("moving", _move_without_endpoints, _MOVING),
    Scene("no-endpoints", _serve_unlisted, held_up(Reason.NO_ENDPOINTS, available=AVAILABLE)),
    Scene("moved", _move, ready(Reason.SERVING), events=(Reason.SERVICE_MOVED,)),
    Scene(
        "not-approved",
        _withdraw_approval,
        held_up(
            Reason.SPACE_CHANGE_NOT_APPROVED,
            kind="Stalled",
            available=PREVIOUS,
            verified=("Unknown", Reason.SPACE_CHANGE_NOT_APPROVED),
        ),
    ),
    Scene("terminating", _delete_a_child_with_a_finalizer, held_up(Reason.TERMINATING, available=AVAILABLE)),
    Scene("field-conflict", _apply_a_field_of_a_child, held_up(Reason.FIELD_CONFLICT, available=AVAILABLE)),
    Scene(
        "ill-by-itself",
        _fall_ill(lambda server: setattr(server, "gate", GateState.FAILED)),
        ready(Reason.SERVING, verified=PASSED),
        passes=_wrong(Reason.GOLDEN_MISMATCH),
        events=(Reason.QUARANTINED,),
    ),
    Scene(
        "ill-in-audits",
        _fall_ill(lambda server: setattr(server, "axis", DIMENSIONS - 1)),
        ready(Reason.SERVING, verified=PASSED),
        passes=_wrong(Reason.AUDIT_FAILED),
        events=(Reason.QUARANTINED,),
    ),
    Scene("name-taken", _take_a_childs_name, held_up(Reason.CONFLICT, kind="Stalled")),
    Scene(
        "names-collide",
        _collide,
        held_up(Reason.CONFLICT, kind="Stalled", verified=("Unknown", Reason.CONFLICT)),
    ),
    Scene(
        "serving-unverified",
        _wait_for_the_newer_image,
        ready(Reason.UPDATE_AVAILABLE),
        after_restart=True,
    ),
)
