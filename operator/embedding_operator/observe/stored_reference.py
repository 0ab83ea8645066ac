"""Golden cases of the reference implementation that our ConfigMaps hold, by the space that they were computed of.

Two immutable ConfigMaps make a set: its goldens, which pods mount, and its holdout, which no pod does. Both carry the
whole fingerprint as label and the implementation as annotation.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final, Self

import orjson
from pydantic import ValidationError

from embedding_model import ports
from embedding_model.goldens.cases import CaseSet, GoldenCase, VectorCase
from embedding_model.goldens.parse import DEFAULT_MIN_COSINE_SIMILARITY
from embedding_model.goldens.written import REFERENCE_PREFIX
from embedding_model.ports import ReferenceSet
from embedding_operator.api import names
from embedding_operator.observe.case_sets import read_case_set

logger = logging.getLogger(__name__)


def is_computed(case: GoldenCase) -> bool:
    """Whether the reference implementation computed the case, of a set that pods mount."""
    return case.name.startswith(REFERENCE_PREFIX)


def identify_cases(content: bytes, *, space: str | None) -> bytes:
    """What the name of a ConfigMap is made of that holds `content`, cases of the reference where `space` is given.

    Two spaces may have the same answers to the same texts, and each has its own ConfigMap all the same: its label says
    which space's they are.
    """
    return f"{space}\n".encode() + content if space else content


@dataclass(frozen=True)
class Reference:
    """`implementation`: the libraries that computed it. `config_maps`: those that hold it; none before it is stored."""

    space: str
    implementation: str
    goldens: CaseSet
    holdout: CaseSet
    config_maps: frozenset[str] = frozenset()

    @classmethod
    def from_document(cls, document: ReferenceSet) -> Self:
        """As a Job answers it."""
        return cls(
            space=document.space,
            implementation=document.implementation,
            goldens=CaseSet(cases=document.goldens),
            holdout=CaseSet(cases=document.holdout),
        )

    def with_threshold(self, min_cosine_similarity: str) -> Self:
        """The same with the spec's threshold of vectors: nothing is computed anew for it.

        A case whose threshold is below the default is one of quantised weights, which keep no more: it is only lowered.
        """
        goldens, holdout = (_set_threshold(part, to=min_cosine_similarity) for part in (self.goldens, self.holdout))
        is_same = goldens is self.goldens and holdout is self.holdout
        return self if is_same else replace(self, goldens=goldens, holdout=holdout)


@dataclass(frozen=True)
class _Half:
    """One ConfigMap's cases. `key`: space and implementation, which both halves of a set share."""

    key: tuple[str, str]
    name: str
    created: str
    cases: CaseSet

    @property
    def age(self) -> tuple[str, str]:
        """Grows with what was created later."""
        return self.created, self.name

    @property
    def laxity(self) -> tuple[Decimal, ...]:
        """Grows with what its thresholds let pass, of what is computed: a copy for pods may have lower ones."""
        default = Decimal(DEFAULT_MIN_COSINE_SIMILARITY)
        vectors = (case for case in self.cases.cases if isinstance(case, VectorCase))
        return tuple(-min(Decimal(case.min_cosine_similarity), default) for case in vectors)


def read_references(config_maps: Sequence[Mapping[str, Any]], *, model: str) -> Sequence[Reference]:
    """Every complete set, one for each space, ordered by space.

    A half of which the other is lost, or whose content is not what its name says, counts as absent: the set is then
    computed again.
    """
    goldens = _read_halves(config_maps, component=names.COMPONENT_GOLDENS, model=model)
    holdouts = _read_halves(config_maps, component=names.COMPONENT_HOLDOUT, model=model)
    found: dict[str, Reference] = {}
    for key in sorted(goldens.keys() & holdouts.keys(), key=lambda key: goldens[key].age):
        (space, implementation), halves = key, (goldens[key], holdouts[key])
        held = holdouts[key].cases
        cases = _as_computed(goldens[key].cases, holdout=held)
        stored = frozenset(half.name for half in halves)
        found.setdefault(space, Reference(space, implementation, cases, held, config_maps=stored))
    return [found[space] for space in sorted(found)]


def _as_computed(goldens: CaseSet, *, holdout: CaseSet) -> CaseSet:
    """With the threshold of the holdout, which was computed with the goldens and is never stored with a spec's: where
    the goldens are lost, all that is left of them may be a copy that pods mount, whose threshold the spec had lowered.
    """
    own = _list_thresholds(holdout)
    if len(own) != 1 or _list_thresholds(goldens) <= own:
        return goldens
    update = {"min_cosine_similarity": next(iter(own))}
    cases = (case.model_copy(update=update) if isinstance(case, VectorCase) else case for case in goldens.cases)
    return CaseSet(cases=tuple(cases))


def _list_thresholds(cases: CaseSet) -> frozenset[str]:
    return frozenset(case.min_cosine_similarity for case in cases.cases if isinstance(case, VectorCase))


_NAMES: Final = {
    names.COMPONENT_GOLDENS: names.goldens_configmap_name,
    names.COMPONENT_HOLDOUT: names.holdout_configmap_name,
}


def _read_halves(
    config_maps: Iterable[Mapping[str, Any]], *, component: str, model: str
) -> Mapping[tuple[str, str], _Half]:
    """By space and implementation, one of each: as it was computed, and not a copy with the lower thresholds of a spec,
    which would pass for those of quantised weights; then the oldest, since later ones were made again."""
    found: dict[tuple[str, str], _Half] = {}
    for item in config_maps:
        half = _read_half(item, component=component, model=model)
        if half is not None and (half.key not in found or _precedes(half, found[half.key])):
            found[half.key] = half
    return found


def _precedes(a: _Half, b: _Half) -> bool:
    return (a.laxity, a.age) < (b.laxity, b.age)


def _read_half(item: Mapping[str, Any], *, component: str, model: str) -> _Half | None:
    metadata = item["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    name, space = metadata["name"], labels.get(names.LABEL_SPACE)
    if labels.get(names.LABEL_COMPONENT) != component or not space:
        return None
    text = (item.get("data") or {}).get(ports.GOLDENS_FILE, "")
    if not text or _NAMES[component](model, content=identify_cases(text.encode(), space=space)) != name:
        logger.warning("ConfigMap %s does not hold what its name says", name)
        return None
    try:
        cases = read_case_set(text)
    except (ValidationError, orjson.JSONDecodeError):
        logger.warning("ConfigMap %s cannot be read as golden cases", name)
        return None
    key = (space, annotations.get(names.ANNOTATION_REFERENCE, ""))
    return _Half(key=key, name=name, created=metadata.get("creationTimestamp", ""), cases=cases)


def _set_threshold(cases: CaseSet, *, to: str) -> CaseSet:
    changed = [_with_threshold(case, to=to) for case in cases.cases]
    is_same = all(new is old for new, old in zip(changed, cases.cases, strict=True))
    return cases if is_same else CaseSet(cases=tuple(changed))


def _with_threshold(case: GoldenCase, *, to: str) -> GoldenCase:
    if not isinstance(case, VectorCase) or case.min_cosine_similarity == to:
        return case
    own, default = Decimal(case.min_cosine_similarity), Decimal(DEFAULT_MIN_COSINE_SIMILARITY)
    if own < default and own <= Decimal(to):
        return case
    return case.model_copy(update={"min_cosine_similarity": to})
