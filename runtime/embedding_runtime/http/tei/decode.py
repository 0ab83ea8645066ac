"""TEI's POST /decode: token ids to text."""

from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema

from embedding_runtime.core.tokenizing import MOST_IDS
from embedding_runtime.errors import EmptyInput
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.text_inputs import IDS_SCHEMA, are_ids, check_number
from embedding_runtime.http.validation import Flag, RequestForm, validate

_IDS_OF_ONE = {**IDS_SCHEMA, "minItems": 0}  # one of several may be empty: it is the empty text


def _read(value: Any) -> list[list[int]]:
    if not isinstance(value, list):
        raise ValueError("must be a list of token ids or a list of such lists")
    sequences = value if value and isinstance(value[0], list) else [value]
    if not all(isinstance(ids, list) for ids in sequences):
        raise ValueError("must be whole numbers, or lists of them")
    number = sum(map(len, sequences))
    if number > MOST_IDS:
        raise ValueError(f"at most {MOST_IDS} in one request, {number} came; send them in several requests")
    if not all(map(are_ids, sequences)):
        raise ValueError("must be whole numbers, or lists of them")
    return sequences if value else []


class DecodeRequest(RequestForm):
    """Unknown fields are ignored."""

    ids: Annotated[
        list[list[int]],
        PlainValidator(_read),
        WithJsonSchema({"anyOf": [IDS_SCHEMA, {"type": "array", "items": _IDS_OF_ONE, "minItems": 1}]}),
        Field(description="The ids of one text, or lists of the ids of several."),
    ]
    skip_special_tokens: Annotated[Flag, Field(description="Whether they are left out of the text.")] = True


async def decode_ids(call: Call) -> Response:
    call.check_pin("")
    check_number(call, param="ids")
    asked = validate(call.document, form=DecodeRequest)
    if not asked.ids:
        raise EmptyInput("ids: must hold at least one token id.", param="ids")
    found = await call.loaded.tokenizer.decode(asked.ids, skip_special_tokens=asked.skip_special_tokens)
    return json_response(found)
