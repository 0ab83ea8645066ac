"""The texts of a request, or token ids in their place where the model is served so."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from embedding_runtime.core.inputs import Encoded
from embedding_runtime.errors import InvalidRequest
from embedding_runtime.http.dialect import Call

LARGEST_ID = 2**31 - 1  # no vocabulary is near it

IDS_SCHEMA = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": LARGEST_ID}, "minItems": 1}
_TEXTS_SCHEMA = {"type": "array", "items": {"anyOf": [{"type": "string"}, IDS_SCHEMA]}, "minItems": 1}


def _read(value: Any) -> list[str | Encoded]:
    """What ids hold is not looked at yet: mostly they are refused anyway."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise ValueError("must be a text or a list of texts")
    if value and _is_number(value[0]):
        return [Encoded(value)]
    texts: list[str | Encoded] = []
    for index, entry in enumerate(value):
        if not isinstance(entry, str | list):
            raise ValueError(f"must hold texts only; entry {index} is none")
        texts.append(entry if isinstance(entry, str) else Encoded(entry))
    return texts


class _Reading:
    """For pydantic: how the type below is read, without a look at the classes that it is read into."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, _TEXTS_SCHEMA, IDS_SCHEMA]}


# A text, a list of texts, the ids of one, or a list of both kinds: always read as a list.
TextsOrIds = Annotated[list[str | Encoded], _Reading()]


def check_number(call: Call, *, param: str) -> None:
    """Before the entries are read one by one. Raises InvalidRequest for more of them than a request may hold."""
    value = call.document.get(param)
    if not isinstance(value, list) or (value and _is_number(value[0])):
        return
    most = call.loaded.limits.inputs
    if len(value) > most:
        raise InvalidRequest(
            f"At most {most} inputs in one request, {len(value)} came. Send them in several requests.", param=param
        )


def check_ids(call: Call, texts: Sequence[str | Encoded], *, param: str, taken: bool = True) -> None:
    """Raises InvalidRequest for ids where the model is served without them or the route does not take them (`taken`),
    and for what is none.
    """
    encoded = [text for text in texts if isinstance(text, Encoded)]
    if not encoded:
        return
    if not (taken and call.loaded.takes_token_ids):
        raise _refusal(param)
    longest = call.loaded.tokenizer.max_tokens
    for text in encoded:
        # What is longer is refused by the tokenizer.
        if len(text.ids) <= longest and not are_ids(text.ids):
            raise InvalidRequest(f"{param}: token ids must be whole numbers from 0 to {LARGEST_ID}.", param=param)


def refuse_ids(call: Call, *, param: str) -> None:
    """For a form that has texts alone, before it is read: its own words would not name the client's setting. Raises
    InvalidRequest.
    """
    value = call.document.get(param)
    first = value[0] if isinstance(value, list) and value else None
    if _is_number(first) or (isinstance(first, list) and first and _is_number(first[0])):
        raise _refusal(param)


def _refusal(param: str) -> InvalidRequest:
    return InvalidRequest(
        f"{param}: must be text, not token ids: ids made by another model's tokenizer would give wrong vectors. "
        "In LangChain's OpenAIEmbeddings set check_embedding_ctx_length=False.",
        param=param,
    )


def are_ids(values: Sequence[Any]) -> bool:
    """Whether these may be token ids of some tokenizer."""
    return all(type(value) is int and 0 <= value <= LARGEST_ID for value in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
