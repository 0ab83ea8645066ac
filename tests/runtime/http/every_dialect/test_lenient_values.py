"""What every dialect takes for a boolean, for a number of something, and for nothing."""

from typing import Any

import pytest

from embedding_runtime.errors import InvalidRequest
from embedding_runtime.http.validation import Count, Flag, RequestForm, validate


class Inner(RequestForm):
    truncate: Flag = True


class Outer(RequestForm):
    flag: Flag = False
    count: Count | None = None
    inner: Inner = Inner()


@pytest.mark.parametrize(("value", "read"), [(True, True), (False, False), ("true", True), ("false", False)])
def test_a_boolean_may_be_written_as_text(value: Any, read: bool) -> None:
    assert validate({"flag": value}, form=Outer).flag is read


@pytest.mark.parametrize("value", [1, 0, 1.0, "True", "yes", "1", "", [], {}, [True]])
def test_what_is_no_boolean_is_refused_without_repeating_it(value: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        validate({"flag": value}, form=Outer)
    assert (refused.value.param, refused.value.message) == ("flag", "flag: must be true or false.")


@pytest.mark.parametrize(("value", "read"), [(1, 1), (256, 256), (256.0, 256)])
def test_a_count_is_a_whole_number(value: Any, read: int) -> None:
    assert validate({"count": value}, form=Outer).count == read


@pytest.mark.parametrize("value", [0, -1, True, "256", 2.5, 1e308, 10**30, float("inf"), float("nan"), [], {}])
def test_what_is_no_count_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        validate({"count": value}, form=Outer)
    assert refused.value.param == "count"
    assert len(refused.value.message) < 100


def test_null_means_absent_inside_objects_too() -> None:
    asked = validate({"flag": None, "count": None, "inner": {"truncate": None}}, form=Outer)
    assert asked == Outer()


def test_unknown_fields_are_ignored_inside_objects_too() -> None:
    assert validate({"surprise": [1], "inner": {"surprise": {}}}, form=Outer) == Outer()
