"""The form in which people write a golden case, in the spec or as a line of `goldens.jsonl`.

`python -m embedding_model.goldens.written` prints its JSON schema (docs/goldens.schema.json).
"""

import sys
from typing import Annotated, Any, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

# Names stand in messages, reports and metrics, hence a Kubernetes label value's alphabet and length.
NAME_PATTERN = r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
DECIMAL_PATTERN = r"^-?(0|[1-9][0-9]{0,2})(\.[0-9]{1,12})?$"

DecimalText = Annotated[str, StringConstraints(pattern=DECIMAL_PATTERN)]


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Similarity(_Written):
    """A pair of texts whose vectors must have a known cosine similarity."""

    a: str = Field(min_length=1, description="The first text.")
    b: str = Field(min_length=1, description="The second text.")
    expected: DecimalText = Field(
        description='The cosine similarity of the two vectors, from -1 to 1, as a decimal string such as "0.6660".'
    )
    tolerance: DecimalText = Field(
        description='How far the measured similarity may be from it: more than 0, less than 1, such as "0.005".'
    )


class WrittenCase(_Written):
    """One golden case: either `input` with `vector`, or `similarity`."""

    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN)] = Field(
        description="Names the case in conditions, events and reports; unique within the set."
    )
    prompt: str | None = Field(
        default=None,
        min_length=1,
        description="Name of the model's prompt that is put before the text. Without it the default prompt applies.",
    )
    input: str | None = Field(default=None, min_length=1, description="The text to embed.")
    vector: str | None = Field(
        default=None,
        min_length=1,
        description="The expected vector: base64 of little-endian float32 values, one for each served dimension.",
    )
    similarity: Similarity | None = Field(default=None, description="The pair to compare, instead of input and vector.")

    @model_validator(mode="after")
    def _has_exactly_one_form(self) -> Self:
        has_vector_form = self.input is not None and self.vector is not None
        has_any_part_of_it = self.input is not None or self.vector is not None
        if has_vector_form == (self.similarity is not None) or has_vector_form != has_any_part_of_it:
            raise PydanticCustomError("golden_form", "write either input and vector, or similarity")
        return self


def build_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of one line of `goldens.jsonl`. What a case does not have is left out."""
    schema = WrittenCase.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Golden case",
        "properties": {name: _drop_null(described) for name, described in schema["properties"].items()},
        "oneOf": [
            {"required": ["input", "vector"], "not": {"required": ["similarity"]}},
            {"required": ["similarity"], "not": {"anyOf": [{"required": ["input"]}, {"required": ["vector"]}]}},
        ],
    }


def _drop_null(described: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in described.get("anyOf", ()) if kind != {"type": "null"}]
    rest = {key: value for key, value in described.items() if key not in ("anyOf", "default")}
    return {**kinds[0], **rest} if kinds else rest


def main() -> None:
    sys.stdout.buffer.write(orjson.dumps(build_schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


if __name__ == "__main__":
    main()
