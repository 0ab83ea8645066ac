"""What the served model, and no type, says about the values of a body's fields."""

from collections.abc import Mapping

from embedding_runtime.http.openapi.schemas import Schema
from embedding_runtime.served_model import ServedModel

_DIMENSIONS = ("dimensions", "output_dimension")


def find_limits(model: ServedModel) -> Mapping[str, Schema]:
    """Schemas by the names of fields, which mean the same in every dialect."""
    serving = model.serving
    prompts = [prompt.name for prompt in serving.prompts]
    limits: dict[str, Schema] = {
        "model": {"type": "string", "enum": list(model.names)},
        "prompt_name": {"type": "string", "enum": prompts} if prompts else {"type": "null"},
    }
    if serving.model_dimensions is not None:
        limits |= {name: {"type": "integer", "minimum": 1, "maximum": serving.model_dimensions} for name in _DIMENSIONS}
    return limits
