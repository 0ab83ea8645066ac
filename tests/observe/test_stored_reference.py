"""Sets of the reference implementation as they are found in ConfigMaps: whole, or not at all."""

from typing import Any

import pytest
from reference_samples import reference_set

from embedding_model.goldens.cases import ScoreCase
from embedding_operator.api import names
from embedding_operator.children.config_maps import goldens_config_map, holdout_config_map
from embedding_operator.children.metadata import Owner
from embedding_operator.observe.stored_reference import Reference, read_references

OWNER = Owner(namespace="search", name="tiny", uid="3f1c")
SPACE = "sp1-" + "0123456789abcdef" * 2
OTHER = "sp1-" + "fedcba9876543210" * 2


def stored(reference: Reference, *, created: str = "2026-03-01T12:00:00Z") -> list[dict[str, Any]]:
    halves = [
        goldens_config_map(OWNER, case_set=reference.goldens, reference=reference),
        holdout_config_map(OWNER, reference=reference),
    ]
    for half in halves:
        half["metadata"]["creationTimestamp"] = created
    return halves


def computed(space: str = SPACE, **parts: Any) -> Reference:
    return Reference.from_document(reference_set(space, **parts))


def test_a_set_is_read_as_it_was_stored() -> None:
    [found] = read_references(stored(computed()), model="tiny")
    assert (found.space, found.implementation) == (SPACE, computed().implementation)
    assert (found.goldens, found.holdout) == (computed().goldens, computed().holdout)
    assert found.config_maps == {item["metadata"]["name"] for item in stored(computed())}


def test_spaces_with_the_same_answers_have_config_maps_of_their_own() -> None:
    both = [*stored(computed(SPACE)), *stored(computed(OTHER))]
    assert len({item["metadata"]["name"] for item in both}) == 4
    assert [found.space for found in read_references(both, model="tiny")] == [SPACE, OTHER]


@pytest.mark.parametrize("lost", [0, 1], ids=["goldens", "holdout"])
def test_half_a_set_is_none(lost: int) -> None:
    halves = stored(computed())
    del halves[lost]
    assert read_references(halves, model="tiny") == []


@pytest.mark.parametrize(
    "text",
    ["", "not JSON", '{"kind": "unheard of", "name": "reference.0"}\n', None],
    ids=["nothing", "no JSON", "an unknown kind", "other cases"],
)
@pytest.mark.parametrize("damaged", [0, 1], ids=["goldens", "holdout"])
def test_a_config_map_that_does_not_hold_what_its_name_says_is_absent(damaged: int, text: str | None) -> None:
    halves = stored(computed())
    halves[damaged]["data"]["goldens.jsonl"] = stored(computed(cases=1))[damaged]["data"]["goldens.jsonl"]
    if text is not None:
        halves[damaged]["data"]["goldens.jsonl"] = text
    assert read_references(halves, model="tiny") == []


def test_cases_that_nobody_can_read_are_absent_though_their_name_fits() -> None:
    halves = stored(computed())
    content = '{"kind": "of a later version", "name": "reference.0"}\n'
    halves[0]["data"]["goldens.jsonl"] = content
    halves[0]["metadata"]["name"] = names.goldens_configmap_name("tiny", content=f"{SPACE}\n{content}".encode())
    assert read_references(halves, model="tiny") == []


def test_halves_of_two_implementations_are_no_set() -> None:
    goldens, _ = stored(computed(implementation="one"))
    _, holdout = stored(computed(implementation="two"))
    assert read_references([goldens, holdout], model="tiny") == []


def test_the_set_that_was_computed_first_stays_the_set_of_its_space() -> None:
    first = stored(computed(implementation="one"), created="2026-03-01T12:00:00Z")
    second = stored(computed(implementation="two", cases=2), created="2026-03-02T12:00:00Z")
    [found] = read_references([*second, *first], model="tiny")
    assert found.implementation == "one"


def test_goldens_with_another_threshold_beside_those_that_were_computed_change_nothing() -> None:
    first, later = stored(computed()), stored(computed().with_threshold("0.9999"), created="2026-03-02T12:00:00Z")
    [found] = read_references([*later, *first], model="tiny")
    assert found.goldens == computed().goldens


def test_goldens_with_a_lower_threshold_are_never_taken_for_those_that_were_computed() -> None:
    lower = stored(computed().with_threshold("0.99"), created="2026-03-01T11:59:59Z")
    [found] = read_references([*lower, *stored(computed())], model="tiny")
    assert (found.goldens, found.holdout) == (computed().goldens, computed().holdout)


@pytest.mark.parametrize("computed_with", ["0.999", "0.995"], ids=["as usual", "of quantised weights"])
@pytest.mark.parametrize("copied_with", ["0.9", "0.9999"])
def test_a_copy_that_pods_mount_has_the_threshold_of_the_holdout_where_the_computed_goldens_are_lost(
    computed_with: str, copied_with: str
) -> None:
    whole = computed(threshold=computed_with)
    [copy, _], [_, holdout] = stored(whole.with_threshold(copied_with)), stored(whole)
    [found] = read_references([copy, holdout], model="tiny")
    assert (found.goldens, found.holdout) == (whole.goldens, whole.holdout)
    assert found.config_maps == {item["metadata"]["name"] for item in (copy, holdout)}


def test_goldens_without_vectors_are_read_as_they_were_stored() -> None:
    case = ScoreCase(name="reference.0", query="a", document="b", expected="0.5", tolerance="0.1")
    halves = {"goldens": (case,), "holdout": (case.model_copy(update={"name": "holdout.0"}),)}
    scores = Reference.from_document(reference_set(SPACE).model_copy(update=halves))
    [found] = read_references(stored(scores.with_threshold("0.9")), model="tiny")
    assert (found.goldens, found.holdout) == (scores.goldens, scores.holdout)


def test_cases_of_the_users_own_are_no_half_of_a_set() -> None:
    own = goldens_config_map(OWNER, case_set=computed().goldens, reference=None)
    assert read_references([own, *stored(computed())[1:]], model="tiny") == []


@pytest.mark.parametrize(
    ("computed_with", "asked", "kept"),
    [
        ("0.999", "0.9999", "0.9999"),
        ("0.999", "0.99", "0.99"),
        ("0.97", "0.999", "0.97"),
        ("0.97", "0.95", "0.95"),
    ],
    ids=["raised", "lowered", "quantised, and not raised", "quantised, and lowered"],
)
def test_the_threshold_is_the_specs_but_for_what_quantised_weights_cannot_keep(
    computed_with: str, asked: str, kept: str
) -> None:
    found = computed(threshold=computed_with).with_threshold(asked)
    cases = [*found.goldens.cases, *found.holdout.cases]
    assert {case.min_cosine_similarity for case in cases if case.kind == "vector"} == {kept}
