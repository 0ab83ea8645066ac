"""Which files of a repository are loaded; everything else is neither downloaded nor hashed.

The names are those that transformers and sentence-transformers read: transformers `tokenization_utils_base.py`, and
sentence_transformers `Transformer.load` (sentence_*_config.json), `Module.load` of the others and `Router.load`.
Weights are chosen by `weight_files`. Python code is never selected, whatever a config says, nor a pickle that is to be
loaded as one.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.gguf import find_gguf
from embedding_model.sources.json_size import check_json_size
from embedding_model.sources.listing import CONFIG_LIMIT
from embedding_model.sources.source import ListedFile, Source
from embedding_model.sources.weight_files import (
    WEIGHTS_FILE,
    WEIGHTS_INDEX_FILE,
    adapter_only,
    select_token_heads,
    select_weights,
)

__all__ = ["CONFIG_FILE", "MODULES_FILE", "WEIGHTS_FILE", "WEIGHTS_INDEX_FILE", "module_folders", "select"]

MODULES_FILE = "modules.json"
ROUTER_FILE = "router_config.json"
CONFIG_FILE = "config.json"

_TOKENIZERS = frozenset(
    (
        "tokenizer.json",
        "vocab.txt",
        "vocab.json",
        "tokenizer.model",
        "spiece.model",
        "spm.model",
        "sentencepiece.bpe.model",
    )
)
_CONFIGS = frozenset(
    (
        CONFIG_FILE,
        ROUTER_FILE,
        "config_sentence_transformers.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "merges.txt",
        "bpe.codes",
        "chat_template.jinja",
    )
)
_SENTENCE_CONFIG = re.compile(r"sentence_[a-z0-9-]+_config\.json")
_MODULE_FOLDER = re.compile(r"\d+_\w+")
_MOST_MODULES = 64

Read = Callable[[str], bytes]


def select(source: Source, *, conversion: bool = False) -> tuple[str, ...]:
    """The files that are loaded, with the module folders that modules.json (and a router's config) names.

    With `conversion`, pickles take the place of safetensors weights that are missing: pytorch_model.bin, or its index
    and shards; and those of further heads beside them. Refuses as `select_files` does, and InvalidFile, UnsafePath for
    a modules.json, router_config.json or index that cannot be understood.
    """
    listed = source.files()
    paths = {file.path for file in listed}

    def read(path: str) -> bytes:
        return source.read(path, limit=CONFIG_LIMIT)

    modules = None
    if MODULES_FILE in paths:
        modules = _with_routes(module_folders(read(MODULES_FILE)), paths=paths, read=read)
    return select_files(listed, modules=modules, conversion=conversion, read=read)


def select_files(
    listed: Iterable[ListedFile],
    *,
    modules: Sequence[str] | None = None,
    conversion: bool = False,
    read: Read | None = None,
) -> tuple[str, ...]:
    """The paths that are loaded, sorted.

    Of a model that is one GGUF file, that file alone.

    `modules` are the folders that modules.json names ("" is the root); None takes every folder named like `1_Pooling`.
    `read` gives the content of an index of shards; without it shards are known by their names. Refuses MissingFile (no
    config.json, tokenizer, weights or shard), InvalidFile, PickleOnly, AdapterOnly, UnsupportedFormat.
    """
    paths = {file.path for file in listed}
    own = find_gguf(paths)
    if own is not None:
        return (own,)
    folders = _folders(paths, modules=modules)
    transformer = _find_transformer(paths, folders=folders)
    if _joined(transformer, CONFIG_FILE) not in paths:
        raise _without_config(paths, config=_joined(transformer, CONFIG_FILE))
    selected = {MODULES_FILE} & paths
    names = _by_folder(paths)
    for folder in dict.fromkeys(("", *folders)):
        inside = names.get(folder, frozenset())
        selected |= {_joined(folder, name) for name in inside if _is_small(name)}
        if folder or folder == transformer:  # weights in the root beside a transformer in a folder are another model's
            weights = select_weights(
                inside,
                folder=folder,
                required=folder == transformer,
                conversion=conversion,
                read=_reading(read, folder=folder),
            )
            if folder == transformer:
                weights |= select_token_heads(inside, conversion=conversion)
            selected |= {_joined(folder, name) for name in weights}
    if not any(_joined(transformer, name) in paths for name in _TOKENIZERS):
        expected = ", ".join(sorted(_TOKENIZERS))
        raise Refusal(
            Reason.MISSING_FILE, f"no tokenizer beside {_joined(transformer, CONFIG_FILE)}: expected one of {expected}"
        )
    return tuple(sorted(selected))


def module_folders(modules_json: bytes) -> tuple[str, ...]:
    """The `path` of every module in a modules.json, in order; "" is the root. Refuses InvalidFile, UnsafePath."""
    try:
        check_json_size(modules_json)
        folders = [entry["path"] for entry in json.loads(modules_json)]
    except (ValueError, TypeError, KeyError, RecursionError):
        folders = [None]
    if len(folders) > _MOST_MODULES or not all(isinstance(folder, str) for folder in folders):
        raise Refusal(Reason.INVALID_FILE, "modules.json must be a JSON list of objects, each with a string `path`")
    return tuple(_check_folder(folder, file=MODULES_FILE) for folder in folders)


def router_folders(router_config: bytes, *, path: str) -> tuple[str, ...]:
    """The folders of a router's modules, relative to its own, in order: the keys of `types`. Refuses InvalidFile,
    UnsafePath."""
    try:
        check_json_size(router_config)
        folders = list(json.loads(router_config)["types"].keys())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        folders = []
    if not folders or len(folders) > _MOST_MODULES:
        raise Refusal(Reason.INVALID_FILE, f"{path} must be a JSON object with `types`: the class of every module")
    return tuple(_check_folder(folder, file=path) for folder in folders)


def _with_routes(folders: Sequence[str], *, paths: set[str], read: Read) -> tuple[str, ...]:
    """The folders, and below those of routers the folders of their modules."""
    found: list[str] = []
    for folder in folders:
        found.append(folder)
        config = _joined(folder, ROUTER_FILE)
        if config in paths:
            found += [
                _joined(folder, inner) if inner else folder for inner in router_folders(read(config), path=config)
            ]
    return tuple(dict.fromkeys(found))


def _check_folder(folder: str, *, file: str) -> str:
    path = folder.removeprefix("./").rstrip("/")
    if path in ("", "."):
        return ""
    if path.startswith("/") or "\\" in path or ".." in path.split("/"):
        raise Refusal(Reason.UNSAFE_PATH, f"{file} names a folder outside the model: {folder[:200]!r}")
    return str(PurePosixPath(path))


def _folders(paths: set[str], *, modules: Sequence[str] | None) -> tuple[str, ...]:
    """The module folders, the first module's first."""
    if modules:
        return tuple(dict.fromkeys(modules))
    parents = {str(PurePosixPath(path).parent) for path in paths}
    numbered = sorted(folder for folder in parents if _MODULE_FOLDER.fullmatch(folder))
    own_folder = CONFIG_FILE not in paths and any(folder.startswith("0_") for folder in numbered)
    return tuple(numbered) if own_folder else ("", *numbered)


def _find_transformer(paths: set[str], *, folders: Sequence[str]) -> str:
    """The first module's folder; of a router, which is no model itself, the first folder that says what model it is."""
    if _joined(folders[0], ROUTER_FILE) not in paths or _joined(folders[0], CONFIG_FILE) in paths:
        return folders[0]
    transformers = [folder for folder in folders if folder.rpartition("/")[2].endswith("Transformer")]
    return next((folder for folder in transformers if _joined(folder, CONFIG_FILE) in paths), folders[0])


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _by_folder(paths: Iterable[str]) -> Mapping[str, Collection[str]]:
    """Names of the files directly in each folder; "" is the root."""
    names: dict[str, set[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        names.setdefault(folder, set()).add(name)
    return names


def _reading(read: Read | None, *, folder: str) -> Read | None:
    return None if read is None else lambda name: read(_joined(folder, name))


def _is_small(name: str) -> bool:
    return name in _CONFIGS or name in _TOKENIZERS or _SENTENCE_CONFIG.fullmatch(name) is not None


def _without_config(paths: set[str], *, config: str) -> Refusal:
    if "adapter_config.json" in paths:
        return adapter_only()
    return Refusal(Reason.MISSING_FILE, f"no {config}: this is not a model that transformers can load")
