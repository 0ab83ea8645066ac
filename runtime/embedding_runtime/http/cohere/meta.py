"""What every request of Cohere's may ask and every answer says beside its result."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import uuid4

from pydantic import Field

from embedding_runtime.core.measured import Measured
from embedding_runtime.errors import UnknownModel
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.usage import describe_usage
from embedding_runtime.http.validation import Whole

# Of version 2: 0 comes first.
Priority = Annotated[Whole, Field(ge=0, le=999, description="Checked, and changes nothing.")]


def choose_name(call: Call, *, name: str | None) -> str:
    """The served name; None, which version 1 allows: the first. Raises UnknownModel in the vendor's words."""
    try:
        return call.choose_name(name)
    except UnknownModel:
        raise UnknownModel(
            "model not found, make sure the correct model ID was used and that you have access to the model. "
            f"Served here: {', '.join(call.loaded.model.names)}.",
            param="model",
        ) from None


def add_identity(document: Mapping[str, Any], *, call: Call, name: str, measured: Measured) -> dict[str, Any]:
    """The answer with an id. On a path without the dialect's prefix also with the model and the usage that clients of
    the other dialects read.
    """
    answer = {"id": str(uuid4()), **document}
    if call.strict:
        return answer
    return {**answer, "model": name, "usage": describe_usage(measured)}
