"""What names a set of golden cases."""

from embedding_model.goldens.cases import CaseSet, SimilarityCase

CASE = SimilarityCase(name="weather", a="It rains.", b="It pours.", expected="0.7", tolerance="0.1")


def test_the_name_is_of_the_content_and_computed_once() -> None:
    first, second = CaseSet(cases=(CASE,)), CaseSet(cases=(CASE,))
    assert first.name is first.name
    assert first.name == second.name
    assert first.name != CaseSet(cases=(CASE.model_copy(update={"tolerance": "0.2"}),)).name


def test_a_set_whose_name_was_asked_for_equals_one_whose_was_not() -> None:
    named, unnamed = CaseSet(cases=(CASE,)), CaseSet(cases=(CASE,))
    assert named.name
    assert named == unnamed
    assert hash(named) == hash(unnamed)
