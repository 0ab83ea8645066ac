"""A repository that holds only a pickle: refused, or converted in isolation and then judged by its goldens."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from live_cluster import LiveCluster, is_true
from models_under_test import embedding_model, reference_vectors, vector_golden

TEXT = "Ein Zug fährt durch die Nacht."


@pytest.fixture
def old_weights(minilm_folder: Path, tmp_path: Path) -> Path:
    """An old revision of a repository: only pytorch_model.bin, and not the weights of today's safetensors."""
    import torch
    from safetensors.torch import load_file

    folder = tmp_path / "old"
    shutil.copytree(minilm_folder, folder)
    weights = load_file(folder / "model.safetensors")
    generator = torch.Generator().manual_seed(20)
    for name, tensor in weights.items():
        if tensor.is_floating_point():
            weights[name] = tensor + 0.05 * tensor.std() * torch.randn(tensor.shape, generator=generator)
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def test_a_pickle_is_refused_then_converted_on_request_and_caught_by_its_golden(
    live_cluster: LiveCluster,
    namespace: str,
    push: Callable[..., str],
    minilm_folder: Path,
    old_weights: Path,
    wait_condition: Callable[..., Mapping[str, Any]],
    wait_ready: Callable[..., Mapping[str, Any]],
) -> None:
    repo = f"acme/{uuid4().hex}"
    push(old_weights, repo)
    golden = {"goldens": [vector_golden("zug", text=TEXT, vector=reference_vectors(minilm_folder, texts=[TEXT])[0])]}
    live_cluster.apply(embedding_model("minilm", namespace=namespace, repo=repo, verification=golden))
    refused = wait_condition("Resolved", "False", reason="PickleOnly")
    assert "conversion" in refused["message"]
    assert live_cluster.list("pods", namespace=namespace) == []

    source = {"huggingFace": {"repo": repo}, "conversion": "Isolated"}
    live_cluster.apply(embedding_model("minilm", namespace=namespace, model=source, verification=golden))
    caught = wait_condition("Stalled", "True", reason="GoldenMismatch", seconds=420)
    assert "zug" in caught["message"]
    now = live_cluster.must_get("embeddingmodel", "minilm", namespace=namespace)
    assert is_true(now, "Resolved")
    assert not is_true(now, "Available")

    # The weights as they were meant: the same repository, its pickle now made of today's tensors.
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(minilm_folder / "model.safetensors"), old_weights / "pytorch_model.bin")
    push(old_weights, repo)
    live_cluster.kubectl(
        "annotate", "embeddingmodel", "minilm", "-n", namespace, "embedding-operator.dev/requestedAt=again"
    )
    ready = wait_ready(seconds=420)
    assert ready["status"]["model"]["weights"]["format"] == "safetensors"
