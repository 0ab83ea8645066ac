"""Scenes in which a model, a file or an override is refused: by the operator, by a Job, or by a pod that serves."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from condition_scenes import (
    REPO,
    Scene,
    Stage,
    from_hub,
    held_up,
    name_namespace,
    refused,
)
from tiny_models import encoder_config, json_file, modules, safetensors_file, tensor_shapes, tiny_embedder

from embedding_model.ports import JobReport, JobState
from embedding_model.refusal import Reason, RefusalDocument
from localcluster.hub.state import Gate

SHAPES: Final = tensor_shapes("bert")
IMAGE: Final = f"registry.example/models/tiny@sha256:{'ab' * 32}"
CLAIM: Final = "weights"
FROM_CLAIM: Final = {"persistentVolumeClaim": {"claimName": CLAIM, "path": "/m"}}

WORDS_ABOUT_THE_TASK: Final = (
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
    "README.md",
)
# What is changed in a repository that could be served; None takes a file out.
DEFECTS: Final[Mapping[Reason, Mapping[str, bytes | None]]] = {
    Reason.MISSING_FILE: {"tokenizer.json": None},
    Reason.INVALID_FILE: {"config.json": b"{"},
    Reason.UNSAFE_PATH: {
        "modules.json": json_file(
            [{**modules("Transformer")[0]}, {**modules("Transformer", "Pooling")[1], "path": "../outside"}]
        )
    },
    Reason.TOO_LARGE: {"config.json": json_file({**encoder_config("bert"), "note": "x" * 5_000_000})},
    Reason.UNSUPPORTED_FORMAT: {"model.safetensors": None, "tf_model.h5": b"x"},
    Reason.PICKLE_ONLY: {"model.safetensors": None, "pytorch_model.bin": b"x"},
    Reason.ADAPTER_ONLY: {
        "model.safetensors": None,
        "config.json": None,
        "adapter_config.json": json_file({"base_model_name_or_path": "acme/base"}),
        "adapter_model.safetensors": safetensors_file({"lora": (1,)}),
    },
    Reason.UNSUPPORTED_ARCHITECTURE: {
        "config.json": json_file(encoder_config("bert", model_type="mamba", architectures=["MambaModel"]))
    },
    Reason.REMOTE_CODE_REQUIRED: {
        "config.json": json_file(
            encoder_config("bert", model_type="own", architectures=["Own"], auto_map={"AutoModel": "modeling_own.Own"})
        )
    },
    Reason.NOT_AN_EMBEDDING_MODEL: {"modules.json": json_file(modules("Transformer", "MultiVectorMask"))},
    Reason.INCOMPLETE_WEIGHTS: {
        "model.safetensors": safetensors_file({name: SHAPES[name] for name in list(SHAPES)[1:]})
    },
    Reason.UNEXPECTED_WEIGHTS: {"model.safetensors": safetensors_file({**SHAPES, "extra.weight": (3,)})},
    Reason.CONTRADICTORY_EVIDENCE: {"modules.json": json_file(modules("Transformer", "SpladePooling"))},
    Reason.AMBIGUOUS_TASK: dict.fromkeys(WORDS_ABOUT_THE_TASK),
}
# What the spec asks of a repository that can be served.
ASKED: Final[Mapping[Reason, Mapping[str, Any]]] = {
    Reason.TASK_MISMATCH: {"task": "Reranking"},
    Reason.INVALID_OVERRIDE: {"embedding": {"dimensions": 9}},
    Reason.REPOSITORY_NOT_FOUND: {"model": from_hub("acme/none")},
    Reason.REVISION_NOT_FOUND: {"model": from_hub(REPO, revision="none")},
    Reason.MIRROR_NOT_FOUND: {"model": from_hub(REPO, mirror="none")},
}
# What a Job finds, of these sources.
FOUND: Final[Mapping[Reason, Mapping[str, Any]]] = {
    Reason.HASH_MISMATCH: FROM_CLAIM,
    Reason.IMAGE_NOT_FOUND: {"image": {"reference": IMAGE, "path": "/"}},
    Reason.REGISTRY_NOT_ALLOWED: {"image": {"reference": IMAGE, "path": "/"}},
    Reason.CONVERSION_FAILED: {**from_hub("acme/pickled"), "conversion": "Isolated"},
}


def end_container(name: str, *, reason: str, message: str = "", code: int = 1) -> dict[str, Any]:
    """The status of a pod whose container ended, and is about to be started anew."""
    ended = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    container = {
        "name": name,
        "image": "registry.example/runtime:1",
        "imageID": "",
        "ready": False,
        "restartCount": 1,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": ended,
    }
    return {"phase": "Running", "containerStatuses": [container]}


def _push(defect: Mapping[str, bytes | None]) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        stage.create_model(model=from_hub(stage.push(tiny_embedder("bert", **defect))))

    return play


def _ask(spec: Mapping[str, Any]) -> Callable[[Stage], None]:
    return lambda stage: stage.create_model(**spec)


def _let_a_job_refuse(reason: Reason, *, source: Mapping[str, Any]) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        document = RefusalDocument(reason=reason, message="this is what the Job found")
        stage.play.job = JobReport(state=JobState.REFUSED, refusal=document)
        create_claim(stage)
        if "conversion" in source:
            repo = stage.push(tiny_embedder("bert", **DEFECTS[Reason.PICKLE_ONLY]))
            stage.create_model(model={**source, **from_hub(repo)})
        else:
            stage.create_model(model=dict(source))

    return play


def create_claim(stage: Stage) -> None:
    spec = {"accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "1Gi"}}}
    stage.create("PersistentVolumeClaim", CLAIM, spec=spec)


def _let_a_pod_refuse(reason: Reason) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        words = RefusalDocument(reason=reason, message="this is what the pod found").model_dump_json(exclude_none=True)
        stage.play.trouble = lambda pod: end_container("runtime", reason="Error", message=words, code=3)
        stage.create_model()

    return play


def _hide_behind_a_gate(stage: Stage) -> None:
    repo = stage.push(tiny_embedder())
    stage.hub.state.set_gate(repo, Gate(gated=True))
    stage.create_model(model=from_hub(repo))


def _write_a_golden_case_that_is_no_json(stage: Stage) -> None:
    stage.create("ConfigMap", "goldens", data={"goldens.jsonl": "{"})
    stage.create_model(verification={"reference": "Off", "goldensConfigMapRef": {"name": "goldens"}})


def _name_a_registry_that_is_not_configured(stage: Stage) -> None:
    stage.create_model(model={"image": {"reference": IMAGE.replace("registry.", "other."), "path": "/"}})


REFUSAL_SCENES: Final = (
    *(Scene(name_namespace("files", reason), _push(defect), refused(reason)) for reason, defect in DEFECTS.items()),
    *(Scene(name_namespace("asked", reason), _ask(spec), refused(reason)) for reason, spec in ASKED.items()),
    *(
        Scene(name_namespace("job", reason), _let_a_job_refuse(reason, source=source), refused(reason))
        for reason, source in FOUND.items()
    ),
    *(
        Scene(name_namespace("pod", reason), _let_a_pod_refuse(reason), held_up(reason, kind="Stalled"))
        for reason in (Reason.INVALID_AUTH, Reason.DEVICE_UNAVAILABLE)
    ),
    Scene("gated-repository", _hide_behind_a_gate, refused(Reason.ACCESS_DENIED)),
    Scene(
        "golden-without-json",
        _write_a_golden_case_that_is_no_json,
        held_up(Reason.INVALID_GOLDEN, kind="Stalled", verified=("False", Reason.INVALID_GOLDEN)),
    ),
    Scene("unknown-registry", _name_a_registry_that_is_not_configured, refused(Reason.REGISTRY_NOT_ALLOWED)),
)
