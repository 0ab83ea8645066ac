"""TEI's POST /predict: the labels of a text, or of two, each with its score, best first."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from embedding_model.resolved import Task
from embedding_runtime.core.classification import Classes, classify
from embedding_runtime.core.inputs import Input, Pair, Text
from embedding_runtime.errors import EmptyInput
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.validation import validate

_FORMS = "must be a text, a list of one text or a pair of two, or a list of such lists"


class PredictRequest(BaseModel):
    """`inputs`: "a" and ["a"] are one text, ["a", "b"] is one pair; [["a"], ["a", "b"]] are several.

    `truncate`: whether what is too long is cut (the default) or refused. `raw_scores`: logits in place of what the
    model's activation makes of them. Unknown fields are ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    inputs: str | list[str] | list[list[str]]
    truncate: bool = True
    raw_scores: bool = False

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


async def predict_labels(call: Call) -> Response:
    call.require_task(Task.CLASSIFICATION)
    call.check_pin("")
    document = call.document
    if document.get("inputs") == []:
        raise EmptyInput("inputs: must hold at least one text.", param="inputs")
    asked = validate(document, form=PredictRequest)
    found = await classify(
        call.loaded.engine,
        asked.read(),
        resolved=call.loaded.model.resolved,
        raw=asked.raw_scores,
        truncate=asked.truncate,
        ahead=call.is_golden_case,
    )
    rows = [_describe(found, row=row, order=order) for row, order in enumerate(found.orders)]
    return json_response(rows if asked.is_batch else rows[0], measured=found.measured)


def _describe(found: Classes, *, row: int, order: Sequence[int]) -> list[dict[str, Any]]:
    return [{"label": found.labels[column], "score": found.scores[row, column]} for column in order]


def _is_sequence(value: Any) -> bool:
    """One text or a pair, as a list."""
    return isinstance(value, list) and len(value) in (1, 2) and all(isinstance(entry, str) for entry in value)


def _to_input(texts: Sequence[str]) -> Input:
    return Text(texts[0]) if len(texts) == 1 else Pair(texts[0], texts[1])
