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
    IMAGE = "Image"
    FOLDER = "Folder"


class Origin(Document):
    """Where the files come from. For HuggingFace `requested` is a branch, tag or commit and `revision` a commit.

    `image` is REGISTRY/REPOSITORY@sha256:DIGEST; `path` the folder on a claim or in an image.
    """

    kind: SourceKind
    repo: str | None = None
    requested: str | None = None
    revision: str | None = None
    mirror: str | None = None
    claim: str | None = None
    image: str | None = None
    path: str | None = None

    def request_key(self) -> str:
        """What the user asked for, without what it resolved to: two equal keys share one resolution."""
        asked = [self.kind, self.repo, self.requested, self.mirror, self.claim, self.image, self.path]
        return hashlib.sha256(orjson.dumps(asked)).hexdigest()


class FileEntry(Document):
    """One file: path relative to the model's root (posix), size in bytes, sha256 of its content."""

    path: str
    size: int = Field(ge=0)
    sha256: Sha256


class Conversion(Document):
    """A pickle and the safetensors file made of it: `source` is what is fetched, `target` what is loaded."""

    source: FileEntry
    target: FileEntry


class Manifest(Document):
    """Every file of a model that is loaded, sorted by path. The targets of `conversions` are among the files."""

    files: tuple[FileEntry, ...]
    conversions: tuple[Conversion, ...] = ()

    def entry(self, path: str) -> FileEntry | None:
        return next((file for file in self.files if file.path == path), None)

    def fetched(self) -> tuple[FileEntry, ...]:
        """What the source holds: the files, with pickles in place of what they are converted to."""
        made = {conversion.target.path for conversion in self.conversions}
        kept = [file for file in self.files if file.path not in made]
        return tuple(sorted([*kept, *(item.source for item in self.conversions)], key=lambda file: file.path))


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


class Side(StrEnum):
    """On which side of the tokens padding is put, or what is too long is cut."""

    RIGHT = "Right"
    LEFT = "Left"


class Activation(StrEnum):
    """What turns logits into scores or into probabilities of labels."""

    IDENTITY = "Identity"
    SIGMOID = "Sigmoid"
    SOFTMAX = "Softmax"
    TANH = "Tanh"


class Declared(Document):
    """What the user's spec says the model is: it settles doubts, and is refused where the files contradict it."""

    task: Task | None = None
    pooling: Pooling | None = None


class Prompt(Document):
    name: str
    text: str


class ModuleKind(StrEnum):
    DENSE = "Dense"
    LAYER_NORM = "LayerNorm"


class HeadModule(Document):
    """One of sentence-transformers' modules between pooling and normalisation, in the order in which they run.

    `activation` is the name of a class of torch.nn, such as Tanh; None for LayerNorm. `residual`: what comes in is
    added to what comes out, through a projection of its own where the widths differ.
    """

    kind: ModuleKind
    folder: str
    input_dimensions: int = Field(ge=1)
    output_dimensions: int = Field(ge=1)
    activation: str | None = None
    bias: bool = True
    residual: bool = False


class ScoreRule(StrEnum):
    """Where a reranker's score comes from."""

    CLASSIFICATION_HEAD = "ClassificationHead"  # one logit, or the named label of two
    TOKEN_LOGITS = "TokenLogits"  # noqa: S105 - of the last position: logit(true token) - logit(false token)


class Scoring(Document):
    """How a reranker makes one score of a query and a document.

    `template` names one of the prompts that this project knows (never the model's own Jinja); None: the two texts as a
    pair. `instruction` is what the model's files put into the template in place of its own. `false_token` is None where
    the logit of the true token alone is the score. `label` is the one of two labels that means "relevant".
    """

    rule: ScoreRule
    template: str | None = None
    instruction: str | None = None
    true_token: str | None = None
    false_token: str | None = None
    true_token_id: int | None = None
    false_token_id: int | None = None
    label: str | None = None


class SparseHead(Document):
    """How token logits become one sparse vector over the vocabulary (SPLADE: max over log1p(relu(logits))).

    `query_weights` is the file of a table that replaces the model for queries (inference-free models), if there is one.
    """

    pooling: Pooling
    activation: str
    query_weights: str | None = None


class TokenHeadKind(StrEnum):
    SPARSE = "Sparse"  # one weight for each token: relu of a linear layer, the largest for each id of the vocabulary
    MULTI_VECTOR = "MultiVector"  # one normalised vector for each token behind the first: a linear layer


class TokenHead(Document):
    """A further head of an embedder that reads the hidden state of every token (bge-m3). `file` holds its layer."""

    kind: TokenHeadKind
    file: str
    output_dimensions: int = Field(ge=1)


