"""The files around the weights, as transformers and sentence-transformers write them."""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OLD_PATHS = "sentence_transformers.models"
NEW_PATHS = {
    "Transformer": "sentence_transformers.base.modules.transformer",
    "Dense": "sentence_transformers.base.modules.dense",
    "Normalize": "sentence_transformers.base.modules.normalize",
    "Router": "sentence_transformers.base.modules.router",
    "Pooling": "sentence_transformers.sentence_transformer.modules.pooling",
    "LogitScore": "sentence_transformers.cross_encoder.modules.logit_score",
    "SpladePooling": "sentence_transformers.sparse_encoder.modules.splade_pooling",
    "SparseStaticEmbedding": "sentence_transformers.sparse_encoder.modules.sparse_static_embedding",
}
_FLAGS = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4}


@dataclass(frozen=True)
class Stored:
    """One tensor of a safetensors file; without `data` it is zeros."""

    shape: tuple[int, ...]
    dtype: str = "F32"
    data: bytes | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape) * _BYTES[self.dtype]


Tensors = Mapping[str, Stored]


def json_file(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def safetensors_header(tensors: Tensors) -> bytes:
    """The eight bytes of length and the header, padded to eight bytes as the format's own writer does."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.size
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [begin, end]}
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    return len(encoded).to_bytes(8, "little") + encoded


def safetensors_file(tensors: Tensors) -> bytes:
    body = b"".join(bytes(tensor.size) if tensor.data is None else tensor.data for tensor in tensors.values())
    return safetensors_header(tensors) + body


def sharded_files(tensors: Tensors, *, count: int, folder: str = "") -> dict[str, bytes]:
    """Shards with as many tensors each, and their index."""
    names = list(tensors)
    step = math.ceil(len(names) / count)
    shards, weight_map = {}, {}
    for number in range(count):
        path = f"model-{number + 1:05d}-of-{count:05d}.safetensors"
        part = {name: tensors[name] for name in names[number * step : (number + 1) * step]}
        shards[folder + path] = safetensors_file(part)
        weight_map.update(dict.fromkeys(part, path))
    total = sum(tensor.size for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    return {**shards, f"{folder}model.safetensors.index.json": json_file(index)}


def modules_file(*types: str, folders: Sequence[str] | None = None, new: bool = False) -> bytes:
    """modules.json; a dotted type is taken as it is. `folders` default to "", "1_Pooling", "2_Normalize" ..."""
    entries = []
    for index, kind in enumerate(types):
        default = f"{index}_{kind.rpartition('.')[2]}" if index else ""
        path = folders[index] if folders else default
        written = kind if "." in kind else f"{NEW_PATHS[kind]}.{kind}" if new else f"{OLD_PATHS}.{kind}"
        entries.append({"idx": index, "name": str(index), "path": path, "type": written})
    return json_file(entries)


def pooling_file(width: int, *modes: str, **more: Any) -> bytes:
    """1_Pooling/config.json as versions before 5.4 write it: one flag for each mode that the version knew."""
    known = _FLAGS if more else _FLAGS[:4]  # newer keys came together with include_prompt
    flags = {f"pooling_mode_{flag}": flag in modes for flag in (*known, *modes)}
    return json_file({"word_embedding_dimension": width, **flags, **more})


def new_pooling_file(width: int, mode: str, **more: Any) -> bytes:
    """1_Pooling/config.json as versions since 5.4 write it."""
    return json_file({"embedding_dimension": width, "pooling_mode": mode, "include_prompt": True, **more})


def dense_files(folder: str, *, width: int, out: int, activation: str, bias: bool = True) -> dict[str, bytes]:
    """A Dense module that takes the first values and repeats them where it is wider."""
    rows = b"".join(
        struct.pack(f"<{width}f", *(column == row % width for column in range(width))) for row in range(out)
    )
    tensors = {"linear.weight": Stored((out, width), data=rows), **({"linear.bias": Stored((out,))} if bias else {})}
    config = {"in_features": width, "out_features": out, "bias": bias, "activation_function": activation}
    return {
        f"{folder}/config.json": json_file(config),
        f"{folder}/model.safetensors": safetensors_file(tensors),
    }


def library_file(*, prompts: Mapping[str, str] | None = None, default: str | None = None, **more: Any) -> bytes:
    """config_sentence_transformers.json; without prompts as versions before 2.4 wrote it."""
    versions = {"sentence_transformers": "2.2.2", "transformers": "4.28.1", "pytorch": "1.13.0+cu117"}
    if prompts is None and not more:
        return json_file({"__version__": versions})
    return json_file({"__version__": versions, "prompts": prompts or {}, "default_prompt_name": default, **more})


def sentence_file(length: int | None, *, lowercase: bool = False) -> bytes:
    return json_file({"max_seq_length": length, "do_lower_case": lowercase})


def card(body: str = "# Model", **front: Any) -> bytes:
    """README.md with front matter; lists are written one item a line, as the hub's own editor does."""
    lines = ["---"]
    for key, value in front.items():
        if isinstance(value, list):
            lines += [f"{key}:", *(f"- {item}" for item in value)]
        else:
            lines.append(f"{key}: {value}")
    return ("\n".join([*lines, "---", "", body, ""])).encode()
