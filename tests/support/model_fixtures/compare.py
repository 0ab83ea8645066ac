"""An inspection against the answer that is right."""

from collections.abc import Iterator
from typing import Any

from embedding_model.inspection import inspect
from embedding_model.refusal import Refusal
from embedding_model.resolved import Inspection
from model_fixtures.fixture import UNSTATED, Answer, ModelFixture, Refused

_DOCUMENT_NAMES = frozenset({"document", "passage", "corpus"})


def differences(fixture: ModelFixture) -> list[str]:
    """What inspection says otherwise than the fixture, one line a field; empty when all is right."""
    try:
        found = inspect(fixture.source(), declared=fixture.declared)
    except Refusal as refusal:
        if isinstance(fixture.answer, Refused):
            return list(_compare_refusal(refusal, fixture.answer))
        return [f"expected {fixture.answer.task}, but it is refused: {refusal.reason}: {refusal.message}"]
    if isinstance(fixture.answer, Refused):
        expected = " or ".join(fixture.answer.reasons)
        return [f"expected a refusal ({expected}), but it is taken for: {found.task} {found.architecture}"]
    return list(_compare(found, fixture.answer))


def _compare_refusal(refusal: Refusal, expected: Refused) -> Iterator[str]:
    if refusal.reason not in expected.reasons:
        yield f"reason: expected {' or '.join(expected.reasons)}, found {refusal.reason}: {refusal.message}"
    elif expected.says.lower() not in refusal.message.lower():
        yield f"message: expected {expected.says!r} in it, found {refusal.message!r}"
    if expected.field is not UNSTATED and refusal.field != expected.field:
        yield f"field: expected {expected.field}, found {refusal.field}"


def _compare(found: Inspection, expected: Answer) -> Iterator[str]:
    for name, right, value in _values(found, expected):
        if right is not UNSTATED and right != value:
            yield f"{name}: expected {right!r}, found {value!r}"
    if expected.avoids is not None and expected.avoids not in found.avoid_dtypes:
        yield f"avoid_dtypes: expected {expected.avoids} among {found.avoid_dtypes}"
    for field, text in expected.evidence:
        said = [str(item.to_dict()) for item in found.evidence if item.field == field]
        if not any(text.lower() in words.lower() for words in said):
            yield f"evidence of {field}: expected {text!r} in {said}"
    yield from _missing_evidence(found)


def _values(found: Inspection, expected: Answer) -> Iterator[tuple[str, Any, Any]]:
    same = (
        "task",
        "architecture",
        "max_input_tokens",
        "dimensions",
        "pooling",
        "further_poolings",
        "normalize",
        "include_prompt",
        "default_prompt",
        "lowercase",
        "labels",
        "activation",
        "truncation_side",
        "padding_side",
        "end_token",
        "folder",
        "layer_norm_before_cut",
    )
    for name in same:
        yield name, getattr(expected, name), getattr(found, name)
    yield "matryoshka_dimensions", expected.matryoshka, found.matryoshka_dimensions
    modules = tuple((str(item.kind), item.input_dimensions, item.output_dimensions) for item in found.modules)
    yield "modules", expected.modules, modules
    prompts = {prompt.name: prompt.text for prompt in found.prompts}
    if expected.prompts is not UNSTATED:
        yield "prompts", _named_alike(dict(expected.prompts)), _named_alike(prompts)
    yield from _score(found, expected)
    sparse = found.sparse
    yield (
        "sparse",
        None
        if expected.sparse is None
        else (expected.sparse.pooling, expected.sparse.activation, expected.sparse.query_weights),
        None if sparse is None else (sparse.pooling, sparse.activation, sparse.query_weights),
    )


def _score(found: Inspection, expected: Answer) -> Iterator[tuple[str, Any, Any]]:
    right, scoring = expected.score, found.scoring
    if right is None or scoring is None:
        yield "scoring", right, scoring
        return
    yield "scoring.rule", right.rule, scoring.rule
    yield "scoring.template", right.has_template, scoring.template is not None
    yield "scoring.true_token", right.true_token, scoring.true_token
    yield "scoring.false_token", right.false_token, scoring.false_token
    yield "scoring.label", right.label, scoring.label


def _named_alike(prompts: dict[str, str]) -> dict[str, str]:
    return {"document" if name in _DOCUMENT_NAMES else name: text for name, text in prompts.items()}


def _missing_evidence(found: Inspection) -> Iterator[str]:
    """Every value that was decided names the file that said so."""
    decided = {"task", "architecture", "maxInputTokens"}
    decided |= {"pooling", "normalize", "dimensions"} if found.pooling is not None else set()
    decided |= {"activation"} if found.activation is not None else set()
    for name in sorted(decided - {item.field for item in found.evidence}):
        yield f"no evidence of {name}"
