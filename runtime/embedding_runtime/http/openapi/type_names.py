"""What a schema is called on the page: types in words, with links to those that have a name."""

import json
from html import escape

from embedding_runtime.http.openapi.schemas import Schema

_WORDS = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
    "object": "object",
}


def name_type(schema: Schema, *, is_optional: bool = False) -> str:
    """HTML. `is_optional`: null needs no word, for it means absent everywhere."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"<a href='#type-{name}'>{name}</a>"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            choices = [choice for choice in schema[key] if not (is_optional and choice == {"type": "null"})]
            return " or ".join(dict.fromkeys(name_type(choice) for choice in choices))
    if "const" in schema:
        return f"<code>{escape(json.dumps(schema['const'], ensure_ascii=False))}</code>"
    if "enum" in schema:
        return ", ".join(f"<code>{escape(json.dumps(value, ensure_ascii=False))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list{_describe_length(schema)} of {_name_entries(schema.get('items', {}))}"
    return _WORDS.get(schema.get("type", ""), "any value") + _describe_range(schema)


def _name_entries(schema: Schema) -> str:
    """In brackets where a list of a choice would read like a choice with a list."""
    name = name_type(schema)
    return f"({name})" if " or " in name else name


def _describe_length(schema: Schema) -> str:
    least, most = schema.get("minItems"), schema.get("maxItems")
    if least is not None and most is not None:
        return f" ({least})" if least == most else f" ({least} to {most})"
    return f" (at least {least})" if least else f" (at most {most})" if most is not None else ""


def _describe_range(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f", {least} to {most}"
    return f", at least {least}" if least is not None else f", at most {most}" if most is not None else ""