class Evidence(Document):
    """Why a field has its value: the file and key that said so. `overruled` lists the readings that lost."""

    field: str
    value: str
    file: str
    key: str | None = None
    note: str | None = None
    overruled: tuple[str, ...] = ()


class Weights(Document):
    """`format` is safetensors or gguf; `bytes` and `files` count weight files only; `keys` is the number of tensors."""

    format: str = "safetensors"
    bytes: int
    files: int
    parameters: int


class Inspection(Document):
    """What the model's own files say it is.

    Embedding: `pooling` and `further_poolings` (of models that put several side by side: concatenated behind the first,
    in this order), `normalize` (whether the pipeline ends in L2 normalisation), `modules`, prompts,
    `matryoshka_dimensions`, `layer_norm_before_cut` (of vectors that are cut, never of whole ones) and `token_heads`.
    Reranking: `scoring` and `activation`. Classification: `labels` (by index) and `activation`. Sparse: `sparse`. What
    does not belong to the task is None or empty. `architecture` is the class that is loaded, `family` the name of its
    `inspection.families` entry. `dimensions` is the width of the final vector (after Dense modules, before any
    Matryoshka cut; the vocabulary of a sparse model). `max_input_tokens` counts special tokens; `positions` is how many
    the weights can number at most. `end_token` is the token that the tokenizer puts behind every input and last-token
    pooling reads. `avoid_dtypes` names dtypes that are known to give wrong numbers for this family. `configuration` is
    the sha256 of those values of config.json that change the numbers and show in no other field (attention heads,
    activation, epsilon ...), so that the fingerprint of the space sees them. `folder` holds config, weights and
    tokenizer where they are not in the model's root.
    """

    task: Task
    architecture: str
    family: str
    folder: str | None = None
    pooling: Pooling | None = None
    further_poolings: tuple[Pooling, ...] = ()
    include_prompt: bool = True
    normalize: bool | None = None
    modules: tuple[HeadModule, ...] = ()
    dimensions: int | None = Field(default=None, ge=1)
    matryoshka_dimensions: tuple[int, ...] = ()
    layer_norm_before_cut: bool = False
    token_heads: tuple[TokenHead, ...] = ()
    max_input_tokens: int = Field(ge=1)
    positions: int = Field(ge=1)
    truncation_side: Side = Side.RIGHT
    padding_side: Side = Side.RIGHT
    end_token: str | None = None
    lowercase: bool = False
    prompts: tuple[Prompt, ...] = ()
    default_prompt: str | None = None
    labels: tuple[str, ...] = ()
    activation: Activation | None = None
    scoring: Scoring | None = None
    sparse: SparseHead | None = None
    avoid_dtypes: tuple[str, ...] = ()
    licence: str | None = None
    configuration: Sha256 | None = None
    weights: Weights
    evidence: tuple[Evidence, ...] = ()


class Quantization(StrEnum):
    """What the weights of the linear layers are stored as while the model runs; activations stay as they are."""

    NONE = "None"
    INT8 = "Int8"
    INT4 = "Int4"


class Serving(Document):
    """What is served: every value that defines the answers, overrides applied.

    Embedding: `pooling` and `further_poolings`, `normalize`, `dimensions` (what a request without its own gets),
    `model_dimensions` (the width before the cut), `layer_norm_before_cut` (of Matryoshka models that were trained so:
    of vectors that are cut, never of whole ones). Sparse: `dimensions` is the
    vocabulary. Reranking: `activation`, and `instruction` where a template has a place for one. Classification:
    `activation`. What does not belong to the task is None.
    """

    task: Task
    pooling: Pooling | None = None
    further_poolings: tuple[Pooling, ...] = ()
    include_prompt: bool = True
    normalize: bool | None = None
    dimensions: int | None = Field(default=None, ge=1)
    model_dimensions: int | None = Field(default=None, ge=1)
    layer_norm_before_cut: bool = False
    max_input_tokens: int = Field(ge=1)
    lowercase: bool
    truncation_side: Side = Side.RIGHT
    prompts: tuple[Prompt, ...] = ()
    default_prompt: str | None = None
    activation: Activation | None = None
    instruction: str | None = None
    quantization: Quantization = Quantization.NONE

    @property
    def poolings(self) -> tuple[Pooling, ...]:
        """All that stand side by side, in their order; empty where nothing is pooled."""
        return () if self.pooling is None else (self.pooling, *self.further_poolings)

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
    """What a Job hands over: where from, which bytes and what they are; the operator adds overrides and fingerprint."""

    origin: Origin
    manifest: Manifest
    inspection: Inspection
