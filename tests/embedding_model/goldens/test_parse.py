"""From written golden cases to normalised ones, and every way to get them wrong."""

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from json_values import json_values
from pydantic import ValidationError

from embedding_model.goldens.cases import CaseSet, SimilarityCase, VectorCase
from embedding_model.goldens.compare import encode_vector
from embedding_model.goldens.parse import merge_cases, parse_case, parse_cases, parse_golden_file, parse_jsonl
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Task

SETTINGS: dict[str, Any] = {
    "task": Task.EMBEDDING,
    "min_cosine_similarity": "0.999",
    "dimensions": 2,
    "prompt_names": ("query",),
}
VECTOR = encode_vector([0.6, 0.8])


def vector_form(**changes: Any) -> dict[str, Any]:
    return {"name": "paris", "input": "SECRET", "vector": VECTOR} | changes


def similarity_form(**changes: Any) -> dict[str, Any]:
    return {"name": "weather", "similarity": {"a": "SECRET", "b": "B", "expected": "0.6", "tolerance": "0.1"} | changes}


def test_a_vector_case_gets_the_threshold_of_the_spec() -> None:
    assert parse_case(vector_form(prompt="query"), **SETTINGS) == VectorCase(
        name="paris", input="SECRET", prompt="query", vector=VECTOR, min_cosine_similarity="0.999"
    )


def test_a_similarity_case_keeps_its_own_tolerance() -> None:
    assert parse_case(similarity_form(), **SETTINGS) == SimilarityCase(
        name="weather", a="SECRET", b="B", expected="0.6", tolerance="0.1"
    )


def test_absent_and_null_are_the_same() -> None:
    assert parse_case(vector_form(prompt=None, similarity=None), **SETTINGS) == parse_case(vector_form(), **SETTINGS)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (vector_form(vector="%%%"), "malformed vector: not base64"),
        (vector_form(vector=VECTOR[:-1]), "malformed vector: not base64"),
        (vector_form(vector="AAAA"), "malformed vector: 3 bytes"),
        (vector_form(vector=encode_vector([1.0])), "a vector of 1 values, but the model serves 2"),
        (vector_form(vector=encode_vector([1.0, 2.0, 3.0])), "a vector of 3 values, but the model serves 2"),
        (vector_form(vector=encode_vector([math.nan, 1.0])), "1 values that are NaN or infinite"),
        (vector_form(vector=encode_vector([math.inf, -math.inf])), "2 values that are NaN or infinite"),
        (vector_form(vector=encode_vector([0.0, 0.0])), "zeros only"),
        (vector_form(vector=[0.6, 0.8]), "vector: Input should be a valid string"),
        (vector_form(vector=""), "vector: String should have at least 1 character"),
        (vector_form(input=""), "input: String should have at least 1 character"),
        (vector_form(prompt="document"), 'names the prompt "document", but the model\'s prompts are "query"'),
        (vector_form(name=""), "name: String should match pattern"),
        (vector_form(name="x" * 64), "name: String should match pattern"),
        (vector_form(name="two words"), "name: String should match pattern"),
        (vector_form(extra=1), "extra: Extra inputs are not permitted"),
        ({"name": "paris", "input": "SECRET"}, "either input and vector, or similarity"),
        ({"name": "paris", "vector": VECTOR}, "either input and vector, or similarity"),
        ({"name": "paris"}, "either input and vector, or similarity"),
        (vector_form() | similarity_form(), "either input and vector, or similarity"),
        (similarity_form() | {"input": "SECRET"}, "either input and vector, or similarity"),
        (similarity_form(expected=0.6), "similarity.expected: Input should be a valid string"),
        (similarity_form(expected="1.1"), "expects a similarity of 1.1"),
        (similarity_form(expected="-1.000001"), "expects a similarity of -1.000001"),
        (similarity_form(expected="6e-1"), "similarity.expected: String should match pattern"),
        (similarity_form(expected="NaN"), "similarity.expected: String should match pattern"),
        (similarity_form(tolerance="0"), "a tolerance of 0"),
        (similarity_form(tolerance="-0.1"), "a tolerance of -0.1"),
        (similarity_form(tolerance="1"), "a tolerance of 1"),
        (similarity_form(a=""), "similarity.a: String should have at least 1 character"),
    ],
)
def test_a_case_that_is_wrong_is_refused_with_what_is_wrong(raw: dict[str, Any], says: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_case(raw, **SETTINGS)
    assert caught.value.reason is Reason.INVALID_GOLDEN
    assert caught.value.field == "verification.goldens"
    assert says in caught.value.message
    assert "SECRET" not in caught.value.message


def test_a_refusal_names_the_case() -> None:
    with pytest.raises(Refusal, match=r'^golden case "paris" has a malformed vector'):
        parse_case(vector_form(vector="AAAA"), **SETTINGS)


def test_a_model_without_prompts_says_so() -> None:
    with pytest.raises(Refusal, match="but the model has no prompts"):
        parse_case(vector_form(prompt="query"), **(SETTINGS | {"prompt_names": ()}))


def test_two_cases_may_not_share_a_name() -> None:
    with pytest.raises(Refusal, match='golden case "paris" exists twice'):
        parse_cases([vector_form(), vector_form()], **SETTINGS)


def test_an_inline_case_and_one_of_the_config_map_may_not_share_a_name() -> None:
    inline = parse_cases([vector_form()], **SETTINGS)
    with pytest.raises(Refusal, match='golden case "paris" exists twice'):
        merge_cases(inline, parse_jsonl(json.dumps(vector_form()).encode(), **SETTINGS))


def test_a_merged_set_survives_its_own_json_lines() -> None:
    cases = merge_cases(parse_cases([vector_form()], **SETTINGS), parse_cases([similarity_form()], **SETTINGS))
    assert CaseSet.from_jsonl(cases.to_jsonl()) == cases


def test_json_lines_may_hold_blank_lines_and_windows_line_ends() -> None:
    data = b"\n" + json.dumps(vector_form()).encode() + b"\r\n\r\n" + json.dumps(similarity_form()).encode()
    assert [case.name for case in parse_jsonl(data, **SETTINGS)] == ["paris", "weather"]


def test_a_text_may_hold_a_unicode_line_separator() -> None:
    line = json.dumps(vector_form(input="a\u2028b"), ensure_ascii=False).encode()
    (case,) = parse_jsonl(line, **SETTINGS)
    assert isinstance(case, VectorCase)
    assert case.input == "a\u2028b"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{", "line 2 is not valid JSON"),
        (b"\xff\xfe", "line 2 is not valid JSON"),
        (b"[]", "line 2 is not a JSON object"),
        (b"{}", "line 2 has no name"),
        (b'{"name": 3}', "line 2 has no name"),
    ],
)
def test_a_broken_line_is_named_by_its_number(line: bytes, says: str) -> None:
    with pytest.raises(Refusal, match=says) as caught:
        parse_jsonl(json.dumps(vector_form()).encode() + b"\n" + line, **SETTINGS)
    assert caught.value.field == "verification.goldensConfigMapRef"


