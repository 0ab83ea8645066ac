"""From the spec's form of golden cases to normalised cases.

A golden case is written inline in `spec.verification.goldens` or as one line of `goldens.jsonl`, in the same form:

    {"name", "input", "prompt"?, "vector"}                                            Embedding
    {"name", "similarity": {"a", "b", "expected", "tolerance"}, "prompt"?}            Embedding
    {"name", "ranking": {"query", "documents", "order", "minGap"}}                    Reranking
    {"name", "score": {"query", "document", "expected", "tolerance"}}                 Reranking
    {"name", "label": {"input", "label", "expected"?, "tolerance"?}}                  Classification
    {"name", "sparse": {"input", "terms": [{"term", "weight"}], "tolerance"}, "prompt"?}  Sparse, or with a sparse head

Normalised, each case carries its own threshold, its vector has as many values as the model serves dimensions, its order
names every document once, and its terms are sorted, heaviest first. A case whose answer the model does not give is
refused. Everything that is wrong is Refusal(INVALID_GOLDEN), naming the case and what to write instead, never its
text.
"""

import codecs
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal as Number
from typing import Any, Final, NoReturn

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from embedding_model.goldens.cases import (
    CaseSet,
    GoldenCase,
    LabelCase,
    RankingCase,
    ScoreCase,
    SimilarityCase,
    SparseCase,
    Term,
    VectorCase,
)
from embedding_model.goldens.mistakes import find_misfit, find_mistake
from embedding_model.goldens.written import Label, Ranking, Score, Similarity, Sparse, WrittenCase, WrittenTerm
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Activation, Task, TokenHeadKind

INLINE_FIELD = "verification.goldens"
FILE_FIELD = "verification.goldensConfigMapRef"
DEFAULT_MIN_COSINE_SIMILARITY = "0.999"  # the spec's default, for files that no spec goes with

# The objects of a written case, by the fields that lead to each.
_OBJECTS: Final[Mapping[tuple[str, ...], type[BaseModel]]] = {
    (): WrittenCase,
    ("similarity",): Similarity,
    ("ranking",): Ranking,
    ("score",): Score,
    ("label",): Label,
    ("sparse",): Sparse,
    ("sparse", "terms"): WrittenTerm,
}

_DECIMAL: Final = "write a decimal string {} with at most twelve decimals, for example {}"
# What to write instead of a string that a pattern refuses, by its place or else by its field.
_ADVICE: Final[Mapping[str, str]] = {
    "name": 'write at most 63 letters, digits, "-", "_" or ".", a letter or a digit first and last',
    "similarity.expected": _DECIMAL.format('from "-1" to "1"', '"0.6660"'),
    "expected": _DECIMAL.format('between "-1000" and "1000"', '"0.9932"'),
    "similarity.tolerance": _DECIMAL.format('above "0" and below "1"', '"0.005"'),
    "sparse.tolerance": _DECIMAL.format('above "0" and below "1"', '"0.05"'),
    "tolerance": _DECIMAL.format('above "0" and below "1000"', '"0.01"'),
    "minGap": _DECIMAL.format('above "0" and below "1000"', '"0.05"'),
    "weight": _DECIMAL.format('above "0" and below "1000"', '"1.84"'),
}


def parse_case(
    raw: Mapping[str, Any],
    *,
    task: Task | None,
    min_cosine_similarity: str,
    dimensions: int | None,
    prompt_names: Collection[str] | None,
    labels: Collection[str] | None = None,
    activation: Activation | None = None,
    heads: Collection[TokenHeadKind] = (),
    field: str = INLINE_FIELD,
) -> GoldenCase:
    """One written case, normalised.

    `task` is the model's, `dimensions` what it serves, `prompt_names` the prompts in force, `labels` a classifier's
    labels, `activation` what gives its scores; None where there is no model yet: such a case fails when it is asked.
    `heads` are the further ones of an embedder. `field` is the spec field that a refusal names. Raises
    Refusal(INVALID_GOLDEN).
    """
    name = _quote_name(raw)
    try:
        written = WrittenCase.model_validate(raw)
    except ValidationError as error:
        _refuse(name, _summarise(error), field=field)
    problem = find_misfit(written, task=task, heads=heads, prompt_names=prompt_names) or find_mistake(
        written, dimensions=dimensions, labels=labels, activation=activation
    )
    if problem is not None:
        _refuse(name, problem, field=field)
    return _normalise(written, min_cosine_similarity=min_cosine_similarity)


