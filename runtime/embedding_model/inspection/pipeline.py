"""modules.json: the steps from text to vector that sentence-transformers runs.

Class paths moved between versions (`sentence_transformers.models.Pooling`, `sentence_transformers.base.modules...`),
so a module is known by its last name, provided that the path is sentence-transformers' own. Every module changes the
vectors; one that is not known is a refusal, never a warning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from embedding_model.inspection.documents import JSON_LIMIT, read_json
from embedding_model.inspection.quoting import escape, quote
from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.selection import MODULES_FILE, module_folders
from embedding_model.sources.source import Source

_LIBRARY = "sentence_transformers."
_MOST_MODULES = 32  # real models have up to six
_WITHOUT_EFFECT = frozenset({"Dropout"})  # active in training only

# Modules of models that are something else than a dense text embedder, with what they are.
_OTHER_TASKS = {
    "SpladePooling": "a sparse model (SPLADE)",
    "SparseStaticEmbedding": "a sparse model",
    "SparseAutoEncoder": "a sparse model (CSR)",
    "CSRSparsity": "a sparse model (CSR)",
    "MLMTransformer": "a sparse model (SPLADE)",
    "LogitScore": "a reranker",
    "MultiVectorMask": "a multi-vector model (ColBERT)",
    "CLIPModel": "an image and text model",
}


@dataclass(frozen=True)
class Module:
    """One entry of modules.json: its folder ("" is the root), its class as written and the class's last name."""

    folder: str
    written: str

    @property
    def name(self) -> str:
        return self.written.rpartition(".")[2]


@dataclass(frozen=True)
class Pipeline:
    """Transformer, then Pooling, then possibly Normalize: the folders of the first two."""

    transformer: str
    pooling: str
    normalize: bool
    modules: tuple[Module, ...]

    def describe(self) -> str:
        return ", ".join(module.name for module in self.modules)


def read_pipeline(source: Source) -> Pipeline:
    """The pipeline that modules.json describes, in its order.

    Raises Refusal: AMBIGUOUS_TASK without modules.json, INVALID_FILE, REMOTE_CODE_REQUIRED for classes of others,
    NOT_AN_EMBEDDING_MODEL for modules of other tasks, UNSUPPORTED_ARCHITECTURE for other modules and orders.
    """
    modules = _read_modules(source)
    for module in modules:
        _check_module(module)
    steps = [module for module in modules if module.name not in _WITHOUT_EFFECT]
    match [module.name for module in steps]:
        case ["Transformer", "Pooling", *rest] if all(name == "Normalize" for name in rest):
            return Pipeline(transformer=steps[0].folder, pooling=steps[1].folder, normalize=bool(rest), modules=modules)
        case names:
            raise Refusal(
                Reason.UNSUPPORTED_ARCHITECTURE,
                f"{MODULES_FILE} lists {', '.join(names) or 'no module'}; served are Transformer, Pooling and, after "
                "them, Normalize",
            )


def _read_modules(source: Source) -> tuple[Module, ...]:
    entries = read_json(source, path=MODULES_FILE)
    folders = module_folders(source.read(MODULES_FILE, limit=JSON_LIMIT))
    return tuple(
        Module(folder=folder, written=_read_class(entry))
        for folder, entry in zip(folders, _as_list(entries), strict=True)
    )


def _as_list(entries: Any) -> Sequence[Any]:
    if not isinstance(entries, list) or len(entries) > _MOST_MODULES:
        raise Refusal(Reason.INVALID_FILE, f"{MODULES_FILE}: expected a list of at most {_MOST_MODULES} modules")
    return entries


def _read_class(entry: Any) -> str:
    written = entry.get("type") if isinstance(entry, dict) else None
    if not isinstance(written, str) or not written:
        raise Refusal(Reason.INVALID_FILE, f"{MODULES_FILE}: expected every module to have a type (a class path)")
    return written


def _check_module(module: Module) -> None:
    if not module.written.startswith(_LIBRARY):
        raise Refusal(
            Reason.REMOTE_CODE_REQUIRED,
            f"{MODULES_FILE} names the class {quote(module.written)}, which is the model's own Python code and is "
            "never run: choose a revision or a sibling model that sentence-transformers' own modules describe",
        )
    other = _OTHER_TASKS.get(module.name)
    if other is not None:
        raise Refusal(
            Reason.NOT_AN_EMBEDDING_MODEL,
            f"{MODULES_FILE} lists {module.name}: this is {other}; only dense text embedding models are served so far",
        )
    if module.name not in {"Transformer", "Pooling", "Normalize"} | _WITHOUT_EFFECT:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{MODULES_FILE} lists {escape(module.name[:80])}, which is not served yet; without it every vector "
            "would be wrong",
        )
