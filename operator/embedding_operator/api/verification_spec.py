"""`spec.verification`: golden cases, and what happens when an answer does not match."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from embedding_operator.api.fields import MAX_DIMENSIONS, ConfigMapReference, InputText, PromptName, SpecModel
from embedding_operator.api.rules import ListMap, Pattern, Rule, with_rules

MAX_VECTOR_BASE64: Final = -(-MAX_DIMENSIONS * 4 // 3) * 4  # base64 of that many float32
MAX_INLINE_GOLDENS: Final = 16  # more go into a ConfigMap: client-side apply caps the whole object at 256 KiB
BASE64: Final = r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)"


class SimilaritySpec(SpecModel):
    """Two texts and the cosine that their vectors must have."""

    a: Annotated[InputText, Field(description="First text.")]
    b: Annotated[InputText, Field(description="Second text.")]
    expected: Annotated[
        str,
        Field(max_length=12, description='Expected cosine as a decimal string from "-1" to "1", for example "0.6660".'),
        Pattern(
            r"-?(0(\.[0-9]{1,9})?|1(\.0{1,9})?)",
            'write a decimal string from "-1" to "1" with at most nine decimals, for example "0.6660"',
        ),
    ]
    tolerance: Annotated[
        str,
        Field(max_length=11, description='Largest accepted distance from `expected`, for example "0.005".'),
        Pattern(
            r"0(\.[0-9]{1,9})?",
            'write a decimal string above "0" and below "1" with at most nine decimals, for example "0.005"',
        ),
        Rule(
            "self.matches('[1-9]')", 'write a tolerance above "0", for example "0.005": no two machines agree exactly'
        ),
    ]


# Bytes that a base64 string decodes to, in CEL.
VECTOR_BYTES: Final = "(size({0}) / 4 * 3 - ({0}.endsWith('==') ? 2 : ({0}.endsWith('=') ? 1 : 0)))"


class GoldenSpec(SpecModel):
    """A golden case: an input with its vector, or two texts with their cosine."""

    model_config = with_rules(
        Rule(
            "has(self.vector) != has(self.similarity)",
            "a golden case has either input and vector, or similarity: set exactly one of them",
        ),
        Rule(
            "has(self.vector) == has(self.input)",
            "a golden case with a vector needs the input that gives it, and only such a case has an input",
        ),
    )

    name: Annotated[
        str,
        Field(max_length=63, description="Name of the case; messages and events show it."),
        Pattern(
            r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?",
            "write letters, digits, '-', '_' or '.', for example capital-paris",
        ),
    ]
    input: Annotated[InputText | None, Field(description="Text to embed, with `vector`.")] = None
    prompt: Annotated[
        PromptName | None,
        Field(description="Name of the prompt put before the texts. Unset: the default prompt, if there is one."),
    ] = None
    vector: Annotated[
        str | None,
        Field(
            max_length=MAX_VECTOR_BASE64,
            description=(
                "Expected vector: base64 of little-endian float32 values, as many as the model serves dimensions. "
                "It passes when the cosine reaches minCosineSimilarity."
            ),
        ),
        Rule(
            f"self.matches(r'^{BASE64}$')",
            "vector must be base64 (RFC 4648, with padding, on one line) of little-endian float32 values",
        ),
        Rule(
            f"size(self) % 4 != 0 || {VECTOR_BYTES.format('self')} % 4 == 0",
            "vector does not hold whole float32 values: encode the little-endian float32 bytes, 4 for each dimension",
        ),
    ] = None
    similarity: Annotated[
        SimilaritySpec | None, Field(description="Two texts and the cosine that their vectors must have.")
    ] = None

    @model_validator(mode="after")
    def _check_one_kind(self) -> Self:
        if (self.vector is None) == (self.similarity is None):
            raise ValueError("a golden case has either input and vector, or similarity")
        if (self.vector is None) != (self.input is None):
            raise ValueError("a golden case with a vector needs the input that gives it, and only such a case has one")
        return self


class FailurePolicy(StrEnum):
    """BLOCK: a pod that fails its goldens never gets traffic. WARN: it serves, and conditions and headers say so."""

    BLOCK = "Block"
    WARN = "Warn"


class ReferencePolicy(StrEnum):
    """AUTO: a Job computes golden cases with the reference implementation, once per vector space."""

    AUTO = "Auto"
    OFF = "Off"


class VerificationSpec(SpecModel):
    """What a pod must answer before it may take traffic."""

    goldens: Annotated[
        tuple[GoldenSpec, ...],
        Field(
            max_length=MAX_INLINE_GOLDENS,
            description="Golden cases, few; more go into the ConfigMap of goldensConfigMapRef.",
        ),
        ListMap(),
    ] = ()
    goldens_config_map_ref: Annotated[
        ConfigMapReference | None,
        Field(
            description=(
                "ConfigMap with more golden cases under the key goldens.jsonl: one JSON object a line, of the form of "
                "`goldens`. It is read at each reconcile and at the periodic resync; it is not watched."
            )
        ),
    ] = None
    reference: Annotated[
        ReferencePolicy,
        Field(
            description=(
                "Auto: a Job computes golden cases with the reference implementation (sentence-transformers and "
                "transformers) from the same files, once per vector space. Golden cases of your own add to them. Off: "
                "only your own are asked."
            )
        ),
    ] = ReferencePolicy.AUTO
    min_cosine_similarity: Annotated[
        str,
        Field(
            max_length=11,
            description="Smallest accepted cosine between a golden vector and the answer, a decimal string.",
        ),
        Pattern(
            r"0(\.[0-9]{1,9})?|1(\.0{1,9})?",
            'write a decimal string from "0" to "1" with at most nine decimals, for example "0.999"',
        ),
    ] = "0.999"
    failure_policy: Annotated[
        FailurePolicy,
        Field(
            description=(
                "Block: a pod whose answers do not match never receives a request. Warn: it does, and the Verified "
                "condition and the header x-embedding-verified say so."
            )
        ),
    ] = FailurePolicy.BLOCK
