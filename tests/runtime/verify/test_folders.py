"""A folder's answers, through the path that serves them, are those of the reference implementation for every task."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
import seeded_models
from golden_samples import Case, label_goldens, score_goldens, sparse_goldens
from multi_head_models import build_multi_head, compute_by_rule
from seeded_models.references import classify, rerank
from sparse_models import build_splade, encode_by_reference, load_sparse_reference
from transformers import AutoTokenizer

from embedding_model.goldens.parse import parse_cases
from embedding_model.inspection.families.heads import Head
from embedding_model.ports import CaseResult
from embedding_model.resolved import Task
from embedding_runtime.golden_check import check_folder
from embedding_runtime.settings import ServeSettings

QUERY, *DOCUMENTS = TEXTS = [
    "What is the capital of France?",
    "Paris is the capital of France.",
    "the quick brown fox jumps over the lazy dog near the river",
    "weather",
]
LABELS = ("anger", "joy", "sadness")


def check(
    folder: Path, cases: Sequence[Case], *, task: Task | None, labels: Sequence[str] | None = None
) -> list[CaseResult]:
    parsed = parse_cases(
        cases, task=task, min_cosine_similarity="0.999", dimensions=None, prompt_names=(), labels=labels
    )
    return list(asyncio.run(check_folder(ServeSettings(model=folder, workers=1), cases=parsed)))


def failures(results: Sequence[CaseResult]) -> list[str]:
    return [f"{result.name}: {result.detail}" for result in results if not result.passed]


def test_a_reranker_passes_its_references_scores(tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path / "model", family="xlm-roberta", head=Head.SEQUENCE_CLASSIFICATION)
    cases = score_goldens(QUERY, documents=DOCUMENTS, scores=rerank(folder, QUERY, documents=DOCUMENTS))
    results = check(folder, cases, task=Task.RERANKING)
    assert [result.kind for result in results] == ["ranking", "score", "score", "score"]
    assert not failures(results)


def test_a_classifier_passes_its_references_labels(tmp_path: Path) -> None:
    numbers = {label: number for number, label in enumerate(LABELS)}
    folder = seeded_models.build(
        tmp_path / "model",
        family="distilbert",
        head=Head.SEQUENCE_CLASSIFICATION,
        labels=len(LABELS),
        id2label={number: label for label, number in numbers.items()},
        label2id=numbers,
    )
    cases = label_goldens(TEXTS, labels=LABELS, scores=classify(folder, TEXTS))
    results = check(folder, cases, task=Task.CLASSIFICATION, labels=LABELS)
    assert [result.kind for result in results] == ["label"] * len(TEXTS)
    assert not failures(results)


def test_a_sparse_model_passes_its_references_terms(tmp_path: Path) -> None:
    folder = build_splade(tmp_path / "model")
    weights = encode_by_reference(load_sparse_reference(folder), TEXTS)
    results = check(folder, sparse_goldens(TEXTS, weights=weights, folder=folder), task=Task.SPARSE)
    assert [result.kind for result in results] == ["sparse"] * len(TEXTS)
    assert not failures(results)


@pytest.mark.parametrize("layers", [("sparse_linear",), ()])
def test_sparse_cases_of_an_embedder_are_verified_where_it_has_the_head(layers: Sequence[str], tmp_path: Path) -> None:
    folder = build_multi_head(tmp_path / "model", layers=layers)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    cases = []
    for number, rule in enumerate(compute_by_rule(folder, TEXTS)):
        names = tokenizer.convert_ids_to_tokens(list(rule.weights))
        terms = [{"term": name, "weight": f"{w:.6f}"} for name, w in zip(names, rule.weights.values(), strict=True)]
        sparse = {"input": TEXTS[number], "terms": terms, "tolerance": "0.01"}
        cases += [{"name": f"text-{number}", "sparse": sparse}] if terms else []
    results = check(folder, cases, task=None)
    assert cases
    if layers:
        assert not failures(results)
    else:
        assert len(failures(results)) == len(cases)
        assert all("this one has none: ask POST /v1/embeddings" in told for told in failures(results))
