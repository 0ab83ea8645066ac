"""/info says what is computed: of each task what stands behind the hidden states, and nothing that it does not have."""

import re
from importlib.metadata import version
from typing import Any

import pytest
from runtime_under_test import REVISION, app_under_test, settings

from embedding_model.rerank_templates import RERANK_TEMPLATES
from embedding_model.resolved import (
    Activation,
    Pooling,
    ScoreRule,
    Scoring,
    SparseHead,
    Task,
    TokenHead,
    TokenHeadKind,
)

TEMPLATE = Scoring(
    rule=ScoreRule.TOKEN_LOGITS, template="qwen3-reranker", true_token="yes", true_token_id=1, false_token="no"
)
OWN = RERANK_TEMPLATES["qwen3-reranker"].instruction
TEI_FIELDS = (
    "model_id",
    "model_sha",
    "model_dtype",
    "model_type",
    "max_concurrent_requests",
    "max_input_length",
    "max_batch_tokens",
    "max_batch_requests",
    "max_client_batch_size",
    "auto_truncate",
    "tokenization_workers",
    "version",
    "sha",
    "docker_label",
)
HEADS = ("modules", "endToken", "tokenHeads", "labels", "scoring", "instruction", "sparse")


async def ask(task: Task, *, inspection: dict[str, Any], **serving: Any) -> dict[str, Any]:
    async with app_under_test(task=task, inspection=inspection, **serving) as runtime:
        info: dict[str, Any] = (await runtime.client.get("/info")).json()
    return {name: info[name] for name in HEADS if name in info}


@pytest.mark.parametrize(
    ("served", "shown"),
    [
        pytest.param(None, OWN, id="the template's own"),
        pytest.param("Find runbooks.", "Find runbooks.", id="one of the spec"),
    ],
)
async def test_a_template_is_named_with_the_instruction_in_force(served: str | None, shown: str) -> None:
    found = await ask(
        Task.RERANKING,
        inspection={"scoring": TEMPLATE, "activation": Activation.SIGMOID},
        activation=Activation.SIGMOID,
        instruction=served,
    )
    assert found.keys() == {"scoring", "instruction"}
    assert (found["scoring"]["template"], found["instruction"]) == ("qwen3-reranker", shown)
    assert (found["scoring"]["trueToken"], found["scoring"]["falseToken"]) == ("yes", "no")


async def test_a_classifier_lists_its_labels() -> None:
    labels = ("anger", "joy")
    found = await ask(Task.CLASSIFICATION, inspection={"labels": labels}, activation=Activation.SOFTMAX)
    assert found == {"labels": list(labels)}


async def test_a_sparse_model_says_how_it_pools_and_how_it_reads_queries() -> None:
    head = SparseHead(pooling=Pooling.MAX, activation="relu", query_weights="query_0/model.safetensors")
    found = await ask(Task.SPARSE, inspection={"sparse": head})
    assert found == {"sparse": {"pooling": "Max", "activation": "relu", "queryWeights": "query_0/model.safetensors"}}


async def test_an_embedder_names_its_further_heads_and_one_without_any_names_none() -> None:
    head = TokenHead(kind=TokenHeadKind.SPARSE, file="sparse_linear.safetensors", output_dimensions=1)
    found = await ask(Task.EMBEDDING, inspection={"token_heads": (head,), "end_token": "</s>"})
    assert found == {"tokenHeads": [head.to_dict()], "endToken": "</s>"}
    assert await ask(Task.EMBEDDING, inspection={}) == {}


async def test_it_says_the_same_in_teis_words() -> None:
    async with app_under_test(serve=settings(max_inputs=32, max_queue_tokens=1000), max_batch_tokens=128) as runtime:
        info = (await runtime.client.get("/info")).json()
    assert {name: info[name] for name in TEI_FIELDS} == {
        "model_id": "acme/words",
        "model_sha": REVISION,
        "model_dtype": "float32",
        "model_type": {"embedding": {"pooling": "mean"}},
        "max_concurrent_requests": 500,
        "max_input_length": 512,
        "max_batch_tokens": 128,
        "max_batch_requests": None,
        "max_client_batch_size": 32,
        "auto_truncate": True,
        "tokenization_workers": info["tokenization_workers"],
        "version": version("embedding-operator"),
        "sha": None,
        "docker_label": None,
    }
    assert info["tokenization_workers"] >= 1


@pytest.mark.parametrize("pooling", Pooling)
async def test_every_pooling_has_a_name_there(pooling: Pooling) -> None:
    async with app_under_test(pooling=pooling) as runtime:
        [(task, said)] = (await runtime.client.get("/info")).json()["model_type"].items()
    assert task == "embedding"
    assert said["pooling"] == re.sub(r"(?<!^)([A-Z])", r"_\1", pooling).lower()


@pytest.mark.parametrize(
    ("task", "found", "said"),
    [
        (
            Task.CLASSIFICATION,
            {"labels": ("anger", "joy")},
            {"classifier": {"id2label": {"0": "anger", "1": "joy"}, "label2id": {"anger": 0, "joy": 1}}},
        ),
        (Task.RERANKING, {}, {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}}),
        (
            Task.SPARSE,
            {"sparse": SparseHead(pooling=Pooling.MAX, activation="relu")},
            {"embedding": {"pooling": "splade"}},
        ),
    ],
)
async def test_the_type_says_what_the_model_is_for(task: Task, found: dict[str, Any], said: dict[str, Any]) -> None:
    async with app_under_test(task=task, inspection=found, activation=Activation.SIGMOID) as runtime:
        assert (await runtime.client.get("/info")).json()["model_type"] == said
