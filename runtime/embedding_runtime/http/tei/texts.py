"""What requests of TEI that hold texts have in common: their form, and which prompt they ask for."""

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, field_validator

from embedding_runtime.core.prompts import AskedPrompt, InputType
from embedding_runtime.errors import EmptyInput
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.validation import validate


class TextsRequest(BaseModel):
    """`truncate`: whether a text that is too long is cut (the default) or refused.

    `prompt_name`: one of the model's prompts. `input_type`, ours: whether the texts are queries or documents. Neither:
    the model's default prompt. Unknown fields are ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    inputs: list[str]
    truncate: bool = True
    prompt_name: str | None = None
    input_type: InputType | None = None

    @field_validator("inputs", mode="before")
    @classmethod
    def check_inputs(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [value]
        if not isinstance(value, list):
            raise ValueError("must be a text or a list of texts")
        if not all(isinstance(entry, str) for entry in value):
            raise ValueError("must hold texts only; token ids of another model's tokenizer would give wrong vectors")
        return value


Form = TypeVar("Form", bound=TextsRequest)


def read_texts(call: Call, *, form: type[Form]) -> Form:
    """Raises EmptyInput without any text, InvalidRequest."""
    asked = validate(call.document, form=form)
    if not asked.inputs:
        raise EmptyInput("inputs: must hold at least one text.", param="inputs")
    return asked


def describe_prompt(call: Call, *, asked: TextsRequest) -> AskedPrompt:
    """What the request says of the prompt, or the golden case in its place, or else the model's default."""
    if call.prompt is not None:
        return AskedPrompt(name=call.prompt) if call.prompt else AskedPrompt(text="")
    if asked.prompt_name is None and asked.input_type is None:
        return AskedPrompt(name=call.loaded.model.serving.default_prompt)
    return AskedPrompt(name=asked.prompt_name, input_type=asked.input_type)