def parse_cases(
    raws: Iterable[Mapping[str, Any]],
    *,
    task: Task | None,
    min_cosine_similarity: str,
    dimensions: int | None,
    prompt_names: Collection[str] | None,
    labels: Collection[str] | None = None,
    activation: Activation | None = None,
    heads: Collection[TokenHeadKind] = (),
    field: str = INLINE_FIELD,
) -> tuple[GoldenCase, ...]:
    """Every case of the spec's list, in its order. Raises Refusal(INVALID_GOLDEN), also for a repeated name."""
    cases = tuple(
        parse_case(
            raw,
            task=task,
            min_cosine_similarity=min_cosine_similarity,
            dimensions=dimensions,
            prompt_names=prompt_names,
            labels=labels,
            activation=activation,
            heads=heads,
            field=field,
        )
        for raw in raws
    )
    _check_names(cases, field=field)
    return cases


def parse_jsonl(
    data: bytes,
    *,
    task: Task | None,
    min_cosine_similarity: str,
    dimensions: int | None,
    prompt_names: Collection[str] | None,
    labels: Collection[str] | None = None,
    activation: Activation | None = None,
    heads: Collection[TokenHeadKind] = (),
) -> tuple[GoldenCase, ...]:
    """Every case of a `goldens.jsonl`: UTF-8, one JSON object a line, blank lines and a byte order mark allowed.

    Raises Refusal(INVALID_GOLDEN), naming the line where the case has no name.
    """
    return parse_cases(
        _read_lines(data),
        task=task,
        min_cosine_similarity=min_cosine_similarity,
        dimensions=dimensions,
        prompt_names=prompt_names,
        labels=labels,
        activation=activation,
        heads=heads,
        field=FILE_FIELD,
    )


def parse_golden_file(data: bytes) -> CaseSet:
    """The cases of a file by itself: as people write them, with the default threshold, or as CaseSet.to_jsonl does.

    Raises Refusal(INVALID_GOLDEN) for the written form, also pydantic.ValidationError and orjson.JSONDecodeError for
    the other, which each line's `kind` tells apart.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    lines = list(_split(data))
    case = orjson.loads(lines[0][1] if lines else b"{}")
    if isinstance(case, dict) and "kind" in case:
        for number, line in lines:
            _check_keys(line, number=number)
        return CaseSet.from_jsonl(data)
    cases = parse_jsonl(
        data, task=None, min_cosine_similarity=DEFAULT_MIN_COSINE_SIMILARITY, dimensions=None, prompt_names=None
    )
    return CaseSet(cases=cases)


def merge_cases(*groups: Iterable[GoldenCase]) -> CaseSet:
    """One set of several groups (inline, from a ConfigMap). Raises Refusal(INVALID_GOLDEN) for a repeated name."""
    cases = tuple(case for group in groups for case in group)
    _check_names(cases, field=INLINE_FIELD)
    return CaseSet(cases=cases)


def _read_lines(data: bytes) -> Iterable[Mapping[str, Any]]:
    for number, line in _split(data.removeprefix(codecs.BOM_UTF8)):
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            _refuse(f"line {number}", "is not valid JSON: write one JSON object on each line", field=FILE_FIELD)
        if not isinstance(value, dict):
            _refuse(f"line {number}", "is not a JSON object: write {...} on each line", field=FILE_FIELD)
        if not isinstance(value.get("name"), str):
            _refuse(f"line {number}", "has no name: give each case a name (a string)", field=FILE_FIELD)
        if not _is_shown(value["name"]):
            _refuse(f"line {number}", f"has a name that cannot be shown: {_ADVICE['name']}", field=FILE_FIELD)
        _check_keys(line, number=number)
        yield value


def _split(data: bytes) -> Iterable[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers from 1."""
    return ((number, line) for number, line in enumerate(data.split(b"\n"), start=1) if line.strip())


