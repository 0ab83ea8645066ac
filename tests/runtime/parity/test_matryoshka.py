"""Vectors that are cut: by request and by spec, against sentence-transformers and the formulas of the models' cards."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from loaded_model import Loaded
from parity import TEXTS, Array, assert_embedder_equals, cosines, load_reference
from seeded_models import build
from sentence_modules import vary
from torch.nn import functional

from embedding_model.resolved import Pooling, Serving, Task
from embedding_model.serving import Overrides
from embedding_runtime.core.vectors import finish

WIDTH = 64
NOMIC = {"config.json": {"_name_or_path": "nomic-ai/nomic-embed-text-v1.5"}}


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("body") / "model", family="bert", pooling="mean", normalize=True)


@pytest.fixture(scope="module")
def raw_body(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("raw") / "model", family="bert", pooling="cls", normalize=False)


@pytest.fixture(scope="module")
def pooled(raw_body: Path) -> Array:
    """What the reference pools, float32 [texts, WIDTH]."""
    return np.asarray(load_reference(raw_body).encode(list(TEXTS), show_progress_bar=False))


@pytest.mark.parametrize("dimensions", [1, 17, 32, WIDTH])
def test_a_cut_vector_is_normalised_again(dimensions: int, body: Path) -> None:
    """The library cuts behind its Normalize module and leaves the rest short; asked to normalise, it does so again."""
    expected = load_reference(body).encode(
        list(TEXTS), truncate_dim=dimensions, normalize_embeddings=True, show_progress_bar=False
    )
    by_request = assert_embedder_equals(body, expected=expected, dimensions=dimensions)
    by_spec = Loaded(body, overrides=Overrides(dimensions=dimensions))
    np.testing.assert_array_equal(by_spec.encode(TEXTS), by_request.encode(TEXTS, dimensions=dimensions))
    assert by_spec.serving.model_dimensions == WIDTH


def test_a_request_may_ask_for_more_than_the_spec_serves(body: Path) -> None:
    short, whole = Loaded(body, overrides=Overrides(dimensions=8)), Loaded(body)
    np.testing.assert_array_equal(short.encode(TEXTS, dimensions=WIDTH), whole.encode(TEXTS))


@pytest.mark.parametrize("dimensions", [8, 40])
def test_a_model_that_does_not_normalise_is_cut_as_it_is(dimensions: int, raw_body: Path, pooled: Array) -> None:
    assert_embedder_equals(raw_body, expected=pooled[:, :dimensions], dimensions=dimensions)


def norm_cut_normalise(pooled: Array, *, dimensions: int) -> Array:
    """nomic-embed-text-v1.5's card: F.layer_norm over the whole vector, [:, :dimensions], F.normalize."""
    vectors = functional.layer_norm(torch.tensor(pooled), normalized_shape=(pooled.shape[1],))
    return functional.normalize(vectors[:, :dimensions], p=2, dim=1).numpy()


@pytest.mark.parametrize("dimensions", [8, 40, WIDTH - 1])
def test_a_model_trained_with_a_layer_norm_before_the_cut_gets_it(
    dimensions: int, raw_body: Path, pooled: Array, tmp_path: Path
) -> None:
    folder = vary(tmp_path / "model", body=raw_body, changes=NOMIC)
    overrides = Overrides(normalize=True)
    expected = norm_cut_normalise(pooled, dimensions=dimensions)
    model = assert_embedder_equals(folder, expected=expected, dimensions=dimensions, overrides=overrides)
    assert model.serving.layer_norm_before_cut
    without = functional.normalize(torch.tensor(pooled[:, :dimensions]), dim=1).numpy()
    assert cosines(without, expected).min() < 0.999, "the layer norm must matter, or this shows nothing"


def test_its_whole_vectors_are_those_of_sentence_transformers(raw_body: Path, pooled: Array, tmp_path: Path) -> None:
    folder = vary(tmp_path / "model", body=raw_body, changes=NOMIC)
    for dimensions in (None, WIDTH):
        assert_embedder_equals(folder, expected=pooled, dimensions=dimensions)


def serve(*, layer_norm: bool = False, normalize: bool = True) -> Serving:
    return Serving(
        task=Task.EMBEDDING,
        pooling=Pooling.MEAN,
        normalize=normalize,
        dimensions=12,
        model_dimensions=12,
        layer_norm_before_cut=layer_norm,
        max_input_tokens=8,
        lowercase=False,
    )


VECTORS = arrays.arrays(np.float32, (3, 12), elements=st.floats(-1000, 1000, width=32))


@settings(max_examples=200)
@given(vectors=VECTORS, dimensions=st.integers(1, 12), layer_norm=st.booleans(), normalize=st.booleans())
def test_any_vector_is_finished_as_torchs_own_functions_finish_it(
    vectors: Array, dimensions: int, layer_norm: bool, normalize: bool
) -> None:
    expected = torch.tensor(vectors).double()
    if layer_norm and dimensions < 12:
        expected = functional.layer_norm(expected, (12,))
    expected = expected[:, :dimensions]
    if normalize:
        expected = functional.normalize(expected, dim=1)

    served = finish(vectors, serving=serve(layer_norm=layer_norm, normalize=normalize), dimensions=dimensions)
    asked = finish(
        vectors,
        serving=serve(layer_norm=layer_norm, normalize=not normalize),
        dimensions=dimensions,
        normalize=normalize,
    )

    np.testing.assert_allclose(served, expected.numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(asked, served)
    assert served.dtype == np.float32


def _normalise_before_the_cut(vectors: Array, *, dimensions: int) -> Array:
    return functional.normalize(functional.layer_norm(torch.tensor(vectors), (WIDTH,)), dim=1).numpy()[:, :dimensions]


def _layer_norm_behind_the_cut(vectors: Array, *, dimensions: int) -> Array:
    cut = functional.layer_norm(torch.tensor(vectors[:, :dimensions]), (dimensions,))
    return functional.normalize(cut, dim=1).numpy()


@pytest.mark.parametrize("mistake", [_normalise_before_the_cut, _layer_norm_behind_the_cut], ids=lambda f: f.__name__)
def test_a_wrong_order_does_not_pass(
    mistake: object, raw_body: Path, pooled: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finish_wrongly(vectors: Array, *, serving: Serving, dimensions: int) -> Array:
        return mistake(vectors, dimensions=dimensions)  # type: ignore[operator]

    monkeypatch.setattr("parity.finish", finish_wrongly)
    folder = vary(tmp_path / "model", body=raw_body, changes=NOMIC)
    with pytest.raises(AssertionError, match=r"cosine|lengths"):
        assert_embedder_equals(
            folder,
            expected=norm_cut_normalise(pooled, dimensions=8),
            dimensions=8,
            overrides=Overrides(normalize=True),
        )
