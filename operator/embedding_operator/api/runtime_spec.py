"""`spec.runtime`: how the model is run."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from embedding_model.resolved import Quantization
from embedding_operator.api.fields import ConfigName, PromptName, SpecModel
from embedding_operator.api.rules import ListMap, Pattern, Rule, with_rules


class DtypeChoice(StrEnum):
    """AUTO: float32, the numbers of the reference; bfloat16 with Int4. The others, in small letters, are --dtype."""

    AUTO = "Auto"
    FLOAT32 = "Float32"
    BFLOAT16 = "BFloat16"
    FLOAT16 = "Float16"


class TokenIdsPolicy(StrEnum):
    """Whether requests may bring token ids in place of text: REFUSE, or ACCEPT."""

    REFUSE = "Refuse"
    ACCEPT = "Accept"


class ServedName(SpecModel):
    """A model name that requests may use."""

    name: Annotated[
        str,
        Field(max_length=128, description="Model name in requests, for example text-embedding-3-small."),
        Pattern(
            r"[A-Za-z0-9]([-A-Za-z0-9_.:/@]*[-A-Za-z0-9_.])?",
            "write a model name of letters, digits, '-', '_', '.', ':', '/' or '@'",
        ),
    ]
    prompt: Annotated[
        PromptName | None,
        Field(description="Name of the prompt for requests under this name. Unset: the default prompt, if any."),
    ] = None


class RuntimeSpec(SpecModel):
    """How the model is run."""

    model_config = with_rules(
        Rule(
            "!has(self.quantization) || self.quantization != 'Int4' || !has(self.dtype) || "
            "self.dtype in ['Auto', 'BFloat16']",
            "quantization Int4 computes in BFloat16: leave dtype out, or write quantization: Int8",
        )
    )

    profile: Annotated[
        ConfigName | None,
        Field(
            description=(
                "Name of a runtime profile of the operator's Helm values (image, device), such as cpu or cuda. "
                "Unset: the administrator's default."
            )
        ),
    ] = None
    dtype: Annotated[
        DtypeChoice,
        Field(
            description=(
                "Number format of the computation. Auto: Float32, the numbers of the reference (with quantization Int4 "
                "BFloat16, which its kernels compute in). BFloat16 and Float16 "
                "take half the memory and stay in the same vector space; Float16 is refused for families that overflow "
                "in it. A change replaces the pods one by one."
            )
        ),
    ] = DtypeChoice.AUTO
    quantization: Annotated[
        Quantization,
        Field(
            description=(
                "What the weights of linear layers are stored as, for embedding models made of a language model. Int8: "
                "8 bits a weight; Int4: 5 bits, and less exact. Both give another vector "
                "space than None. Golden cases of the unquantised model show how near it is: set "
                "verification.minCosineSimilarity to what is near enough."
            )
        ),
    ] = Quantization.NONE
    token_ids: Annotated[
        TokenIdsPolicy,
        Field(
            description=(
                "Whether requests may bring token ids in place of text, which the OpenAI API allows. Refuse: ids of "
                "another model's tokenizer, as some clients send by default, would give wrong vectors without a word. "
                "Accept: the clients have this model's own tokenizer."
            )
        ),
    ] = TokenIdsPolicy.REFUSE
    served_names: Annotated[
        tuple[ServedName, ...],
        Field(
            max_length=16,
            description=(
                "Further model names that requests may use, beside the repository (ORG/NAME) and this object's name."
            ),
        ),
        ListMap(),
    ] = ()
