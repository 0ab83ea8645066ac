"""What the operator reports: `status` of an EmbeddingModel. The CRD's schema is generated from these models.

Status can be rebuilt from zero at any time: without `stored`, what ConfigMaps hold is found out anew. An absent value
is left out, never null.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

from embedding_operator.api.reasons import ConditionType
from embedding_operator.api.rules import ListMap

KEPT_RETIRED: Final = 2  # generations, as a way back: one that is retired costs no pod, only names
MAX_MESSAGE: Final = 32768  # metav1.Condition's own bound
UNOBSERVED: Final = -1  # the CRD's default of observedGeneration: a fresh object never counts as done


def _write_time(value: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as metav1.Time."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[datetime, PlainSerializer(_write_time, return_type=str, when_used="json")]


def shorten(message: str, *, limit: int = MAX_MESSAGE) -> str:
    """`message` cut to what the API server takes, with a mark where it was cut."""
    return message if len(message) <= limit else message[: limit - 4] + " ..."


@dataclass(frozen=True)
class Cut:
    """A bound of the schema that values are cut to: what a model's files say must not make the status unwritable."""

    limit: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._cut, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        types = {schema.get("type"), *(variant.get("type") for variant in schema.get("anyOf", ()))}
        return {**schema, "maxItems" if "array" in types else "maxLength": self.limit}

    def _cut(self, value: object) -> object:
        if isinstance(value, str):
            return shorten(value, limit=self.limit)
        return value[: self.limit] if isinstance(value, tuple | list) else value


class StatusModel(BaseModel):
    """Immutable, camelCase outside. Unknown fields are dropped: another version may have written them."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class ConditionStatus(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(StatusModel):
    """As metav1.Condition."""

    type: Annotated[
        str,
        Field(
            max_length=316,
            pattern=r"^[A-Za-z][A-Za-z0-9]*$",
            description="Ready, Available, Verified, Resolved, and while they are true Reconciling and Stalled.",
        ),
    ]
    status: Annotated[ConditionStatus, Field(description="True, False or Unknown.")]
    observed_generation: Annotated[
        int | None, Field(ge=0, description="metadata.generation that the condition speaks of.")
    ] = None
    last_transition_time: Annotated[Time, Field(description="When `status` last changed.")]
    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            description="Why, as one word; docs/reference/conditions.md lists them all.",
        ),
    ]
    message: Annotated[str, Cut(MAX_MESSAGE), Field(description="Why, in words, and what to do.")] = ""

    @property
    def is_true(self) -> bool:
        return self.status is ConditionStatus.TRUE


class WeightsStatus(StatusModel):
    """The weight files."""

    format: Annotated[str, Cut(63), Field(description="Format of the weights: safetensors or gguf.")]
    bytes: Annotated[int, Field(ge=0, description="Size of all weight files together, in bytes.")]
    files: Annotated[int, Field(ge=0, description="Number of weight files.")]


class EvidenceStatus(StatusModel):
    """Why a field has its value."""

    field: Annotated[
        str, Cut(253), Field(description="What is said, such as pooling: most are fields of status.model.")
    ]
    value: Annotated[str, Cut(1024), Field(description="Its value.")]
    file: Annotated[str, Cut(1024), Field(description="File of the model, or the spec, that said so.")]
    key: Annotated[str | None, Cut(1024), Field(description="Key within the file.")] = None
    note: Annotated[str | None, Cut(1024), Field(description="What else is worth knowing.")] = None
    overruled: Annotated[
        tuple[Annotated[str, Cut(1024)], ...] | None,
        Cut(16),
        Field(description="Readings of other files that lost."),
    ] = None


class PromptStatus(StatusModel):
    """A text put before the input, by name."""

    name: Annotated[str, Cut(63), Field(description="Name by which requests choose it.")]
    text: Annotated[str, Cut(1024), Field(description="The text, cut where it is long.")]


class ScoringStatus(StatusModel):
    """Where a reranker's score comes from."""

    rule: Annotated[
        str,
        Cut(63),
        Field(description="ClassificationHead: a logit of the head. TokenLogits: of tokens, at the last position."),
    ]
    template: Annotated[
        str | None, Cut(63), Field(description="Template that query and document are written into. Absent: a pair.")
    ] = None
    true_token: Annotated[str | None, Cut(255), Field(description="Token whose logit is the score.")] = None
    false_token: Annotated[
        str | None, Cut(255), Field(description="Token whose logit is taken off, where there is one.")
    ] = None
    label: Annotated[str | None, Cut(253), Field(description="The one of two labels that means relevant.")] = None


