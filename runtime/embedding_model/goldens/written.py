"""The form in which people write a golden case, in the spec or as a line of `goldens.jsonl`.

`python -m embedding_model.goldens.written` prints its JSON schema (docs/goldens.schema.json).
"""

import re
import sys
from typing import Annotated, Any, Final, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

# Names stand in messages, reports and metrics, hence a Kubernetes label value's alphabet and length.
NAME_PATTERN = r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
DECIMAL_PATTERN = r"^-?(0|[1-9][0-9]{0,2})(\.[0-9]{1,12})?$"

REFERENCE_PREFIX: Final = "reference."  # begins the names of cases that the reference implementation computed
# Further results of a pod are told by name beside those of the user's cases: of the holdout, of built-in checks.
RESERVED_PREFIXES: Final = (REFERENCE_PREFIX, "holdout.", "check.")

MAX_DOCUMENTS: Final = 32  # one request to a pod; a few documents show an order
MAX_TERMS: Final = 64
MAX_TERM: Final = 256  # characters; the longest tokens of the open vocabularies are runs of 128 spaces

DecimalText = Annotated[str, StringConstraints(pattern=DECIMAL_PATTERN)]


def _narrow(pattern: str) -> WithJsonSchema:
    """What the JSON schema says of a string; the parser refuses the same in words (`mistakes`)."""
    return WithJsonSchema({"type": "string", "pattern": pattern})


Cosine = Annotated[DecimalText, _narrow(r"^-?(0(\.[0-9]{1,12})?|1(\.0{1,12})?)$")]
Positive = Annotated[DecimalText, _narrow(r"^(?!0(\.0+)?$)(0|[1-9][0-9]{0,2})(\.[0-9]{1,12})?$")]
Share = Annotated[DecimalText, _narrow(r"^(?!0\.0+$)0\.[0-9]{1,12}$")]  # above 0, below 1
Name = Annotated[
    str,
    StringConstraints(pattern=NAME_PATTERN),
    _narrow(f"^(?!{'|'.join(map(re.escape, RESERVED_PREFIXES))}){NAME_PATTERN[1:]}"),
]
Text = Annotated[str, StringConstraints(min_length=1)]


class _Written(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, alias_generator=to_camel
    )


class Similarity(_Written):
    """A pair of texts whose vectors must have a known cosine similarity."""

    a: Text = Field(description="The first text.")
    b: Text = Field(description="The second text.")
    expected: Cosine = Field(
        description='The cosine similarity of the two vectors, from -1 to 1, as a decimal string such as "0.6660".'
    )
    tolerance: Share = Field(
        description='How far the measured similarity may be from it: more than 0, less than 1, such as "0.005".'
    )


class Ranking(_Written):
    """A query and documents whose scores must have a known order."""

    query: Text = Field(description="The query.")
    documents: list[Text] = Field(min_length=2, max_length=MAX_DOCUMENTS, description="The documents, in any order.")
    order: list[Annotated[int, Field(ge=0, lt=MAX_DOCUMENTS)]] = Field(
        min_length=2,
        max_length=MAX_DOCUMENTS,
        description="The documents' numbers, counted from 0, the one with the highest score first.",
        json_schema_extra={"uniqueItems": True},
    )
    min_gap: Positive = Field(
        description='How much higher each score must at least be than the next one: more than 0, such as "0.05".'
    )


class Score(_Written):
    """A query and a document whose score is known."""

    query: Text = Field(description="The query.")
    document: Text = Field(description="The document.")
    expected: DecimalText = Field(
        description='What the served activation makes of the logit, as a decimal string such as "0.9932".'
    )
    tolerance: Positive = Field(description='How far the score may be from it: more than 0, such as "0.01".')


class Label(_Written):
    """A text whose best label is known, and the score of that label, if `expected` and `tolerance` are given."""

    model_config = ConfigDict(
        json_schema_extra={"dependentRequired": {"expected": ["tolerance"], "tolerance": ["expected"]}}
    )

    input: Text = Field(description="The text to classify.")
    label: Text = Field(description="The label with the highest score, as the model spells it.")
    expected: DecimalText | None = Field(
        default=None, description='The score of the label, as a decimal string such as "0.97". It needs a tolerance.'
    )
    tolerance: Positive | None = Field(
        default=None, description='How far the score may be from it: more than 0, such as "0.02".'
    )

    @model_validator(mode="after")
    def _has_both_or_neither(self) -> Self:
        if (self.expected is None) != (self.tolerance is None):
            raise PydanticCustomError("golden_label", "write expected and tolerance, or neither")
        return self


