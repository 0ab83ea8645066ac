"""The labels of a classification head, from config.json's id2label.

transformers writes LABEL_0, LABEL_1 ... where nobody named them: such names count as none.
"""

import re

from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.quoting import quote
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Evidence

_MOST_LABELS = 10_000
_LABEL_SIZE = 512  # characters
_PLACEHOLDER = re.compile(r"LABEL_\d+", re.IGNORECASE)

# Names that the "relevant" one of two labels has, and those of its opposite. Case, blanks and signs do not count.
_RELEVANT = frozenset({"yes", "true", "relevant"})
_IRRELEVANT = frozenset({"no", "false", "irrelevant", "notrelevant", "nonrelevant"})
# What the one label of a reranker may be called without saying that it is something else.
_SCORES = frozenset({"relevance", "relevancescore", "relevant", "score", "similarity", "rerank", "rerankscore"})


def read_labels(config: JsonObject, *, count: int) -> tuple[str, ...]:
    """The names by index; none where they are placeholders or not there.

    Raises Refusal: INVALID_FILE for what is no mapping of indices to names, CONTRADICTORY_EVIDENCE where the names are
    not as many as the `count` outputs of the weights.
    """
    written = config.mapping("id2label")
    names: dict[int, str] = {}
    for index, name in written.items():
        if not isinstance(name, str) or not index.isascii() or not index.isdigit() or len(index) > 9:
            raise _invalid(config)
        names[int(index)] = name
    placeholders = all(_PLACEHOLDER.fullmatch(name) for name in names.values())
    if len(names) != count and names and not placeholders:
        raise Refusal(
            Reason.CONTRADICTORY_EVIDENCE,
            f"{config.path}: id2label names {len(names)} labels, but the head of the weights has {count} outputs: the "
            "two files belong to different models",
        )
    if placeholders or not names:
        return ()
    if sorted(names) != list(range(count)) or count > _MOST_LABELS:
        raise _invalid(config)
    if any(len(name) > _LABEL_SIZE for name in names.values()):
        raise Refusal(
            Reason.TOO_LARGE, f"{config.path}: a label has more than {_LABEL_SIZE} characters, which is not served"
        )
    return tuple(names[index] for index in range(count))


def find_relevant(labels: tuple[str, ...]) -> str | None:
    """The one of two labels that means "relevant", where the other means its opposite."""
    if len(labels) != 2:
        return None
    for label, other in (labels, labels[::-1]):
        if _bare(label) in _RELEVANT and _bare(other) in _IRRELEVANT:
            return label
    return None


def is_score_name(label: str) -> bool:
    """Whether the name of a single output is one that a reranker's may have."""
    return _bare(label) in _SCORES


def describe_labels(config: JsonObject, *, labels: tuple[str, ...], count: int) -> Evidence:
    shown = ", ".join(quote(label) for label in labels[:20])
    return Evidence(
        field="labels",
        value=shown + (f" and {len(labels) - 20} more" if len(labels) > 20 else "") or "none",
        file=config.path,
        key="id2label",
        note=None if labels else f"the {count} outputs have no names of their own; they are numbered",
    )


def _bare(label: str) -> str:
    return re.sub(r"[\W_]+", "", label[:64]).lower()


def _invalid(config: JsonObject) -> Refusal:
    return Refusal(
        Reason.INVALID_FILE,
        f"{config.path}: expected id2label to give each index from 0 to at most {_MOST_LABELS - 1} a name",
    )
