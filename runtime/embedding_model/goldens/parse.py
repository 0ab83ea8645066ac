"""From the spec's form of golden cases to normalised cases.

A golden case is written inline in `spec.verification.goldens` or as one line of `goldens.jsonl`, in the same form:

    {"name", "input", "prompt"?, "vector"}                                     a vector case
    {"name", "similarity": {"a", "b", "expected", "tolerance"}, "prompt"?}     a similarity case

Normalised, each case carries its own threshold, and its vector has as many values as the model serves dimensions.
Both kinds speak of vectors: a model of another task than Embedding answers none, and is refused such cases.
Everything that is wrong is Refusal(INVALID_GOLDEN), naming the case and what to write instead, never its text.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal as Number
from typing import Any, NoReturn

import orjson
from pydantic import ValidationError

from embedding_model.goldens.cases import CaseSet, GoldenCase, SimilarityCase, VectorCase
from embedding_model.goldens.compare import decode_vector
from embedding_model.goldens.written import Similarity, WrittenCase
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Task

INLINE_FIELD = "verification.goldens"
FILE_FIELD = "verification.goldensConfigMapRef"
DEFAULT_MIN_COSINE_SIMILARITY = "0.999"  # the spec's default, for files that no spec goes with

_ANSWERS: Mapping[Task, str] = {
    Task.RERANKING: "a reranker, which answers scores",
    Task.CLASSIFICATION: "a classifier, which answers labels with their scores",
    Task.SPARSE: "a sparse model, which answers weights of tokens",
}


def parse_case(
    raw: Mapping[str, Any],
    *,
    task: Task | None,
    min_cosine_similarity: str,
    dimensions: int | None,
    prompt_names: Collection[str] | None,
    field: str = INLINE_FIELD,
) -> GoldenCase:
    """One written case, normalised.

    `task` is the model's, `dimensions` what it serves, `prompt_names` the prompts in force; None where there is no
    model yet: such a case fails when it is asked. `field` is the spec field that a refusal names. Raises
    Refusal(INVALID_GOLDEN).
    """
    label = _label(raw)
    try:
        written = WrittenCase.model_validate(raw)
    except ValidationError as error:
        _refuse(label, _summarise(error), field=field)
    answers = _ANSWERS.get(task) if task is not None else None
    if answers is not None:
        kind = "similarity" if written.similarity is not None else "vector"
        _refuse(label, f"expects a {kind}, but this model is {answers}: take the case out", field=field)
    if written.prompt is not None and prompt_names is not None and written.prompt not in prompt_names:
        known = ", ".join(f'"{name}"' for name in prompt_names)
        _refuse(
            label,
            f'names the prompt "{written.prompt}", but '
            + (f"the model's prompts are {known}" if known else "the model has no prompts"),
            field=field,
        )
    if written.similarity is not None:
        _check_similarity(written.similarity, label=label, field=field)
        return SimilarityCase(
            name=written.name,
            prompt=written.prompt,
            a=written.similarity.a,
            b=written.similarity.b,
            expected=written.similarity.expected,
            tolerance=written.similarity.tolerance,
        )
    if written.input is None or written.vector is None:
        raise AssertionError("the model of a written case has exactly one form")
    _check_vector(written.vector, dimensions=dimensions, label=label, field=field)
    return VectorCase(
        name=written.name,
        prompt=written.prompt,
        input=written.input,
        vector=written.vector,
        min_cosine_similarity=min_cosine_similarity,
    )


def parse_cases(
    raws: Iterable[Mapping[str, Any]],
    *,
    task: Task | None,
    min_cosine_similarity: str,
    dimensions: int | None,
    prompt_names: Collection[str] | None,
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


def _check_vector(text: str, *, dimensions: int | None, label: str, field: str) -> None:
    try:
        values = decode_vector(text)
    except ValueError as error:
        _refuse(
            label,
            f"has a malformed vector: {error}; write the base64 of {dimensions or 'the'} little-endian float32 values",
            field=field,
        )
    if dimensions is not None and len(values) != dimensions:
        _refuse(label, f"has a vector of {len(values)} values, but the model serves {dimensions}", field=field)
    bad = sum(not math.isfinite(value) for value in values)
    if bad:
        _refuse(label, f"has a vector with {bad} values that are NaN or infinite", field=field)
    if not any(values):
        _refuse(label, "has a vector of zeros only, which is similar to nothing", field=field)


def _check_similarity(similarity: Similarity, *, label: str, field: str) -> None:
    if not -1 <= Number(similarity.expected) <= 1:
        _refuse(label, f"expects a similarity of {similarity.expected}; a cosine lies between -1 and 1", field=field)
    if not 0 < Number(similarity.tolerance) < 1:
        _refuse(label, f"has a tolerance of {similarity.tolerance}; write more than 0 and less than 1", field=field)


def _check_names(cases: tuple[GoldenCase, ...], *, field: str) -> None:
    seen: set[str] = set()
    for case in cases:
        if case.name in seen:
            _refuse(f'"{case.name}"', "exists twice: give each case a name of its own", field=field)
        seen.add(case.name)


def _label(raw: Mapping[str, Any]) -> str:
    name = raw.get("name")
    return f'"{name[:63]}"' if isinstance(name, str) and name.isprintable() and name else "without a name"


def _summarise(error: ValidationError) -> str:
    # Places and pydantic's own words only: the input is the user's text.
    problems = [
        f"{'.'.join(str(part) for part in detail['loc']) or 'case'}: {detail['msg']}"
        for detail in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return "is not as expected: " + "; ".join(problems[:3])


def _refuse(label: str, problem: str, *, field: str) -> NoReturn:
    raise Refusal(Reason.INVALID_GOLDEN, f"golden case {label} {problem}", field=field)
