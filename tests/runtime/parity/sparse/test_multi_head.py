"""bge-m3's three answers from one forward pass against FlagEmbedding's rules."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loaded_model import Loaded
from multi_head_models import build_multi_head, compute_by_rule, make_layers
from parity import TEXTS, arranged
from safetensors.torch import save_file

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import TokenHeadKind
from embedding_runtime.architectures.multi_head import gather_weights
from embedding_runtime.core.inputs import Text
from embedding_runtime.core.jobs import DENSE, Output, Part
from embedding_runtime.settings import Dtype

EVERYTHING = frozenset({Part.DENSE, Part.SPARSE, Part.TOKEN_VECTORS})


def flatten(outputs: Sequence[Output]) -> np.ndarray:
    """Sparse vectors and token vectors one after another, with their indices and sizes, as one row."""
    parts = []
    for output in outputs:
        assert output.dense is not None
        assert output.sparse is not None
        assert output.token_vectors is not None
        dense = output.dense / np.linalg.norm(output.dense)
        parts += [dense, output.sparse.indices, output.sparse.values, output.token_vectors.ravel()]
    return np.concatenate(parts)


def test_all_three_answers_follow_the_rules_in_every_arrangement(tmp_path: Path) -> None:
    folder = build_multi_head(tmp_path)
    model = Loaded(folder)
    expected = []
    rules = compute_by_rule(folder, TEXTS)
    kinds = sum(len(set(tokens.ids) - {0, 1, 2, 3}) for tokens in model.tokens(*TEXTS))
    weighted = sum(len(rule.weights) for rule in rules)
    assert 0 < weighted < kinds, "some tokens have a weight and others none"
    for rule in rules:
        indices = sorted(rule.weights)
        expected += [rule.dense, np.array(indices), np.array([rule.weights[id_] for id_ in indices])]
        expected.append(rule.vectors.ravel())
    wanted = np.concatenate(expected)
    counts = [len(indices) for indices in expected[1::4]]
    assert 0 < sum(counts) < sum(len(set(tokens.ids)) for tokens in model.tokens(*TEXTS)), "some tokens, and not all"

    for arrangement, found in arranged(model, [Text(text, wants=EVERYTHING) for text in TEXTS], finish=flatten):
        np.testing.assert_allclose(found, wanted, atol=1e-4, err_msg=arrangement)


def test_vectors_in_bfloat16_stay_close_to_the_rules(tmp_path: Path) -> None:
    folder = build_multi_head(tmp_path)
    model = Loaded(folder, dtype=Dtype.BFLOAT16)
    outputs = model.compute([Text(text, wants=EVERYTHING) for text in TEXTS])
    for output, rule in zip(outputs, compute_by_rule(folder, TEXTS), strict=True):
        assert output.dense is not None
        assert output.token_vectors is not None
        assert output.dense @ rule.dense / np.linalg.norm(output.dense) >= 0.999
        assert (output.token_vectors * rule.vectors).sum(axis=1).min() >= 0.99  # single tokens, of seeded weights


def test_special_tokens_have_no_weight_and_the_first_token_no_vector(tmp_path: Path) -> None:
    model = Loaded(build_multi_head(tmp_path))
    text = Text("\U0001f680 " + " ".join(TEXTS[:4]), wants=EVERYTHING)
    [tokens] = model.tokenizer.encode([text])

    [output] = model.compute([text])

    assert output.sparse is not None
    assert output.token_vectors is not None
    assert len(output.sparse.indices) > 0
    assert not {0, 1, 2, 3} & set(output.sparse.indices.tolist())
    assert 3 in tokens.ids, "the text must hold an unknown token"
    assert output.token_vectors.shape == (len(tokens.ids) - 1, 48)
    np.testing.assert_allclose(np.linalg.norm(output.token_vectors, axis=1), 1, atol=1e-5)


def test_an_input_gets_what_it_wants_and_nothing_else(tmp_path: Path) -> None:
    model = Loaded(build_multi_head(tmp_path))
    wants = [DENSE, frozenset({Part.SPARSE}), frozenset({Part.TOKEN_VECTORS})]

    dense, sparse, vectors = model.compute([Text("the river", wants=parts) for parts in wants])

    assert [part is not None for part in (dense.dense, dense.sparse, dense.token_vectors)] == [True, False, False]
    assert [part is not None for part in (sparse.dense, sparse.sparse, sparse.token_vectors)] == [False, True, False]
    assert [part is not None for part in (vectors.dense, vectors.sparse, vectors.token_vectors)] == [False, False, True]


def test_the_dense_vector_is_that_of_the_model_without_its_heads(tmp_path: Path) -> None:
    plain, heads = (
        build_multi_head(tmp_path / "plain", layers=()),
        build_multi_head(tmp_path / "heads"),
    )

    np.testing.assert_allclose(Loaded(plain).encode(TEXTS), Loaded(heads).encode(TEXTS), atol=1e-6)
    assert Loaded(plain).resolved.space != Loaded(heads).resolved.space


def test_the_heads_are_named_with_their_files(tmp_path: Path) -> None:
    inspection = Loaded(build_multi_head(tmp_path)).resolved.inspection

    assert [(head.kind, head.file, head.output_dimensions) for head in inspection.token_heads] == [
        (TokenHeadKind.SPARSE, "sparse_linear.safetensors", 1),
        (TokenHeadKind.MULTI_VECTOR, "colbert_linear.safetensors", 48),
    ]
    assert {item.file for item in inspection.evidence if item.field == "tokenHeads"} == {
        "sparse_linear.safetensors",
        "colbert_linear.safetensors",
    }


def test_pickles_that_were_not_converted_are_named_as_not_served(tmp_path: Path) -> None:
    inspection = Loaded(build_multi_head(tmp_path, pickles=True)).resolved.inspection

    [task] = [item for item in inspection.evidence if item.field == "task"]
    assert inspection.token_heads == ()
    assert "colbert_linear.pt and sparse_linear.pt are pickles, not served unconverted" in (task.note or "")


@pytest.mark.parametrize("layer", ["sparse_linear", "colbert_linear"])
@pytest.mark.parametrize("fault", ["width", "no bias", "another tensor"])
def test_a_layer_that_does_not_fit_is_refused(layer: str, fault: str, tmp_path: Path) -> None:
    folder = build_multi_head(tmp_path)
    tensors = make_layers()[layer]
    match fault:
        case "width":
            tensors["weight"] = tensors["weight"][:, :-1].contiguous()
        case "no bias":
            del tensors["bias"]
        case "another tensor":
            tensors["scale"] = tensors["bias"].clone()
    save_file(tensors, folder / f"{layer}.safetensors")

    with pytest.raises(Refusal, match=f"{layer}.safetensors") as refused:
        Loaded(folder)
    assert refused.value.reason is Reason.CONTRADICTORY_EVIDENCE


@given(
    places=st.lists(st.tuples(st.integers(0, 20), st.floats(0, 8, width=32)), max_size=40),
    unweighted=st.frozensets(st.integers(0, 20), max_size=4),
)
def test_the_largest_weight_of_each_token_is_kept(places: list[tuple[int, float]], unweighted: frozenset[int]) -> None:
    ids = np.array([id_ for id_, _ in places], dtype=np.int64)
    weights = np.array([weight for _, weight in places], dtype=np.float32)

    found = gather_weights(ids, weights, unweighted=np.array(sorted(unweighted), dtype=np.int64))

    largest: dict[int, float] = {}
    for id_, weight in places:
        if id_ not in unweighted and weight > largest.get(id_, 0):
            largest[id_] = weight
    assert dict(zip(found.indices.tolist(), found.values.tolist(), strict=True)) == largest
    assert found.indices.tolist() == sorted(largest)


def test_a_weight_that_is_no_number_is_kept() -> None:
    found = gather_weights(np.array([5, 5, 6]), np.array([1, np.nan, 2], dtype=np.float32), unweighted=np.array([0]))

    assert found.indices.tolist() == [5, 6]
    assert np.isnan(found.values[0])
