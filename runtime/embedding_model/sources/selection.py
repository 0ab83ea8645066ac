"""Which files of a repository are loaded; everything else is neither downloaded nor hashed.

The names are those that transformers and sentence-transformers read:
transformers `utils/__init__.py` (WEIGHTS_NAME and its kin), `tokenization_utils_base.py`, and
sentence_transformers `Transformer.load` (sentence_*_config.json) and `Module.load` of the others.
Python code and pickles are never selected, whatever a config says.
"""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.listing import CONFIG_LIMIT
from embedding_model.sources.source import ListedFile, Source

MODULES_FILE = "modules.json"
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
WEIGHTS_INDEX_FILE = "model.safetensors.index.json"

_TOKENIZERS = frozenset(
    ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
)
_CONFIGS = frozenset(
    (
        CONFIG_FILE,
        "config_sentence_transformers.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "merges.txt",
        "chat_template.jinja",
    )
)
_SENTENCE_CONFIG = re.compile(r"sentence_[a-z0-9-]+_config\.json")
_SHARD = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")
_PICKLE = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin(\.index\.json)?|.*\.(bin|pt|pth|ckpt|pkl)")
_OTHER_FORMATS = {".onnx": "ONNX", ".gguf": "GGUF", ".h5": "TensorFlow", ".msgpack": "Flax", ".tflite": "TFLite"}
_MODULE_FOLDER = re.compile(r"\d+_\w+")


def select(source: Source) -> tuple[str, ...]:
    """The files that are loaded, with the module folders that modules.json itself names.

    Refuses as `select_files` does, and InvalidFile for a modules.json that cannot be understood.
    """
    listed = source.files()
    if not any(file.path == MODULES_FILE for file in listed):
        return select_files(listed)
    return select_files(listed, modules=module_folders(source.read(MODULES_FILE, limit=CONFIG_LIMIT)))


def select_files(listed: Iterable[ListedFile], *, modules: Sequence[str] | None = None) -> tuple[str, ...]:
    """The paths that are loaded, sorted.

    `modules` are the folders that modules.json names ("" is the root); None takes every folder named like `1_Pooling`.
    Refuses MissingFile (no config.json, tokenizer, weights or shard), PickleOnly, AdapterOnly, UnsupportedFormat.
    """
    paths = {file.path for file in listed}
    folders = _folders(paths, modules=modules)
    transformer = folders[0]
    if _joined(transformer, CONFIG_FILE) not in paths:
        raise _without_config(paths, config=_joined(transformer, CONFIG_FILE))
    selected = {MODULES_FILE} & paths
    for folder in ("", *folders):
        selected |= {path for path in _inside(paths, folder=folder) if _is_small(PurePosixPath(path).name)}
        if folder or folder == transformer:  # weights in the root beside a transformer in a folder are another model's
            selected |= _weights(paths, folder=folder, required=folder == transformer)
    if not any(_joined(transformer, name) in paths for name in _TOKENIZERS):
        expected = ", ".join(sorted(_TOKENIZERS))
        raise Refusal(
            Reason.MISSING_FILE, f"no tokenizer beside {_joined(transformer, CONFIG_FILE)}: expected one of {expected}"
        )
    return tuple(sorted(selected))


def module_folders(modules_json: bytes) -> tuple[str, ...]:
    """The `path` of every module in a modules.json, in order; "" is the root. Refuses InvalidFile, UnsafePath."""
    try:
        folders = [entry["path"] for entry in json.loads(modules_json)]
    except (ValueError, TypeError, KeyError):
        folders = [None]
    if not all(isinstance(folder, str) for folder in folders):
        raise Refusal(Reason.INVALID_FILE, "modules.json must be a JSON list of objects, each with a string `path`")
    return tuple(_module_folder(folder) for folder in folders)


def _module_folder(folder: str) -> str:
    path = folder.removeprefix("./").rstrip("/")
    if path in ("", "."):
        return ""
    if path.startswith("/") or "\\" in path or ".." in path.split("/"):
        raise Refusal(Reason.UNSAFE_PATH, f"modules.json names a folder outside the model: {folder[:200]!r}")
    return path


