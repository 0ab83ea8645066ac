"""Which pickle becomes which file, and the index of shards that were converted one by one."""

import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from embedding_model.inspection.quoting import quote
from embedding_model.inspection.tensors import DTYPES, LENGTH_BYTES, Tensor, parse_header, read_header_length
from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.weight_files import TOKEN_HEAD_PICKLES

FIELD = "model.conversion"
# transformers' names for either format: `utils/__init__.py`, WEIGHTS_NAME and SAFE_WEIGHTS_NAME with their indexes.
_PICKLE = re.compile(r"pytorch_model(?P<shard>-\d{5}-of-\d{5})?\.bin")
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_PICKLE_INDEX = "pytorch_model.bin.index.json"
_INDEX = "model.safetensors.index.json"
PICKLE_SUFFIXES = frozenset((".bin", ".pt", ".pth", ".ckpt", ".pkl"))


def is_pickle(path: str) -> bool:
    """Whether the file is a pickle, or the index of some: never loaded, only converted."""
    name = PurePosixPath(path).name
    return PurePosixPath(name).suffix in PICKLE_SUFFIXES or name == _PICKLE_INDEX


def is_index(path: str) -> bool:
    return PurePosixPath(path).name in (_PICKLE_INDEX, _INDEX)


def target_path(path: str) -> str:
    """The safetensors file, or index, that is made of a pickle. Refuses ConversionFailed for any other name."""
    pure = PurePosixPath(path)
    if pure.name == _PICKLE_INDEX:
        return str(pure.with_name(_INDEX))
    if pure.name in TOKEN_HEAD_PICKLES:
        return str(pure.with_suffix(".safetensors"))
    found = _PICKLE.fullmatch(pure.name)
    if found is None:
        raise Refusal(
            Reason.CONVERSION_FAILED,
            f"{quote(path)} is not converted: only pickles with transformers' own name are (pytorch_model.bin, or its "
            "shards with their index), and bge-m3's heads; save the model with save_pretrained and serve the result",
            field=FIELD,
        )
    return str(pure.with_name(f"model{found.group('shard') or ''}.safetensors"))


def is_shard(path: str) -> bool:
    """Whether the file is one that was made of a shard, by its name."""
    return _SHARD.fullmatch(PurePosixPath(path).name) is not None


def render_index(shards: Mapping[str, Path]) -> bytes:
    """The index, as save_pretrained writes it, of converted files: each one's name in the folder, and where it is.

    Refuses ConversionFailed when two shards hold one tensor.
    """
    weight_map: dict[str, str] = {}
    total = 0
    for name in sorted(shards):
        for tensor in _read_tensors(shards[name], name=name):
            if tensor.name in weight_map:
                raise Refusal(
                    Reason.CONVERSION_FAILED,
                    f"the tensor {quote(tensor.name)} is in two shards, {weight_map[tensor.name]} and {name}; save the "
                    "model anew (save_pretrained)",
                    field=FIELD,
                )
            weight_map[tensor.name] = name
            total += tensor.parameters * DTYPES[tensor.dtype]
    document = {"metadata": {"total_size": total}, "weight_map": weight_map}
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _read_tensors(path: Path, *, name: str) -> list[Tensor]:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        length = read_header_length(file.read(LENGTH_BYTES), path=name, size=size)
        return [tensor for tensor, _ in parse_header(file.read(length), path=name, length=length, size=size)]
