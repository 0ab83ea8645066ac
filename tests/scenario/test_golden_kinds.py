"""Golden cases of every kind gate the models of their task, and a case that its model cannot answer gates nothing."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from model_samples import hub_spec, inspection, request_token, resolved, verified_by
from simulated_cluster import KEY, SimulatedCluster

from embedding_model.resolved import (
    Activation,
    Pooling,
    Prompt,
    ScoreRule,
    Scoring,
    SparseHead,
    Task,
    TokenHead,
    TokenHeadKind,
)

OTHER = {"pooling": None, "normalize": None, "prompts": (), "dimensions": None}
FOUND: dict[Task, dict[str, Any]] = {
    Task.RERANKING: {
        **OTHER,
        "architecture": "BertForSequenceClassification",
        "activation": Activation.SIGMOID,
        "scoring": Scoring(rule=ScoreRule.CLASSIFICATION_HEAD),
    },
    Task.CLASSIFICATION: {**OTHER, "labels": ("joy", "anger"), "activation": Activation.SOFTMAX},
    Task.SPARSE: {
        **OTHER,
        "architecture": "BertForMaskedLM",
        "dimensions": 30522,
        "sparse": SparseHead(pooling=Pooling.MAX, activation="log1p_relu"),
    },
}
RANKING = {
    "name": "order",
    "ranking": {"query": "SECRET", "documents": ["SECRET", "B"], "order": [1, 0], "minGap": "0.1"},
}
SCORE = {"name": "score", "score": {"query": "SECRET", "document": "B", "expected": "0.9", "tolerance": "0.01"}}
LABEL = {"name": "mood", "label": {"input": "SECRET", "label": "joy", "expected": "0.9", "tolerance": "0.01"}}
SPARSE = {"name": "terms", "sparse": {"input": "SECRET", "terms": [{"term": "b", "weight": "1"}], "tolerance": "0.1"}}
CASES = {Task.RERANKING: (RANKING, SCORE), Task.CLASSIFICATION: (LABEL,), Task.SPARSE: (SPARSE,)}


@pytest.fixture(autouse=True)
def served(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the operator does with a task, whichever families the runtime computes."""
    monkeypatch.setattr("embedding_model.served.SERVED", {"bert": frozenset(Task)})


def offer(cluster: SimulatedCluster, task: Task) -> None:
    """Let the hub's model be one of this task."""
    found = inspection().model_copy(update={**FOUND[task], "task": task})
    cluster.facts.resolutions[request_token()] = replace(resolved(), inspection=found)


@pytest.mark.parametrize("task", CASES)
async def test_golden_cases_of_a_task_are_mounted_answered_and_counted(cluster: SimulatedCluster, task: Task) -> None:
    offer(cluster, task)
    cluster.create_model(hub_spec(verification=verified_by(*CASES[task])))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.says("Verified") == ("True", "GoldensPassed")
    verification = cluster.status()["verification"]
    assert (verification["passed"], verification["total"]) == (len(CASES[task]), len(CASES[task]))
    assert "worstCosine" not in verification, "there is no cosine to tell"


@pytest.mark.parametrize("task", CASES)
async def test_a_pod_that_fails_a_case_of_its_task_gets_no_traffic(cluster: SimulatedCluster, task: Task) -> None:
    offer(cluster, task)
    failing = CASES[task][0]["name"]
    cluster.wrong = {failing}
    cluster.create_model(hub_spec(verification=verified_by(*CASES[task])))
    await cluster.settle()
    assert cluster.says("Verified") == ("False", "GoldenMismatch")
    told = cluster.condition("Verified")
    assert told is not None
    assert told["message"].startswith(f'golden case "{failing}" failed: measured 0.913000, threshold ')
    assert "SECRET" not in told["message"]


async def test_a_label_that_the_classifier_does_not_have_is_refused_before_a_pod_starts(
    cluster: SimulatedCluster,
) -> None:
    offer(cluster, Task.CLASSIFICATION)
    case = {"name": "mood", "label": {"input": "SECRET", "label": "SECRET"}}
    cluster.create_model(hub_spec(verification=verified_by(case)))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "InvalidGolden")
    told = cluster.condition("Stalled")
    assert told is not None
    assert 'a label that the model does not have: its labels are "joy", "anger"' in told["message"]
    assert "SECRET" not in told["message"]
    assert not cluster.pods()


