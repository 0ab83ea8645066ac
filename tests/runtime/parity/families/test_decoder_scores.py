"""Language models with a score head: the logits of transformers' ...ForSequenceClassification, in any batch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seeded_models
import torch
import transformers
from seeded_models import DECODERS
from seeded_models.tokenizers import QWEN

from embedding_model.inspection.families import FAMILIES
from embedding_model.inspection.families.heads import Head
from embedding_model.resolved import Inspection, Side, Task, Weights
from embedding_runtime.architectures.batch import collate
from embedding_runtime.architectures.network import Network, load_network
from embedding_runtime.core.jobs import Tokens

HEAD = Head.SEQUENCE_CLASSIFICATION
LABELS = 3

# The padding token occurs in the texts too, and at their end: only the mask tells which one is padding.
IDS = ([5, 9, 7], [11, 5, 0, 0], [0], [3, 2, 1, 8, 4, 6, 10, 5, 12, 13, 14], [9, 0, 9])


def load(folder: Path, *, family: str) -> Network:
    files = {path.name: bytearray(path.read_bytes()) for path in folder.iterdir() if path.is_file()}
    inspection = Inspection(
        task=Task.CLASSIFICATION,
        architecture=FAMILIES[family].classes[HEAD],
        family=family,
        max_input_tokens=64,
        positions=64,
        weights=Weights(bytes=1, files=1, parameters=1),
    )
    return load_network(files, inspection=inspection, head=HEAD, device=torch.device("cpu"), dtype=torch.float32)


def expected_logits(folder: Path, *, family: str) -> Any:
    """Of the reference, one text at a time, since it tells padding by its token."""
    name = FAMILIES[family].classes[HEAD]
    model = getattr(transformers, name).from_pretrained(folder).eval()
    model.config.pad_token_id = None  # then it reads the last column
    with torch.inference_mode():
        return torch.cat([model(input_ids=torch.tensor([ids])).logits for ids in IDS]).numpy()


@pytest.mark.parametrize("family", DECODERS)
def test_the_logits_are_those_of_the_last_token_alone_in_a_batch_and_on_either_padding_side(
    family: str, tmp_path: Path
) -> None:
    folder = seeded_models.build(
        tmp_path, family=family, head=HEAD, labels=LABELS, tokenizer=DECODERS[family].tokenizer
    )
    expected = expected_logits(folder, family=family)
    network = load(folder, family=family)
    tokens = [Tokens(ids=ids) for ids in IDS]

    def logits(batch: list[Tokens], *, padding: Side = Side.RIGHT) -> Any:
        with torch.inference_mode():
            collated = collate(batch, pad_id=0, device=network.device, padding=padding)
            return network.forward(collated).numpy()

    alone = np.concatenate([logits([one]) for one in tokens])
    assert alone.shape == (len(IDS), LABELS)
    np.testing.assert_allclose(alone, expected, atol=1e-4)
    for side in Side:
        np.testing.assert_allclose(logits(tokens, padding=side), expected, atol=1e-4)
        np.testing.assert_allclose(logits(tokens[::-1], padding=side)[::-1], expected, atol=1e-4)
    assert np.ptp(expected, axis=0).min() > 1e-2, "the texts must differ"


def test_a_model_without_a_padding_token_scores_batches_too(tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family="qwen3", head=HEAD, labels=1, tokenizer=replace(QWEN, pad=None))
    network = load(folder, family="qwen3")

    with torch.inference_mode():
        batch = collate([Tokens(ids=ids) for ids in IDS], pad_id=network.pad_id, device=network.device)
        found = network.forward(batch).numpy()

    np.testing.assert_allclose(found, expected_logits(folder, family="qwen3"), atol=1e-4)
