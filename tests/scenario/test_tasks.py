"""Every task has a place in spec and status, and what belongs to another task is refused."""

from dataclasses import replace
from typing import Any

import pytest
from model_samples import golden, hub_spec, inspection, request_token, resolved, verified_by
from simulated_cluster import SimulatedCluster

from embedding_model.resolved import (
    Activation,
    Declared,
    Inspection,
    Pooling,
    ScoreRule,
    Scoring,
    SparseHead,
    Task,
    TokenHead,
    TokenHeadKind,
)
from embedding_operator.kube.gateway import DEPLOYMENT

OTHER = {"pooling": None, "normalize": None, "prompts": ()}
RERANKER = inspection().model_copy(
    update={
        **OTHER,
        "task": Task.RERANKING,
        "architecture": "BertForSequenceClassification",
        "dimensions": None,
        "activation": Activation.SIGMOID,
        "scoring": Scoring(rule=ScoreRule.CLASSIFICATION_HEAD),
    }
)
LANGUAGE_MODEL = inspection().model_copy(update={"architecture": "Qwen3Model", "family": "qwen3"})
TEMPLATED = RERANKER.model_copy(
    update={
        "architecture": "Qwen3ForCausalLM",
        "family": "qwen3",
        "scoring": Scoring(
            rule=ScoreRule.TOKEN_LOGITS,
            template="qwen3-reranker",
            true_token="yes",
            false_token="no",
            true_token_id=2,
            false_token_id=1,
        ),
    }
)
CLASSIFIER = inspection().model_copy(
    update={
        **OTHER,
        "task": Task.CLASSIFICATION,
        "dimensions": None,
        "labels": ("joy", "anger"),
        "activation": Activation.SOFTMAX,
    }
)
SPARSE = inspection().model_copy(
    update={
        **OTHER,
        "task": Task.SPARSE,
        "dimensions": 17,
        "sparse": SparseHead(pooling=Pooling.MAX, activation="relu"),
    }
)
MODELS = {"reranker": RERANKER, "classifier": CLASSIFIER, "sparse": SPARSE}


@pytest.fixture(autouse=True)
def served(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the operator does with a task, whichever families the runtime computes."""
    monkeypatch.setattr("embedding_model.served.SERVED", {family: frozenset(Task) for family in ("bert", "qwen3")})


def offer(cluster: SimulatedCluster, found: Inspection, *, declared: Declared | None = None) -> None:
    """Let the hub's model be this one."""
    cluster.facts.resolutions[request_token(declared=declared)] = replace(resolved(), inspection=found)


@pytest.mark.parametrize("found", MODELS.values(), ids=MODELS)
async def test_a_model_of_every_task_becomes_ready_without_golden_cases(
    cluster: SimulatedCluster, found: Inspection
) -> None:
    offer(cluster, found)
    cluster.create_model(hub_spec())
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.says("Verified") == ("Unknown", "NoGoldens")
    assert cluster.status()["model"]["task"] == found.task


async def test_the_status_says_how_each_task_answers(cluster: SimulatedCluster) -> None:
    told: dict[str, dict[str, Any]] = {}
    for name, found in (MODELS | {"templated": TEMPLATED}).items():
        offer(cluster, found)
        cluster.create_model(hub_spec())
        await cluster.settle()
        told[name] = cluster.status()["model"]
        cluster = SimulatedCluster()
    vectors = {"pooling", "normalize", "dimensions", "prompts"}
    assert not vectors & told["reranker"].keys()
    assert (told["reranker"]["activation"], told["reranker"]["scoring"]) == ("Sigmoid", {"rule": "ClassificationHead"})
    assert told["templated"]["scoring"] == {
        "rule": "TokenLogits",
        "template": "qwen3-reranker",
        "trueToken": "yes",
        "falseToken": "no",
    }
    assert (told["classifier"]["labels"], told["classifier"]["activation"]) == (["joy", "anger"], "Softmax")
    assert not vectors & told["classifier"].keys()
    assert (told["sparse"]["dimensions"], told["sparse"]["sparse"]) == (17, {"pooling": "Max", "activation": "relu"})


async def test_what_the_spec_says_of_scores_is_served_and_shown(cluster: SimulatedCluster) -> None:
    offer(cluster, TEMPLATED)
    cluster.create_model(hub_spec())
    await cluster.settle()
    first = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(reranking={"instruction": "Find a cat.", "activation": "Identity"}))
    await cluster.settle()
    model = cluster.status()["model"]
    assert (model["instruction"], model["activation"]) == ("Find a cat.", "Identity")
    assert cluster.selected_space() != first, "other scores are another space"
    assert cluster.says("Ready") == ("True", "Serving")


