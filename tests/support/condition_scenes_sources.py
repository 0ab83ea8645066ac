"""Scenes of sources that are being asked, or cannot be; of golden cases; and of what the operator's settings lack."""

from typing import Any, Final

from condition_scenes import (
    DIMENSIONS,
    NAME,
    REPO,
    Scene,
    Stage,
    build_spec,
    from_hub,
    held_up,
    unresolved,
    verified_by,
)
from condition_scenes_pods import PRIVATE
from condition_scenes_refusals import DEFECTS, FROM_CLAIM, create_claim
from scripted_pods import ScriptedPod
from tiny_models import tiny_embedder

from embedding_model.ports import GateState, JobReport, JobState
from embedding_model.refusal import Reason as RefusalReason
from embedding_model.refusal import RefusalDocument
from embedding_operator.api import names
from embedding_operator.api.crd import CRD_NAME
from embedding_operator.api.reasons import Reason

CLOSED_MIRROR: Final = "closed"  # a mirror in the settings that nobody answers at


def _ask_a_private_repository(stage: Stage) -> None:
    stage.create_model(model=PRIVATE)


def _inspect_a_volume(stage: Stage) -> None:
    create_claim(stage)
    stage.create_model(model=FROM_CLAIM)


def _convert_a_pickle(stage: Stage) -> None:
    repo = stage.push(tiny_embedder("bert", **DEFECTS[RefusalReason.PICKLE_ONLY]))
    stage.create_model(model={**from_hub(repo), "conversion": "Isolated"})


def _ask_a_mirror_that_is_down(stage: Stage) -> None:
    stage.create_model(model=from_hub(REPO, mirror=CLOSED_MIRROR))


def _store_a_spec_of_looser_rules(stage: Stage) -> None:
    """As one that was stored under the CRD of an older release, which had fewer rules."""
    rules = _exchange_rules(stage, [])
    stage.await_true("a spec without a source is taken", lambda: _takes_no_source(stage, name=NAME))
    _exchange_rules(stage, rules)
    stage.await_true("a spec without a source is refused", lambda: not _takes_no_source(stage, name="probe"))
    stage.api.delete(names.KIND, "probe", namespace=stage.namespace)


def _exchange_rules(stage: Stage, rules: list[Any]) -> list[Any]:
    """The rules that the CRD had for spec.model before."""
    crd = stage.api.must_get("CustomResourceDefinition", CRD_NAME)
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    before: list[Any] = spec["properties"]["model"].pop("x-kubernetes-validations", [])
    spec["properties"]["model"].update({"x-kubernetes-validations": rules} if rules else {})
    stage.api.replace(crd)
    return before


def _takes_no_source(stage: Stage, *, name: str) -> bool:
    """The API server takes a moment to follow its CRD, and answers nothing meanwhile."""
    try:
        stage.create(names.KIND, name, api_version=names.API_VERSION, spec={**build_spec(), "model": {}})
    except AssertionError as error:
        return "already exists" in str(error)
    return True


def _do_nothing(stage: Stage) -> None:
    """All of it was prepared."""


def _suspend(stage: Stage) -> None:
    stage.create_model(suspend=True)


def _compute_a_reference(stage: Stage) -> None:
    stage.create_model(verification={})


def _fail_to_compute_a_reference(stage: Stage) -> None:
    document = RefusalDocument(reason=RefusalReason.UNSUPPORTED_ARCHITECTURE, message="the library cannot load it")
    stage.play.job = JobReport(state=JobState.REFUSED, refusal=document)
    stage.create_model(verification={})


def _answer_a_case_wrongly(stage: Stage) -> None:
    stage.play.answer = lambda pod, server: setattr(server, "gate", GateState.FAILED)
    stage.create_model(verification=verified_by("paris"))


def _answer_an_audit_wrongly(stage: Stage) -> None:
    """The pod finds nothing wrong of itself."""

    def answer(pod: dict[str, Any], server: ScriptedPod) -> None:
        server.axis = DIMENSIONS - 1

    stage.play.answer = answer
    stage.create_model(verification=verified_by("paris"))


def _name_goldens_that_do_not_exist(stage: Stage) -> None:
    stage.create_model(verification={"reference": "Off", "goldensConfigMapRef": {"name": "none"}})


def _name_an_unknown_profile(stage: Stage) -> None:
    stage.create_model(runtime={"profile": "none"})


def _name_an_unknown_profile_for_a_volume(stage: Stage) -> None:
    create_claim(stage)
    stage.create_model(model=FROM_CLAIM, runtime={"profile": "none"})


def _fails(reason: Reason) -> tuple[str, str]:
    return ("False", reason)


_SUSPENDED: Final = ("Unknown", Reason.SUSPENDED)

SOURCE_SCENES: Final = (
    Scene("resolving", _ask_a_private_repository, unresolved(Reason.RESOLVING, status="Unknown")),
    Scene("inspecting", _inspect_a_volume, unresolved(Reason.INSPECTING_VOLUME, status="Unknown")),
    Scene("converting", _convert_a_pickle, unresolved(Reason.CONVERTING, status="Unknown")),
    Scene("mirror-down", _ask_a_mirror_that_is_down, unresolved(Reason.HUB_UNAVAILABLE)),
    Scene(
        "unreadable",
        _do_nothing,
        unresolved(Reason.INVALID_SPEC, kind="Stalled"),
        prepare=_store_a_spec_of_looser_rules,
    ),
    Scene(
        "suspended",
        _suspend,
        {
            "Ready": ("False", Reason.SUSPENDED),
            "Available": _SUSPENDED,
            "Verified": _SUSPENDED,
            "Resolved": _SUSPENDED,
        },
    ),
    Scene(
        "computing-reference",
        _compute_a_reference,
        held_up(Reason.COMPUTING_REFERENCE, verified=("Unknown", Reason.COMPUTING_REFERENCE)),
    ),
    Scene(
        "reference-unavailable",
        _fail_to_compute_a_reference,
        held_up(Reason.REFERENCE_UNAVAILABLE, kind="Stalled", verified=_fails(Reason.REFERENCE_UNAVAILABLE)),
    ),
    Scene(
        "golden-mismatch",
        _answer_a_case_wrongly,
        held_up(Reason.GOLDEN_MISMATCH, kind="Stalled", verified=_fails(Reason.GOLDEN_MISMATCH)),
    ),
    Scene(
        "audit-failed",
        _answer_an_audit_wrongly,
        held_up(Reason.AUDIT_FAILED, kind="Stalled", verified=_fails(Reason.AUDIT_FAILED)),
    ),
    Scene(
        "goldens-missing",
        _name_goldens_that_do_not_exist,
        held_up(
            Reason.GOLDENS_CONFIG_MAP_NOT_FOUND,
            kind="Stalled",
            verified=_fails(Reason.GOLDENS_CONFIG_MAP_NOT_FOUND),
        ),
    ),
    Scene("profile-unknown", _name_an_unknown_profile, held_up(Reason.PROFILE_NOT_FOUND, kind="Stalled")),
    Scene(
        "profile-unknown-for-a-volume",
        _name_an_unknown_profile_for_a_volume,
        {
            **unresolved(Reason.PROFILE_NOT_FOUND, kind="Stalled"),
            "Verified": ("Unknown", Reason.INSPECTING_VOLUME),
        },
    ),
)
