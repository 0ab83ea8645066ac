"""Resources: the user's, else the profile's, made large enough for the weights."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_model.resolved import FileEntry, Manifest, Weights
from embedding_operator.api.spec import DtypeChoice, RuntimeSpec
from embedding_operator.children.quantity import MEBIBYTE, format_mebibytes, parse_quantity
from embedding_operator.children.resources import raise_memory, size_resources, volume_limit

PROFILE = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
GIB = 2**30


def _size(asked: dict[str, Any], *, gibibytes: int = 0) -> dict[str, dict[str, str]]:
    weights = Weights(bytes=gibibytes * GIB, files=1, parameters=gibibytes * GIB // 4)
    return size_resources(asked, profile=PROFILE, weights=weights, runtime=RuntimeSpec())


def test_memory_defaults_grow_with_the_weights() -> None:
    assert _size({}) == {"requests": {"cpu": "1", "memory": "1024Mi"}, "limits": {"memory": "2048Mi"}}
    assert _size({}, gibibytes=4) == {
        "requests": {"cpu": "1", "memory": f"{5 * 1024}Mi"},
        "limits": {"memory": f"{2 * 1024 + 5 * 1024 + 256}Mi"},
    }


@pytest.mark.parametrize(
    ("runtime", "mebibytes"),
    [
        ({}, 4 * 1024),
        ({"dtype": "Float32"}, 4 * 1024),
        ({"dtype": "BFloat16"}, 2 * 1024),
        ({"dtype": "Float16"}, 2 * 1024),
        ({"quantization": "Int8"}, 1024 + 776),
        ({"quantization": "Int8", "dtype": "BFloat16"}, 512 + 776),
        ({"quantization": "Int4"}, 512 + 484),
    ],
)
def test_weights_count_as_they_are_computed_with_whatever_the_files_hold(
    runtime: dict[str, str], mebibytes: int
) -> None:
    weights = Weights(bytes=2 * GIB, files=1, parameters=GIB)  # stored as bfloat16
    sized = size_resources({}, profile=PROFILE, weights=weights, runtime=RuntimeSpec.model_validate(runtime))
    assert sized["requests"]["memory"] == f"{1024 + mebibytes}Mi"


def test_the_limit_has_room_for_what_is_read_and_made_while_loading() -> None:
    weights = Weights(bytes=2 * GIB, files=1, parameters=GIB)
    sized = size_resources({}, profile=PROFILE, weights=weights, runtime=RuntimeSpec(dtype=DtypeChoice.BFLOAT16))
    assert sized["limits"]["memory"] == f"{2048 + 2048 + 512 + 256}Mi"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"limits": {"memory": "3Gi"}}, {"requests": {"cpu": "1"}, "limits": {"memory": "3Gi"}}),
        (
            {"limits": {"nvidia.com/gpu": "1"}},
            {
                "requests": {"cpu": "1", "memory": "1024Mi"},
                "limits": {"memory": "2048Mi", "nvidia.com/gpu": "1"},
            },
        ),
        (
            {"requests": {"cpu": "4"}},
            {"requests": {"cpu": "4", "memory": "1024Mi"}, "limits": {"memory": "2048Mi"}},
        ),
    ],
)
def test_what_the_user_names_is_the_users_alone(asked: dict[str, Any], expected: dict[str, Any]) -> None:
    assert _size(asked) == expected


def test_the_volume_has_room_for_every_file() -> None:
    files = tuple(FileEntry(path=f"{number}.safetensors", size=GIB, sha256="a" * 64) for number in range(3))
    limit = parse_quantity(volume_limit(Manifest(files=files)))
    assert limit is not None
    assert limit > 3 * GIB


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("1000m", 1), ("1.5", Decimal("1.5")), ("1Gi", GIB), ("1G", 10**9), ("1e3", 1000), ("2E", 2 * 10**18)],
)
def test_quantities_are_read_as_kubernetes_does(text: str, value: Any) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize("text", ["", "one", "1Xi", "1 Gi", "0x10"])
def test_what_is_no_quantity_is_none(text: str) -> None:
    assert parse_quantity(text) is None


@given(st.integers(0, 2**50))
def test_rounding_to_mebibytes_never_loses_a_byte(amount: int) -> None:
    rounded = parse_quantity(format_mebibytes(amount))
    assert rounded is not None
    assert 0 <= rounded - amount < MEBIBYTE


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "512Mi"),
        ({"cpu": "2"}, "512Mi"),
        ({"memory": "100Mi"}, "512Mi"),
        ({"memory": "0.5Gi"}, "512Mi"),
        ({"memory": "4Gi"}, "4Gi"),
    ],
)
def test_what_the_user_allows_raises_the_limit_of_a_container_of_ours(asked: dict[str, str], expected: str) -> None:
    assert raise_memory("512Mi", asked=asked) == expected