def _check_keys(line: bytes, *, number: int) -> None:
    """Of a key that stands twice in an object, orjson keeps the last value without a word."""

    def check(pairs: list[tuple[str, object]]) -> None:
        if len({key for key, _ in pairs}) != len(pairs):
            _refuse(f"line {number}", "has a field twice in one object: write each field once", field=FILE_FIELD)

    try:
        # Numbers are not read: the limits that Python sets to their digits are not those of a golden case.
        json.loads(line.decode(), object_pairs_hook=check, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):  # a depth or a spelling that one of the two does not read is no golden case
        _refuse(f"line {number}", "is not valid JSON: write one JSON object on each line", field=FILE_FIELD)


def _normalise(written: WrittenCase, *, min_cosine_similarity: str) -> GoldenCase:
    name, prompt = written.name, written.prompt
    match written.similarity or written.ranking or written.score or written.label or written.sparse:
        case Similarity(a=a, b=b, expected=expected, tolerance=tolerance):
            return SimilarityCase(name=name, prompt=prompt, a=a, b=b, expected=expected, tolerance=tolerance)
        case Ranking(query=query, documents=documents, order=order, min_gap=min_gap):
            return RankingCase(name=name, query=query, documents=tuple(documents), order=tuple(order), min_gap=min_gap)
        case Score(query=query, document=document, expected=expected, tolerance=tolerance):
            return ScoreCase(name=name, query=query, document=document, expected=expected, tolerance=tolerance)
        case Label(input=text, label=label, expected=score, tolerance=distance):
            return LabelCase(name=name, input=text, label=label, expected=score, tolerance=distance)
        case Sparse(input=text, terms=terms, tolerance=tolerance):
            heaviest_first = sorted(terms, key=lambda item: Number(item.weight), reverse=True)
            return SparseCase(
                name=name,
                prompt=prompt,
                input=text,
                terms=tuple(Term(term=item.term, weight=item.weight) for item in heaviest_first),
                tolerance=tolerance,
            )
    if written.input is None or written.vector is None:
        raise AssertionError("the model of a written case has exactly one form")
    return VectorCase(
        name=name,
        prompt=prompt,
        input=written.input,
        vector=written.vector,
        min_cosine_similarity=min_cosine_similarity,
    )


def _check_names(cases: tuple[GoldenCase, ...], *, field: str) -> None:
    seen: set[str] = set()
    for case in cases:
        if case.name in seen:
            _refuse(f'"{case.name}"', "exists twice: give each case a name of its own", field=field)
        seen.add(case.name)


def _quote_name(raw: Mapping[str, Any]) -> str:
    name = raw.get("name")
    return f'"{name[:63]}"' if isinstance(name, str) and _is_shown(name) else "without a name"


def _is_shown(name: str) -> bool:
    return bool(name) and name.isprintable()


def _summarise(error: ValidationError) -> str:
    # Places that we name, and pydantic's own words: the input is the user's text, and so may an unknown name be.
    details = error.errors(include_url=False, include_input=False, include_context=False)
    problems = dict.fromkeys(_describe(detail) for detail in details)
    return "is not as expected: " + "; ".join(list(problems)[:3])


def _describe(detail: ErrorDetails) -> str:
    if detail["type"] != "extra_forbidden":
        return f"{_name_place(detail['loc'])}: {_find_advice(detail) or detail['msg']}"
    place = detail["loc"][:-1]
    fields = _OBJECTS[tuple(part for part in place if isinstance(part, str))].model_fields
    known = ", ".join(field.alias or name for name, field in fields.items())
    return f"{_name_place(place)}: unknown field; its fields are {known}"


def _find_advice(detail: ErrorDetails) -> str | None:
    if detail["type"] not in ("string_pattern_mismatch", "string_type"):
        return None
    return _ADVICE.get(_name_place(detail["loc"])) or _ADVICE.get(str(detail["loc"][-1]))


def _name_place(place: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in place) or "case"


def _refuse(label: str, problem: str, *, field: str) -> NoReturn:
    raise Refusal(Reason.INVALID_GOLDEN, f"golden case {label} {problem}", field=field)
