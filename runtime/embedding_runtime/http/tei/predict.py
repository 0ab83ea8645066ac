"""TEI's POST /predict: the labels of a text, or of two, each with its score, best first.

Clients of the Hugging Face API for text classification send the same inputs with `parameters`, and read a list of texts
even where they send one.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, field_validator

from embedding_model.resolved import Activation, Task
from embedding_runtime.core.classification import Classes, classify
from embedding_runtime.core.inputs import Input, Pair, Text
from embedding_runtime.errors import EmptyInput
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.space_suffix import AnswerKind, write_suffix
from embedding_runtime.http.tei.truncation import Truncate
from embedding_runtime.http.text_inputs import check_number
from embedding_runtime.http.validation import Count, Flag, RequestForm, validate

_FORMS = "must be a text, a list of one text or a pair of two, or a list of such lists"


class Function(StrEnum):
    """What makes scores of the model's logits."""

    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"
    NONE = "none"


class PredictParameters(RequestForm):
    """Of the Hugging Face API."""

    function_to_apply: Annotated[
        Function | None, Field(description="What makes scores of logits; absent: the model's own activation.")
    ] = None
    top_k: Annotated[Count | None, Field(description="So many labels are answered; absent: all.")] = None


class PredictRequest(RequestForm):
    """With `parameters`, which the Hugging Face API has, there is a list for each text also where there is one. Unknown
    fields are ignored.
    """

    inputs: Annotated[
        str | list[str] | list[list[str]],
        Field(description='"a" and ["a"] are one text, ["a", "b"] is one pair; [["a"], ["a", "b"]] are several.'),
    ]
    truncate: Truncate = True
    raw_scores: Annotated[Flag, Field(description="Logits in place of what the model's activation makes of them.")] = (
        False
    )
    parameters: Annotated[
        PredictParameters | None, Field(description="Makes it a request of the Hugging Face API.")
    ] = None

    @field_validator("inputs", mode="before")
    @classmethod
    def check_inputs(cls, value: Any) -> Any:
        if isinstance(value, str) or _is_sequence(value):
            return value
        if not isinstance(value, list) or not all(isinstance(entry, list) for entry in value):
            raise ValueError(_FORMS)
        wrong = next((index for index, entry in enumerate(value) if not _is_sequence(entry)), None)
        if wrong is not None:
            raise ValueError(f"{_FORMS}; entry {wrong} is none")
        return value

    @property
    def is_batch(self) -> bool:
        return isinstance(self.inputs, list) and not all(isinstance(entry, str) for entry in self.inputs)

    def read(self) -> list[Input]:
        """What is to be classified, in its order."""
        if isinstance(self.inputs, str):
            return [Text(self.inputs)]
        if not self.is_batch:
            return [_to_input([entry for entry in self.inputs if isinstance(entry, str)])]
        return [_to_input(entry) for entry in self.inputs if isinstance(entry, list)]

    def choose_activation(self) -> Activation | None:
        """None: the served one."""
        function = self.parameters.function_to_apply if self.parameters else None
        return Activation.IDENTITY if self.raw_scores else _ACTIVATIONS.get(function) if function else None


_ACTIVATIONS: Mapping[Function, Activation] = {
    Function.SIGMOID: Activation.SIGMOID,
    Function.SOFTMAX: Activation.SOFTMAX,
    Function.NONE: Activation.IDENTITY,
}

_KINDS: Mapping[Activation, AnswerKind] = {
    Activation.SIGMOID: AnswerKind.SIGMOID,
    Activation.SOFTMAX: AnswerKind.SOFTMAX,
    Activation.IDENTITY: AnswerKind.RAW,
}


async def predict_labels(call: Call) -> Response:
    call.require_task(Task.CLASSIFICATION)
    if call.document.get("inputs") == []:
        raise EmptyInput("inputs: must hold at least one text.", param="inputs")
    check_number(call, param="inputs")
    asked = validate(call.document, form=PredictRequest)
    serving = call.loaded.model.serving
    activation = asked.choose_activation()
    other = activation is not None and activation is not serving.activation
    suffix = write_suffix(serving, kind=_KINDS[activation] if activation is not None and other else None)
    call.check_pin(suffix)
    found = await classify(
        call.loaded.engine,
        asked.read(),
        resolved=call.loaded.model.resolved,
        activation=activation,
        truncate=asked.truncate,
        ahead=call.is_golden_case,
    )
    most = asked.parameters.top_k if asked.parameters else None
    rows = [_describe(found, row=row, order=order[:most]) for row, order in enumerate(found.orders)]
    is_list = asked.is_batch or asked.parameters is not None
    return json_response(rows if is_list else rows[0], space_suffix=suffix, measured=found.measured)


def _describe(found: Classes, *, row: int, order: Sequence[int]) -> list[dict[str, Any]]:
    return [{"label": found.labels[column], "score": found.scores[row, column]} for column in order]


def _is_sequence(value: Any) -> bool:
    """One text or a pair, as a list."""
    return isinstance(value, list) and len(value) in (1, 2) and all(isinstance(entry, str) for entry in value)


def _to_input(texts: Sequence[str]) -> Input:
    return Text(texts[0]) if len(texts) == 1 else Pair(texts[0], texts[1])
