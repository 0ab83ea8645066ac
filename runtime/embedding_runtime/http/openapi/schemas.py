"""JSON schemas of a dialect's types, under names that no other dialect has."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/"
_NULL: Schema = {"type": "null"}

# What stays beside `anyOf` when a schema is widened by null.
_NOTES = ("description", "default", "examples", "deprecated")


class _Untitled(GenerateJsonSchema):
    """Without the titles that only repeat the fields' names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class Schemas:
    """Collects the schemas of `components`. `limits`: what the served model allows in fields of bodies, by their names;
    it takes the place of what their types say.
    """

    def __init__(self, *, limits: Mapping[str, Schema]) -> None:
        self.components: dict[str, Schema] = {}
        self._limits = limits

    def add_forms(self, forms: Sequence[Any], *, prefix: str) -> list[Schema]:
        """What bodies may be: as the types say, and null for a field that may be absent."""
        found, definitions = _describe(forms, prefix=prefix)
        for definition in definitions.values():
            self._widen(definition)
        self._keep(definitions)
        return found

    def add_replies(self, replies: Sequence[Any], *, prefix: str) -> list[Schema]:
        found, definitions = _describe(replies, prefix=prefix)
        self._keep(definitions)
        return found

    def add(self, name: str, schema: Schema) -> Schema:
        """Gives a schema a name."""
        self._keep({name: schema})
        return {"$ref": _REFERENCE + name}

    def find_used(self, *roots: Any) -> dict[str, Schema]:
        """Those that the roots refer to, also by others: a type that says its schema itself may leave one unused."""
        used: dict[str, Schema] = {}
        waiting = list(roots)
        while waiting:
            names = {reference.removeprefix(_REFERENCE) for reference in _find_references(waiting.pop())}
            for name in names & self.components.keys() - used.keys():
                used[name] = self.components[name]
                waiting.append(used[name])
        return dict(sorted(used.items()))

    def resolve(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self.components[schema["$ref"].removeprefix(_REFERENCE)]
        return schema

    def _widen(self, definition: Schema) -> None:
        required = definition.get("required", ())
        properties = definition.get("properties", {})
        for name in properties.keys() & self._limits.keys():
            notes = {key: value for key, value in properties[name].items() if key in _NOTES}
            properties[name] = {**notes, **self._limits[name]}
        for name, schema in properties.items():
            if name not in required:
                properties[name] = _or_null(schema)

    def _keep(self, definitions: Mapping[str, Schema]) -> None:
        for name, schema in definitions.items():
            if self.components.setdefault(name, schema) != schema:
                raise ValueError(f"two types are called {name} in the description of the API")


def _describe(types: Sequence[Any], *, prefix: str) -> tuple[list[Schema], dict[str, Schema]]:
    """A schema for each of the types, and the definitions that they refer to."""
    inputs = [(number, "validation", TypeAdapter(kind)) for number, kind in enumerate(types)]
    found, rest = TypeAdapter.json_schemas(
        inputs,  # type: ignore[arg-type]  # a list of such tuples; the mode's literal is lost in the comprehension
        ref_template=f"{_REFERENCE}{prefix}{{model}}",
        schema_generator=_Untitled,
    )
    definitions = {prefix + name: schema for name, schema in rest.get("$defs", {}).items()}
    return [found[number, "validation"] for number in range(len(types))], definitions


def _find_references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for entry in value.values():
            yield from _find_references(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _find_references(entry)


def _or_null(schema: Schema) -> Schema:
    choices = schema.get("anyOf", ())
    if _NULL in choices or schema.get("type") == "null":
        return schema
    notes = {key: value for key, value in schema.items() if key in _NOTES}
    inner = {key: value for key, value in schema.items() if key not in _NOTES}
    return {**notes, "anyOf": [*(choices if set(inner) == {"anyOf"} else [inner]), _NULL]}


def any_of(schemas: Iterable[Schema]) -> Schema:
    """One schema for all of them; the same one twice counts once."""
    different: list[Schema] = []
    for schema in schemas:
        if schema not in different:
            different.append(schema)
    return different[0] if len(different) == 1 else {"anyOf": different}
