"""A tiny embedder with the further heads of bge-m3, and what FlagEmbedding's rules make of its hidden states."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import seeded_models
import torch
from safetensors.torch import save_file

LAYERS = {"sparse_linear": 1, "colbert_linear": 48}


def build_multi_head(folder: Path, *, pickles: bool = False, layers: Sequence[str] = tuple(LAYERS)) -> Path:
    """XLM-R with CLS pooling; the layers as safetensors, or as the pickles that are published."""
    seeded_models.build(folder, family="xlm-roberta", pooling="cls", max_length=64)
    for name, layer in make_layers().items():
        if name not in layers:
            continue
        if pickles:
            torch.save(layer, folder / f"{name}.pt")
        else:
            save_file(layer, folder / f"{name}.safetensors")
    return folder


_SPARSE_BIAS = 3.4  # without it the layer gives less than 0 for every token of the seeded model


def make_layers() -> dict[str, dict[str, torch.Tensor]]:
    """Weight and bias of each layer, always the same. Some tokens get a sparse weight and others none."""
    source = torch.Generator().manual_seed(11)
    width = 64
    return {
        name: {
            "weight": torch.randn((rows, width), generator=source) * 0.2,
            "bias": torch.randn(rows, generator=source) * 0.2 + (_SPARSE_BIAS if name == "sparse_linear" else 0),
        }
        for name, rows in LAYERS.items()
    }


@dataclass(frozen=True)
class Expected:
    """`weights` by token id; `vectors` float64 [tokens - 1, 48]."""

    dense: np.ndarray
    weights: dict[int, float]
    vectors: np.ndarray


def compute_by_rule(folder: Path, texts: Sequence[str]) -> list[Expected]:
    """Each text alone, in float64, by the rules of FlagEmbedding's M3 model.

    Sparse: relu(sparse_linear(h)), for each id the largest, without <s>, </s>, <pad> and <unk>, only what is above 0.
    Vectors: colbert_linear(h[1:]), normalised. Dense: h[0], normalised. Written from the description of the rules, a
    token at a time.
    """
    from transformers import AutoModel, AutoTokenizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: Any = AutoModel.from_pretrained(folder, add_pooling_layer=False).double().eval()
        tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    sparse, multi_vector = (
        {name: tensor.double() for name, tensor in make_layers()[layer].items()} for layer in LAYERS
    )
    unused = {tokenizer.cls_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id}
    found = []
    for text in texts:
        encoded = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")
        ids = encoded["input_ids"][0].tolist()
        with torch.inference_mode():
            hidden = model(encoded["input_ids"], attention_mask=encoded["attention_mask"]).last_hidden_state[0]
        weights: dict[int, float] = {}
        for id_, state in zip(ids, hidden, strict=True):
            weight = max(0.0, float(sparse["weight"][0] @ state + sparse["bias"][0]))
            if id_ not in unused and weight > weights.get(id_, 0.0):
                weights[id_] = weight
        vectors = [multi_vector["weight"] @ state + multi_vector["bias"] for state in hidden[1:]]
        found.append(
            Expected(
                dense=(hidden[0] / hidden[0].norm()).numpy(),
                weights=weights,
                vectors=np.stack([(vector / vector.norm()).numpy() for vector in vectors]),
            )
        )
    return found