class SparseStatus(StatusModel):
    """How a sparse model's logits become one vector over its vocabulary."""

    pooling: Annotated[str, Cut(63), Field(description="How the logits of tokens become one vector.")]
    activation: Annotated[str, Cut(63), Field(description="What makes weights of logits.")]
    query_weights: Annotated[
        str | None, Cut(1024), Field(description="File of a table that stands in for the model for queries.")
    ] = None


class TokenHeadStatus(StatusModel):
    """A further head of an embedder, which reads every token."""

    kind: Annotated[str, Cut(63), Field(description="Sparse or MultiVector.")]
    file: Annotated[str, Cut(1024), Field(description="File of its layer.")]
    output_dimensions: Annotated[int, Field(ge=1, description="Values per token.")]


class ModelStatus(StatusModel):
    """What the model is and which bytes it is."""

    task: Annotated[str | None, Cut(63), Field(description="What the model is for.")] = None
    architecture: Annotated[str | None, Cut(253), Field(description="Class name in the model's config.")] = None
    family: Annotated[str | None, Cut(63), Field(description="Name of the family of architectures.")] = None
    source: Annotated[
        str | None, Cut(2048), Field(description="Repository, pvc/CLAIM:PATH, or image/REFERENCE:PATH.")
    ] = None
    revision: Annotated[
        str | None, Cut(255), Field(description="Commit, or digest of the image, that every replica loads.")
    ] = None
    short_revision: Annotated[
        str | None, Cut(63), Field(description="First 12 characters of the revision, or of the manifest's hash.")
    ] = None
    requested: Annotated[str | None, Cut(255), Field(description="Branch, tag or commit as asked for.")] = None
    manifest: Annotated[
        str | None, Cut(128), Field(description="sha256 over the list of all files with their hashes.")
    ] = None
    weights: Annotated[WeightsStatus | None, Field(description="The weight files.")] = None
    pooling: Annotated[
        str | None, Cut(63), Field(description="How the vectors of tokens become one; absent where nothing is pooled.")
    ] = None
    further_poolings: Annotated[
        tuple[Annotated[str, Cut(63)], ...] | None,
        Cut(16),
        Field(description="Poolings put behind the first."),
    ] = None
    normalize: Annotated[bool | None, Field(description="Whether vectors have length 1.")] = None
    dimensions: Annotated[
        int | None,
        Field(ge=1, description="Values per vector as served; of a sparse model its vocabulary. Absent: no vectors."),
    ] = None
    max_input_tokens: Annotated[
        int | None, Field(ge=1, description="Longest input in tokens, special tokens included.")
    ] = None
    matryoshka_dimensions: Annotated[
        tuple[int, ...] | None, Cut(32), Field(description="Sizes that the model's vectors may be cut to.")
    ] = None
    truncation_side: Annotated[
        str | None, Cut(63), Field(description="On which side an input that is too long is cut.")
    ] = None
    padding_side: Annotated[str | None, Cut(63), Field(description="On which side short inputs are padded.")] = None
    end_token: Annotated[
        str | None,
        Cut(255),
        Field(description="Token that the tokenizer puts behind every input, where pooling reads."),
    ] = None
    prompts: Annotated[tuple[PromptStatus, ...] | None, Cut(64), Field(description="Prompts by name, as served.")] = (
        None
    )
    default_prompt: Annotated[str | None, Cut(63), Field(description="Prompt of requests that choose none.")] = None
    token_heads: Annotated[
        tuple[TokenHeadStatus, ...] | None, Cut(16), Field(description="Further heads, which read every token.")
    ] = None
    labels: Annotated[
        tuple[Annotated[str, Cut(253)], ...] | None, Cut(128), Field(description="Labels of a classifier, by index.")
    ] = None
    activation: Annotated[
        str | None, Cut(63), Field(description="What turns logits into scores or probabilities, as served.")
    ] = None
    scoring: Annotated[ScoringStatus | None, Field(description="Where a reranker's score comes from.")] = None
    sparse: Annotated[SparseStatus | None, Field(description="How a sparse model makes its vectors.")] = None
    instruction: Annotated[
        str | None,
        Cut(1024),
        Field(description="Instruction in the template, of the spec or the files. Absent: the template's own, if any."),
    ] = None
    quantization: Annotated[
        str | None, Cut(63), Field(description="What the weights of linear layers are stored as; absent: as they are.")
    ] = None
    licence: Annotated[str | None, Cut(253), Field(description="Licence that the model card names.")] = None
    evidence: Annotated[
        tuple[EvidenceStatus, ...] | None,
        Cut(64),
        Field(description="Which file and key said so, for each fact above."),
    ] = None


