"""Rerankers with a classification head give the logits and scores of sentence-transformers' CrossEncoder."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import seeded_models
from loaded_model import Loaded
from parity import assert_scores_equal

from embedding_model.inspection.families import FAMILIES
from embedding_model.inspection.families.heads import Head
from embedding_model.resolved import Activation, Declared, Task
from embedding_model.served import SERVED
from embedding_runtime.core.inputs import Pair
from embedding_runtime.core.jobs import Output
from embedding_runtime.core.reranking import activate, read_logits
from embedding_runtime.settings import Dtype

HEAD = Head.SEQUENCE_CLASSIFICATION
PAIRS = (
    ("what is the capital of france", "Paris is the capital of France."),
    ("what is the capital of france", "a man is eating food"),
    ("weather", ""),
    ("", "the weather is lovely today"),
    ("", ""),
    ("which pod restarts", "the kubernetes node restarts a pod " * 30),
    ("where is the river", "The quick brown fox jumps over the lazy dog near the river; naïve café"),
    ("x", "y"),
)

ENCODERS = sorted(
    name
    for name, tasks in SERVED.items()
    if Task.RERANKING in tasks and not FAMILIES[name].is_decoder and name in seeded_models.RECIPES
)


def load_reference(folder: Path, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reference implementation's own deprecations
        from sentence_transformers import CrossEncoder

        return CrossEncoder(str(folder), device="cpu", local_files_only=True, **options)


def logits_of(folder: Path, pairs: Sequence[tuple[str, str]] = PAIRS, **options: Any) -> npt.NDArray[np.float32]:
    import torch

    reference = load_reference(folder, activation_fn=torch.nn.Identity(), **options)
    found: npt.NDArray[np.float32] = reference.predict(list(pairs), show_progress_bar=False)
    return found


def edit(path: Path, **changes: Any) -> None:
    """Keys of a JSON file; None takes one away."""
    document = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in document.items() if value is not None}))


def build(folder: Path, *, family: str = "bert", labels: int = 1, types: bool = True, **config: Any) -> Path:
    """`types`: whether the tokenizer says of each token which of the two texts it is of."""
    seeded_models.build(folder, family=family, head=HEAD, labels=labels, **config)
    if not types:
        edit(folder / "tokenizer_config.json", model_input_names=None)
    return folder


@pytest.mark.parametrize("family", ENCODERS)
def test_logits_equal_the_reference_in_every_arrangement(family: str, tmp_path: Path) -> None:
    folder = build(tmp_path, family=family)
    expected = logits_of(folder)
    assert np.ptp(expected) > 0.1, "the pairs must be told apart"
    assert_scores_equal(folder, PAIRS, expected=expected)


def test_the_second_text_is_told_apart_only_where_the_reference_does_so(tmp_path: Path) -> None:
    told, untold = build(tmp_path / "told"), build(tmp_path / "untold", types=False)
    with_types, without = logits_of(told), logits_of(untold)
    assert np.abs(with_types - without).max() > 0.1
    assert_scores_equal(told, PAIRS, expected=with_types)
    assert_scores_equal(untold, PAIRS, expected=without)


def test_types_that_the_weights_have_no_rows_for_are_left_out(tmp_path: Path) -> None:
    folder = build(tmp_path, type_vocab_size=1, types=False)
    expected = logits_of(folder)
    edit(tmp_path / "tokenizer_config.json", model_input_names=["input_ids", "token_type_ids"])
    assert_scores_equal(folder, PAIRS, expected=expected)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_what_is_too_long_is_cut_as_the_reference_cuts_it(family: str, side: str, tmp_path: Path) -> None:
    """Queries up to half of the room: then the reference keeps them whole too."""
    folder = build(tmp_path, family=family, max_length=24)
    edit(tmp_path / "tokenizer_config.json", truncation_side=side)
    words = "the weather is lovely today and it is sunny in paris by the river".split()
    pairs = [
        (" ".join(words[:query]), " ".join((words * 3)[:document]))
        for query in (0, 1, 5, 9, 10)
        for document in (0, 8, 11, 12, 13, 19, 20, 21, 22, 40)
    ]
    assert_scores_equal(folder, pairs, expected=logits_of(folder, pairs))


def test_a_query_that_the_reference_cuts_stays_whole(tmp_path: Path) -> None:
    """The first 15 of 21 tokens are the query: every document is scored against all of it."""
    folder = build(tmp_path, max_length=24)
    query = "the weather is lovely today and it is sunny in paris by the river"
    whole = Loaded(folder).tokenizer.encode([Pair(query, "x " * 30), Pair(query, "")])
    length = len(whole[1].ids) - 1
    assert length > 11, "longer than half of the room"
    assert whole[0].truncated
    assert list(whole[0].ids[:length]) == list(whole[1].ids[:length])


@pytest.mark.parametrize("name", ["Identity", "Sigmoid", None])
def test_scores_go_through_the_activation_that_the_reference_takes(name: str | None, tmp_path: Path) -> None:
    folder = build(tmp_path)
    if name:
        module = "linear" if name == "Identity" else "activation"
        edit(tmp_path / "config.json", sentence_transformers={"activation_fn": f"torch.nn.modules.{module}.{name}"})
    expected = load_reference(folder).predict(list(PAIRS), show_progress_bar=False)
    model = assert_scores_equal(folder, PAIRS, expected=expected, score=to_scores)
    assert model.serving.activation is Activation(name or "Sigmoid")


def to_scores(model: Loaded, outputs: Sequence[Output]) -> npt.NDArray[np.float32]:
    assert model.serving.activation is not None
    return activate(read_logits(outputs), activation=model.serving.activation)


@pytest.mark.parametrize("labels", [["no", "yes"], ["yes", "no"]])
def test_of_two_labels_the_score_is_the_probability_of_the_relevant_one(labels: list[str], tmp_path: Path) -> None:
    import torch

    folder = build(tmp_path, labels=2)
    logits = load_reference(folder, activation_fn=torch.nn.Identity()).predict(list(PAIRS), show_progress_bar=False)
    assert logits.shape == (len(PAIRS), 2)
    exponents = np.exp(logits.astype(np.float64))
    expected = (exponents / exponents.sum(axis=1, keepdims=True))[:, labels.index("yes")]
    edit(
        tmp_path / "config.json",
        id2label={str(index): label for index, label in enumerate(labels)},
        label2id={label: index for index, label in enumerate(labels)},
    )
    assert_scores_equal(
        folder, PAIRS, expected=expected.astype(np.float32), declared=Declared(task=Task.RERANKING), score=to_scores
    )


def test_the_weights_say_how_many_outputs_there_are_where_the_configuration_does_not(tmp_path: Path) -> None:
    """As the first revisions of jina-reranker-v1 were published."""
    folder = build(tmp_path)
    expected = logits_of(folder)
    edit(tmp_path / "config.json", num_labels=None, id2label=None, label2id=None)
    assert_scores_equal(folder, PAIRS, expected=expected)


def test_scores_in_bfloat16_stay_close(tmp_path: Path) -> None:
    folder = build(tmp_path)
    expected = load_reference(folder).predict(list(PAIRS), show_progress_bar=False)
    assert_scores_equal(folder, PAIRS, expected=expected, score=to_scores, dtype=Dtype.BFLOAT16, tolerance=0.05)
