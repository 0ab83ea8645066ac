"""Whether a live object contains a manifest: defaults and other people's additions are no difference, edits are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_operator.plan.compare import contains

CONTAINER = {"name": "runtime", "image": "a:1", "args": ["serve", "--model", "/models"]}


@pytest.mark.parametrize(
    ("live", "wanted"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": 1}, id="a field that others set"),
        pytest.param({}, {"a": {}, "b": [], "c": None}, id="empty values that the server drops"),
        pytest.param({"limits": {"cpu": "1"}}, {"limits": {"cpu": "1000m"}}, id="the same quantity, written shorter"),
        pytest.param({"limits": {"memory": "1Gi"}}, {"limits": {"memory": "1024Mi"}}, id="the same binary quantity"),
        pytest.param({"limits": {"nvidia.com/gpu": "1"}}, {"limits": {"nvidia.com/gpu": 1}}, id="a count of devices"),
        pytest.param({"emptyDir": {"sizeLimit": "1Gi"}}, {"emptyDir": {"sizeLimit": "1024Mi"}}, id="a size limit"),
        pytest.param({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "a", "value": ""}]}, id="an empty text"),
        pytest.param(
            {"ports": [{"port": 9090, "protocol": "TCP"}, {"port": 80, "protocol": "TCP", "nodePort": 30000}]},
            {"ports": [{"port": 80, "protocol": "TCP"}]},
            id="a port that others add to a Service",
        ),
        pytest.param(
            {"ports": [{"containerPort": 9, "protocol": "TCP"}, {"containerPort": 8080, "protocol": "TCP"}]},
            {"ports": [{"containerPort": 8080}]},
            id="a port that others add to a container",
        ),
        pytest.param(
            {"containers": [{"name": "proxy"}, {**CONTAINER, "terminationMessagePath": "/dev/termination-log"}]},
            {"containers": [CONTAINER]},
            id="a container that others add, before ours",
        ),
    ],
)
def test_no_difference(live: Any, wanted: Any) -> None:
    assert contains(live, wanted=wanted)


@pytest.mark.parametrize(
    ("live", "wanted"),
    [
        pytest.param({"a": 1}, {"a": 2}, id="another value"),
        pytest.param({}, {"a": 1}, id="a field that is gone"),
        pytest.param({"limits": {"cpu": "2"}}, {"limits": {"cpu": "1"}}, id="another quantity"),
        pytest.param({"value": "1"}, {"value": "1000m"}, id="text that only looks like a quantity"),
        pytest.param({"args": ["serve", "--debug"]}, {"args": ["serve"]}, id="an argument that was added by hand"),
        pytest.param({"args": ["b", "a"]}, {"args": ["a", "b"]}, id="another order of arguments"),
        pytest.param({"containers": [{"name": "proxy"}]}, {"containers": [CONTAINER]}, id="our container is gone"),
        pytest.param({"tolerations": [{"key": "a"}]}, {"tolerations": []}, id="a list that should be empty"),
        pytest.param({"value": "x"}, {"value": ""}, id="a text that should be empty"),
        pytest.param({"ports": [{"port": 81}]}, {"ports": [{"port": 80}]}, id="another port"),
        pytest.param({"selector": {"a": "1", "b": "2"}}, {"selector": {"a": "1"}}, id="a selector that was narrowed"),
        pytest.param(None, {"a": 1}, id="nothing at all"),
    ],
)
def test_a_difference(live: Any, wanted: Any) -> None:
    assert not contains(live, wanted=wanted)


_SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3)
_KEYS = st.sampled_from(["a", "b", "args", "limits", "spec"])


def _containers(part: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(part, max_size=3) | st.dictionaries(_KEYS, part, max_size=3)


_JSON = st.recursive(_SCALARS, _containers, max_leaves=10)


@given(_JSON)
def test_everything_contains_itself(value: Any) -> None:
    assert contains(value, wanted=value)


@given(st.dictionaries(_KEYS, _JSON, max_size=3), st.dictionaries(st.sampled_from(["x", "y"]), _JSON, max_size=2))
def test_fields_of_others_are_never_a_difference(wanted: dict[str, Any], added: dict[str, Any]) -> None:
    assert contains({**wanted, **added}, wanted=wanted)
