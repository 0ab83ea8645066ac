"""Whether stored tensors are exactly those of a blueprint, and which heads they hold.

A tensor that a class needs and the file does not hold would be filled with random numbers when it is loaded; one that
the class does not know would be dropped in silence. Both are refusals here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.families.heads import CLASSIFICATION, Head, HeadTensors
from embedding_model.inspection.families.shapes import LABELS, Shape, Tensors
from embedding_model.inspection.families.table import Blueprint, Family, is_buffer
from embedding_model.inspection.quoting import escape
from embedding_model.inspection.tensors import Tensor
from embedding_model.refusal import Reason, Refusal

Stored = Mapping[str, Tensor]  # by canonical name


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The heads that are there as a whole, those that config.json names in vain, and a tensor that shows the first."""

    heads: frozenset[Head]
    missing_heads: frozenset[Head]
    label_count: int | None
    head_tensor: Tensor | None


def fit(stored: Stored, *, blueprint: Blueprint, family: Family, config: JsonObject, with_prefix: bool) -> Fit:
    """Hold the stored tensors against the blueprint. `with_prefix`: the body was saved with a head.

    Raises Refusal: INCOMPLETE_WEIGHTS for a body, a head or a pooler with tensors missing, UNEXPECTED_WEIGHTS for
    tensors that nothing has, CONTRADICTORY_EVIDENCE for shapes that config.json does not give, UNSUPPORTED_FORMAT for
    integers where floats belong.
    """
    _require(stored, blueprint.body, tied=blueprint.tied, what=family.architecture, config=config)
    explained = {**blueprint.body}
    for group in blueprint.optional:
        if any(name in stored for name in group):
            _require(stored, group, tied={}, what=f"{family.architecture}'s pooler", config=config)
            explained |= group
    named = named_heads(config)
    heads = _choose_heads(stored, blueprint=blueprint, named=named, with_prefix=with_prefix)
    missing_heads = _find_missing_heads(
        stored, heads=heads, named=named, blueprint=blueprint, config=config, with_prefix=with_prefix
    )
    for tensors in (blueprint.heads[head] for head in heads):
        explained |= tensors.tensors
    _refuse_rest(stored, explained=explained, blueprint=blueprint, family=family, config=config)
    for name, shape in explained.items():
        if name in stored:
            _check_shape(stored[name], shape=shape, config=config)
    return Fit(
        heads=frozenset(heads),
        missing_heads=missing_heads,
        label_count=_count_labels(stored, heads=heads, blueprint=blueprint, config=config),
        head_tensor=_show_head(stored, heads=heads, blueprint=blueprint),
    )


def _require(stored: Stored, tensors: Tensors, *, tied: Mapping[str, str], what: str, config: JsonObject) -> None:
    missing = _missing(stored, tensors, tied=tied)
    if missing:
        raise Refusal(
            Reason.INCOMPLETE_WEIGHTS,
            f"the weights lack {list_names(missing)} of {what} as {config.path} describes it; loading would fill them "
            "with random numbers. Use the complete weights, or the config.json that belongs to them",
        )


def _missing(stored: Stored, tensors: Tensors, *, tied: Mapping[str, str]) -> list[str]:
    return [name for name in tensors if name not in stored and tied.get(name) not in stored]


def _own(tensors: HeadTensors, *, blueprint: Blueprint) -> set[str]:
    """The head's tensors that are not the body's or the pooler's."""
    shared = {name for group in blueprint.optional for name in group}
    return set(tensors.tensors) - shared


def _whole(stored: Stored, tensors: HeadTensors) -> bool:
    return not _missing(stored, tensors.tensors, tied=tensors.tied)


def _choose_heads(stored: Stored, *, blueprint: Blueprint, named: set[Head], with_prefix: bool) -> set[Head]:
    """One head that scores at most, and the language heads beside it.

    Heads that score share tensors; they are told apart by the class that config.json names, else it is the sequence's.
    A language head that is the word embeddings has no tensor of its own: it counts where nothing scores and the body
    was saved with a head.
    """
    whole = {head for head, tensors in blueprint.heads.items() if _whole(stored, tensors)}
    scoring = [
        head
        for head in CLASSIFICATION
        if head in whole and any(name in stored for name in _own(blueprint.heads[head], blueprint=blueprint))
    ]
    chosen = ([head for head in scoring if head in named] or scoring)[:1]
    taken = {name for head in chosen for name in blueprint.heads[head].tensors}
    languages = {
        head
        for head in whole - set(CLASSIFICATION)
        if any(name in stored and name not in taken for name in _own(blueprint.heads[head], blueprint=blueprint))
        or (with_prefix and not chosen)
    }
    return {*chosen, *languages}


def named_heads(config: JsonObject) -> set[Head]:
    """The heads of the classes that config.json names."""
    return {head for name in config.texts("architectures") for head in Head if name.endswith(head)}


