"""pydantic model -> structural OpenAPI v3 schema, as a CustomResourceDefinition takes it.

Kubernetes takes a subset of what pydantic writes: no `$ref`, no `anyOf` for optional fields, no `title`, `const` or
`propertyNames`, no `additionalProperties: false` (unknown fields are pruned instead).
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from embedding_operator.api.rules import INT_OR_STRING, VALIDATIONS

_DROPPED = frozenset({"title", "$defs", "propertyNames"})

Schema = dict[str, Any]


def build_schema(model: type[BaseModel]) -> Schema:
    """The structural schema of `model`, fields in the order of the class, every reference resolved."""
    written = model.model_json_schema(by_alias=True)
    return _convert(written, definitions=written.get("$defs", {}), in_list=False)


def _convert(schema: Mapping[str, Any], *, definitions: Mapping[str, Any], in_list: bool) -> Schema:
    merged = _flatten(schema, definitions=definitions)
    result: Schema = {key: value for key, value in merged.items() if key not in _DROPPED}
    if "const" in result:
        result["enum"] = [result.pop("const")]
    if result.get("additionalProperties") is False:
        del result["additionalProperties"]
    elif "additionalProperties" in result:
        result["additionalProperties"] = _convert(
            result["additionalProperties"], definitions=definitions, in_list=in_list
        )
    if "properties" in result:
        result["properties"] = {
            name: _convert(value, definitions=definitions, in_list=in_list)
            for name, value in result["properties"].items()
        }
    if "items" in result:
        result["items"] = _convert(result["items"], definitions=definitions, in_list=True)
    _settle_default(result, in_list=in_list)
    return _order(result)


def _flatten(schema: Mapping[str, Any], *, definitions: Mapping[str, Any]) -> Schema:
    """The schema with its `$ref` and its "or null" merged in; what stands beside them wins, rules add up."""
    outer = dict(schema)
    if "$ref" in outer:
        inner = definitions[outer.pop("$ref").removeprefix("#/$defs/")]
    elif "anyOf" in outer and INT_OR_STRING not in outer:
        variants = [variant for variant in outer.pop("anyOf") if variant.get("type") != "null"]
        if len(variants) != 1:
            raise ValueError(f"a structural schema has no union of types: {variants}")
        inner = variants[0]
    else:
        return outer
    flat = _flatten(inner, definitions=definitions)
    rules = [*flat.get(VALIDATIONS, ()), *outer.get(VALIDATIONS, ())]
    flat.update(outer)
    if rules:
        flat[VALIDATIONS] = rules
    return flat


def _settle_default(schema: Schema, *, in_list: bool) -> None:
    """Scalars keep their default. An object gets `{}` when something inside has one, so that it takes effect.

    Inside list items there is none: GitOps tools compare lists of a custom resource as a whole.
    """
    default = schema.pop("default", None)
    if in_list:
        return
    if schema.get("type") == "object":
        if default is not None and any("default" in value for value in schema.get("properties", {}).values()):
            schema["default"] = {}
    elif schema.get("type") != "array" and default is not None and default != "":
        schema["default"] = default


_ORDER = ("description", "type", "default", "enum")
_LAST = ("required", "properties", "items", "additionalProperties", VALIDATIONS)


def _order(schema: Schema) -> Schema:
    """Short facts first, then what is nested: the file is read by people."""
    first = [key for key in _ORDER if key in schema]
    last = [key for key in _LAST if key in schema]
    middle = [key for key in schema if key not in _ORDER and key not in _LAST]
    return {key: schema[key] for key in (*first, *middle, *last)}