class SpaceStatus(StatusModel):
    """The vector space: what to store beside an index."""

    fingerprint: Annotated[
        str | None, Cut(63), Field(description="Space that the Service serves, sp1- and 32 hex digits.")
    ] = None
    pending: Annotated[
        str | None, Cut(63), Field(description="Space that is coming up, or waits for approval in spec.space.")
    ] = None
    previous: Annotated[
        tuple[Annotated[str, Cut(63)], ...] | None,
        Cut(KEPT_RETIRED),
        Field(description="Spaces that the Service served before, as far as their Deployments are kept, latest first."),
    ] = None


class VerificationSource(StrEnum):
    """USER: the cases of the spec and of its ConfigMap. REFERENCE: those of the reference implementation."""

    USER = "User"
    REFERENCE = "Reference"
    BOTH = "Both"


class VerificationStatus(StatusModel):
    """Golden cases as answered."""

    source: Annotated[VerificationSource | None, Field(description="Whose golden cases they are.")] = None
    passed: Annotated[int, Field(ge=0, description="Cases that passed on every pod asked.")]
    total: Annotated[int, Field(ge=0, description="Cases in all.")]
    worst_cosine: Annotated[
        str | None, Cut(32), Field(description="Smallest cosine of any case with a vector, as a decimal string.")
    ] = None
    last_verified_time: Annotated[Time | None, Field(description="When verdict or set of cases last changed.")] = None


class PodsStatus(StatusModel):
    """What the pods really run on."""

    device: Annotated[str | None, Cut(253), Field(description="Device in use, as the pods report it.")] = None
    dtype: Annotated[str | None, Cut(63), Field(description="Number format of the computation.")] = None
    quantization: Annotated[
        str | None,
        Cut(63),
        Field(description="What the weights of linear layers are stored as; absent: as they are."),
    ] = None
    runtime_image: Annotated[str | None, Cut(1024), Field(description="Image of the serving pods.")] = None


class StoredStatus(StatusModel):
    """A ConfigMap that the operator wrote."""

    name: Annotated[str, Cut(253), Field(description="Its name.")]
    digest: Annotated[str, Cut(128), Field(description="sha256 over its content: with another one it is not used.")]


class EmbeddingModelStatus(StatusModel):
    """What is."""

    observed_generation: Annotated[
        int | None, Field(ge=-1, description="metadata.generation that this status speaks of; -1: none yet.")
    ] = None
    conditions: Annotated[
        tuple[Condition, ...],
        Cut(16),
        Field(
            description=("Ready, Available, Verified and Resolved; Reconciling and Stalled only while they are true."),
        ),
        ListMap("type"),
    ] = ()
    model: Annotated[ModelStatus | None, Field(description="What the model is and which bytes it is.")] = None
    space: Annotated[SpaceStatus | None, Field(description="The vector space: what to store beside an index.")] = None
    verification: Annotated[VerificationStatus | None, Field(description="Golden cases as answered.")] = None
    pods: Annotated[PodsStatus | None, Field(description="What the pods really run on.")] = None
    url: Annotated[str | None, Cut(512), Field(description="Where clients in the cluster send requests.")] = None
    replicas: Annotated[int | None, Field(ge=0, description="Serving pods that exist.")] = None
    ready_replicas: Annotated[int | None, Field(ge=0, description="Serving pods that are ready.")] = None
    updated_replicas: Annotated[int | None, Field(ge=0, description="Serving pods of the current generation.")] = None
    selector: Annotated[
        str | None, Cut(1024), Field(description="Label selector of the serving pods, for the scale subresource.")
    ] = None
    last_handled_request: Annotated[
        str | None,
        Cut(1024),
        Field(
            description="Value of the annotation embedding-operator.dev/requestedAt that was handled last.",
        ),
    ] = None
    stored: Annotated[
        tuple[StoredStatus, ...] | None,
        Cut(128),
        Field(
            description="ConfigMaps of resolved models, golden cases and templates, as the operator wrote them. Any "
            "other content under these names, or a ConfigMap that is not listed, is not used.",
        ),
        ListMap(),
    ] = None

    def condition(self, kind: ConditionType) -> Condition | None:
        return next((condition for condition in self.conditions if condition.type == kind), None)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, without absent values; empty evidence and the like are left out by being None."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def from_dict(cls, raw: object) -> Self:
        """`status` of a live object; one that cannot be read counts as absent, since it is rebuilt from zero."""
        try:
            return cls.model_validate(raw or {})
        except ValueError:
            return cls()
