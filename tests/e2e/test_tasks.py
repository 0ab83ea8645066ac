"""A model for each task comes to Ready through the operator and answers through its Service as its reference does."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import seeded_models
from golden_samples import label_goldens, score_goldens, sparse_goldens
from live_cluster import LiveCluster
from models_under_test import RESOURCES, Served, cosine, vector_golden
from parity import SCORE_TOLERANCE, load_reference
from seeded_models.references import classify, rerank
from sentence_modules import save_with_modules
from sparse_models import build_splade, encode_by_reference, load_sparse_reference

from embedding_model.inspection.families.heads import Head

TEXTS = (
    "What is the capital of France?",
    "Paris is the capital of France.",
    "the quick brown fox jumps over the lazy dog near the river",
    "weather",
)
QUERY, *DOCUMENTS = TEXTS
Serve = Callable[..., Served]


def goldens(vectors: np.ndarray) -> list[Mapping[str, Any]]:
    pairs = zip(TEXTS, vectors, strict=True)
    return [vector_golden(f"text-{number}", text=text, vector=vector) for number, (text, vector) in enumerate(pairs)]


def test_a_language_model_with_a_dense_layer_embeds_behind_goldens_of_the_reference(
    serve_folder: Serve, tmp_path: Path
) -> None:
    body = seeded_models.build(tmp_path / "body", family="qwen3", pooling="lasttoken")
    folder = save_with_modules(
        tmp_path / "model",
        body=body,
        build=lambda library, width: [
            library.Pooling(width, pooling_mode="lasttoken"),
            library.Dense(in_features=width, out_features=48),
            library.Normalize(),
        ],
    )
    expected = load_reference(folder).encode(list(TEXTS), show_progress_bar=False)

    served = serve_folder(
        folder, "decoder", verification={"goldens": goldens(expected), "minCosineSimilarity": "0.9999"}
    )

    assert min(map(cosine, served.embed(TEXTS), expected)) >= 0.9999
    told = served.status["model"]
    assert (told["task"], told["pooling"], told["dimensions"]) == ("Embedding", "LastToken", 48)
    assert told["endToken"] == "<|endoftext|>"
    assert served.status["verification"]["passed"] == len(TEXTS)


def test_a_cross_encoder_reranks_and_is_verified_by_scores_that_are_written_later(
    serve_folder: Serve,
    apply_model: Callable[..., Any],
    wait_condition: Callable[..., Mapping[str, Any]],
    tmp_path: Path,
    live_cluster: LiveCluster,
    namespace: str,
) -> None:
    folder = seeded_models.build(tmp_path / "model", family="xlm-roberta", head=Head.SEQUENCE_CLASSIFICATION)

    served = serve_folder(folder, "reranker")
    expected = rerank(folder, QUERY, documents=DOCUMENTS)

    answer = served.ask("/rerank", query=QUERY, texts=list(DOCUMENTS))
    scores = np.array([row["score"] for row in sorted(answer, key=lambda row: row["index"])])
    np.testing.assert_allclose(scores, expected, atol=SCORE_TOLERANCE)
    assert [row["index"] for row in answer] == list(np.argsort(-scores, kind="stable"))
    assert served.status["model"]["scoring"]["rule"] == "ClassificationHead"
    assert not {"dimensions", "pooling", "normalize"} & served.status["model"].keys()
    _, row = live_cluster.kubectl("get", "em", "-n", namespace).strip().splitlines()
    assert row.split()[:2] == ["reranker", "Reranking"]
    assert "Unknown" in row.split(), "without golden cases nothing is verified"
    refusal = httpx.post(f"{served.url}/v1/embeddings", json={"model": "reranker", "input": "text"}, timeout=30)
    assert refusal.status_code == 400
    assert "ask POST /rerank" in refusal.text

    wrong = score_goldens(QUERY, documents=DOCUMENTS, scores=expected + 0.01)
    source = {"model": {"huggingFace": {"repo": "acme/reranker"}}}
    apply_model("reranker", **source, verification={"goldens": wrong})
    refused = wait_condition("Verified", "False", name="reranker", reason="GoldenMismatch")
    assert 'golden case "document-0" failed' in refused["message"]
    assert not any(text in refused["message"] for text in TEXTS)
    apply_model(
        "reranker",
        **source,
        verification={"goldens": score_goldens(QUERY, documents=DOCUMENTS, scores=expected)},
    )
    wait_condition("Verified", "True", name="reranker", reason="GoldensPassed", seconds=240)


def test_a_classifier_names_labels_behind_golden_labels(serve_folder: Serve, tmp_path: Path) -> None:
    labels = ("anger", "joy", "sadness")
    folder = seeded_models.build(
        tmp_path / "model",
        family="distilbert",
        head=Head.SEQUENCE_CLASSIFICATION,
        labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )

    expected = classify(folder, TEXTS)

    served = serve_folder(
        folder, "classifier", verification={"goldens": label_goldens(TEXTS, labels=labels, scores=expected)}
    )

    assert served.status["verification"]["passed"] == len(TEXTS)
    for row, answer in zip(expected, served.ask("/predict", inputs=[[text] for text in TEXTS]), strict=True):
        scores = {item["label"]: item["score"] for item in answer}
        np.testing.assert_allclose([scores[label] for label in labels], row, atol=SCORE_TOLERANCE)
    assert served.status["model"]["labels"] == list(labels)


def test_a_sparse_model_weighs_tokens_behind_golden_terms(serve_folder: Serve, tmp_path: Path) -> None:
    folder = build_splade(tmp_path / "model")

    expected = encode_by_reference(load_sparse_reference(folder), TEXTS)

    served = serve_folder(
        folder, "splade", verification={"goldens": sparse_goldens(TEXTS, weights=expected, folder=folder)}
    )

    assert served.status["verification"]["passed"] == len(TEXTS)
    found = np.zeros_like(expected)
    for row, answer in zip(found, served.ask("/embed_sparse", inputs=list(TEXTS)), strict=True):
        for item in answer:
            row[item["index"]] = item["value"]
    np.testing.assert_allclose(found, expected, atol=SCORE_TOLERANCE)
    told = served.status["model"]
    assert (told["dimensions"], told["sparse"]["pooling"]) == (expected.shape[1], "Max")


# Seeded weights have no structure that rounding could leave intact: real ones are nearer.
@pytest.mark.parametrize(
    ("quantization", "near_enough"), [("Int4", "0.9"), pytest.param("Int8", "0.999", marks=pytest.mark.soak)]
)
def test_a_quantised_model_serves_as_near_to_the_unquantised_one_as_the_user_asks_for(
    serve_folder: Serve,
    apply_model: Callable[..., Any],
    live_cluster: LiveCluster,
    namespace: str,
    wait_condition: Callable[..., Mapping[str, Any]],
    wait_ready: Callable[..., Mapping[str, Any]],
    tmp_path: Path,
    quantization: str,
    near_enough: str,
) -> None:
    folder = seeded_models.build(
        tmp_path / "model", family="qwen3", pooling="lasttoken", spread=0.1, hidden_size=128, intermediate_size=128
    )
    exact = serve_folder(folder, "quantised")
    vectors = exact.embed(TEXTS)
    asked: dict[str, Any] = {
        "model": {"huggingFace": {"repo": "acme/quantised"}},
        "runtime": {"quantization": quantization},
    }

    apply_model("quantised", **asked, verification={"goldens": goldens(vectors), "minCosineSimilarity": "1.0"})
    stalled = wait_condition("Stalled", "True", name="quantised", reason="GoldenMismatch", seconds=240)
    assert "threshold 1.0" in stalled["message"]
    assert "cosine similarity 0.9" in stalled["message"], "how near it is, to choose a threshold by"
    np.testing.assert_array_equal(exact.embed(TEXTS), vectors, err_msg="the exact model serves on")

    apply_model("quantised", **asked, verification={"goldens": goldens(vectors), "minCosineSimilarity": near_enough})
    wait_ready("quantised")
    settled = live_cluster.wait_until_settled("quantised", namespace=namespace)
    served = Served(model=settled, url=exact.url)
    assert served.status["pods"]["quantization"] == served.status["model"]["quantization"] == quantization
    assert served.status["space"]["fingerprint"] != exact.status["space"]["fingerprint"]
    assert served.status["verification"]["passed"] == len(TEXTS)
    live_cluster.wait_for("answers of the quantised model", served.answers_in_its_space, seconds=60)
    found = served.embed(TEXTS)
    nearest = [cosine(one, other) for one, other in zip(found, vectors, strict=True)]
    assert float(near_enough) <= min(nearest) < 1
    assert abs(float(served.status["verification"]["worstCosine"]) - min(nearest)) < 1e-3
    info = httpx.get(f"{served.url}/info", timeout=30).json()
    assert info["serving"]["quantization"] == quantization


def test_half_precision_is_the_same_space_rolled_in_place(
    serve_folder: Serve,
    apply_model: Callable[..., Any],
    wait_ready: Callable[..., Mapping[str, Any]],
    live_cluster: LiveCluster,
    namespace: str,
    tmp_path: Path,
) -> None:
    folder = seeded_models.build(tmp_path / "model", family="bert", spread=0.1)
    full = serve_folder(folder, "half")
    vectors = full.embed(TEXTS)

    apply_model(
        "half",
        model={"huggingFace": {"repo": "acme/half"}},
        runtime={"dtype": "BFloat16"},
        verification={"goldens": goldens(vectors)},
        resources=RESOURCES,
    )
    wait_ready("half")

    def runs_in_half() -> Mapping[str, Any] | None:
        found = live_cluster.must_get("embeddingmodel", "half", namespace=namespace)
        return found if found["status"].get("pods", {}).get("dtype") == "bfloat16" else None

    rolled = live_cluster.wait_for("the pods run in bfloat16", runs_in_half)
    assert rolled["status"]["space"] == full.status["space"]
    assert len(live_cluster.list("deployments", namespace=namespace)) == 1
