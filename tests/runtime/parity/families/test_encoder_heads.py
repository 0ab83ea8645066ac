"""Every head that the served tasks stand on gives the logits of transformers' own class, for every encoder."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seeded_models
import torch
from loaded_model import Loaded
from parity import COUNT_COLUMNS

from embedding_model.inspection.families import FAMILIES
from embedding_model.inspection.families.heads import Head
from embedding_model.resolved import Declared, Side, Task
from embedding_model.served import SERVED
from embedding_runtime.architectures.batch import collate
from embedding_runtime.architectures.network import Network, load_network
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.files import read_files
from embedding_runtime.served_model import resolve_folder

CPU = torch.device("cpu")
SEQUENCE, MASKED = Head.SEQUENCE_CLASSIFICATION, Head.MASKED_LANGUAGE_MODEL

HEADS = [
    (family, head)
    for family in seeded_models.ENCODERS
    for head, task in ((SEQUENCE, Task.CLASSIFICATION), (MASKED, Task.SPARSE))
    if task in SERVED[family]
]
# Families whose embeddings tell the two texts of a pair apart.
TYPED = ("bert", "electra", "albert", "nomic_bert")
EXACT = 1e-4  # of logits


def read_network(folder: Path, *, head: Head) -> Network:
    task = Task.SPARSE if head is MASKED else Task.CLASSIFICATION
    resolved = resolve_folder(folder, declared=Declared(task=task))
    files = read_files(folder, manifest=resolved.manifest, threads=1)
    return load_network(files, inspection=resolved.inspection, head=head, device=CPU, dtype=torch.float32)


def reference_logits(folder: Path, *, family: str, head: Head, batch: Mapping[str, torch.Tensor]) -> np.ndarray:
    import transformers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' own deprecations
        model = getattr(transformers, FAMILIES[family].classes[head]).from_pretrained(folder).eval()
    with torch.inference_mode():
        logits: torch.Tensor = model(**batch).logits
    return logits.numpy()


def pairs(vocabulary: int, *, typed: bool) -> list[Tokens]:
    """Three pairs of very different length, of tokens that are not special."""
    lengths = ((3, 4), (20, 30), (5, 12))
    return [
        Tokens(
            ids=[10 + (7 * place + 3 * first) % (vocabulary - 10) for place in range(first + second)],
            type_ids=[0] * first + [1] * second if typed else None,
        )
        for first, second in lengths
    ]


def alone(tokens: Tokens) -> dict[str, Any]:
    batch = {"input_ids": torch.tensor([list(tokens.ids)]), "attention_mask": torch.ones(1, len(tokens.ids)).long()}
    return batch if tokens.type_ids is None else {**batch, "token_type_ids": torch.tensor([list(tokens.type_ids)])}


@torch.inference_mode()
def our_logits(network: Network, tokens: Sequence[Tokens], *, padding: Side) -> list[np.ndarray]:
    """[labels] of each input, or [tokens, vocabulary] where the head has logits for every token."""
    batch = collate(tokens, pad_id=network.pad_id, device=CPU, padding=padding)
    logits = network.forward(batch).numpy()
    if logits.ndim == 2:
        return list(logits)
    return [rows[mask] for rows, mask in zip(logits, batch.attention.bool().numpy(), strict=True)]


@pytest.mark.parametrize(("family", "head"), HEADS)
def test_logits_equal_the_reference_alone_and_padded(family: str, head: Head, tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family=family, head=head, labels=3)
    network = read_network(folder, head=head)
    inputs = pairs(int(network.config["vocab_size"]), typed=family in TYPED)
    expected = [reference_logits(folder, family=family, head=head, batch=alone(tokens))[0] for tokens in inputs]
    sides = [Side.RIGHT] if family in COUNT_COLUMNS else [Side.RIGHT, Side.LEFT]
    if head is SEQUENCE:
        sides = [Side.RIGHT]  # the head reads the first column, in transformers too

    for padding in sides:
        for found, wanted in zip(our_logits(network, inputs, padding=padding), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=EXACT)
    for tokens, wanted in zip(inputs, expected, strict=True):
        [found] = our_logits(network, [tokens], padding=Side.RIGHT)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=EXACT)


@pytest.mark.parametrize("family", TYPED)
def test_the_texts_of_a_pair_are_told_apart_by_their_types(family: str, tmp_path: Path) -> None:
    network = read_network(seeded_models.build(tmp_path, family=family, head=SEQUENCE), head=SEQUENCE)
    vocabulary = int(network.config["vocab_size"])

    [typed, *_], [plain, *_] = (
        our_logits(network, pairs(vocabulary, typed=typed), padding=Side.RIGHT) for typed in (True, False)
    )

    assert np.abs(typed - plain).max() > 1e-3


@pytest.mark.parametrize("family", ["bert", "modernbert", "nomic_bert", "gte", "deberta-v2"])
def test_the_body_of_a_model_saved_with_a_head_embeds_without_it(family: str, tmp_path: Path) -> None:
    """The head's tensors are left unread, and the body is found behind its prefix."""
    plain = Loaded(seeded_models.build(tmp_path / "plain", family=family))
    folder = seeded_models.build(tmp_path / "head", family=family, head=MASKED)
    for name in ("modules.json", "1_Pooling", "sentence_bert_config.json", "config_sentence_transformers.json"):
        source = tmp_path / "plain" / name
        source.rename(folder / name)

    found = Loaded(folder)

    assert found.resolved.inspection.architecture == plain.resolved.inspection.architecture
    assert found.encode(["some text"]).shape == plain.encode(["some text"]).shape
