"""How an answer differs from the served space: the suffix of the space header, such as `;dims=256;norm=0`.

Vectors under different suffixes cannot be compared, so each change that a request asks for has a place here. What the
model itself offers under one space, its own prompts, has none.
"""

import hashlib
from collections.abc import Collection
from enum import StrEnum

from embedding_model.resolved import Serving
from embedding_runtime.core.output_types import OutputType
from embedding_runtime.core.prompts import is_own_prompt
from embedding_runtime.errors import InvalidRequest


class AnswerKind(StrEnum):
    """What an answer may be beside what the model is served for."""

    TOKENS = "tokens"  # a vector for each token
    SPARSE = "sparse"  # sparse vectors of a model that is served for others
    RAW = "raw"  # logits, where the served activation makes something else of them
    SIGMOID = "sigmoid"  # the logits through another activation than the served one
    SOFTMAX = "softmax"


_HEX_DIGITS = 12  # of the sha256 of a prompt in UTF-8: enough to tell a client's own prompts apart


def write_suffix(
    serving: Serving,
    *,
    dimensions: int | None = None,
    normalize: bool | None = None,
    prompt: str = "",
    instruction: str | None = None,
    outputs: Collection[OutputType] = (),
    late: bool = False,
    kind: AnswerKind | None = None,
    dimensions_field: str = "dimensions",
) -> str:
    """Empty for what is served anyway. None: the request leaves it as it is served; `prompt` is the whole text.
    `instruction` is a reranker's, where it is another than the one in force (`find_other_instruction`).

    `outputs`: the number types of the answer, none for float alone. `late`: late chunking. `kind`: what the answer is
    in place of what the model is served for. `dimensions_field` is what the request calls them.

    Raises InvalidRequest for dimensions that the model does not have.
    """
    changes = [_write_dimensions(serving, dimensions=dimensions, field=dimensions_field)]
    if normalize is not None and normalize is not serving.normalize:
        changes.append(f";norm={int(normalize)}")
    if not is_own_prompt(prompt, serving=serving):
        changes.append(_write_prompt(prompt))
    if instruction is not None:
        changes.append(_write_prompt(instruction))
    others = sorted(set(outputs) - {OutputType.FLOAT})
    if others:
        changes.append(f";type={'+'.join(others)}")
    if late:
        changes.append(";late=1")
    if kind is not None:
        changes.append(f";out={kind}")
    return "".join(changes)


def _write_prompt(text: str) -> str:
    return f";prompt={hashlib.sha256(text.encode()).hexdigest()[:_HEX_DIGITS]}"


def _write_dimensions(serving: Serving, *, dimensions: int | None, field: str) -> str:
    if dimensions is None or dimensions == serving.dimensions:
        return ""
    own = serving.model_dimensions or 0
    if not 1 <= dimensions <= own:
        raise InvalidRequest(f"{field}: from 1 to {own}, the model's own, expected; {dimensions} came.", param=field)
    return f";dims={dimensions}"
