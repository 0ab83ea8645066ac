"""What can be wrong with a golden case as it is written, beyond its shape: in words, without the user's text.

Each function answers what stands behind the case's name in a message, or None where nothing is wrong.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal as Number
from typing import Final

from embedding_model.goldens.compare import decode_vector
from embedding_model.goldens.results import ROUNDING
from embedding_model.goldens.written import (
    RESERVED_PREFIXES,
    Label,
    Ranking,
    Score,
    Similarity,
    Sparse,
    WrittenCase,
)
from embedding_model.resolved import Activation, Task, TokenHeadKind

_COSINES: Final = (-1, 1)
# The lowest and the highest score that an activation gives; the identity has none.
_RANGES: Final[Mapping[Activation, tuple[int, int]]] = {
    Activation.SIGMOID: (0, 1),
    Activation.SOFTMAX: (0, 1),
    Activation.TANH: (-1, 1),
}
_NAMED_LABELS: Final = 8  # a message with every label of a classifier of thousands helps nobody

# Heads that are published as pickles are served once they are converted.
_NO_SPARSE_HEAD: Final = "this embedding model has no sparse head that is served"


@dataclass(frozen=True)
class _Kinds:
    """The forms of cases that a task can answer, and how to say so."""

    forms: frozenset[str]
    answers: str
    instead: str


_KINDS: Final[Mapping[Task, _Kinds]] = {
    Task.EMBEDDING: _Kinds(
        forms=frozenset({"vector", "similarity"}),
        answers="an embedding model, which answers vectors",
        instead="write input and vector, or similarity",
    ),
    Task.RERANKING: _Kinds(
        forms=frozenset({"ranking", "score"}),
        answers="a reranker, which answers scores",
        instead="write ranking or score",
    ),
    Task.CLASSIFICATION: _Kinds(
        forms=frozenset({"label"}),
        answers="a classifier, which answers labels with their scores",
        instead="write label",
    ),
    Task.SPARSE: _Kinds(
        forms=frozenset({"sparse"}),
        answers="a sparse model, which answers weights of tokens",
        instead="write sparse",
    ),
}


_KINDS_WITH_SPARSE_HEAD: Final = _Kinds(
    forms=_KINDS[Task.EMBEDDING].forms | _KINDS[Task.SPARSE].forms,
    answers="an embedding model with a sparse head, which answers vectors and weights of tokens",
    instead="write input and vector, similarity or sparse",
)


def find_misfit(
    written: WrittenCase,
    *,
    task: Task | None,
    heads: Collection[TokenHeadKind],
    prompt_names: Collection[str] | None,
) -> str | None:
    """What this model cannot be asked. `heads` are the further ones of an embedder."""
    taken = next((prefix for prefix in RESERVED_PREFIXES if written.name.startswith(prefix)), None)
    if taken is not None:
        return (
            f'has a name that begins with "{taken}", as those of computed cases and built-in checks do: write another'
        )
    kinds = _find_kinds(task, heads=heads) if task is not None else None
    if kinds is not None and written.form not in kinds.forms:
        expected, answers = written.form, f"this model is {kinds.answers}"
        if written.sparse is not None:
            expected = "sparse vector"
            answers = _NO_SPARSE_HEAD if task is Task.EMBEDDING else answers
        return f"expects a {expected}, but {answers}: {kinds.instead}, or take the case out"
    if written.prompt is None or prompt_names is None or written.prompt in prompt_names:
        return None
    if not prompt_names:
        return "names a prompt, but the model has no prompts: leave it out"
    # Not quoted: what is no prompt of the model is the user's text.
    known = ", ".join(f'"{name}"' for name in prompt_names)
    return f"names a prompt that the model does not have: its prompts are {known}"


def _find_kinds(task: Task, *, heads: Collection[TokenHeadKind]) -> _Kinds:
    has_terms = task is Task.EMBEDDING and TokenHeadKind.SPARSE in heads
    return _KINDS_WITH_SPARSE_HEAD if has_terms else _KINDS[task]


def find_mistake(
    written: WrittenCase,
    *,
    dimensions: int | None,
    labels: Collection[str] | None,
    activation: Activation | None = None,
) -> str | None:
    """What is wrong with the expected answer, also where every answer would pass. `activation` None: not known."""
    if written.vector is not None:
        return _check_vector(written.vector, dimensions=dimensions)
    if written.similarity is not None:
        return _check_similarity(written.similarity)
    if written.ranking is not None:
        return _check_ranking(written.ranking)
    if written.score is not None:
        return _check_score(written.score, activation=activation)
    if written.label is not None:
        return _check_label(written.label, labels=labels, activation=activation)
    if written.sparse is not None:
        return _check_sparse(written.sparse)
    raise AssertionError("the model of a written case has exactly one form")


def _check_vector(text: str, *, dimensions: int | None) -> str | None:
    try:
        values = decode_vector(text)
    except ValueError as error:
        return (
            f"has a malformed vector: {error}; write the base64 of {dimensions or 'the'} little-endian float32 values"
        )
    if dimensions is not None and len(values) != dimensions:
        return f"has a vector of {len(values)} values, but the model serves {dimensions}"
    bad = sum(not math.isfinite(value) for value in values)
    if bad:
        return f"has a vector with {bad} values that are NaN or infinite"
    return None if any(values) else "has a vector of zeros only, which is similar to nothing"


def _check_similarity(similarity: Similarity) -> str | None:
    if not -1 <= Number(similarity.expected) <= 1:
        return f"expects a similarity of {similarity.expected}; a cosine lies between -1 and 1"
    if similarity.a == similarity.b:
        return "compares a text with itself, which any model finds equal: write two texts that differ"
    problem = _check_share(similarity.tolerance)
    if problem is None and _takes_all(_COSINES, expected=similarity.expected, tolerance=similarity.tolerance):
        return f"takes every similarity with its tolerance of {similarity.tolerance}; write less, such as 0.005"
    return problem


def _check_ranking(ranking: Ranking) -> str | None:
    count = len(ranking.documents)
    if sorted(ranking.order) != list(range(count)):
        return (
            f"has an order that does not fit its {count} documents: write each number from 0 to {count - 1} once, the "
            "best document's first"
        )
    if Number(ranking.min_gap) <= 0:
        return f"has a minGap of {ranking.min_gap}; write more than 0: equal scores are no order"
    return None


def _check_score(score: Score, *, activation: Activation | None) -> str | None:
    return _check_tolerance(score.tolerance) or _check_range(
        score.expected, tolerance=score.tolerance, activation=activation
    )


def _check_label(label: Label, *, labels: Collection[str] | None, activation: Activation | None) -> str | None:
    if labels is not None and label.label not in labels:
        # Not quoted: what is no label of the model is the user's text.
        known = ", ".join(f'"{name}"' for name in list(labels)[:_NAMED_LABELS])
        more = f" and {len(labels) - _NAMED_LABELS} more" if len(labels) > _NAMED_LABELS else ""
        return f"expects a label that the model does not have: its labels are {known}{more}"
    is_only_one = labels is not None and len(labels) == 1
    if label.expected is None or label.tolerance is None:
        without = (
            "names the model's only label, which is the best one of any text: write its expected score and tolerance"
        )
        return without if is_only_one else None
    problem = _check_tolerance(label.tolerance)
    if problem is None and is_only_one:  # of several the best one is asked for, whatever it scores
        return _check_range(label.expected, tolerance=label.tolerance, activation=activation)
    return problem


def _check_sparse(sparse: Sparse) -> str | None:
    light = sum(Number(item.weight) <= 0 for item in sparse.terms)
    if light:
        return f"has {light} terms with a weight that is not above 0: leave them out"
    if len({item.term for item in sparse.terms}) != len(sparse.terms):
        return "has a term twice: write each term once"
    problem = _check_share(sparse.tolerance)
    if problem is None and float(sparse.tolerance) + ROUNDING >= 1:  # what is not answered is off by all of its weight
        return f"takes an answer without any term with its tolerance of {sparse.tolerance}; write less, such as 0.05"
    return problem


def _check_range(expected: str, *, tolerance: str, activation: Activation | None) -> str | None:
    limits = _RANGES.get(activation) if activation is not None else None
    if limits is None or not _takes_all(limits, expected=expected, tolerance=tolerance):
        return None
    lowest, highest = limits
    return (
        f"takes every score with its tolerance of {tolerance}, since those of the activation {activation} go from "
        f"{lowest} to {highest}; write less, such as 0.01"
    )


def _takes_all(limits: tuple[int, int], *, expected: str, tolerance: str) -> bool:
    """Whether both are within the tolerance, and so all between them, by the arithmetic of the comparison."""
    furthest = max(abs(limit - float(expected)) for limit in limits)
    return furthest <= float(tolerance) + ROUNDING


def _check_share(tolerance: str) -> str | None:
    return None if 0 < Number(tolerance) < 1 else f"has a tolerance of {tolerance}; write more than 0 and less than 1"


def _check_tolerance(tolerance: str) -> str | None:
    return None if Number(tolerance) > 0 else f"has a tolerance of {tolerance}; write more than 0"