def _find_missing_heads(
    stored: Stored, *, heads: set[Head], named: set[Head], blueprint: Blueprint, config: JsonObject, with_prefix: bool
) -> frozenset[Head]:
    """Heads that score, that config.json names and the weights do not hold: loaded as such, they would be random.

    Raises Refusal(INCOMPLETE_WEIGHTS) for one that is there in part, or missing behind a body saved with a head.
    """
    missing = {head for head in CLASSIFICATION if head in named and head in blueprint.heads and head not in heads}
    for head in sorted(missing):
        tensors = blueprint.heads[head]
        in_part = any(name in stored for name in _own(tensors, blueprint=blueprint))
        if in_part or (with_prefix and not heads & set(CLASSIFICATION)):
            _refuse_head(_missing(stored, tensors.tensors, tied=tensors.tied), what=f"{config.path} names {head}")
    return frozenset(missing)


def _refuse_head(missing: list[str], *, what: str) -> NoReturn:
    raise Refusal(
        Reason.INCOMPLETE_WEIGHTS,
        f"{what}, but the weights lack {list_names(missing)} of that head: it would be newly initialised, and its "
        "scores random. Use the weights of the whole model; for an embedder, a config.json that names no such class",
    )


def _refuse_rest(
    stored: Stored, *, explained: Tensors, blueprint: Blueprint, family: Family, config: JsonObject
) -> None:
    rest = {name for name in stored if name not in explained and not is_buffer(name)}
    lacking = {head: _missing(stored, item.tensors, tied=item.tied) for head, item in blueprint.heads.items()}
    for head in sorted(lacking, key=lambda head: len(lacking[head])):
        part = rest & _own(blueprint.heads[head], blueprint=blueprint)
        if part and head in CLASSIFICATION:
            _refuse_head(lacking[head], what=f"the weights hold {list_names(sorted(part))} of {family.classes[head]}")
        rest -= part  # what is left of a language head harms nobody: no task uses a part of one
    of_heads = tuple(name for item in blueprint.heads.values() for name in item.tensors)
    leftovers = tuple(start for start in family.leftovers if not any(name.startswith(start) for name in of_heads))
    rest = {name for name in rest if not name.startswith(leftovers)}
    if rest:
        raise Refusal(
            Reason.UNEXPECTED_WEIGHTS,
            f"the weights hold {list_names(sorted(rest))}, which {family.architecture} as {config.path} describes it "
            "does not have: it is another architecture, or config.json belongs to another model",
        )


def _check_shape(tensor: Tensor, *, shape: Shape, config: JsonObject) -> None:
    free = bool(shape) and shape[0] is LABELS
    expected = tuple(size.value for size in shape)
    if free and len(tensor.shape) == len(shape) and tensor.shape[0] > 0:
        expected = (tensor.shape[0], *expected[1:])
    if tensor.shape != expected:
        keys = ", ".join(dict.fromkeys(key for size in shape for key in size.keys))
        raise Refusal(
            Reason.CONTRADICTORY_EVIDENCE,
            f"{tensor.file}: {escape(tensor.name[:120])} has the shape {list(tensor.shape[:8])}, but {config.path} "
            f"({keys or 'the architecture'}) says {list(expected)}: the two files belong to different models",
        )
    if not tensor.is_floating:
        raise Refusal(
            Reason.UNSUPPORTED_FORMAT,
            f"{tensor.file}: {escape(tensor.name[:120])} is stored as {tensor.dtype}; expected plain floats: use "
            "weights that are not quantised",
        )


def _count_labels(stored: Stored, *, heads: set[Head], blueprint: Blueprint, config: JsonObject) -> int | None:
    """Rows of the head that scores. Its bias has as many, and so has config.json where it counts labels.

    A head that finds answers has rows for start and end, which are no labels.
    """
    for head in heads & set(CLASSIFICATION):
        tensors = blueprint.heads[head]
        rows = {stored[name].shape[0] for name, shape in tensors.tensors.items() if shape[0] is LABELS}
        labels = config.mapping("id2label")
        written = len(labels) if labels else config.integer("num_labels")
        if len(rows) > 1 or (written is not None and rows and {written} != rows):
            counts = " and ".join(str(count) for count in sorted(rows))
            raise Refusal(
                Reason.CONTRADICTORY_EVIDENCE,
                f"the head {tensors.output} has {counts} rows, but {config.path} counts {_show(written)} labels "
                f"({'id2label' if labels else 'num_labels'}): the two files belong to different models",
            )
        return rows.pop() if head is not Head.QUESTION_ANSWERING else None
    return None


def _show(count: int | None) -> str:
    return "no" if count is None else str(count) if abs(count) < 2**40 else "too many"


def _show_head(stored: Stored, *, heads: set[Head], blueprint: Blueprint) -> Tensor | None:
    """The last matrix of the first head, or whatever is stored of it."""
    for head in (head for head in Head if head in heads):
        tensors = blueprint.heads[head]
        names = [tensors.output, *_own(tensors, blueprint=blueprint)]
        found = next((stored[name] for name in names if name in stored), None)
        if found is not None:
            return found
    return None


def list_names(names: list[str]) -> str:
    """The first three names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(escape(name[:120]) for name in names[:3]) + more
