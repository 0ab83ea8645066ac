"""Jina BERT small and seeded, in its three layouts: transformers has no class that could write it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from seeded_models.save import save_sentence_files
from seeded_models.tokenizers import BERT

LAYOUTS = ("gated", "original", "code")
_WIDTH, _INNER = 96, 40
_SPREAD = 0.2  # of matrices: gates multiply, and larger numbers would drown bfloat16 in its own rounding
_VECTORS = 0.2


def build_jina_bert(
    folder: Path,
    *,
    layout: str = "gated",
    heads: int = 6,
    labels: int | None = None,
    pooling: str = "mean",
    normalize: bool = True,
    max_length: int = 64,
    layers: int = 2,
    prompts: dict[str, str] | None = None,
    tokenizer_class: str = "BertTokenizer",
    seed: int = 7,
    **config: Any,
) -> Path:
    """A body as an embedder or, with `labels`, a pooler and a classifier behind it. `config` replaces values of
    config.json; None takes one away. The default number of heads is no power of two.
    """
    feed_forward = "original" if layout == "original" else "geglu"
    values = {
        "model_type": "bert",
        "architectures": ["JinaBertForMaskedLM" if labels is None else "JinaBertForSequenceClassification"],
        "hidden_size": _WIDTH,
        "intermediate_size": _INNER,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": max_length,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
        "position_embedding_type": "alibi",
        "feed_forward_type": feed_forward,
        **BERT.ids(),
        **({} if labels is None else {"id2label": {str(number): f"LABEL_{number}" for number in range(labels)}}),
        **config,
    }
    folder.mkdir(parents=True, exist_ok=True)
    written = {key: value for key, value in values.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(written, indent=2))
    shapes = _shapes(layout, words=values["vocab_size"], layers=layers)
    if labels is not None:
        shapes = {f"bert.{name}": shape for name, shape in shapes.items()}
        shapes |= _linear("bert.pooler.dense", _WIDTH, _WIDTH) | _linear("classifier", labels, _WIDTH)
    save_file(_draw(shapes, seed=seed), folder / "model.safetensors", metadata={"format": "pt"})
    BERT.save(folder, max_length=max_length)
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "tokenizer_class": tokenizer_class}, indent=2))
    if labels is None:
        save_sentence_files(
            folder,
            width=_WIDTH,
            pooling=pooling,
            normalize=normalize,
            include_prompt=True,
            prompts=prompts or {},
            max_length=max_length,
        )
    return folder


def _shapes(layout: str, *, words: int, layers: int) -> dict[str, tuple[int, ...]]:
    shapes = {
        "embeddings.word_embeddings.weight": (words, _WIDTH),
        "embeddings.token_type_embeddings.weight": (2, _WIDTH),
        **_norm("embeddings.LayerNorm"),
    }
    for number in range(layers):
        layer = f"encoder.layer.{number}"
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= _linear(f"{layer}.attention.{name}", _WIDTH, _WIDTH)
        shapes |= _norm(f"{layer}.attention.output.LayerNorm")
        if layout == "gated":
            shapes |= _linear(f"{layer}.mlp.gated_layers", 2 * _INNER, _WIDTH, bias=False)
            shapes |= _linear(f"{layer}.mlp.wo", _WIDTH, _INNER) | _norm(f"{layer}.mlp.layernorm")
        elif layout == "code":
            shapes |= _linear(f"{layer}.mlp.up_gated_layer", 2 * _INNER, _WIDTH, bias=False)
            shapes |= _linear(f"{layer}.mlp.down_layer", _WIDTH, _INNER)
            for name in ("attention.self.layer_norm_q", "attention.self.layer_norm_k", "layer_norm_1", "layer_norm_2"):
                shapes |= _norm(f"{layer}.{name}")
        else:
            shapes |= _linear(f"{layer}.intermediate.dense", _INNER, _WIDTH)
            shapes |= _linear(f"{layer}.output.dense", _WIDTH, _INNER) | _norm(f"{layer}.output.LayerNorm")
    return shapes


def _linear(name: str, out: int, width: int, *, bias: bool = True) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, width), **({f"{name}.bias": (out,)} if bias else {})}


def _norm(name: str) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (_WIDTH,), f"{name}.bias": (_WIDTH,)}


def _draw(shapes: dict[str, tuple[int, ...]], *, seed: int) -> dict[str, np.ndarray]:
    source = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes.items():
        drawn = source.standard_normal(shape)
        is_scale = len(shape) == 1 and name.endswith("weight")
        tensors[name] = (drawn * (_SPREAD if len(shape) > 1 else _VECTORS) + is_scale).astype(np.float32)
    return tensors
