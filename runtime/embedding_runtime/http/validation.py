"""A request's body against the form that a route expects of it."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from embedding_runtime.errors import InvalidRequest

Form = TypeVar("Form", bound=BaseModel)


def validate(document: Mapping[str, Any], *, form: type[Form]) -> Form:
    """Raises InvalidRequest that names the first wrong field and never repeats its value."""
    try:
        return form.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = str(first["loc"][0]) if first["loc"] else None
        said = first["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"{field or 'The body'}: {said}.", param=field) from None
