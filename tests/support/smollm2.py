"""SmolLM2-135M from its package, turned from GGUF into the folder of an embedder that reads its last token.

The numbers are dequantised once, so that both sides of a comparison have the same ones. The rows of queries and keys
lie in GGUF in pairs, as llama.cpp turns them (its convert_hf_to_gguf.py, LlamaModel.permute), and are put back.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from localcluster import layout
from localcluster.hub.demo_models import fetch_smollm2

_NAME = "smollm2-135m-safetensors"

_PARTS = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_KEYS = {
    "hidden_size": "embedding_length",
    "num_hidden_layers": "block_count",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    "rope_theta": "rope.freq_base",
    "max_position_embeddings": "context_length",
    "vocab_size": "vocab_size",
}


def fetch_smollm2_embedder() -> Path:
    """A folder with config.json, model.safetensors in float32, a tokenizer and a pooling; kept under the cache."""
    target = layout.CACHE / "models" / _NAME
    if target.is_dir():
        return target
    source = next(fetch_smollm2().glob("*.gguf"))
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{_NAME}-") as scratch:
        made = Path(scratch) / "model"
        _convert(source, folder=made)
        try:
            made.rename(target)
        except OSError:
            if not target.is_dir():  # another process was faster
                raise
    return target


def _convert(source: Path, *, folder: Path) -> None:
    from gguf import GGUFReader
    from safetensors.numpy import save_file
    from transformers import AutoTokenizer

    reader = GGUFReader(source)
    config = {key: _read(reader, f"llama.{field}") for key, field in _KEYS.items()}
    ids = {key: _read(reader, f"tokenizer.ggml.{key}") for key in ("bos_token_id", "eos_token_id")}
    tokenizer = AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name)
    tokenizer.padding_side = "right"
    tokenizer.save_pretrained(folder)
    save_file(dict(_tensors(reader, config=config)), folder / "model.safetensors", metadata={"format": "pt"})
    files: dict[str, Any] = {
        "config.json": {
            "architectures": ["LlamaModel"],
            "model_type": "llama",
            "hidden_act": "silu",
            "tie_word_embeddings": True,
            "pad_token_id": tokenizer.pad_token_id,
            **config,
            **ids,
        },
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
        ],
        "sentence_bert_config.json": {"max_seq_length": 8192, "do_lower_case": False},
        "1_Pooling/config.json": {
            "word_embedding_dimension": config["hidden_size"],
            "pooling_mode_lasttoken": True,
            "pooling_mode_mean_tokens": False,
            "include_prompt": True,
        },
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=2))


def _read(reader: Any, field: str) -> Any:
    return reader.fields[field].contents()


def _tensors(reader: Any, *, config: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    from gguf import dequantize

    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    for stored in reader.tensors:
        values = np.ascontiguousarray(dequantize(stored.data, stored.tensor_type), dtype=np.float32)
        if stored.name in ("token_embd.weight", "output_norm.weight"):
            yield {"token_embd.weight": "embed_tokens.weight", "output_norm.weight": "norm.weight"}[stored.name], values
            continue
        _, layer, part, kind = stored.name.split(".")
        if part in heads:
            values = _part_again(values, heads=heads[part])
        yield f"layers.{layer}.{_PARTS[part]}.{kind}", values


def _part_again(values: np.ndarray, *, heads: int) -> np.ndarray:
    """Rows of each head from pairs to two halves."""
    rows, width = values.shape
    return np.ascontiguousarray(values.reshape(heads, rows // heads // 2, 2, width).swapaxes(1, 2)).reshape(rows, width)
