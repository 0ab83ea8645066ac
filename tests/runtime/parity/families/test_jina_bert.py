"""Jina BERT in our own code against the formula in float64. No other implementation of it may be run here."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jina_bert_formula import Formula, alibi_slopes
from loaded_model import Loaded
from parity import CLOSE, EXACT, TEXTS, assert_embedder_equals, assert_scores_equal, cosines
from seeded_models.jina_bert import LAYOUTS, build_jina_bert

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Activation, Task
from embedding_runtime.architectures.native import alibi
from embedding_runtime.core.jobs import Part, Tokens
from embedding_runtime.settings import Dtype

# Short enough for the length that the seeded models take: the formula does not truncate.
SHORT = (*(text for text in TEXTS if len(text) < 120), "someone is having a meal while a man is eating " * 3)
LONGEST = 8192
PAIRS = [("what is the capital of france", text) for text in SHORT] + [("", "x"), ("weather today", "weather today")]


def means(folder: Path, texts: tuple[str, ...] = SHORT) -> Any:
    formula = Formula(folder)
    return np.stack([formula.mean(text) for text in texts]).astype(np.float32)


def logits(folder: Path, *, types: bool = True) -> Any:
    formula = Formula(folder)
    return np.stack([formula.logits(*pair, types=types) for pair in PAIRS]).astype(np.float32)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("heads", [8, 6], ids=["a power of two", "no power of two"])
def test_vectors_equal_the_formula(layout: str, heads: int, tmp_path: Path) -> None:
    folder = build_jina_bert(tmp_path, layout=layout, heads=heads)

    model = assert_embedder_equals(folder, SHORT, expected=means(folder))

    assert model.backend.path == "native JinaBert"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [Dtype.BFLOAT16, Dtype.FLOAT16], ids=str)
def test_half_precision_stays_close_to_the_formula(layout: str, dtype: Dtype, tmp_path: Path) -> None:
    folder = build_jina_bert(tmp_path, layout=layout)

    assert_embedder_equals(folder, SHORT, expected=means(folder), minimum=CLOSE, dtype=dtype)


@pytest.mark.parametrize("layout", ["gated", "code"])
@pytest.mark.parametrize("labels", [1, 3])
def test_logits_of_pairs_equal_the_formula(layout: str, labels: int, tmp_path: Path) -> None:
    folder = build_jina_bert(tmp_path, layout=layout, labels=labels)

    model = assert_scores_equal(folder, PAIRS, expected=logits(folder))

    assert model.backend.path == "native JinaBertForSequenceClassification"
    assert model.serving.task is (Task.RERANKING if labels == 1 else Task.CLASSIFICATION)


def test_a_reranker_whose_configuration_speaks_of_a_language_model_is_served_by_its_tensors(tmp_path: Path) -> None:
    """As jina-reranker-v1 was published: no labels in config.json, the class of a masked language model, and a
    tokenizer that gives no types.
    """
    folder = build_jina_bert(
        tmp_path,
        labels=1,
        id2label=None,
        architectures=["JinaBertForMaskedLM"],
        tokenizer_class="PreTrainedTokenizerFast",
    )

    model = assert_scores_equal(folder, PAIRS, expected=logits(folder, types=False))

    assert (model.serving.task, model.serving.activation) == (Task.RERANKING, Activation.SIGMOID)


@pytest.mark.parametrize(
    ("layout", "config"),
    [
        ("gated", {"feed_forward_type": "reglu"}),
        ("gated", {"feed_forward_type": "reglu", "hidden_act": "gelu_new"}),
        ("code", {"feed_forward_type": "reglu"}),
        ("gated", {"feed_forward_type": None}),
        ("original", {"feed_forward_type": None}),
        ("gated", {"layer_norm_eps": 0.5}),
        ("gated", {"layer_norm_eps": None, "type_vocab_size": None, "hidden_act": None}),
    ],
    ids=str,
)
def test_what_the_configuration_says_or_leaves_out_is_honoured(
    layout: str, config: dict[str, Any], tmp_path: Path
) -> None:
    folder = build_jina_bert(tmp_path, layout=layout, **config)

    assert_embedder_equals(folder, SHORT, expected=means(folder))


@pytest.mark.parametrize(
    "config",
    [
        {"hidden_act": "silu", "feed_forward_type": None},
        {"layer_norm_eps": "small"},
        {"quantization_config": {"quant_method": "awq"}},
    ],
    ids=str,
)
def test_what_our_own_code_does_not_compute_is_refused(config: dict[str, Any], tmp_path: Path) -> None:
    folder = build_jina_bert(tmp_path, **config)

    with pytest.raises(Refusal) as refused:
        Loaded(folder)

    assert refused.value.reason in (Reason.UNSUPPORTED_ARCHITECTURE, Reason.UNSUPPORTED_FORMAT, Reason.INVALID_FILE)


@pytest.mark.parametrize("heads", [1, 2, 3, 6, 8, 12, 16, 20])
def test_slopes_are_those_of_the_paper(heads: int) -> None:
    np.testing.assert_allclose(alibi.find_slopes(heads), alibi_slopes(heads), rtol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pieces_of_queries_give_what_all_at_once_do(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build_jina_bert(tmp_path, layout=layout)
    monkeypatch.setattr(alibi, "MOST_VALUES", 6 * 7 * 40)  # seven queries of the longest text alone

    assert_embedder_equals(folder, SHORT, expected=means(folder))


def test_the_bias_that_is_held_at_once_is_bounded_at_any_length() -> None:
    for length, batch in ((64, 256), (512, 32), (8192, 1), (8192, 4)):
        padded = alibi.Alibi(
            slopes=torch.tensor(alibi.find_slopes(12)),
            attention=torch.ones(batch, length, dtype=torch.int64),
            length=length,
            dtype=torch.float32,
        )
        assert padded.piece * batch * 12 * length <= alibi.MOST_VALUES


def test_a_text_of_8192_tokens_equals_the_formula(tmp_path: Path) -> None:
    folder = build_jina_bert(tmp_path, heads=3, layers=1, max_length=LONGEST)
    formula, model = Formula(folder), Loaded(folder)
    first, *_, last = formula.tokenize("x")[0]
    ids = [first, *np.random.default_rng(3).integers(100, 150, size=LONGEST - 2).tolist(), last]
    rows = [0, 1, 700, LONGEST // 2, LONGEST - 1]  # of different pieces

    [output] = model.backend.compute([Tokens(ids=ids, wants=frozenset(Part))])

    assert model.serving.max_input_tokens == LONGEST
    assert output.token_vectors is not None
    expected = formula.hidden_states(ids, [0] * LONGEST, rows=rows).astype(np.float32)
    assert cosines(output.token_vectors[rows], expected).min() > EXACT


def test_token_types_reach_the_model(tmp_path: Path) -> None:
    folder = build_jina_bert(tmp_path, labels=1)
    ids, types = Formula(folder).tokenize("weather today", "sunny and lovely")
    backend = Loaded(folder).backend

    [paired], [plain] = backend.compute([Tokens(ids=ids, type_ids=types)]), backend.compute([Tokens(ids=ids)])

    assert paired.dense is not None
    assert plain.dense is not None
    assert abs(paired.dense[0] - plain.dense[0]) > 1e-2
