"""Which weight files of a folder are loaded: safetensors in one file or in shards, else pickles to be converted.

Names and their order are transformers' (`utils/__init__.py`, WEIGHTS_NAME and its kin; `modeling_utils.py`,
_get_resolved_checkpoint_files): the single file before the index, an index's weight_map before any file's name. Never
loaded: copies in other formats, variants (model.fp16.safetensors), files of other names (consolidated.safetensors).
"""

import json
import re
from collections.abc import Callable, Collection
from pathlib import PurePosixPath

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.json_size import check_json_size

WEIGHTS_FILE = "model.safetensors"
WEIGHTS_INDEX_FILE = "model.safetensors.index.json"
PICKLE_FILE = "pytorch_model.bin"
PICKLE_INDEX_FILE = "pytorch_model.bin.index.json"

# Further heads of an embedder, each a layer in a file beside the weights: FlagEmbedding saves bge-m3 so, as pickles
# (its M3 runner's EncoderOnlyEmbedderM3Model.save).
SPARSE_HEAD = "sparse_linear"
MULTI_VECTOR_HEAD = "colbert_linear"
_TOKEN_HEADS = (SPARSE_HEAD, MULTI_VECTOR_HEAD)
TOKEN_HEAD_FILES = frozenset(f"{name}.safetensors" for name in _TOKEN_HEADS)
TOKEN_HEAD_PICKLES = frozenset(f"{name}.pt" for name in _TOKEN_HEADS)

_SHARD = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")
_PICKLE_SHARD = re.compile(r"pytorch_model-(\d{5})-of-(\d{5})\.bin")
_ANY_PICKLE = re.compile(r".*\.(bin|bin\.index\.json|pt|pth|ckpt|pkl)")
_NO_WEIGHTS = frozenset(("training_args.bin", "optimizer.pt", "scheduler.pt", "optimizer.bin", "scheduler.bin"))
_OTHER_FORMATS = {".onnx": "ONNX", ".gguf": "GGUF", ".h5": "TensorFlow", ".msgpack": "Flax", ".tflite": "TFLite"}
_MOST_SHARDS = 10_000
_SHOWN = 3

Read = Callable[[str], bytes]


def select_weights(
    names: Collection[str], *, folder: str, required: bool, conversion: bool, read: Read | None
) -> frozenset[str]:
    """Of the file names directly in `folder` ("" is the root): those that are loaded, or with `conversion` converted.

    `read` gives the content of an index by its name; without it shards are known by their names. `required`: a folder
    without weights is refused. Refuses MissingFile, InvalidFile, PickleOnly (without `conversion`, or for pickles of
    other names than transformers'), AdapterOnly, UnsupportedFormat.
    """
    if WEIGHTS_FILE in names:
        return frozenset((WEIGHTS_FILE,))
    if WEIGHTS_INDEX_FILE in names:
        return _with_shards(names, folder=folder, index=WEIGHTS_INDEX_FILE, pattern=_SHARD, read=read)
    pickles = sorted(name for name in names if _ANY_PICKLE.fullmatch(name) and name not in _NO_WEIGHTS)
    if pickles and (required or (folder and "config.json" in names)):
        return _select_pickles(names, pickles=pickles, folder=folder, conversion=conversion, read=read)
    if required:
        raise _without_weights(names, folder=folder)
    return frozenset()


def select_token_heads(names: Collection[str], *, conversion: bool) -> frozenset[str]:
    """Of the file names beside the weights: those of further heads; with `conversion` pickles where nothing else is."""
    found = {name for name in names if name in TOKEN_HEAD_FILES}
    if conversion:
        found |= {name for name in names if name in TOKEN_HEAD_PICKLES and f"{name[:-3]}.safetensors" not in names}
    return frozenset(found)


def adapter_only() -> Refusal:
    return Refusal(
        Reason.ADAPTER_ONLY,
        "the repository holds an adapter (adapter_config.json) without its base model; merge the adapter into the base"
        " model (merge_and_unload, save_pretrained) and serve the result",
    )


