"""modules.json and router_config.json: the modules that sentence-transformers runs, in their order.

Class paths moved between versions (`sentence_transformers.models.Pooling`, `sentence_transformers.base.modules...`),
so a module is known by its last name, provided that the path is sentence-transformers' own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from embedding_model.inspection.documents import JSON_LIMIT, join, read_json, read_object, read_optional_object
from embedding_model.inspection.quoting import escape, quote
from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.listing import check_path
from embedding_model.sources.selection import CONFIG_FILE, MODULES_FILE, module_folders
from embedding_model.sources.source import Source

ROUTER_FILE = "router_config.json"
ROUTER = "Router"
_LIBRARY = "sentence_transformers."
_MOST_MODULES = 32  # real models have up to six


@dataclass(frozen=True)
class Module:
    """One module: its folder ("" is the root), its class as written and the class's last name."""

    folder: str
    written: str

    @property
    def name(self) -> str:
        return self.written.rpartition(".")[2]


@dataclass(frozen=True)
class Routes:
    """The two ways through a Router: the modules for queries and those for documents."""

    file: str
    query: tuple[Module, ...]
    document: tuple[Module, ...]


def read_modules(source: Source) -> tuple[Module, ...]:
    """The modules of modules.json. Raises Refusal: INVALID_FILE, UNSAFE_PATH, REMOTE_CODE_REQUIRED for classes that
    are not sentence-transformers' own."""
    entries = read_json(source, path=MODULES_FILE)
    folders = module_folders(source.read(MODULES_FILE, limit=JSON_LIMIT))
    modules = tuple(
        Module(folder=folder, written=_read_class(entry))
        for folder, entry in zip(folders, _as_list(entries), strict=True)
    )
    for module in modules:
        _require_library(module, file=MODULES_FILE)
    return modules


def read_routes(source: Source, *, folder: str) -> Routes:
    """The routes of a Router module in `folder`.

    Raises Refusal: INVALID_FILE, UNSAFE_PATH, REMOTE_CODE_REQUIRED, UNSUPPORTED_ARCHITECTURE for other routes than
    query and document.
    """
    document = read_optional_object(source, path=join(folder, ROUTER_FILE))
    if not document.exists:  # its name before sentence-transformers 5
        document = read_object(source, path=join(folder, CONFIG_FILE))
    structure = document.mapping("structure")
    if set(structure) != {"query", "document"}:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{document.path} has the routes {', '.join(quote(name) for name in list(structure)[:4]) or 'none'}; "
            "understood are query and document together",
        )
    types = document.mapping("types")
    routes = {
        route: tuple(_read_routed(name, types=types, folder=folder, file=document.path) for name in _names(names))
        for route, names in structure.items()
    }
    return Routes(file=document.path, query=routes["query"], document=routes["document"])


def _read_routed(name: Any, *, types: Any, folder: str, file: str) -> Module:
    written = types.get(name) if isinstance(name, str) else None
    if not isinstance(written, str):
        raise Refusal(Reason.INVALID_FILE, f"{file}: expected every module of a route to have a type (a class path)")
    if name:
        check_path(name)
    module = Module(folder=join(folder, name) if name else folder, written=written)
    _require_library(module, file=file)
    return module


def _names(names: Any) -> Sequence[Any]:
    if not isinstance(names, list) or not 1 <= len(names) <= _MOST_MODULES:
        raise Refusal(
            Reason.INVALID_FILE, f"{ROUTER_FILE}: expected a route to be a list of 1 to {_MOST_MODULES} names"
        )
    return names


def _as_list(entries: Any) -> Sequence[Any]:
    if not isinstance(entries, list) or len(entries) > _MOST_MODULES:
        raise Refusal(Reason.INVALID_FILE, f"{MODULES_FILE}: expected a list of at most {_MOST_MODULES} modules")
    return entries


def _read_class(entry: Any) -> str:
    written = entry.get("type") if isinstance(entry, dict) else None
    if not isinstance(written, str) or not written:
        raise Refusal(Reason.INVALID_FILE, f"{MODULES_FILE}: expected every module to have a type (a class path)")
    return written


def _require_library(module: Module, *, file: str) -> None:
    if not module.written.startswith(_LIBRARY):
        raise Refusal(
            Reason.REMOTE_CODE_REQUIRED,
            f"{file} names the class {quote(module.written)}, which is the model's own Python code and is "
            "never run: choose a revision or a sibling model that sentence-transformers' own modules describe",
        )


def names_of(modules: Sequence[Module]) -> str:
    """The modules' names for a message."""
    return ", ".join(escape(module.name[:80]) for module in modules) or "no module"