async def test_a_score_case_that_every_answer_passes_is_refused_before_a_pod_starts(cluster: SimulatedCluster) -> None:
    offer(cluster, Task.RERANKING)
    case = {"name": "score", "score": {"query": "SECRET", "document": "B", "expected": "0.5", "tolerance": "0.5"}}
    cluster.create_model(hub_spec(verification=verified_by(case)))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "InvalidGolden")
    assert "the activation Sigmoid go from 0 to 1" in str(cluster.condition("Stalled"))
    assert not cluster.pods()


QUERY = {**SPARSE, "name": "asked", "prompt": "query"}


def offer_table(cluster: SimulatedCluster, *, prompts: Sequence[Prompt] = ()) -> None:
    """Let the hub's model be a sparse one with a table of weights for queries."""
    head = SparseHead(pooling=Pooling.MAX, activation="log1p_relu", query_weights="query/model.safetensors")
    found = inspection().model_copy(
        update={**FOUND[Task.SPARSE], "task": Task.SPARSE, "sparse": head, "prompts": tuple(prompts)}
    )
    cluster.facts.resolutions[request_token()] = replace(resolved(), inspection=found)


@pytest.mark.parametrize("prompts", [(), (Prompt(name="query", text="find: "),)], ids=["no prompt", "one"])
@pytest.mark.parametrize("is_inline", [True, False])
async def test_a_sparse_case_may_ask_for_a_query_that_a_table_weights(
    cluster: SimulatedCluster, is_inline: bool, prompts: Sequence[Prompt]
) -> None:
    offer_table(cluster, prompts=prompts)
    cluster.create_model(hub_spec(verification=write_sparse_case(cluster, QUERY, is_inline=is_inline)))
    await cluster.settle()
    assert cluster.says("Verified") == ("True", "GoldensPassed"), cluster.condition("Verified")


@pytest.mark.parametrize(
    ("has_table", "prompt", "says"),
    [
        (False, "query", "the model has no prompts: leave it out"),
        (True, "SECRET", 'its prompts are "query"'),
    ],
)
async def test_a_prompt_that_neither_the_model_nor_a_table_answers_is_refused(
    cluster: SimulatedCluster, has_table: bool, prompt: str, says: str
) -> None:
    if has_table:
        offer_table(cluster)
    else:
        offer(cluster, Task.SPARSE)
    cluster.create_model(hub_spec(verification=verified_by({**QUERY, "prompt": prompt})))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "InvalidGolden")
    told = cluster.condition("Stalled")
    assert told is not None
    assert says in told["message"]
    assert "SECRET" not in told["message"]


def offer_heads(cluster: SimulatedCluster, *kinds: TokenHeadKind) -> None:
    """Let the hub's model be an embedder with these further heads."""
    heads = tuple(TokenHead(kind=kind, file=f"{kind}.safetensors", output_dimensions=1) for kind in kinds)
    found = inspection().model_copy(update={"token_heads": heads})
    cluster.facts.resolutions[request_token()] = replace(resolved(), inspection=found)


def write_sparse_case(cluster: SimulatedCluster, case: dict[str, Any] = SPARSE, *, is_inline: bool) -> dict[str, Any]:
    """The part `verification` of a spec with one sparse case, inline or in a ConfigMap."""
    if is_inline:
        return verified_by(case)
    data = {"goldens.jsonl": orjson.dumps(case).decode()}
    metadata = {"namespace": KEY.namespace, "name": "mine"}
    cluster.gateway.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    return {**verified_by(), "goldensConfigMapRef": {"name": "mine"}}


@pytest.mark.parametrize("is_wrong", [False, True])
@pytest.mark.parametrize("is_inline", [True, False])
async def test_a_sparse_case_gates_an_embedder_with_a_sparse_head(
    cluster: SimulatedCluster, is_inline: bool, is_wrong: bool
) -> None:
    offer_heads(cluster, TokenHeadKind.SPARSE, TokenHeadKind.MULTI_VECTOR)
    cluster.wrong = {"terms"} if is_wrong else set()
    cluster.create_model(hub_spec(verification=write_sparse_case(cluster, is_inline=is_inline)))
    await cluster.settle()
    assert cluster.says("Verified") == (("False", "GoldenMismatch") if is_wrong else ("True", "GoldensPassed"))


@pytest.mark.parametrize("is_inline", [True, False])
async def test_a_sparse_case_of_an_embedder_without_the_head_is_refused(
    cluster: SimulatedCluster, is_inline: bool
) -> None:
    offer_heads(cluster, TokenHeadKind.MULTI_VECTOR)
    cluster.create_model(hub_spec(verification=write_sparse_case(cluster, is_inline=is_inline)))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "InvalidGolden")
    told = cluster.condition("Stalled")
    assert told is not None
    assert "this embedding model has no sparse head" in told["message"]
    assert not cluster.pods()