def _select_pickles(
    names: Collection[str], *, pickles: list[str], folder: str, conversion: bool, read: Read | None
) -> frozenset[str]:
    known = [name for name in (PICKLE_FILE, PICKLE_INDEX_FILE) if name in names]
    found = _joined(folder, (known or pickles)[0])
    if not known:
        raise Refusal(
            Reason.PICKLE_ONLY,
            f"{found} is a pickle, which can run code when it is loaded, and there is no"
            f" {_joined(folder, WEIGHTS_FILE)}; use a revision with safetensors weights, or save the model with"
            f" save_pretrained (only {PICKLE_FILE} and its shards can be converted)",
        )
    if not conversion:
        raise Refusal(
            Reason.PICKLE_ONLY,
            f"{found} is a pickle, which can run code when it is loaded, and there is no"
            f" {_joined(folder, WEIGHTS_FILE)}; use a revision with safetensors weights, or set"
            " spec.model.conversion to Isolated to have it converted where it can do no harm",
            field="model.conversion",
        )
    if known[0] == PICKLE_FILE:
        return frozenset((PICKLE_FILE,))
    return _with_shards(names, folder=folder, index=PICKLE_INDEX_FILE, pattern=_PICKLE_SHARD, read=read)


def _with_shards(
    names: Collection[str], *, folder: str, index: str, pattern: re.Pattern[str], read: Read | None
) -> frozenset[str]:
    """The index and every shard that it names."""
    path = _joined(folder, index)
    expected = _numbered(names, index=path, pattern=pattern) if read is None else _mapped(read(index), index=path)
    suffix = ".safetensors" if index == WEIGHTS_INDEX_FILE else ".bin"
    strange = next((name for name in sorted(expected) if "/" in name or not name.endswith(suffix)), None)
    if strange is not None:
        raise Refusal(Reason.INVALID_FILE, f"{path} names {strange[:200]!r}; expected files *{suffix} beside it")
    missing = sorted(expected - set(names))
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise Refusal(
            Reason.MISSING_FILE,
            f"{path} names {len(expected)} shards; missing {', '.join(missing[:_SHOWN])}{more}",
        )
    return frozenset((index, *expected))


def _mapped(data: bytes, *, index: str) -> set[str]:
    try:
        check_json_size(data)
        shards = set(json.loads(data)["weight_map"].values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        shards = set()
    if not shards or len(shards) > _MOST_SHARDS or not all(isinstance(name, str) and name for name in shards):
        raise Refusal(
            Reason.INVALID_FILE,
            f'{index} must be a JSON object with "weight_map": the file of every tensor by its name',
        )
    return shards


def _numbered(names: Collection[str], *, index: str, pattern: re.Pattern[str]) -> set[str]:
    found = sorted(name for name in names if pattern.fullmatch(name))
    if not found:
        raise Refusal(Reason.MISSING_FILE, f"{index} is there, but no shard of it")
    stem, _, rest = found[0].partition("-")
    total = int(rest[9:14])
    suffix = rest[14:]
    expected = {f"{stem}-{number:05d}-of-{total:05d}{suffix}" for number in range(1, total + 1)}
    unexpected = sorted(set(found) - expected)
    if unexpected:
        raise Refusal(
            Reason.MISSING_FILE, f"the weights are said to be in {total} shards; unexpected {unexpected[0]} beside them"
        )
    return expected


def _without_weights(names: Collection[str], *, folder: str) -> Refusal:
    single = _joined(folder, WEIGHTS_FILE)
    if "adapter_config.json" in names:
        return adapter_only()
    suffix = next((suffix for name in sorted(names) if (suffix := PurePosixPath(name).suffix) in _OTHER_FORMATS), None)
    if suffix is not None:
        return Refusal(
            Reason.UNSUPPORTED_FORMAT,
            f"the weights are there as {_OTHER_FORMATS[suffix]} only; expected {single} (safetensors)",
        )
    other = next((name for name in sorted(names) if name.endswith(".safetensors")), None)
    beside = f"; {_joined(folder, other)[:200]!r} is not a name that is loaded" if other else ""
    return Refusal(Reason.MISSING_FILE, f"no weights: expected {single} or {single}.index.json with its shards{beside}")


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
