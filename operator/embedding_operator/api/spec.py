"""What a user asks for: `spec` of an EmbeddingModel. The CRD's schema is generated from these models.

Rules that only the API server checks are CEL rules beside the field; `parse_spec` is the operator's way in.
Inside list items nothing has a default: GitOps tools compare lists of a custom resource as a whole, and a defaulted
field would look like drift for ever.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, ValidationError

from embedding_operator.api.auth_spec import AuthSpec, JwtSpec
from embedding_operator.api.cache_spec import CacheSpec, CacheVerification
from embedding_operator.api.embedding_spec import EmbeddingSpec, Normalization, PoolingMode, PromptSpec, Truncation
from embedding_operator.api.fields import ClaimReference, ConfigMapReference, SecretReference, SpecModel
from embedding_operator.api.golden_spec import VECTOR_BYTES, GoldenSpec, SimilaritySpec
from embedding_operator.api.pod_spec import (
    PodSpec,
    ResourcesSpec,
    TaintEffect,
    Toleration,
    TolerationOperator,
)
from embedding_operator.api.reranking_spec import RerankingSpec, ScoreActivation
from embedding_operator.api.rollout_spec import RolloutSpec
from embedding_operator.api.rules import Pattern, Rule, with_rules
from embedding_operator.api.runtime_spec import DtypeChoice, RuntimeSpec, ServedName, TokenIdsPolicy
from embedding_operator.api.source_spec import (
    ConversionPolicy,
    HuggingFaceSource,
    ImageSource,
    ModelSource,
    UpdatePolicy,
    VolumeSource,
)
from embedding_operator.api.verification_spec import FailurePolicy, VerificationSpec

__all__ = [
    "AuthSpec",
    "CacheSpec",
    "CacheVerification",
    "ClaimReference",
    "ConfigMapReference",
    "ConversionPolicy",
    "DtypeChoice",
    "EmbeddingModelSpec",
    "EmbeddingSpec",
    "FailurePolicy",
    "GoldenSpec",
    "HuggingFaceSource",
    "ImageSource",
    "InvalidSpec",
    "JwtSpec",
    "ModelSource",
    "Normalization",
    "PodSpec",
    "PoolingMode",
    "PromptSpec",
    "RerankingSpec",
    "ResourcesSpec",
    "RuntimeSpec",
    "ScoreActivation",
    "SecretReference",
    "ServedName",
    "SimilaritySpec",
    "TaintEffect",
    "TaskChoice",
    "TokenIdsPolicy",
    "Toleration",
    "TolerationOperator",
    "Truncation",
    "UpdatePolicy",
    "VerificationSpec",
    "VolumeSource",
    "parse_spec",
]


class TaskChoice(StrEnum):
    """AUTO: what the model's files say. The others are `embedding_model.resolved.Task`."""

    AUTO = "Auto"
    EMBEDDING = "Embedding"
    RERANKING = "Reranking"
    CLASSIFICATION = "Classification"
    SPARSE = "Sparse"


_PROMPTS = "!has(self.embedding) || !has(self.embedding.prompts)"
# The API server fills in defaults before it judges: what is at its default counts as not asked for.
_EMBEDS = "!has(self.task) || self.task in ['Auto', 'Embedding']"
_GOLDENS = "!has(self.verification) || !has(self.verification.goldens)"
_ANSWERED = (
    "self.task == 'Embedding' ? has(g.vector) || has(g.similarity) || has(g.sparse) : "
    "self.task == 'Reranking' ? has(g.ranking) || has(g.score) : "
    "self.task == 'Classification' ? has(g.label) : has(g.sparse)"
)
_RERANKS = "!has(self.task) || self.task in ['Auto', 'Reranking']"


