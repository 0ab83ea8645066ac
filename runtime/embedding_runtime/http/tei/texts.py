"""What requests of TEI that hold texts have in common: their form, and which prompt they ask for."""

from typing import Annotated, TypeVar

from pydantic import Field

from embedding_runtime.core.prompts import AskedPrompt, choose_prompt
from embedding_runtime.errors import EmptyInput
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.fields import PromptInstruction, PromptName, PromptRole, PromptText
from embedding_runtime.http.tei.truncation import OptionalDirection, Truncate
from embedding_runtime.http.text_inputs import TextsOrIds, check_ids, check_number
from embedding_runtime.http.validation import RequestForm, validate


class TextsRequest(RequestForm):
    """One of the last four fields chooses the prompt; none of them: the model's default prompt. Unknown fields are
    ignored.
    """

    inputs: Annotated[TextsOrIds, Field(description="A text or a list of texts; token ids where they are taken.")]
    truncate: Truncate = True
    truncation_direction: OptionalDirection = None
    prompt_name: PromptName = None
    input_type: PromptRole = None
    prompt: PromptText = None
    instruction: PromptInstruction = None


Form = TypeVar("Form", bound=TextsRequest)


def read_texts(call: Call, *, form: type[Form], ids: bool = True) -> Form:
    """`ids`: whether the route takes token ids. Raises EmptyInput without any text, InvalidRequest."""
    check_number(call, param="inputs")
    asked = validate(call.document, form=form)
    if not asked.inputs:
        raise EmptyInput("inputs: must hold at least one text.", param="inputs")
    check_ids(call, asked.inputs, param="inputs", taken=ids)
    return asked


def find_prompt(call: Call, *, asked: AskedPrompt) -> str:
    """The text to put before each input: what is asked for, or else the golden case's, or else the model's default.

    Raises InvalidRequest.
    """
    serving = call.loaded.model.serving
    name = serving.default_prompt if call.prompt is None else call.prompt
    default = serving.prompt(name) if name else None
    return choose_prompt(asked, serving=serving, default=default.text if default else "")


def describe_prompt(asked: TextsRequest) -> AskedPrompt:
    return AskedPrompt(
        name=asked.prompt_name, input_type=asked.input_type, text=asked.prompt, instruction=asked.instruction
    )
