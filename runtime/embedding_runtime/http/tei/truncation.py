"""TEI's truncate and truncation_direction: whether and from which side a text that is too long is cut."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from embedding_model.resolved import Side
from embedding_runtime.http.validation import Flag

_SIDES = {"left": Side.LEFT, "right": Side.RIGHT}


def _read(value: Any) -> Side:
    found = _SIDES.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be Left or Right")
    return found


Truncate = Annotated[Flag, Field(description="Whether what is too long is cut or refused.")]

# A text that is cut on either side lies in the same space, as if the client had sent the part of it that is read.
Direction = Annotated[
    Side, BeforeValidator(_read), WithJsonSchema({"type": "string", "enum": ["Left", "Right", "left", "right"]})
]
OptionalDirection = Annotated[
    Direction | None, Field(description="From which side a text that is too long is cut; absent: as served.")
]
