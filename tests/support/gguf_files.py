"""Small GGUF files, written by the gguf library or byte by byte."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

HIDDEN, HEADS, PAIRS, INNER, LAYERS = 32, 4, 2, 64, 2


def head(*, version: int = 3, tensors: int = 0, metadata: int = 0, order: str = "<") -> bytes:
    return struct.pack(f"{order}4sIQQ", b"GGUF", version, tensors, metadata)


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def entry(key: str, value: str) -> bytes:
    return text(key) + struct.pack("<I", 8) + text(value)


def tokens() -> list[str]:
    """An end token and the characters that stand for bytes (of the letters and the space), and one merge."""
    return ["<|end|>", *"abcdefghijklmnopqrstuvwxyzĠ0123456789", "he", "Ġhe"]


def write_gguf(
    path: Path,
    *,
    architecture: str = "qwen2",
    pooling: int | None = 3,
    add_eos: bool | None = True,
    pre: str = "qwen2",
    model: str = "gpt2",
    more: Mapping[str, Any] | None = None,
    leave_out: Sequence[str] = (),
    further: Sequence[str] = (),
) -> Path:
    """A model of two layers with seeded numbers. `more` keys (under the architecture), `further` tensors."""
    from gguf import GGUFWriter

    writer = GGUFWriter(path, architecture)
    writer.add_block_count(LAYERS)
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(PAIRS)
    writer.add_layer_norm_rms_eps(1e-6)
    if pooling is not None:
        writer.add_uint32(f"{architecture}.pooling_type", pooling)
    for key, value in (more or {}).items():
        (writer.add_string if isinstance(value, str) else writer.add_uint32)(f"{architecture}.{key}", value)
    writer.add_tokenizer_model(model)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens())
    writer.add_token_types([3] + [1] * (len(tokens()) - 1))
    writer.add_token_merges(["h e", "Ġ he"])
    writer.add_eos_token_id(0)
    if add_eos is not None:
        writer.add_add_eos_token(add_eos)
    generator = np.random.default_rng(5)
    for name, shape in _shapes(architecture).items():
        if name not in leave_out:
            writer.add_tensor(name, generator.normal(0, 0.3, shape).astype(np.float32))
    for name in further:
        writer.add_tensor(name, np.ones(8, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes(architecture: str) -> dict[str, tuple[int, ...]]:
    head_size = HIDDEN // HEADS
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (len(tokens()), HIDDEN), "output_norm.weight": (HIDDEN,)}
    for layer in range(LAYERS):
        parts: dict[str, tuple[int, ...]] = {
            "attn_norm.weight": (HIDDEN,),
            "ffn_norm.weight": (HIDDEN,),
            "attn_q.weight": (HIDDEN, HIDDEN),
            "attn_k.weight": (PAIRS * head_size, HIDDEN),
            "attn_v.weight": (PAIRS * head_size, HIDDEN),
            "attn_output.weight": (HIDDEN, HIDDEN),
            "ffn_gate.weight": (INNER, HIDDEN),
            "ffn_up.weight": (INNER, HIDDEN),
            "ffn_down.weight": (HIDDEN, INNER),
        }
        if architecture == "qwen2":
            parts |= {"attn_q.bias": (HIDDEN,), "attn_k.bias": (16,), "attn_v.bias": (16,)}
        if architecture == "qwen3":
            parts |= {"attn_q_norm.weight": (head_size,), "attn_k_norm.weight": (head_size,)}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in parts.items()}
    return shapes


def other_architecture(name: str = "bert", *, rows: int = 8) -> bytes:
    """A file with one tensor [rows, 1024] of zeros."""
    tensor = text("token_embd.weight") + struct.pack("<IQQIQ", 2, 1024, rows, 0, 0)
    start = head(tensors=1, metadata=1) + entry("general.architecture", name) + tensor
    return start + bytes(-len(start) % 32 + rows * 1024 * 4)
