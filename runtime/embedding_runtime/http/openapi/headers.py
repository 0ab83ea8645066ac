"""The headers of requests and answers, as the description names them."""

from collections.abc import Iterable, Mapping
from typing import Any

from embedding_model import ports
from embedding_runtime.http.measured_headers import TRUNCATED
from embedding_runtime.http.openapi.schemas import Schema

_SPACE_PATTERN = "^sp1-[0-9a-f]{32}(;[a-z]+=[0-9A-Za-z+]+)*$"

# Every response has these from when it is known what is served.
ANSWER_HEADERS: Mapping[str, Schema] = {
    ports.SPACE_HEADER: {
        "description": "The vector space of the answer: a fingerprint, and how the request made it differ, as in "
        "`;dims=256;norm=0`.",
        "required": True,
        "schema": {"type": "string", "pattern": _SPACE_PATTERN},
    },
    ports.REVISION_HEADER: {
        "description": "The model's commit, or the digest of its files.",
        "required": True,
        "schema": {"type": "string"},
    },
    ports.VERIFIED_HEADER: {
        "description": "There only where a model is served although its golden cases or an audit failed.",
        "schema": {"type": "string", "enum": ["false"]},
    },
}

_MEANINGS: Mapping[str, str] = {
    "x-compute-characters": "Characters that were read.",
    "x-compute-tokens": "Tokens that were computed.",
    "x-total-time": "From the request's head to the answer, in milliseconds.",
    "x-tokenization-time": "Tokenising, in milliseconds.",
    "x-queue-time": "Waiting for a worker, in milliseconds.",
    "x-inference-time": "Computing, in milliseconds.",
    TRUNCATED.decode(): "Inputs that were cut to the model's maximum length.",
}

# Of answers that the model computed.
MEASURED_HEADERS: Mapping[str, Schema] = {
    name: {"description": meaning, "schema": {"type": "integer", "minimum": 0}} for name, meaning in _MEANINGS.items()
}

PIN: Mapping[str, Any] = {
    "name": ports.SPACE_HEADER,
    "in": "header",
    "required": False,
    "description": "Pins a vector space: an answer from another one is refused with 412. Ignored where answers are "
    "neither vectors nor scores.",
    "schema": {"type": "string", "pattern": _SPACE_PATTERN},
}


def refer_to(names: Iterable[str]) -> dict[str, Schema]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
