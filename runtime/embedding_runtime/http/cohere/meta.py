"""What every answer of Cohere's says beside its result, and how a model is asked for."""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any
from uuid import uuid4

from pydantic import Field

from embedding_runtime.core.measured import Measured
from embedding_runtime.errors import UnknownModel
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.openai.embeddings import describe_usage
from embedding_runtime.http.validation import Whole

DOCUMENTS_PER_SEARCH = 100  # a query with up to so many documents is one search unit, in the vendor's counting

# Of version 2: 0 comes first.
Priority = Annotated[Whole, Field(ge=0, le=999)]


class Version(StrEnum):
    V1 = "1"
    V2 = "2"


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


def describe_embedding(measured: Measured, *, version: Version) -> Mapping[str, Any]:
    """`meta` of an answer with vectors."""
    return _describe(measured, version=version, billed={"input_tokens": measured.tokens})


def describe_search(measured: Measured, *, version: Version) -> Mapping[str, Any]:
    """`meta` of a ranking."""
    units = max(1, math.ceil(measured.inputs / DOCUMENTS_PER_SEARCH))
    return _describe(measured, version=version, billed={"search_units": units})


def add_identity(document: Mapping[str, Any], *, call: Call, name: str, measured: Measured) -> dict[str, Any]:
    """The answer with an id. On a path without the dialect's prefix also with the model and the usage that clients of
    the other dialects read.
    """
    answer = {"id": str(uuid4()), **document}
    if call.strict:
        return answer
    return {**answer, "model": name, "usage": describe_usage(measured)}


def _describe(measured: Measured, *, version: Version, billed: Mapping[str, int]) -> Mapping[str, Any]:
    return {
        "api_version": {"version": version.value},
        "billed_units": billed,
        "tokens": {"input_tokens": measured.tokens},
    }
