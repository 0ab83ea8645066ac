"""Sparse models: the head that gives the weights, its pooling, and the table that replaces the model for queries."""

import json
from typing import Any

import pytest
from model_fixtures.catalogue import CATALOGUE
from tiny_heads import MASKED_LANGUAGE_HEAD, body, tiny_sparse
from tiny_models import json_file, safetensors_file

from embedding_model.inspection import inspect
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Declared, Inspection, Pooling, SparseHead, Task
from embedding_model.sources.memory import MemorySource

Files = dict[str, bytes]
INFERENCE_FREE = "opensearch-project/opensearch-neural-sparse-encoding-doc-v3-distill"
TABLE = "query_0_SparseStaticEmbedding/model.safetensors"


def look(files: Files, *, task: Task | None = None) -> Inspection:
    return inspect(MemorySource(files), declared=Declared(task=task))


def refuse(files: Files, *, task: Task | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        look(files, task=task)
    return caught.value


@pytest.mark.parametrize(
    ("pooling", "activation"),
    [({}, "relu"), ({"activation_function": "log1p_relu"}, "log1p_relu"), ({"embedding_dimension": 17}, "relu")],
)
def test_splade_is_read_from_its_module(pooling: dict[str, Any], activation: str) -> None:
    found = look(tiny_sparse(**pooling))
    assert (found.task, found.architecture, found.dimensions) == (Task.SPARSE, "BertForMaskedLM", 17)
    assert found.sparse == SparseHead(pooling=Pooling.MAX, activation=activation)
    assert (found.pooling, found.normalize, found.max_input_tokens) == (None, None, 16)


@pytest.mark.parametrize(
    ("pooling", "reason", "says"),
    [
        ({"pooling_strategy": "sum"}, Reason.UNSUPPORTED_ARCHITECTURE, "served is max"),
        ({"pooling_strategy": "mean"}, Reason.INVALID_FILE, "expected is max"),
        ({"activation_function": "gelu"}, Reason.INVALID_FILE, "expected one of relu, log1p_relu"),
        ({"word_embedding_dimension": 30522}, Reason.CONTRADICTORY_EVIDENCE, "has 17 tokens"),
        ({"top_k": 3}, Reason.UNSUPPORTED_ARCHITECTURE, '"top_k" is set'),
    ],
)
def test_a_pooling_that_is_not_understood_is_refused(pooling: dict[str, Any], reason: Reason, says: str) -> None:
    refusal = refuse(tiny_sparse(**pooling))
    assert refusal.reason is reason, refusal.message
    assert says in refusal.message


def test_without_the_head_its_weights_would_be_random() -> None:
    refusal = refuse(tiny_sparse() | {"model.safetensors": body({})})
    assert refusal.reason is Reason.INCOMPLETE_WEIGHTS
    assert "newly initialised" in refusal.message


@pytest.mark.parametrize("task", [Task.EMBEDDING, Task.RERANKING, Task.CLASSIFICATION])
def test_another_task_contradicts_the_modules(task: Task) -> None:
    refusal = refuse(tiny_sparse(), task=task)
    assert (refusal.reason, refusal.field) == (Reason.TASK_MISMATCH, "task")


def test_a_declared_sparse_model_takes_the_defaults_and_says_so() -> None:
    files = {
        path: data
        for path, data in tiny_sparse().items()
        if path not in ("modules.json", "config_sentence_transformers.json") and "/" not in path
    }
    found = look(files, task=Task.SPARSE)
    assert found.sparse == SparseHead(pooling=Pooling.MAX, activation="relu")
    [source] = [item for item in found.evidence if item.field == "sparse.activation"]
    assert "default" in (source.note or "")


def test_a_declared_sparse_model_needs_the_head() -> None:
    files = {path: data for path, data in tiny_sparse().items() if path != "modules.json"}
    files |= {"config_sentence_transformers.json": b"{}", "model.safetensors": body({})}
    assert refuse(files, task=Task.SPARSE).reason is Reason.TASK_MISMATCH


@pytest.mark.parametrize("table", ["idf.json", "query_token_weights.txt"])
def test_a_query_table_that_no_module_explains_is_refused(table: str) -> None:
    files = {path: data for path, data in tiny_sparse().items() if path != "modules.json"}
    files |= {"config_sentence_transformers.json": b"{}", table: b"{}"}
    refusal = refuse(files, task=Task.SPARSE)
    assert refusal.reason is Reason.UNSUPPORTED_ARCHITECTURE
    assert table in refusal.message


def test_the_table_of_an_inference_free_model_is_found_through_the_router() -> None:
    found = look(dict(CATALOGUE[INFERENCE_FREE].files))
    assert found.sparse is not None
    assert found.sparse.query_weights == TABLE


def route(**changes: Any) -> dict[str, bytes | None]:
    return {
        "router_config.json": json_file(json.loads(CATALOGUE[INFERENCE_FREE].files["router_config.json"]) | changes)
    }


DOCUMENT = ["document_0_MLMTransformer", "document_1_SpladePooling"]


@pytest.mark.parametrize(
    ("changes", "reason", "says"),
    [
        ({TABLE: safetensors_file({"weight": (3,)})}, Reason.CONTRADICTORY_EVIDENCE, "expected one tensor `weight`"),
        ({TABLE: safetensors_file({"other": (3,)})}, Reason.CONTRADICTORY_EVIDENCE, "expected one tensor `weight`"),
        ({TABLE: None}, Reason.MISSING_FILE, TABLE),
        (route(structure={}), Reason.UNSUPPORTED_ARCHITECTURE, "has the routes none"),
        (route(structure={"image": DOCUMENT}), Reason.UNSUPPORTED_ARCHITECTURE, 'has the routes "image"'),
        (route(structure={"query": [], "document": DOCUMENT}), Reason.INVALID_FILE, "a list of 1 to 32 names"),
        (route(structure={"query": ["x"], "document": DOCUMENT}), Reason.INVALID_FILE, "to have a type"),
        (route(structure={"query": DOCUMENT[1:], "document": DOCUMENT}), Reason.UNSUPPORTED_ARCHITECTURE, "queries"),
        (route(structure={"query": DOCUMENT, "document": DOCUMENT[1:]}), Reason.UNSUPPORTED_ARCHITECTURE, "documents"),
        (route(types={"../a": "x"}), Reason.UNSAFE_PATH, "../a"),
        ({"router_config.json": b"[]"}, Reason.INVALID_FILE, "router_config.json"),
    ],
)
def test_a_router_that_does_not_hold_together_is_refused(
    changes: dict[str, bytes | None], reason: Reason, says: str
) -> None:
    files = {**CATALOGUE[INFERENCE_FREE].files, **changes}
    refusal = refuse({path: data for path, data in files.items() if data is not None})
    assert refusal.reason is reason, refusal.message
    assert says in refusal.message


def test_both_routes_may_be_the_same_model() -> None:
    files = dict(CATALOGUE[INFERENCE_FREE].files)
    names = ["document_0_MLMTransformer", "document_1_SpladePooling"]
    path = "sentence_transformers.sparse_encoder.models"
    router = {
        "types": {name: f"{path}.{name.rpartition('_')[2]}" for name in names},
        "structure": {"query": names, "document": names},
    }
    found = look(files | {"router_config.json": json_file(router)})
    assert found.sparse is not None
    assert found.sparse.query_weights is None


def test_masked_language_tensors_are_the_ones_that_transformers_names() -> None:
    assert look(tiny_sparse() | {"model.safetensors": body(MASKED_LANGUAGE_HEAD)}).task is Task.SPARSE
