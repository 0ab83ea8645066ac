"""`spec.verification`: golden cases, and what happens when an answer does not match."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from embedding_operator.api.fields import ConfigMapReference, SpecModel
from embedding_operator.api.golden_spec import GoldenSpec
from embedding_operator.api.rules import ListMap, Pattern

MAX_INLINE_GOLDENS: Final = 16  # more go into a ConfigMap: client-side apply caps the whole object at 256 KiB


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
                'only your own are asked. Write "Off" in quotes: a bare Off is the boolean false in YAML.'
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
