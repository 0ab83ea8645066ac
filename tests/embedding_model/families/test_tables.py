"""The tables of families held against transformers' own classes, name by name and shape by shape."""

from collections.abc import Iterator

import pytest
from built_classes import CASES, CAUSAL, MASKED, QUESTION, build, config_of, stored

from embedding_model.inspection.architecture import identify
from embedding_model.inspection.families import ACTIVATIONS, FAMILIES
from embedding_model.inspection.families.settings import Settings
from embedding_model.inspection.identified import Head

BODIES = [pytest.param(index, id=case.id) for index, case in enumerate(CASES)]
WITHOUT_CLASS = {"jina_bert", "jina_bert_code", "nomic_bert_moe"}  # transformers lacks them: test_first_saves.py


def heads() -> Iterator[tuple[int, Head]]:
    for index, case in enumerate(CASES):
        for head in FAMILIES[case.family].classes:
            if head is not None:
                yield index, head


HEADS = [pytest.param(index, head, id=f"{CASES[index].id}, {head}") for index, head in heads()]


def test_every_family_is_held_against_its_class() -> None:
    assert {case.family for case in CASES} | WITHOUT_CLASS == set(FAMILIES)


def test_transformers_knows_every_activation_that_is_let_through() -> None:
    from transformers.activations import ACT2CLS

    assert set(ACT2CLS) >= ACTIVATIONS


@pytest.mark.parametrize("index", BODIES)
def test_a_body_has_exactly_the_tensors_of_its_class(index: int) -> None:
    family = FAMILIES[CASES[index].family]
    shapes, _, _ = build(index, None, family.architecture)
    blueprint = family.describe(Settings(config_of(index, None, None), names=shapes))
    described = {name: tuple(size.value for size in shape) for name, shape in blueprint.body.items()}
    for group in blueprint.optional:
        if group.keys() & shapes.keys():
            described |= {name: tuple(size.value for size in shape) for name, shape in group.items()}
    assert described == shapes


@pytest.mark.parametrize("index", BODIES)
def test_a_body_is_identified(index: int) -> None:
    family = FAMILIES[CASES[index].family]
    shapes, _, _ = build(index, None, family.architecture)
    found = identify(config_of(index, None, family.architecture), stored(shapes))
    assert (found.family, found.heads, found.missing_heads) == (family.name, frozenset(), frozenset())
    assert (found.hidden_size, found.vocabulary_size, found.overruled) == (8, 40, ())
    assert found.architectures[None] == family.architecture


@pytest.mark.parametrize(("index", "head"), HEADS)
def test_a_body_with_a_head_has_exactly_the_tensors_of_its_class(index: int, head: Head) -> None:
    family = FAMILIES[CASES[index].family]
    shapes, _, prefix = build(index, head, family.classes[head])
    assert prefix in family.prefixes
    bare = {name.removeprefix(f"{prefix}."): shape for name, shape in shapes.items()}
    blueprint = family.describe(Settings(config_of(index, head, None), names=bare))
    described = {
        name: tuple(size.value or CASES[index].labels for size in shape)
        for name, shape in {**blueprint.body, **blueprint.heads[head].tensors}.items()
    }
    if head is QUESTION:
        described |= {name: bare[name] for name in described if name.startswith("classifier.")}
    assert described == bare


@pytest.mark.parametrize(("index", "head"), HEADS)
def test_a_head_is_identified_with_its_labels(index: int, head: Head) -> None:
    family = FAMILIES[CASES[index].family]
    name = family.classes[head]
    shapes, _, _ = build(index, head, name)
    found = identify(config_of(index, head, name), stored(shapes))
    assert (found.heads, found.missing_heads, found.overruled) == ({head}, frozenset(), ())
    assert found.label_count == (None if head in (MASKED, CAUSAL, QUESTION) else CASES[index].labels)
    assert found.head_tensor is not None
    assert found.hidden_size == 8


@pytest.mark.parametrize(("index", "head"), HEADS)
def test_tensors_that_are_tied_may_be_stored_once(index: int, head: Head) -> None:
    family = FAMILIES[CASES[index].family]
    name = family.classes[head]
    shapes, tied, _ = build(index, head, name)
    found = identify(config_of(index, head, name), stored({key: s for key, s in shapes.items() if key not in tied}))
    assert found.heads == {head}


@pytest.mark.parametrize("index", BODIES)
def test_the_longest_input_is_read_where_the_class_has_it(index: int) -> None:
    case = CASES[index]
    family = FAMILIES[case.family]
    shapes, _, _ = build(index, None, family.architecture)
    found = identify(config_of(index, None, None), stored(shapes))
    reserved = {"roberta": 2, "xlm-roberta": 1, "camembert": 2, "mpnet": 2}  # the xlm-roberta case pads with 0
    assert found.positions == (512 if case.family == "t5" else 36 - reserved.get(case.family, 0))
    learned = "embeddings.position_embeddings.weight" in shapes
    assert (found.position_tensor is not None) == learned
