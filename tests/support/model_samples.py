"""A small model as the resolver finds it, specs that ask for it, and golden cases that fit it."""

import base64
import struct
from collections.abc import Mapping
from typing import Any

from embedding_model.ports import JobReport, JobState
from embedding_model.refusal import Reason, RefusalDocument
from embedding_model.resolved import (
    Conversion,
    Declared,
    Evidence,
    FileEntry,
    Inspection,
    InspectionResult,
    Manifest,
    Origin,
    Pooling,
    Prompt,
    SourceKind,
    Task,
    Weights,
)
from embedding_operator.api.spec import ConversionPolicy
from embedding_operator.observe.facts import Refused, ResolutionRequest, Resolved

COMMIT = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
OTHER_COMMIT = "8b3219a92973c328a8e22fadcfa821b5dc75636a"
REPO = "acme/tiny"
DIMENSIONS = 8


def manifest(*, seed: str = "a") -> Manifest:
    files = ["config.json", "model.safetensors", "tokenizer.json"]
    return Manifest(files=tuple(FileEntry(path=path, size=1000, sha256=seed * 64) for path in files))


def inspection() -> Inspection:
    return Inspection(
        task=Task.EMBEDDING,
        architecture="BertModel",
        family="bert",
        pooling=Pooling.MEAN,
        normalize=True,
        dimensions=DIMENSIONS,
        max_input_tokens=256,
        positions=512,
        prompts=(Prompt(name="query", text="query: "),),
        weights=Weights(bytes=900, files=1, parameters=225),
        evidence=(Evidence(field="pooling", value="Mean", file="1_Pooling/config.json"),),
    )


def resolved(*, revision: str = COMMIT, requested: str = "main", seed: str = "a", repo: str = REPO) -> Resolved:
    origin = Origin(kind=SourceKind.HUGGING_FACE, repo=repo, requested=requested, revision=revision)
    return Resolved(origin=origin, manifest=manifest(seed=seed), inspection=inspection())


def refused(reason: Reason = Reason.REPOSITORY_NOT_FOUND, message: str = "no repository acme/tiny") -> Refused:
    return Refused(refusal=RefusalDocument(reason=reason, message=message))


def request_token(
    *,
    revision: str = "main",
    requested_at: str | None = None,
    mirror: str | None = None,
    repo: str = REPO,
    commit: str | None = None,
    declared: Declared | None = None,
    conversion: ConversionPolicy = ConversionPolicy.NEVER,
) -> str:
    """What the resolver is asked by the request that `hub_spec` makes; `commit`: where it is known."""
    origin = Origin(kind=SourceKind.HUGGING_FACE, repo=repo, requested=revision, revision=commit, mirror=mirror)
    request = ResolutionRequest(
        origin=origin, requested_at=requested_at, declared=declared or Declared(), conversion=conversion
    )
    return request.question


def hub_spec(**parts: Any) -> dict[str, Any]:
    """`parts` are other top-level fields of the spec. No Job computes golden cases unless they ask for it."""
    return _spec({"huggingFace": {"repo": REPO, "revision": "main"}}, parts=parts)


def volume_spec(**parts: Any) -> dict[str, Any]:
    return _spec({"persistentVolumeClaim": {"claimName": "models", "path": "/tiny"}}, parts=parts)


IMAGE = f"registry.example/models/tiny@sha256:{'ab' * 32}"


def image_spec(**parts: Any) -> dict[str, Any]:
    return _spec({"image": {"reference": IMAGE, "path": "/tiny"}}, parts=parts)


def _spec(model: Mapping[str, Any], *, parts: Mapping[str, Any]) -> dict[str, Any]:
    verification = {"reference": "Off", **parts.get("verification", {})}
    return {"model": model, "replicas": 1, **parts, "verification": verification}


def answered(spec: Mapping[str, Any]) -> JobReport:
    """What the Job of `image_spec` finds."""
    source = spec["model"]["image"]
    origin = Origin(kind=SourceKind.IMAGE, image=source["reference"], path=source["path"])
    return JobReport(
        state=JobState.DONE, result=InspectionResult(origin=origin, manifest=manifest(), inspection=inspection())
    )


def converted_manifest() -> Manifest:
    """The same files, of which the weights come from a pickle."""
    files = manifest().files
    target = next(file for file in files if file.path == "model.safetensors")
    pickle = FileEntry(path="pytorch_model.bin", size=3_000_000_000, sha256="c" * 64)
    return Manifest(files=files, conversions=(Conversion(source=pickle, target=target),))


def golden(name: str = "paris", *, first: float = 1.0, dimensions: int = DIMENSIONS) -> dict[str, Any]:
    """A vector case; another `first` is another golden vector."""
    values = [first, *([0.5] * (dimensions - 1))]
    vector = base64.b64encode(struct.pack(f"<{dimensions}f", *values)).decode()
    return {"name": name, "input": "What is the capital of France?", "vector": vector}


def verified_by(*cases: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {"goldens": list(cases), "minCosineSimilarity": "0.999", "reference": "Off", **parts}
