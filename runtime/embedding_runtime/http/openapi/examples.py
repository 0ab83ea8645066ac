"""A body that a form takes, for readers to start from: what it requires, and nothing else."""

from collections.abc import Mapping
from typing import Any

from embedding_runtime.http.openapi.schemas import Schema, Schemas

_TEXTS = ["The weather is lovely today.", "It's so sunny outside!"]
_QUERY = "How is the weather?"

# By the fields' names, which are the dialects' own.
_VALUES: Mapping[str, Any] = {
    "query": _QUERY,
    "input": _TEXTS,
    "inputs": _TEXTS,
    "texts": _TEXTS,
    "documents": _TEXTS,
    "sentences": _TEXTS,
    "source_sentence": _QUERY,
    "ids": [101, 102],
}

# What there is to answer. A form that requires none of them takes one or another.
_CONTENTS = frozenset(("query", "input", "inputs", "texts"))


def make_example(schema: Schema, *, schemas: Schemas) -> Any:
    """A value of the schema. Of a choice: the first that is not null."""
    whole = schemas.resolve(schema)
    if "examples" in whole:
        return whole["examples"][0]
    if "anyOf" in whole:
        return make_example(whole["anyOf"][0], schemas=schemas)
    if "enum" in whole:
        return whole["enum"][0]
    if "const" in whole:
        return whole["const"]
    return _of_type(whole, schemas=schemas)


def _of_type(schema: Schema, *, schemas: Schemas) -> Any:
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            names = list(schema.get("required", ()))
            if not _CONTENTS.intersection(names):
                names += [name for name in properties if name in _CONTENTS][:1]
            return {name: _of_field(name, properties[name], schemas=schemas) for name in names}
        case "array":
            return [make_example(schema["items"], schemas=schemas)]
        case "string":
            return _TEXTS[0]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
    return None


def _of_field(name: str, schema: Schema, *, schemas: Schemas) -> Any:
    whole = schemas.resolve(schema)
    is_object = whole.get("type") == "object"
    return _VALUES[name] if name in _VALUES and not is_object else make_example(schema, schemas=schemas)
