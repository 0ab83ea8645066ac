"""What a request cost, as bodies of answers say it: OpenAI's `usage` and Cohere's `meta`, and their types.

Here and not in the dialects: on the paths that dialects share, an answer carries what clients of the others read.
"""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from embedding_runtime.core.measured import Measured

DOCUMENTS_PER_SEARCH = 100  # a query with up to so many documents is one search unit, in Cohere's counting


class Usage(TypedDict):
    prompt_tokens: int
    total_tokens: int
    truncated_inputs: Annotated[int, Field(description="Inputs that were cut to the model's maximum length.")]


class Version(StrEnum):
    """Of Cohere's API."""

    V1 = "1"
    V2 = "2"


class ApiVersion(TypedDict):
    version: Literal["1", "2"]


class BilledUnits(TypedDict):
    input_tokens: NotRequired[int]
    search_units: NotRequired[Annotated[int, Field(description="One for each hundred documents.")]]


class Tokens(TypedDict):
    input_tokens: int


class Meta(TypedDict):
    api_version: ApiVersion
    billed_units: BilledUnits
    tokens: Tokens
    warnings: NotRequired[Annotated[list[str], Field(description="Says how many inputs were cut, where some were.")]]


def describe_usage(measured: Measured) -> Usage:
    """`truncated_inputs` is ours: how many of the inputs were cut to the model's maximum length."""
    return {
        "prompt_tokens": measured.tokens,
        "total_tokens": measured.tokens,
        "truncated_inputs": measured.truncated,
    }


def describe_embedding(measured: Measured, *, version: Version) -> Mapping[str, Any]:
    """`meta` of an answer with vectors."""
    return _describe(measured, version=version, billed={"input_tokens": measured.tokens})


def describe_search(measured: Measured, *, version: Version) -> Mapping[str, Any]:
    """`meta` of a ranking."""
    units = max(1, math.ceil(measured.inputs / DOCUMENTS_PER_SEARCH))
    return _describe(measured, version=version, billed={"search_units": units})


def _describe(measured: Measured, *, version: Version, billed: Mapping[str, int]) -> Mapping[str, Any]:
    meta = {
        "api_version": {"version": version.value},
        "billed_units": billed,
        "tokens": {"input_tokens": measured.tokens},
    }
    if not measured.truncated:
        return meta
    return {**meta, "warnings": [f"{measured.truncated} of {measured.inputs} inputs were too long and were cut."]}
