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
from embedding_model.resolved import Task, TokenHeadKind

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


def parse_case(
    raw: Mapping[str, Any],
    *,
    task: Task | None,
    min_cosine_similarity: str,
    dimensions: int | None,
    prompt_names: Collection[str] | None,
    labels: Collection[str] | None = None,
    heads: Collection[TokenHeadKind] = (),
    field: str = INLINE_FIELD,
) -> GoldenCase:
    """One written case, normalised.

    `task` is the model's, `dimensions` what it serves, `prompt_names` the prompts in force, `labels` a classifier's
    labels; None where there is no model yet: such a case fails when it is asked. `heads` are the further ones of an
    embedder. `field` is the spec field that a refusal names. Raises Refusal(INVALID_GOLDEN).
    """
    name = _quote_name(raw)
    try:
        written = WrittenCase.model_validate(raw)
    except ValidationError as error:
        _refuse(name, _summarise(error), field=field)
    problem = find_misfit(written, task=task, heads=heads, prompt_names=prompt_names) or find_mistake(
        written, dimensions=dimensions, labels=labels
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
    heads: Collection[TokenHeadKind] = (),
) -> tuple[GoldenCase, ...]:
    """Every case of a `goldens.jsonl`: UTF-8, one JSON object a line, blank lines allowed.

    Raises Refusal(INVALID_GOLDEN), naming the line where the case has no name.
    """
    return parse_cases(
        _read_lines(data),
        task=task,
        min_cosine_similarity=min_cosine_similarity,
        dimensions=dimensions,
        prompt_names=prompt_names,
        labels=labels,
        heads=heads,
        field=FILE_FIELD,
    )


def parse_golden_file(data: bytes) -> CaseSet:
    """The cases of a file by itself: as people write them, with the default threshold, or as CaseSet.to_jsonl does.

    Raises Refusal(INVALID_GOLDEN) for the written form, pydantic.ValidationError and orjson.JSONDecodeError for the
    other, which each line's `kind` tells apart.
    """
    first = next((line for line in data.split(b"\n") if line.strip()), b"{}")
    case = orjson.loads(first)
    if isinstance(case, dict) and "kind" in case:
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
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            _refuse(f"line {number}", "is not valid JSON: write one JSON object on each line", field=FILE_FIELD)
        if not isinstance(value, dict):
            _refuse(f"line {number}", "is not a JSON object: write {...} on each line", field=FILE_FIELD)
        if not isinstance(value.get("name"), str):
            _refuse(f"line {number}", "has no name: give each case a name (a string)", field=FILE_FIELD)
        yield value


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
    return f'"{name[:63]}"' if isinstance(name, str) and name.isprintable() and name else "without a name"


def _summarise(error: ValidationError) -> str:
    # Places that we name, and pydantic's own words: the input is the user's text, and so may an unknown name be.
    details = error.errors(include_url=False, include_input=False, include_context=False)
    problems = dict.fromkeys(_describe(detail) for detail in details)
    return "is not as expected: " + "; ".join(list(problems)[:3])


def _describe(detail: ErrorDetails) -> str:
    if detail["type"] != "extra_forbidden":
        return f"{_name_place(detail['loc'])}: {detail['msg']}"
    place = detail["loc"][:-1]
    fields = _OBJECTS[tuple(part for part in place if isinstance(part, str))].model_fields
    known = ", ".join(field.alias or name for name, field in fields.items())
    return f"{_name_place(place)}: unknown field; its fields are {known}"


def _name_place(place: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in place) or "case"


def _refuse(label: str, problem: str, *, field: str) -> NoReturn:
    raise Refusal(Reason.INVALID_GOLDEN, f"golden case {label} {problem}", field=field)
