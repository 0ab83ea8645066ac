"""Ranking and score cases of rerankers, by a classification head and by a language model's prompt."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seeded_models
from reference_under_test import Resolved, assert_passed, compute, every_case, failed_names, resolve
from safetensors.numpy import load_file, save_file
from seeded_models import ByteLevel

from embedding_model.goldens.cases import RankingCase, ScoreCase
from embedding_model.goldens.compare import judge_case
from embedding_model.goldens.questions import Answer
from embedding_model.inspection.families.heads import Head
from embedding_model.ports import ReferenceSet
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Activation, Declared, Side, Task
from embedding_model.serving import Overrides
from embedding_runtime.reference.score_cases import order_apart, refutes_constant
from embedding_runtime.settings import Dtype

RERANKS = Declared(task=Task.RERANKING)
HEAD = Head.SEQUENCE_CLASSIFICATION
SPREAD = 0.1  # of matrices: bfloat16 rounds such networks as it does trained ones


def build(folder: Path, *, labels: int = 1, **config: Any) -> Path:
    return seeded_models.build(folder, family="bert", head=HEAD, labels=labels, **{"spread": SPREAD, **config})


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Resolved:
    return resolve(build(tmp_path_factory.mktemp("bert") / "model", spread=0.3), declared=RERANKS)


@pytest.fixture(scope="module")
def found(right: Resolved) -> ReferenceSet:
    return compute(right)


def test_a_pod_of_the_same_model_passes_orders_and_scores(right: Resolved, found: ReferenceSet) -> None:
    assert_passed(right, found)
    assert [case.name for case in found.goldens if isinstance(case, ScoreCase)][:2] == [
        "reference.english-score-1",
        "reference.english-score-2",
    ]
    assert {type(case) for case in found.holdout} == {RankingCase, ScoreCase}
    assert compute(right) == found


def test_other_weights_and_another_activation_fail(right: Resolved, found: ReferenceSet, tmp_path: Path) -> None:
    moved = resolve(build(tmp_path / "moved", spread=0.3, seed=8), declared=RERANKS)
    raw = resolve(right.folder, declared=RERANKS, overrides=Overrides(activation=Activation.IDENTITY))
    for wrong in (moved, raw):
        failed = failed_names(wrong, found)
        assert failed & {case.name for case in found.goldens}
        assert failed & {case.name for case in found.holdout}
    asked = compute(raw)
    assert_passed(raw, asked)
    assert failed_names(right, asked)


def test_half_precision_passes(tmp_path: Path) -> None:
    model = resolve(build(tmp_path / "model"), declared=RERANKS)
    assert_passed(model, compute(model), dtype=Dtype.BFLOAT16)


@pytest.mark.parametrize("relevant", [0, 1])
def test_of_two_labels_the_score_is_that_of_the_relevant_one(relevant: int, tmp_path: Path) -> None:
    names = ["no", "no"]
    names[relevant] = "yes"
    labels = {"id2label": dict(enumerate(names)), "label2id": {"yes": relevant, "no": 1 - relevant}}
    model = resolve(build(tmp_path / "model", labels=2, spread=0.3, **labels), declared=RERANKS)
    found = compute(model)
    assert_passed(model, found)


QWEN3 = ByteLevel(end=None)
LONGEST = 320
RAW = Overrides(activation=Activation.IDENTITY)


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seeded_models.build(
        tmp_path_factory.mktemp("qwen3") / "model",
        family="qwen3",
        head=Head.CAUSAL_LANGUAGE_MODEL,
        tokenizer=QWEN3,
        max_length=LONGEST,
        spread=SPREAD,
    )


@pytest.fixture(scope="module")
def by_formula(language_model: Path) -> tuple[Resolved, ReferenceSet]:
    """The language model, scoring with raw logits, and its set."""
    model = resolve(language_model, declared=RERANKS, overrides=RAW)
    return model, compute(model)


def test_a_language_model_passes_by_the_formula_of_its_authors(by_formula: tuple[Resolved, ReferenceSet]) -> None:
    assert_passed(*by_formula)
    assert longest_document(by_formula[1]) > LONGEST


def test_the_formula_cuts_on_one_side_only(language_model: Path) -> None:
    model = resolve(language_model, declared=RERANKS, overrides=replace(RAW, truncation=Side.LEFT))
    found = compute(model)
    assert_passed(model, found)
    assert longest_document(found) < LONGEST


def test_a_language_model_with_another_instruction_fails(
    language_model: Path, by_formula: tuple[Resolved, ReferenceSet]
) -> None:
    other = replace(RAW, instruction="find the text that names a colour, and no other")
    instructed = resolve(language_model, declared=RERANKS, overrides=other)
    assert failed_names(instructed, by_formula[1])
    assert failed_names(by_formula[0], compute(instructed))


def longest_document(found: ReferenceSet) -> int:
    return max(len(case.document.split()) for case in every_case(found) if isinstance(case, ScoreCase))


def test_pairs_that_the_library_cuts_otherwise_are_not_asked(tmp_path: Path) -> None:
    """Of 40 tokens some queries take more than half."""
    model = resolve(build(tmp_path / "model", max_length=40), declared=RERANKS)
    found = compute(model)
    assert 0 < len([case for case in every_case(found) if isinstance(case, ScoreCase)]) < 30
    assert_passed(model, found)


def test_a_reranker_of_too_few_tokens_for_the_set_is_refused(tmp_path: Path) -> None:
    model = resolve(build(tmp_path / "model", max_length=6), declared=RERANKS)
    with pytest.raises(Refusal, match="6 tokens are too few"):
        compute(model)


def test_scores_that_a_single_number_would_pass_are_refused(tmp_path: Path) -> None:
    """A reranker that finds nothing of the set relevant, as one of another language or field may."""
    folder = build(tmp_path / "model", spread=0.3)
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.bias"] = tensors["classifier.bias"] - 12
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Refusal, match="answers a single number to everything") as refused:
        compute(resolve(folder, declared=RERANKS))
    assert (refused.value.reason, refused.value.field) == (Reason.INVALID_FILE, "verification.reference")
    assert "With reranking.activation: Identity the logits are compared" in refused.value.message

    logits = resolve(folder, declared=RERANKS, overrides=RAW)
    assert_passed(logits, compute(logits))


@pytest.mark.parametrize(
    ("expected", "refutes"),
    [
        (["0.500000"], False),
        (["0.500000", "0.504000"], False),
        (["0.500000", "0.504001"], True),
        (["0.504001", "0.502000", "0.500000"], True),
    ],
)
def test_a_single_score_passes_every_case_up_to_twice_the_tolerance(expected: list[str], refutes: bool) -> None:
    cases = tuple(ScoreCase(name="a", query="q", document="d", expected=one, tolerance="0.002") for one in expected)
    assert refutes_constant(cases) is refutes
    middle = (min(map(float, expected)) + max(map(float, expected))) / 2
    assert all(judge_case(case, [Answer(scores=(middle,))]).passed for case in cases) is not refutes
    order = RankingCase(name="b", query="q", documents=("d", "e"), order=(0, 1), min_gap="0.000000")
    assert refutes_constant((*cases, order))


def test_documents_that_half_precision_could_swap_are_left_out_of_an_order() -> None:
    scores = np.array([0.2, 0.9, 0.85, 0.25, 0.6], dtype=np.float32)
    assert order_apart(scores, distance=0.1) == [1, 4, 3]
    assert order_apart(scores, distance=1.0) == [1]


def test_an_order_asks_for_the_gap_that_is_left_behind_the_tolerance(found: ReferenceSet) -> None:
    for case in found.goldens:
        if isinstance(case, RankingCase):
            assert sorted(case.order) == list(range(len(case.documents)))
            assert float(case.min_gap) > 0
            assert json.loads(case.to_json())["kind"] == "ranking"