class EmbeddingModelSpec(SpecModel):
    """What is asked for."""

    model_config = with_rules(
        Rule(
            f"{_PROMPTS} || !has(self.runtime) || !has(self.runtime.servedNames) || "
            "self.runtime.servedNames.all(s, !has(s.prompt) || self.embedding.prompts.exists(p, p.name == s.prompt))",
            "the prompt of a served name must be one of embedding.prompts: add it there, or remove it here",
        ),
        Rule(
            f"{_PROMPTS} || {_GOLDENS} || "
            "self.verification.goldens.all(g, !has(g.prompt) || self.embedding.prompts.exists(p, p.name == g.prompt))",
            "the prompt of a golden case must be one of embedding.prompts: add it there, or remove it from the case",
        ),
        Rule(
            f"!has(self.embedding) || !has(self.embedding.dimensions) || {_GOLDENS} || "
            "self.verification.goldens.all(g, !has(g.vector) || "
            f"{VECTOR_BYTES.format('g.vector')} == self.embedding.dimensions * 4)",
            "a golden vector must hold embedding.dimensions float32 values: cut the vector, or change dimensions",
        ),
        Rule(
            f"!has(self.task) || self.task == 'Auto' || {_GOLDENS} || self.verification.goldens.all(g, {_ANSWERED})",
            "golden cases go with the task: vector or similarity with Embedding (and sparse, where the model has a "
            "sparse head), ranking or score with Reranking, label with Classification, sparse with Sparse",
        ),
        Rule(
            f"{_RERANKS} || !has(self.reranking) || (!has(self.reranking.instruction) && "
            "(!has(self.reranking.activation) || self.reranking.activation == 'Auto'))",
            "reranking goes with task Reranking or Auto: leave reranking out, or change task",
        ),
        Rule(
            f"{_EMBEDS} || !has(self.embedding) || (!has(self.embedding.dimensions) && "
            "(!has(self.embedding.pooling) || self.embedding.pooling == 'Auto') && "
            "(!has(self.embedding.normalize) || self.embedding.normalize == 'Auto'))",
            "embedding.pooling, normalize and dimensions go with task Embedding or Auto: leave them out, or change "
            "task",
        ),
        Rule(
            f"{_EMBEDS} || !has(self.runtime) || !has(self.runtime.quantization) || "
            "self.runtime.quantization == 'None'",
            "runtime.quantization goes with task Embedding or Auto: leave it out, or change task",
        ),
    )

    model: Annotated[ModelSource, Field(description="Where the model's files come from: exactly one source.")]
    task: Annotated[
        TaskChoice,
        Field(
            description=(
                "What the model is for. Auto: as the model's files say. Another value settles a doubt, and is refused "
                "where the files contradict it."
            )
        ),
    ] = TaskChoice.AUTO
    embedding: Annotated[
        EmbeddingSpec,
        Field(description="What defines the vector space. Anything unset comes from the model's own files."),
    ] = EmbeddingSpec()
    reranking: Annotated[
        RerankingSpec,
        Field(description="What defines the scores of a reranker. Anything unset comes from the model's own files."),
    ] = RerankingSpec()
    space: Annotated[
        str | None,
        Field(
            max_length=36,
            description=(
                "The only vector space that the Service may move to: status.space shows fingerprints. A model that "
                "gives another one comes up verified behind a Service of its own, named by the model and the space's "
                "first ten digits, and is reported with the reason SpaceChangeNotApproved. Unset: a change of the spec "
                "may change the space."
            ),
        ),
        Pattern(
            "sp1-[0-9a-f]{32}",
            "write a fingerprint as status.space shows it: sp1- and 32 hex digits",
        ),
    ] = None
    verification: Annotated[
        VerificationSpec, Field(description="What a pod must answer before it may take traffic.")
    ] = VerificationSpec()
    runtime: Annotated[RuntimeSpec, Field(description="How the model is run.")] = RuntimeSpec()
    auth: Annotated[
        AuthSpec | None,
        Field(
            description=(
                "Who may ask the model, by an API key or a token in the header Authorization. Unset: everybody who "
                "reaches the Service."
            )
        ),
    ] = None
    resources: Annotated[
        ResourcesSpec,
        Field(description="Resources of each serving pod. Unset: the profile's, sized by the model's weights."),
    ] = ResourcesSpec()
    cache: Annotated[
        CacheSpec | None,
        Field(description="A volume that keeps the model's files between pods. Unset: each pod fetches its own."),
    ] = None
    pod: Annotated[PodSpec, Field(description="Where the pods run. Placement only.")] = PodSpec()
    rollout: Annotated[RolloutSpec, Field(description="How new pods take the place of old ones.")] = RolloutSpec()
    replicas: Annotated[
        int,
        Field(
            ge=0,
            le=1000,
            description=(
                "Number of serving pods; 0 keeps everything but the pods. Leave it out when an autoscaler owns it "
                "through the scale subresource."
            ),
        ),
    ] = 1
    suspend: Annotated[
        bool,
        Field(description="While true the operator writes nothing but status: pods that serve go on serving."),
    ] = False


class InvalidSpec(Exception):
    """A spec that the API server let through and that cannot be read. `message` holds paths and rules, no values."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def parse_spec(raw: object) -> EmbeddingModelSpec:
    """`spec` of a live object. Raises InvalidSpec, which names every wrong field and quotes no value."""
    if not isinstance(raw, Mapping):
        raise InvalidSpec("spec: expected an object with the field model; write spec.model.huggingFace.repo")
    try:
        return EmbeddingModelSpec.model_validate(dict(raw))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=True, include_input=False)
        raise InvalidSpec("; ".join(_explain(item) for item in found)) from None


def _explain(item: Mapping[str, Any]) -> str:
    path = "spec"
    for part in item["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    if item["type"] == "extra_forbidden":
        return f"{path}: this operator does not know the field; remove it, or upgrade the operator"
    return f"{path}: {item['msg'].removeprefix('Value error, ')}"
