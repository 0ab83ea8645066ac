"""The resolved model: the document that operator and runtime exchange.

    Origin      where the files come from, as asked and as resolved
    Manifest    which files, byte for byte
    Inspection  what the files say the model is, with evidence
    Serving     what is served: the inspection with the spec's overrides applied
    ResolvedModel = all four and the fingerprint of the vector space

It is stored as `model.json` in the ConfigMap `<name>-model-<hash10>` and mounted into the pods.
"""

import hashlib
from enum import StrEnum
from typing import Annotated, Any, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Document(BaseModel):
    """An immutable JSON document with camelCase keys; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    def to_json(self) -> bytes:
        """Canonical bytes: sorted keys, no spaces, absent instead of null. Equal documents give equal bytes."""
        return orjson.dumps(self.to_dict(), option=orjson.OPT_SORT_KEYS)

    def to_dict(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def from_json(cls, data: bytes | str) -> Self:
        return cls.model_validate_json(data)

    def digest(self) -> str:
        """sha256 over the canonical bytes, 64 hex digits."""
        return hashlib.sha256(self.to_json()).hexdigest()


class SourceKind(StrEnum):
    HUGGING_FACE = "HuggingFace"
    PERSISTENT_VOLUME_CLAIM = "PersistentVolumeClaim"
    FOLDER = "Folder"


class Origin(Document):
    """Where the files come from. For HuggingFace `requested` is a branch, tag or commit and `revision` a commit."""

    kind: SourceKind
    repo: str | None = None
    requested: str | None = None
    revision: str | None = None
    mirror: str | None = None
    claim: str | None = None
    path: str | None = None

    def request_key(self) -> str:
        """What the user asked for, without what it resolved to: two equal keys share one resolution."""
        asked = [self.kind, self.repo, self.requested, self.mirror, self.claim, self.path]
        return hashlib.sha256(orjson.dumps(asked)).hexdigest()


class FileEntry(Document):
    """One file: path relative to the model's root (posix), size in bytes, sha256 of its content."""

    path: str
    size: int = Field(ge=0)
    sha256: Sha256


class Manifest(Document):
    """Every file of a model that is loaded, sorted by path."""

    files: tuple[FileEntry, ...]

    def entry(self, path: str) -> FileEntry | None:
        return next((file for file in self.files if file.path == path), None)


class Task(StrEnum):
    EMBEDDING = "Embedding"
    RERANKING = "Reranking"
    CLASSIFICATION = "Classification"
    SPARSE = "Sparse"


class Pooling(StrEnum):
    """sentence-transformers' pooling modes."""

    CLS = "Cls"
    MEAN = "Mean"
    MAX = "Max"
    MEAN_SQRT_LENGTH = "MeanSqrtLength"
    WEIGHTED_MEAN = "WeightedMean"
    LAST_TOKEN = "LastToken"  # noqa: S105 - a pooling mode, not a secret


class TruncationSide(StrEnum):
    RIGHT = "Right"
    LEFT = "Left"


class Prompt(Document):
    name: str
    text: str


class Evidence(Document):
    """Why a field has its value: the file and key that said so. `overruled` lists the readings that lost."""

    field: str
    value: str
    file: str
    key: str | None = None
    note: str | None = None
    overruled: tuple[str, ...] = ()


class Weights(Document):
    """`format` is always safetensors; `bytes` and `files` count weight files only; `keys` is the number of tensors."""

    format: str = "safetensors"
    bytes: int
    files: int
    parameters: int


class Inspection(Document):
    """What the model's own files say it is.

    `dimensions` is the width of the final vector (after Dense modules, before any Matryoshka cut).
    `max_input_tokens` counts special tokens. `normalize` is whether the model's own pipeline ends in L2 normalisation.
    `configuration` is the sha256 of those values of config.json that change the numbers and show in no other field
    (attention heads, activation, epsilon ...), so that the fingerprint of the space sees them.
    `folder` holds config, weights and tokenizer where they are not in the model's root.
    """

    task: Task
    architecture: str
    family: str
    folder: str | None = None
    pooling: Pooling
    include_prompt: bool = True
    normalize: bool
    dimensions: int = Field(ge=1)
    matryoshka_dimensions: tuple[int, ...] = ()
    max_input_tokens: int = Field(ge=1)
    truncation_side: TruncationSide = TruncationSide.RIGHT
    lowercase: bool = False
    prompts: tuple[Prompt, ...] = ()
    default_prompt: str | None = None
    configuration: Sha256 | None = None
    weights: Weights
    evidence: tuple[Evidence, ...] = ()


class Serving(Document):
    """What is served: every value that defines the vector space, overrides applied.

    `dimensions` is what a request without its own `dimensions` gets; `model_dimensions` the width before the cut.
    """

    task: Task
    pooling: Pooling
    include_prompt: bool
    normalize: bool
    dimensions: int = Field(ge=1)
    model_dimensions: int = Field(ge=1)
    max_input_tokens: int = Field(ge=1)
    lowercase: bool
    truncation_side: TruncationSide = TruncationSide.RIGHT
    prompts: tuple[Prompt, ...] = ()
    default_prompt: str | None = None

    def prompt(self, name: str) -> Prompt | None:
        return next((prompt for prompt in self.prompts if prompt.name == name), None)


class ResolvedModel(Document):
    """`space` is the fingerprint of the vector space, `sp1-` and 32 hex digits."""

    origin: Origin
    manifest: Manifest
    inspection: Inspection
    serving: Serving
    space: str


class InspectionResult(Document):
    """What an inspection Job hands over: the bytes and what they are; the operator adds overrides and fingerprint."""

    manifest: Manifest
    inspection: Inspection
