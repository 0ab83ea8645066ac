"""The comparison that decides whether a pod may take traffic."""

import math
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedding_model.goldens.cases import SimilarityCase, VectorCase
from embedding_model.goldens.compare import compare_similarity, compare_vector, decode_vector, encode_vector


def vector_case(vector: list[float], *, threshold: str = "0.999") -> VectorCase:
    return VectorCase(name="paris", input="SECRET TEXT", vector=encode_vector(vector), min_cosine_similarity=threshold)


def rotated(angle: float) -> list[float]:
    return [math.cos(angle), math.sin(angle)]


def test_the_golden_vector_itself_passes() -> None:
    result = compare_vector(vector_case([0.6, 0.8]), vector=[0.6, 0.8])
    assert result.passed
    assert (result.measured, result.threshold) == ("1.000000", "0.999")


def test_equal_vectors_pass_even_with_a_threshold_of_one() -> None:
    values = [math.sin(i) for i in range(384)]
    assert compare_vector(vector_case(values, threshold="1"), vector=decode_vector(encode_vector(values))).passed


@pytest.mark.parametrize(
    ("angle", "passed"),
    [(0.0447, True), (0.0448, False), (math.pi, False), (math.pi / 2, False)],  # cos 0.0447 = 0.99900113
)
def test_a_vector_passes_up_to_the_threshold_and_no_further(angle: float, passed: bool) -> None:
    assert compare_vector(vector_case([1.0, 0.0]), vector=rotated(angle)).passed is passed


def test_a_failed_case_never_shows_a_value_that_reads_as_passed() -> None:
    angle = math.acos(0.9989999)  # rounds to 0.999000
    result = compare_vector(vector_case([1.0, 0.0]), vector=rotated(angle))
    assert not result.passed
    assert result.measured == "0.998999"


def test_a_vector_that_is_not_normalised_fails_and_the_detail_says_so() -> None:
    result = compare_vector(vector_case([0.6, 0.8]), vector=[6.0, 8.0])
    assert not result.passed
    assert result.measured == "1.000000"
    assert "norm is 10" in result.detail


def test_norms_may_differ_by_one_percent() -> None:
    assert compare_vector(vector_case([1.0, 0.0]), vector=[1.009, 0.0]).passed
    assert not compare_vector(vector_case([1.0, 0.0]), vector=[1.011, 0.0]).passed


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ([1.0, 0.0, 0.0], "2 dimensions, the answered one 3"),
        ([], "2 dimensions, the answered one 0"),
        ([math.nan, 1.0], "1 of the 2 values of the answered vector are NaN or infinite"),
        ([math.inf, 1.0], "1 of the 2 values of the answered vector are NaN or infinite"),
        ([0.0, 0.0], "the answered vector is zero"),
    ],
)
def test_an_answer_that_cannot_be_compared_fails_without_a_value(answer: list[float], says: str) -> None:
    result = compare_vector(vector_case([1.0, 0.0]), vector=answer)
    assert not result.passed
    assert result.measured is None
    assert says in result.detail


@pytest.mark.parametrize("vector", ["not base64!", "AAAA", encode_vector([0.0, 0.0]), encode_vector([math.nan, 1.0])])
def test_a_broken_golden_fails_its_case_instead_of_raising(vector: str) -> None:
    case = VectorCase(name="paris", input="x", vector=vector, min_cosine_similarity="0.999")
    assert not compare_vector(case, vector=[1.0, 0.0]).passed


@pytest.mark.parametrize(
    ("expected", "tolerance", "passed", "measured"),
    [
        ("0.6", "0.005", True, "0.000000"),
        ("0.6049", "0.005", True, "0.004900"),
        ("0.6051", "0.005", False, "0.005100"),
        ("-0.6", "0.005", False, "1.200000"),
        ("0.6", "0.0000001", True, "0.000000"),
    ],
)
def test_a_similarity_passes_within_its_tolerance(expected: str, tolerance: str, passed: bool, measured: str) -> None:
    case = SimilarityCase(name="weather", a="SECRET A", b="SECRET B", expected=expected, tolerance=tolerance)
    result = compare_similarity(case, a=[1.0, 0.0], b=[0.6, 0.8])
    assert (result.passed, result.measured, result.threshold) == (passed, measured, tolerance)
    assert "similarity 0.600000, expected" in result.detail


@pytest.mark.parametrize(("a", "b"), [([0.0], [1.0]), ([math.nan], [1.0]), ([1.0], [1.0, 0.0]), ([], [])])
def test_a_pair_that_cannot_be_compared_fails(a: list[float], b: list[float]) -> None:
    case = SimilarityCase(name="weather", a="SECRET A", b="SECRET B", expected="1", tolerance="0.5")
    result = compare_similarity(case, a=a, b=b)
    assert (result.passed, result.measured) == (False, None)


def test_no_result_holds_the_text_of_its_case() -> None:
    pair = SimilarityCase(name="weather", a="SECRET A", b="SECRET B", expected="0.1", tolerance="0.01")
    results = [
        compare_vector(vector_case([1.0, 0.0]), vector=[0.0, 1.0]),
        compare_vector(vector_case([1.0, 0.0]), vector=[math.nan]),
        compare_similarity(pair, a=[1.0], b=[1.0]),
        compare_similarity(pair, a=[0.0], b=[1.0]),
    ]
    assert not any("SECRET" in result.to_json().decode() for result in results)


def test_vectors_are_little_endian_float32() -> None:
    assert list(decode_vector("AACAPwAAAMA=")) == [1.0, -2.0]
    assert encode_vector([1.0, -2.0]) == "AACAPwAAAMA="


# Busy machines generate slowly; speed is not what these tests judge.
unhurried = settings(suppress_health_check=[HealthCheck.too_slow])

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@unhurried
@given(st.lists(finite, min_size=1, max_size=64).filter(any))
def test_every_finite_vector_equals_itself(values: list[float]) -> None:
    packed = list(struct.unpack(f"<{len(values)}f", struct.pack(f"<{len(values)}f", *values)))
    assert compare_vector(vector_case(packed, threshold="1"), vector=packed).passed


@unhurried
@given(st.lists(finite, min_size=2, max_size=8), st.lists(st.floats(), min_size=2, max_size=8))
def test_no_pair_of_vectors_makes_the_comparison_raise(golden: list[float], answer: list[float]) -> None:
    result = compare_vector(vector_case(golden), vector=answer)
    if result.measured is not None and "norm" not in result.detail:
        assert (float(result.measured) >= 0.999) is result.passed
