"""Golden cases are read once while somebody holds them, and no longer."""

import gc
import weakref

import orjson
import pytest
from pydantic import ValidationError

from embedding_operator.observe.case_sets import read_case_set


def line(name: str) -> str:
    case = {"kind": "similarity", "name": name, "a": "rain", "b": "snow", "expected": "0.6", "tolerance": "0.01"}
    return orjson.dumps(case).decode() + "\n"


def test_the_same_text_gives_the_same_object_while_it_is_held() -> None:
    held = read_case_set(line("a"))
    assert read_case_set(line("a")) is held
    assert read_case_set(line("b")) is not held


def test_several_texts_are_read_in_their_order_whether_or_not_they_end_with_a_line() -> None:
    found = read_case_set(line("b").rstrip(), line("a"), line("c"))
    assert [case.name for case in found.cases] == ["b", "a", "c"]
    assert read_case_set().cases == ()


def test_what_nobody_holds_any_more_is_not_kept() -> None:
    gone = weakref.ref(read_case_set(line("gone")))
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("text", ["{", '{"kind": "similarity"}'])
def test_a_text_that_cannot_be_read_is_refused_each_time(text: str) -> None:
    for _ in range(2):
        with pytest.raises((ValidationError, orjson.JSONDecodeError)):
            read_case_set(line("a"), text)
