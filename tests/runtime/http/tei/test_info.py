"""/info says what is computed: of each task what stands behind the hidden states, and nothing that it does not have."""

from typing import Any

import pytest
from runtime_under_test import app_under_test

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
