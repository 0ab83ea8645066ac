"""A request's body against the form that a route expects of it, and the types that the forms of all dialects share."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator

from embedding_runtime.errors import InvalidRequest

_FLAGS: Mapping[str, bool] = {"true": True, "false": False}


def _read_flag(value: Any) -> bool:
    found = _FLAGS.get(value) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise ValueError("must be true or false")
    return found


# A boolean. Also as the text "true" or "false", which RAGFlow sends; never 1 and 0, as which other fields are meant.
Flag = Annotated[
    bool,
    BeforeValidator(_read_flag),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "string", "enum": list(_FLAGS)}]}),
]


def _read_whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# No text of digits, no boolean, no fraction. 256.0 is whole, as in JSON Schema.
Whole = Annotated[int, Field(strict=True), BeforeValidator(_read_whole)]

# A number of something.
Count = Annotated[Whole, Field(ge=1, le=2**31 - 1)]


class RequestForm(BaseModel):
    """Frozen. Unknown fields are ignored, and null means absent, also in the objects inside a body."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def drop_nulls(cls, document: Any) -> Any:
        if not isinstance(document, dict):
            return document
        return {key: value for key, value in document.items() if value is not None}


Form = TypeVar("Form", bound=BaseModel)


def validate(document: Mapping[str, Any], *, form: type[Form]) -> Form:
    """Raises InvalidRequest that names the first wrong field and never repeats its value."""
    try:
        return form.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = str(first["loc"][0]) if first["loc"] else None
        said = first["msg"].removeprefix("Value error, ")
        # Only of what is missing the whole path is the form's own; other paths may end in what pydantic calls a type.
        path = ".".join(map(str, first["loc"])) if first["type"] == "missing" else field
        raise InvalidRequest(f"{path or 'The body'}: {said}.", param=field) from None
