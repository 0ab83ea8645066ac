"""A folder's answers, through the path that serves them, are those of the reference implementation for every task."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
import seeded_models
from click.testing import CliRunner
from golden_samples import Case, label_goldens, score_goldens, sparse_goldens
from multi_head_models import build_multi_head, compute_by_rule
from seeded_models.references import classify, rerank
from sparse_models import build_inference_free, build_splade, encode_by_reference, load_sparse_reference
from transformers import AutoTokenizer

from embedding_model.goldens.cases import CaseSet
from embedding_model.goldens.parse import parse_cases
from embedding_model.inspection.families.heads import Head
from embedding_model.ports import CaseResult
from embedding_model.resolved import Task
from embedding_runtime.commands.verify import verify
from embedding_runtime.gate import read_case_set
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


def test_a_query_that_a_table_weights_is_asked_as_such_though_the_model_has_no_such_prompt(tmp_path: Path) -> None:
    folder = build_inference_free(tmp_path / "model", prompts={"document": ""})
    weights = encode_by_reference(load_sparse_reference(folder), TEXTS, task="query")
    written = sparse_goldens(TEXTS, weights=weights, folder=folder / "document_0_MLMTransformer")
    goldens = tmp_path / "goldens.jsonl"
    for prompt, passes in (("query", True), (None, False)):
        cases = parse_cases(
            [{**case, "prompt": prompt} if prompt else case for case in written],
            task=Task.SPARSE,
            min_cosine_similarity="0.999",
            dimensions=None,
            prompt_names=("document", "query"),
        )
        goldens.write_bytes(CaseSet(cases=cases).to_jsonl())  # as pods mount them
        mounted = read_case_set(goldens).cases
        results = asyncio.run(check_folder(ServeSettings(model=folder, workers=1), cases=mounted))
        assert bool(failures(results)) is not passes, failures(results)


@pytest.mark.parametrize("content", ["", "\n \n"], ids=["an empty file", "blank lines"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_a_file_without_cases_is_no_pass(tmp_path: Path, content: str, is_folder: bool) -> None:
    goldens = tmp_path / "goldens"
    if is_folder:
        goldens.mkdir()
    (goldens / "0.jsonl" if is_folder else goldens).write_text(content)
    found = CliRunner().invoke(verify, ["--goldens", str(goldens), "--url", "http://127.0.0.1:9"])
    assert found.exit_code == 2
    assert "holds no case" in found.output
    assert "write one JSON object on each line" in found.output


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