class WrittenTerm(_Written):
    """A token of the model's vocabulary and its weight."""

    term: str = Field(min_length=1, max_length=MAX_TERM, description="The token, as the tokenizer writes it.")
    weight: Positive = Field(description='Its weight: more than 0, as a decimal string such as "1.84".')


class Sparse(_Written):
    """A text and the heaviest terms of its sparse vector."""

    input: Text = Field(description="The text to embed.")
    terms: list[WrittenTerm] = Field(
        min_length=1,
        max_length=MAX_TERMS,
        description="The heaviest terms. No term that is left out may be heavier than the lightest of them.",
    )
    tolerance: Share = Field(
        description="How far each weight may be off, as a share of the expected weight: more than 0, less than 1, "
        'such as "0.02".'
    )


FORMS: Final = ("vector", "similarity", "ranking", "score", "label", "sparse")  # a case has exactly one of them
PROMPTED: Final = ("vector", "similarity", "sparse")  # forms whose texts a prompt may be put before


class WrittenCase(_Written):
    """One golden case: `input` with `vector`, or one of `similarity`, `ranking`, `score`, `label` and `sparse`."""

    name: Name = Field(
        description="Names the case in conditions, events and reports; unique within the set. Names that begin with "
        '"reference.", "holdout." and "check." are those of computed cases and built-in checks.'
    )
    prompt: str | None = Field(
        default=None,
        min_length=1,
        description="Name of the model's prompt that is put before the text; not for ranking, score and label. Without "
        "it the default prompt applies.",
    )
    input: str | None = Field(default=None, min_length=1, description="The text to embed, with vector.")
    vector: str | None = Field(
        default=None,
        min_length=1,
        description="The expected vector: base64 of little-endian float32 values, one for each served dimension.",
    )
    similarity: Similarity | None = Field(default=None, description="Two texts to compare, for embedding models.")
    ranking: Ranking | None = Field(default=None, description="Documents to order, for rerankers.")
    score: Score | None = Field(default=None, description="A document to score, for rerankers.")
    label: Label | None = Field(default=None, description="A text to classify, for classifiers.")
    sparse: Sparse | None = Field(
        default=None, description="A text with its heaviest terms, for sparse models and embedders with a sparse head."
    )

    @property
    def form(self) -> str:
        """Which of FORMS it is."""
        return next(form for form in FORMS if getattr(self, form) is not None)

    @model_validator(mode="after")
    def _has_exactly_one_form(self) -> Self:
        forms = [form for form in FORMS if getattr(self, form) is not None]
        if len(forms) != 1 or (self.input is None) != (self.vector is None):
            raise PydanticCustomError(
                "golden_form", "write input with vector, or exactly one of similarity, ranking, score, label and sparse"
            )
        if self.prompt is not None and forms[0] not in PROMPTED:
            raise PydanticCustomError(
                "golden_prompt", "a prompt goes with vector, similarity and sparse alone: leave it out"
            )
        return self


def build_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of one line of `goldens.jsonl`. What a case does not have is left out."""
    schema = WrittenCase.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "$defs": {name: _drop_nulls(definition) for name, definition in schema["$defs"].items()},
        **_drop_nulls({"properties": schema["properties"]}),
        "title": "Golden case",
        "oneOf": [{"required": [form]} for form in FORMS],
        "dependentRequired": {"input": ["vector"], "vector": ["input"]},
        "dependentSchemas": {"prompt": {"anyOf": [{"required": [form]} for form in PROMPTED]}},
    }


def _drop_nulls(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "properties": {name: _drop_null(described) for name, described in schema["properties"].items()}}


def _drop_null(described: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in described.get("anyOf", ()) if kind != {"type": "null"}]
    rest = {key: value for key, value in described.items() if key not in ("anyOf", "default")}
    return {**kinds[0], **rest} if kinds else rest


def main() -> None:
    sys.stdout.buffer.write(orjson.dumps(build_schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


if __name__ == "__main__":
    main()
