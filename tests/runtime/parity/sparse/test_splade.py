"""SPLADE against sentence-transformers' SparseEncoder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from loaded_model import Loaded
from parity import TEXTS, assert_outputs_equal
from sparse_models import build_splade, encode_by_reference, load_sparse_reference, spread

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Declared, Task
from embedding_model.served import SERVED
from embedding_runtime.architectures.network import Network, head_of, load_network
from embedding_runtime.architectures.sparse_encoder import SparseEncoder
from embedding_runtime.core.inputs import Text
from embedding_runtime.core.jobs import Output
from embedding_runtime.files import read_files
from embedding_runtime.served_model import resolve_folder
from embedding_runtime.settings import Dtype

TOLERANCE = 1e-4


def assert_equals_reference(
    folder: Path, texts: Sequence[str], *, prompt: str = "", declared: Declared | None = None
) -> np.ndarray:
    """In every arrangement of a batch. Returns what the reference answers."""
    expected = encode_by_reference(load_sparse_reference(folder), texts, **({"prompt": prompt} if prompt else {}))

    def to_rows(_: Loaded, outputs: Sequence[Output]) -> np.ndarray:
        return spread(outputs, size=expected.shape[1])

    assert 0 < (expected > 0).mean() < 0.99, "some tokens must count and others not"
    assert_outputs_equal(
        Loaded(folder, declared=declared),
        [Text(text, prompt=prompt) for text in texts],
        expected=expected,
        score=to_rows,
        tolerance=TOLERANCE,
    )
    return expected


@pytest.mark.parametrize("family", sorted(family for family, tasks in SERVED.items() if Task.SPARSE in tasks))
def test_every_family_equals_the_reference(family: str, tmp_path: Path) -> None:
    assert_equals_reference(build_splade(tmp_path, family=family), TEXTS)


def test_a_real_model_equals_the_reference_and_finds_words_that_the_text_has_not(splade_folder: Path) -> None:
    declared = Declared(task=Task.SPARSE)
    question = "what is the capital of france"

    assert_equals_reference(splade_folder, [question, *TEXTS], declared=declared)

    model = Loaded(splade_folder, declared=declared)
    [output] = model.compute([Text(question)])
    assert output.sparse is not None
    [paris] = model.tokens("paris")
    assert paris.ids[1] in output.sparse.indices, "a word that the text does not hold"


def test_a_real_model_in_bfloat16_stays_close_to_the_reference(splade_folder: Path) -> None:
    expected = encode_by_reference(load_sparse_reference(splade_folder), TEXTS)

    model = Loaded(splade_folder, declared=Declared(task=Task.SPARSE), dtype=Dtype.BFLOAT16)
    found = spread(model.compute([Text(text) for text in TEXTS]), size=expected.shape[1])

    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    assert ((found * expected).sum(axis=1) / norms).min() >= 0.999


def test_the_second_logarithm_is_taken_where_the_model_says_so(tmp_path: Path) -> None:
    once = assert_equals_reference(build_splade(tmp_path / "once"), TEXTS)
    twice = assert_equals_reference(build_splade(tmp_path / "twice", activation="log1p_relu"), TEXTS)

    np.testing.assert_allclose(twice, np.log1p(once), atol=1e-5)


def test_a_prompt_counts_like_the_text(tmp_path: Path) -> None:
    folder = build_splade(tmp_path, prompts={"query": "find the answer: "})

    with_prompt = assert_equals_reference(folder, TEXTS, prompt="find the answer: ")

    assert np.abs(with_prompt - encode_by_reference(load_sparse_reference(folder), TEXTS)).max() > 0.1


def test_a_text_that_is_too_long_is_cut_as_the_reference_cuts_it(tmp_path: Path) -> None:
    folder = build_splade(tmp_path, max_length=12)
    long = "the quick brown fox jumps over the lazy dog near the river"

    assert_equals_reference(folder, [long, "the river"])

    [tokens] = Loaded(folder).tokenizer.encode([Text(long)])
    assert (len(tokens.ids), tokens.truncated) == (12, True)


@pytest.mark.parametrize("logit_bytes", [1, 4000, 20_000, 1_000_000], ids=str)
def test_the_size_of_the_pieces_changes_nothing(logit_bytes: int, tmp_path: Path) -> None:
    folder = build_splade(tmp_path)
    model, encoder = Loaded(folder), _encoder(folder, logit_bytes=logit_bytes)
    batch = model.tokenizer.encode([Text(text) for text in TEXTS])
    size = model.serving.dimensions
    assert size is not None

    found = spread(encoder.compute(batch), size=size)

    np.testing.assert_allclose(found, spread(model.backend.compute(batch), size=size), atol=TOLERANCE)


def test_logits_never_take_more_memory_than_they_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = build_splade(tmp_path)
    encoder = _encoder(folder, logit_bytes=20_000)
    batch = Loaded(folder).tokenizer.encode([Text(text) for text in TEXTS * 3])
    sizes: list[int] = []
    largest = torch.Tensor.amax

    def record(logits: torch.Tensor, dim: int) -> torch.Tensor:
        sizes.append(logits.numel() * logits.element_size())
        return largest(logits, dim=dim)

    monkeypatch.setattr(torch.Tensor, "amax", record)

    encoder.compute(batch)

    assert len(sizes) > 10
    assert max(sizes) <= 20_000


def test_a_broken_weight_shows_in_the_vector_and_is_not_left_out(tmp_path: Path) -> None:
    folder = build_splade(tmp_path)
    network = _network(folder)
    network.module.get_parameter("cls.predictions.bias").data[7] = float("nan")

    [output] = SparseEncoder(network, activation="relu").compute(Loaded(folder).tokenizer.encode([Text("the river")]))

    assert output.sparse is not None
    assert np.isnan(output.sparse.values[output.sparse.indices.tolist().index(7)])


def test_pooling_by_the_sum_is_refused(tmp_path: Path) -> None:
    folder = build_splade(tmp_path)
    path = folder / "1_SpladePooling" / "config.json"
    path.write_text(path.read_text().replace('"max"', '"sum"'))

    with pytest.raises(Refusal, match="sum") as refused:
        Loaded(folder)
    assert refused.value.reason is Reason.UNSUPPORTED_ARCHITECTURE


def _encoder(folder: Path, *, logit_bytes: int) -> SparseEncoder:
    return SparseEncoder(_network(folder), activation="relu", logit_bytes=logit_bytes)


def _network(folder: Path) -> Network:
    resolved = resolve_folder(folder)
    return load_network(
        read_files(folder, manifest=resolved.manifest, threads=1),
        inspection=resolved.inspection,
        head=head_of(resolved.inspection),
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
