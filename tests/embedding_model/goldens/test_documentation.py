"""docs/goldens.md and the schema say what the parser does."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import seeded_models
import yaml

from embedding_model.goldens.cases import SparseCase
from embedding_model.goldens.compare import encode_vector
from embedding_model.goldens.parse import parse_case, parse_cases, parse_jsonl
from embedding_model.goldens.written import build_schema
from embedding_model.inspection.families.heads import Head
from embedding_model.refusal import Refusal
from embedding_model.resolved import Task
from localcluster.hub.demo_models import fetch_splade_tiny

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "goldens.md").read_text()
SETTINGS: dict[str, Any] = {
    "task": None,
    "min_cosine_similarity": "0.999",
    "dimensions": 4,
    "prompt_names": ("query",),
}
VECTOR = encode_vector([0.5, -0.5, 0.5, 0.5])
RANKING = {"query": "q", "documents": ["a", "b"], "order": [1, 0], "minGap": "0.1"}
SCORE = {"query": "q", "document": "d", "expected": "-1.5", "tolerance": "0.1"}
SPARSE = {"input": "x", "terms": [{"term": "a", "weight": "1.5"}], "tolerance": "0.1"}
SIMILARITY = {"a": "a", "b": "b", "expected": "0.5", "tolerance": "0.1"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_the_schema_file_is_the_one_that_the_code_gives() -> None:
    module = "embedding_model.goldens.written"
    result = subprocess.run([sys.executable, "-m", module], capture_output=True, check=True)
    assert (DOCS / "goldens.schema.json").read_bytes() == result.stdout, (
        f"run: python -m {module} > docs/goldens.schema.json"
    )


@pytest.mark.parametrize("block", blocks("jsonl"))
def test_the_lines_of_the_page_are_golden_cases(block: str) -> None:
    assert parse_jsonl(block.encode(), **SETTINGS)
    for line in block.splitlines():
        jsonschema.validate(json.loads(line), build_schema())


def test_the_inline_cases_of_the_page_are_golden_cases() -> None:
    verifications = [yaml.safe_load(block)["spec"]["verification"] for block in blocks("yaml")]
    inline = [case for verification in verifications for case in verification.get("goldens", ())]
    assert [case.name for case in parse_cases(inline, **SETTINGS)] == ["weather"]


def test_the_recipe_of_the_page_makes_cases_that_pass(
    tmp_path: Path, minilm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of("SentenceTransformer")
    monkeypatch.chdir(tmp_path)
    exec(recipe.replace("sentence-transformers/all-MiniLM-L6-v2", str(minilm_folder)), {})
    cases = parse_jsonl((tmp_path / "goldens.jsonl").read_bytes(), **{**SETTINGS, "dimensions": 384})
    assert [case.name for case in cases] == ["paris", "weather"]


def recipe_of(library_class: str) -> str:
    (recipe,) = [block for block in blocks("python") if f"import {library_class}\n" in block]
    return recipe


def test_the_recipe_for_scores_makes_cases_for_rerankers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = seeded_models.build(tmp_path / "model", family="bert", head=Head.SEQUENCE_CLASSIFICATION)
    monkeypatch.chdir(tmp_path)
    exec(recipe_of("CrossEncoder").replace("BAAI/bge-reranker-v2-m3", str(folder)), {})
    cases = parse_jsonl((tmp_path / "goldens.jsonl").read_bytes(), **{**SETTINGS, "task": Task.RERANKING})
    assert [case.name for case in cases] == ["panda-0", "panda-1"]


def test_the_recipe_for_terms_makes_a_case_for_sparse_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(recipe_of("SparseEncoder").replace("naver/splade-v3", str(fetch_splade_tiny())), {})
    (case,) = parse_jsonl((tmp_path / "goldens.jsonl").read_bytes(), **{**SETTINGS, "task": Task.SPARSE})
    assert isinstance(case, SparseCase)
    assert (case.terms[0].term, len(case.terms)) == ("cat", 12)


@pytest.mark.parametrize(
    "raw",
    [
        {"name": "a", "input": "x", "vector": VECTOR},
        {"name": "a", "input": "x", "vector": VECTOR, "prompt": "query"},
        {"name": "a", "similarity": SIMILARITY},
        {"name": "a"},
        {"input": "x", "vector": VECTOR},
        {"name": "two words", "input": "x", "vector": VECTOR},
        {"name": "a", "input": "x"},
        {"name": "a", "input": "", "vector": VECTOR},
        {"name": "a", "vector": VECTOR},
        {"name": "a", "input": "x", "vector": VECTOR, "similarity": SIMILARITY},
        {"name": "a", "input": "x", "similarity": SIMILARITY},
        {"name": "a", "input": "x", "vector": VECTOR, "extra": 1},
        {"name": "a", "similarity": {**SIMILARITY, "expected": 0.5}},
        {"name": "a", "similarity": {**SIMILARITY, "expected": "5e-1"}},
        {"name": "a", "similarity": {**SIMILARITY, "extra": "x"}},
        {"name": "a", "similarity": {"a": "a"}},
        {"name": "a", "similarity": {**SIMILARITY, "expected": "-1.000"}},
        {"name": "a", "similarity": {**SIMILARITY, "expected": "-1.001"}},
        {"name": "a", "similarity": {**SIMILARITY, "tolerance": "0"}},
        {"name": "a", "similarity": {**SIMILARITY, "tolerance": "0.00"}},
        {"name": "a", "similarity": {**SIMILARITY, "tolerance": "1"}},
        {"name": "a", "similarity": {**SIMILARITY, "tolerance": "0.0001"}},
        {"name": "reference.a", "similarity": SIMILARITY},
        {"name": "holdout.a", "similarity": SIMILARITY},
        {"name": "check.a", "similarity": SIMILARITY},
        {"name": "check", "similarity": SIMILARITY},
        {"name": "Check.a", "similarity": SIMILARITY},
        {"name": "checks.a", "similarity": SIMILARITY},
        {"name": "a", "ranking": RANKING},
        {"name": "a", "ranking": {**RANKING, "minGap": "0"}},
        {"name": "a", "ranking": {**RANKING, "minGap": "0.000"}},
        {"name": "a", "ranking": {**RANKING, "minGap": "-0.1"}},
        {"name": "a", "ranking": {**RANKING, "minGap": "100"}},
        {"name": "a", "ranking": {**RANKING, "order": [0, 0]}},
        {"name": "a", "ranking": {**RANKING, "order": [0, -1]}},
        {"name": "a", "ranking": {**RANKING, "order": ["0", "1"]}},
        {"name": "a", "ranking": {**RANKING, "documents": ["a"], "order": [0]}},
        {"name": "a", "ranking": {**RANKING, "min_gap": "0.1"}},
        {"name": "a", "ranking": RANKING, "prompt": "query"},
        {"name": "a", "ranking": RANKING, "score": SCORE},
        {"name": "a", "score": SCORE},
        {"name": "a", "score": {**SCORE, "expected": "1000"}},
        {"name": "a", "score": {**SCORE, "tolerance": "0"}},
        {"name": "a", "score": {**SCORE, "tolerance": "-1"}},
        {"name": "a", "score": {**SCORE, "tolerance": "1.5"}},
        {"name": "a", "score": SCORE, "prompt": "query"},
        {"name": "a", "label": {"input": "x", "label": "joy"}},
        {"name": "a", "label": {"input": "x", "label": "joy", "expected": "0.9", "tolerance": "0.1"}},
        {"name": "a", "label": {"input": "x", "label": "joy", "expected": "0.9", "tolerance": "0.0"}},
        {"name": "a", "label": {"input": "x", "label": "joy", "expected": "0.9"}},
        {"name": "a", "label": {"input": "x", "label": "joy", "tolerance": "0.9"}},
        {"name": "a", "label": {"input": "x", "label": "joy"}, "prompt": "query"},
        {"name": "a", "sparse": SPARSE},
        {"name": "a", "sparse": SPARSE, "prompt": "query"},
        {"name": "a", "sparse": {**SPARSE, "tolerance": "1"}},
        {"name": "a", "sparse": {**SPARSE, "terms": [{"term": "a", "weight": "0"}]}},
        {"name": "a", "sparse": {**SPARSE, "terms": [{"term": "a", "weight": "-1"}]}},
        {"name": "a", "sparse": {**SPARSE, "terms": []}},
        {"name": "a", "sparse": {**SPARSE, "terms": [{"term": "a"}]}},
    ],
)
def test_the_schema_and_the_parser_agree(raw: dict[str, Any]) -> None:
    try:
        parse_case(raw, **SETTINGS)
        accepted = True
    except Refusal:
        accepted = False
    assert jsonschema.Draft202012Validator(build_schema()).is_valid(raw) is accepted
