"""What requests of TEI that hold texts have in common: their form, and which prompt they ask for."""

from typing import TypeVar

from embedding_runtime.core.prompts import AskedPrompt, InputType, choose_prompt
from embedding_runtime.errors import EmptyInput
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.tei.truncation import Direction
from embedding_runtime.http.text_inputs import TextsOrIds, check_ids, check_number
from embedding_runtime.http.validation import Flag, RequestForm, validate


class TextsRequest(RequestForm):
    """`truncate`: whether a text that is too long is cut (the default) or refused; `truncation_direction`: from which
    side, the served one where it is not said.

    `prompt_name`: one of the model's prompts. Ours, each in its place: `input_type` for the model's prompt for queries
    or documents; `prompt`, the whole text to put before each input; `instruction`, the task in its query prompt.
    None of them: the model's default prompt. Unknown fields are ignored.
    """

    inputs: TextsOrIds
    truncate: Flag = True
    truncation_direction: Direction | None = None
    prompt_name: str | None = None
    input_type: InputType | None = None
    prompt: str | None = None
    instruction: str | None = None


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
