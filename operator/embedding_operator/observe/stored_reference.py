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
from embedding_model.goldens.mistakes import REFERENCE_PREFIX
from embedding_model.goldens.parse import DEFAULT_MIN_COSINE_SIMILARITY
from embedding_model.ports import ReferenceSet
from embedding_operator.api import names

logger = logging.getLogger(__name__)


def is_computed(case: GoldenCase) -> bool:
    """Whether the reference implementation computed the case, of a set that pods mount."""
    return case.name.startswith(REFERENCE_PREFIX)


def identify_cases(cases: CaseSet, *, space: str | None) -> bytes:
    """What the name of a ConfigMap of these cases is made of. Two spaces may have the same answers to the same texts,
    and each has its own ConfigMap all the same: its label says which space's they are."""
    return b"".join((f"{space}\n".encode() if space else b"", cases.to_jsonl()))


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
        return replace(self, goldens=goldens, holdout=holdout)


def read_references(config_maps: Iterable[Mapping[str, Any]], *, model: str) -> Sequence[Reference]:
    """Every complete set, one for each space, ordered by space.

    A half of which the other is lost, or whose content is not what its name says, counts as absent: the set is then
    computed again.
    """
    halves: dict[tuple[str, str, str], list[tuple[str, str, CaseSet]]] = {}
    for item in config_maps:
        metadata = item["metadata"]
        labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
        component, space = labels.get(names.LABEL_COMPONENT), labels.get(names.LABEL_SPACE)
        if component not in _NAMES or not space:
            continue
        cases = _read_half(item, component=component, space=space, model=model)
        if cases is not None:
            half = (metadata.get("creationTimestamp", ""), metadata["name"], cases)
            halves.setdefault((space, annotations.get(names.ANNOTATION_REFERENCE, ""), component), []).append(half)
    found: dict[str, tuple[str, Reference]] = {}
    for (space, implementation, component), goldens in halves.items():
        holdout = halves.get((space, implementation, names.COMPONENT_HOLDOUT))
        if component != names.COMPONENT_GOLDENS or holdout is None:
            continue
        # The oldest is the one that was computed: later ones have another threshold, or are made again of the same.
        created, first, cases = min(goldens, key=lambda half: half[:2])
        _, second, held = min(holdout, key=lambda half: half[:2])
        config_maps = frozenset({first, second})
        reference = Reference(space, implementation, goldens=cases, holdout=held, config_maps=config_maps)
        known = found.get(space)
        if known is None or (created, implementation) < (known[0], known[1].implementation):
            found[space] = created, reference
    return [found[space][1] for space in sorted(found)]


_NAMES: Final = {
    names.COMPONENT_GOLDENS: names.goldens_configmap_name,
    names.COMPONENT_HOLDOUT: names.holdout_configmap_name,
}


def _read_half(item: Mapping[str, Any], *, component: str, space: str, model: str) -> CaseSet | None:
    name, content = item["metadata"]["name"], (item.get("data") or {}).get(ports.GOLDENS_FILE, "")
    try:
        cases = CaseSet.from_jsonl(content.encode())
    except (ValidationError, orjson.JSONDecodeError):
        logger.warning("ConfigMap %s cannot be read as golden cases", name)
        return None
    if _NAMES[component](model, content=identify_cases(cases, space=space)) != name:
        logger.warning("ConfigMap %s does not hold what its name says", name)
        return None
    return cases if cases.cases else None


def _set_threshold(cases: CaseSet, *, to: str) -> CaseSet:
    return CaseSet(cases=tuple(_with_threshold(case, to=to) for case in cases.cases))


def _with_threshold(case: GoldenCase, *, to: str) -> GoldenCase:
    if not isinstance(case, VectorCase):
        return case
    own, default = Decimal(case.min_cosine_similarity), Decimal(DEFAULT_MIN_COSINE_SIMILARITY)
    if own < default and own <= Decimal(to):
        return case
    return case.model_copy(update={"min_cosine_similarity": to})