async def test_further_poolings_and_heads_of_an_embedder_are_shown(cluster: SimulatedCluster) -> None:
    head = TokenHead(kind=TokenHeadKind.SPARSE, file="sparse_linear.safetensors", output_dimensions=1)
    offer(cluster, inspection().model_copy(update={"token_heads": (head,), "further_poolings": (Pooling.MAX,)}))
    cluster.create_model(hub_spec())
    await cluster.settle()
    model = cluster.status()["model"]
    assert (model["pooling"], model["furtherPoolings"]) == ("Mean", ["Max"])
    assert model["tokenHeads"] == [{"kind": "Sparse", "file": "sparse_linear.safetensors", "outputDimensions": 1}]


@pytest.mark.parametrize(("found", "what"), [(RERANKER, "a reranker"), (CLASSIFIER, "a classifier")])
async def test_golden_vectors_of_a_model_without_vectors_are_refused(
    cluster: SimulatedCluster, found: Inspection, what: str
) -> None:
    offer(cluster, found)
    cluster.create_model(hub_spec(verification=verified_by(golden("paris"))))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "InvalidGolden")
    stalled = cluster.condition("Stalled")
    assert stalled is not None
    assert f'golden case "paris" expects a vector, but this model is {what}' in stalled["message"]
    cluster.edit_spec(lambda spec: spec.update(verification=verified_by()))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


@pytest.mark.parametrize(
    ("found", "spec", "field"),
    [
        (RERANKER, {"embedding": {"pooling": "Cls"}}, "embedding.pooling"),
        (RERANKER, {"reranking": {"instruction": "Find it."}}, "reranking.instruction"),
        (CLASSIFIER, {"reranking": {"activation": "Sigmoid"}}, "reranking.activation"),
        (SPARSE, {"embedding": {"dimensions": 8}}, "embedding.dimensions"),
        (inspection(), {"reranking": {"activation": "Identity"}}, "reranking.activation"),
        (inspection(), {"runtime": {"quantization": "Int8"}}, "runtime.quantization"),
        (RERANKER, {"runtime": {"quantization": "Int4"}}, "runtime.quantization"),
        (
            inspection().model_copy(update={"avoid_dtypes": ("float16",)}),
            {"runtime": {"dtype": "Float16"}},
            "runtime.dtype",
        ),
    ],
)
async def test_what_the_model_has_no_use_for_is_refused_before_any_pod(
    cluster: SimulatedCluster, found: Inspection, spec: dict[str, Any], field: str
) -> None:
    offer(cluster, found, declared=Declared(pooling=spec.get("embedding", {}).get("pooling")))
    cluster.create_model(hub_spec(**spec))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "InvalidOverride")
    stalled = cluster.condition("Stalled")
    assert stalled is not None
    assert stalled["message"].startswith(f"{field} is ")
    assert not cluster.all(DEPLOYMENT)


async def test_a_change_of_dtype_rolls_the_pods_in_place(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    space = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(runtime={"dtype": "BFloat16"}))
    await cluster.settle()
    assert cluster.selected_space() == space
    [deployment] = cluster.all(DEPLOYMENT)
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments[arguments.index("--dtype") + 1] == "bfloat16"
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_quantised_model_is_another_space_behind_a_deployment_of_its_own(cluster: SimulatedCluster) -> None:
    offer(cluster, LANGUAGE_MODEL)
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    exact = cluster.selected_space()
    assert "quantization" not in cluster.status()["pods"]
    cluster.edit_spec(lambda spec: spec.update(runtime={"quantization": "Int4"}))
    await cluster.settle()
    assert cluster.selected_space() != exact
    assert cluster.replicas() == {exact: 0, cluster.selected_space(): 1}
    assert cluster.status()["model"]["quantization"] == "Int4"
    assert cluster.status()["pods"]["quantization"] == "Int4", "what the pods say of themselves"
    [said] = [item for item in cluster.status()["model"]["evidence"] if item["field"] == "quantization"]
    assert (said["file"], said["key"]) == ("spec", "runtime.quantization")
    assert "near those of the model, not equal" in said["note"]


async def test_what_exact_pods_said_of_themselves_is_not_said_of_quantised_ones(cluster: SimulatedCluster) -> None:
    offer(cluster, LANGUAGE_MODEL)
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    assert cluster.status()["pods"]["dtype"] == "float32"
    cluster.tells_reports = False
    cluster.edit_spec(lambda spec: spec.update(runtime={"quantization": "Int4"}, verification=verified_by()))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.status()["pods"] == {"runtimeImage": "runtime:1"}, "the new pods have said nothing yet"