# Busy machines generate slowly; speed is not what these tests judge.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

keys = st.sampled_from(["name", "input", "vector", "prompt", "similarity", "other"])


@unhurried
@given(st.dictionaries(keys, json_values))
def test_any_mapping_is_a_case_or_a_refusal(raw: dict[str, Any]) -> None:
    with contextlib.suppress(Refusal):  # anything else that is raised fails the test
        parse_case(raw, **SETTINGS)


@unhurried
@given(st.binary())
def test_any_bytes_are_cases_or_a_refusal(data: bytes) -> None:
    with contextlib.suppress(Refusal):  # anything else that is raised fails the test
        parse_jsonl(data, **SETTINGS)


def test_a_file_by_itself_is_read_in_the_form_that_people_write() -> None:
    lines = b"\n\n".join(json.dumps(case).encode() for case in (vector_form(prompt="any"), similarity_form()))

    found = parse_golden_file(lines)

    expected = parse_jsonl(lines, **(SETTINGS | {"prompt_names": ("any",)}))
    assert found == CaseSet(cases=expected)
    assert parse_golden_file(b"\n" + found.to_jsonl()) == found


def test_a_file_by_itself_is_refused_where_a_spec_would_be() -> None:
    with pytest.raises(Refusal) as refused:
        parse_golden_file(json.dumps(vector_form(vector="AAAA")).encode())
    assert refused.value.reason is Reason.INVALID_GOLDEN
    assert "SECRET" not in refused.value.message


@pytest.mark.parametrize("threshold", ["abc", "NaN", "", "1e9", "0.5 "])
def test_a_normalised_case_with_a_threshold_that_is_no_number_is_refused(threshold: str) -> None:
    line = VectorCase(name="a", input="x", vector=VECTOR, min_cosine_similarity="0.9").to_json()
    with pytest.raises(ValidationError):
        parse_golden_file(line.replace(b'"0.9"', json.dumps(threshold).encode()))


@pytest.mark.parametrize("raw", [vector_form(), similarity_form()], ids=["vector", "similarity"])
@pytest.mark.parametrize(
    ("task", "answer"),
    [
        (Task.RERANKING, "a reranker, which answers scores"),
        (Task.CLASSIFICATION, "a classifier, which answers labels with their scores"),
        (Task.SPARSE, "a sparse model, which answers weights of tokens"),
    ],
)
def test_a_case_about_vectors_is_refused_by_a_model_that_answers_none(
    raw: dict[str, Any], task: Task, answer: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        parse_cases([raw], **(SETTINGS | {"task": task, "dimensions": None}))
    kind = "similarity" if "similarity" in raw else "vector"
    assert (refusal.value.reason, refusal.value.field) == (Reason.INVALID_GOLDEN, "verification.goldens")
    assert refusal.value.message == (
        f'golden case "{raw["name"]}" expects a {kind}, but this model is {answer}: take the case out'
    )


def test_without_a_model_a_case_of_either_kind_is_read() -> None:
    cases = parse_cases([vector_form(), similarity_form()], **(SETTINGS | {"task": None}))
    assert [case.kind for case in cases] == ["vector", "similarity"]