def _folders(paths: set[str], *, modules: Sequence[str] | None) -> tuple[str, ...]:
    """The module folders, the transformer's first."""
    if modules:
        return tuple(dict.fromkeys(modules))
    parents = {str(PurePosixPath(path).parent) for path in paths}
    numbered = sorted(folder for folder in parents if _MODULE_FOLDER.fullmatch(folder))
    own_folder = CONFIG_FILE not in paths and any(folder.startswith("0_") for folder in numbered)
    return tuple(numbered) if own_folder else ("", *numbered)


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _inside(paths: set[str], *, folder: str) -> Iterable[str]:
    """Files directly in the folder."""
    parent = PurePosixPath(folder)
    return (path for path in paths if PurePosixPath(path).parent == parent)


def _is_small(name: str) -> bool:
    return name in _CONFIGS or name in _TOKENIZERS or _SENTENCE_CONFIG.fullmatch(name) is not None


def _weights(paths: set[str], *, folder: str, required: bool) -> set[str]:
    """The weight files of one folder: the single file, or the index and all its shards (transformers' own order)."""
    single = _joined(folder, WEIGHTS_FILE)
    if single in paths:
        return {single}
    index = _joined(folder, WEIGHTS_INDEX_FILE)
    if index in paths:
        return {index} | _shards(paths, folder=folder)
    names = sorted(PurePosixPath(path).name for path in _inside(paths, folder=folder))
    pickles = [name for name in names if _PICKLE.fullmatch(name) and name != "training_args.bin"]
    if pickles and (required or (folder != "" and _joined(folder, CONFIG_FILE) in paths)):
        raise Refusal(
            Reason.PICKLE_ONLY,
            f"{_joined(folder, pickles[0])} is a pickle, which can run code when it is loaded, and there is no"
            f" {single}; use a revision with safetensors weights, or convert the model (save_pretrained)",
        )
    if required:
        raise _without_weights(names, single=single)
    return set()


def _shards(paths: set[str], *, folder: str) -> set[str]:
    names = {PurePosixPath(path).name for path in _inside(paths, folder=folder)}
    found = sorted(name for name in names if _SHARD.fullmatch(name))
    if not found:
        raise Refusal(
            Reason.MISSING_FILE,
            f"{_joined(folder, WEIGHTS_INDEX_FILE)} is there, but no shard named like model-00001-of-00002.safetensors",
        )
    total = int(found[0].removesuffix(".safetensors").rpartition("-")[2])
    expected = {f"model-{number:05d}-of-{total:05d}.safetensors" for number in range(1, total + 1)}
    if expected != set(found):
        missing = sorted(expected - set(found))
        unexpected = sorted(set(found) - expected)
        detail = f"missing {', '.join(missing[:3])}" if missing else f"unexpected {', '.join(unexpected[:3])}"
        raise Refusal(Reason.MISSING_FILE, f"the weights are said to be in {total} shards; {detail}")
    return {_joined(folder, name) for name in found}


def _without_config(paths: set[str], *, config: str) -> Refusal:
    if "adapter_config.json" in paths:
        return _adapter_only()
    return Refusal(Reason.MISSING_FILE, f"no {config}: this is not a model that transformers can load")


def _without_weights(names: Sequence[str], *, single: str) -> Refusal:
    if "adapter_config.json" in names:
        return _adapter_only()
    suffix = next((PurePosixPath(name).suffix for name in names if PurePosixPath(name).suffix in _OTHER_FORMATS), None)
    if suffix is not None:
        return Refusal(
            Reason.UNSUPPORTED_FORMAT,
            f"the weights are there as {_OTHER_FORMATS[suffix]} only; expected {single} (safetensors)",
        )
    return Refusal(Reason.MISSING_FILE, f"no weights: expected {single} or {single}.index.json with its shards")


def _adapter_only() -> Refusal:
    return Refusal(
        Reason.ADAPTER_ONLY,
        "the repository holds an adapter (adapter_config.json) without its base model; merge the adapter into the base"
        " model (merge_and_unload, save_pretrained) and serve the result",
    )
