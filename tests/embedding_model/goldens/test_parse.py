"""From written golden cases to normalised ones, and every way to get them wrong."""

import codecs
import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from json_values import json_values
from pydantic import ValidationError

from embedding_model.goldens.cases import (
    CaseSet,
    LabelCase,
    RankingCase,
    ScoreCase,
    SimilarityCase,
    SparseCase,
    Term,
    VectorCase,
)
from embedding_model.goldens.compare import encode_vector, judge_case
from embedding_model.goldens.parse import merge_cases, parse_case, parse_cases, parse_golden_file, parse_jsonl
from embedding_model.goldens.questions import Answer
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Activation, Task, TokenHeadKind

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


def ranking_form(**changes: Any) -> dict[str, Any]:
    ranking = {"query": "SECRET", "documents": ["SECRET", "B", "C"], "order": [2, 0, 1], "minGap": "0.1"} | changes
    return {"name": "order", "ranking": ranking}


def score_form(**changes: Any) -> dict[str, Any]:
    score = {"query": "SECRET", "document": "SECRET", "expected": "-11.5", "tolerance": "0.1"} | changes
    return {"name": "relevant", "score": score}


def label_form(**changes: Any) -> dict[str, Any]:
    return {"name": "happy", "label": {"input": "SECRET", "label": "joy", **changes}}


def sparse_form(**changes: Any) -> dict[str, Any]:
    terms = [{"term": "SECRET", "weight": "0.5"}, {"term": "##s", "weight": "1.25"}]
    return {"name": "terms", "sparse": {"input": "SECRET", "terms": terms, "tolerance": "0.02", **changes}}


def term(weight: str, *, term: str = "SECRET") -> dict[str, str]:
    return {"term": term, "weight": weight}


def test_a_vector_case_gets_the_threshold_of_the_spec() -> None:
    assert parse_case(vector_form(prompt="query"), **SETTINGS) == VectorCase(
        name="paris", input="SECRET", prompt="query", vector=VECTOR, min_cosine_similarity="0.999"
    )


def test_a_similarity_case_keeps_its_own_tolerance() -> None:
    assert parse_case(similarity_form(), **SETTINGS) == SimilarityCase(
        name="weather", a="SECRET", b="B", expected="0.6", tolerance="0.1"
    )


def test_the_other_kinds_keep_what_is_written() -> None:
    anything = SETTINGS | {"task": None}
    assert parse_case(ranking_form(), **anything) == RankingCase(
        name="order", query="SECRET", documents=("SECRET", "B", "C"), order=(2, 0, 1), min_gap="0.1"
    )
    assert parse_case(score_form(), **anything) == ScoreCase(
        name="relevant", query="SECRET", document="SECRET", expected="-11.5", tolerance="0.1"
    )
    assert parse_case(label_form(), **anything) == LabelCase(name="happy", input="SECRET", label="joy")
    assert parse_case(label_form(expected="0.9", tolerance="0.1"), **anything) == LabelCase(
        name="happy", input="SECRET", label="joy", expected="0.9", tolerance="0.1"
    )


def test_terms_are_sorted_heaviest_first() -> None:
    assert parse_case(sparse_form() | {"prompt": "query"}, **(SETTINGS | {"task": Task.SPARSE})) == SparseCase(
        name="terms",
        prompt="query",
        input="SECRET",
        terms=(Term(term="##s", weight="1.25"), Term(term="SECRET", weight="0.5")),
        tolerance="0.02",
    )


def test_a_label_is_one_of_the_models() -> None:
    settings = SETTINGS | {"task": Task.CLASSIFICATION}
    assert parse_case(label_form(), labels=("anger", "joy"), **settings).name == "happy"
    with pytest.raises(Refusal) as refusal:
        parse_case(label_form(label="SECRET"), labels=("anger", "joy"), **settings)
    assert refusal.value.message == (
        'golden case "happy" expects a label that the model does not have: its labels are "anger", "joy"'
    )
    with pytest.raises(Refusal, match=r'"LABEL_7" and 992 more$'):
        parse_case(label_form(), labels=[f"LABEL_{index}" for index in range(1000)], **settings)


def test_the_only_label_of_a_model_needs_its_score() -> None:
    settings = SETTINGS | {"task": Task.CLASSIFICATION, "activation": Activation.SIGMOID}
    with pytest.raises(Refusal, match="names the model's only label, which is the best one of any text: write its exp"):
        parse_case(label_form(), labels=("joy",), **settings)
    with pytest.raises(Refusal, match="takes every score with its tolerance"):
        parse_case(label_form(expected="0.4", tolerance="0.6"), labels=("joy",), **settings)
    for labels in (("joy",), ("anger", "joy")):
        assert parse_case(label_form(expected="0.4", tolerance="0.1"), labels=labels, **settings)
    assert parse_case(label_form(expected="0.5", tolerance="0.5"), labels=("anger", "joy"), **settings)


@pytest.mark.parametrize(
    ("activation", "expected", "tolerance", "takes"),
    [
        (Activation.SIGMOID, "0.5", "0.5", "from 0 to 1"),
        (Activation.SOFTMAX, "1", "1", "from 0 to 1"),
        (Activation.SOFTMAX, "1", "0.999999999", "from 0 to 1"),
        (Activation.TANH, "0.25", "1.25", "from -1 to 1"),
        (Activation.SIGMOID, "0.5", "0.49", None),
        (Activation.TANH, "0.5", "0.5", None),
        (Activation.IDENTITY, "0.5", "999", None),
        (None, "0.5", "0.5", None),
    ],
)
def test_a_tolerance_that_takes_every_score_is_refused(
    activation: Activation | None, expected: str, tolerance: str, takes: str | None
) -> None:
    settings = SETTINGS | {"task": Task.RERANKING, "activation": activation}
    raw = score_form(expected=expected, tolerance=tolerance)
    if takes is None:
        assert parse_case(raw, **settings)
        assert parse_jsonl(json.dumps(raw).encode(), **settings)
        return
    for parse in (lambda: parse_cases([raw], **settings), lambda: parse_jsonl(json.dumps(raw).encode(), **settings)):
        with pytest.raises(Refusal, match=f"the activation {activation} go {takes}; write less, such as 0.01$"):
            parse()


@pytest.mark.parametrize("tolerance", ["0.999999998", "0.999999999"])
def test_no_case_that_is_taken_passes_with_an_answer_of_nothing(tolerance: str) -> None:
    case = SparseCase(name="t", input="x", terms=(Term(term="a", weight="2"),), tolerance=tolerance)
    accepts = judge_case(case, [Answer(terms=())]).passed
    written = sparse_form(terms=[term("2", term="a")], tolerance=tolerance)
    with pytest.raises(Refusal, match="without any term") if accepts else contextlib.nullcontext():
        parse_case(written, **(SETTINGS | {"task": Task.SPARSE}))


def test_a_file_is_checked_against_the_labels_too() -> None:
    data = json.dumps(label_form()).encode()
    with pytest.raises(Refusal, match="a label that the model does not have"):
        parse_jsonl(data, labels=("anger",), **(SETTINGS | {"task": Task.CLASSIFICATION}))


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
        (vector_form(prompt="SECRET"), 'names a prompt that the model does not have: its prompts are "query"'),
        (vector_form(name=""), 'name: write at most 63 letters, digits, "-", "_" or "."'),
        (vector_form(name="x" * 64), "name: write at most 63 letters"),
        (vector_form(name="two words"), "name: write at most 63 letters"),
        (vector_form(SECRET=1), "case: unknown field; its fields are name, prompt, input, vector, similarity, ranking"),
        ({"name": "paris", "input": "SECRET"}, "write input with vector, or exactly one of similarity, ranking, score"),
        ({"name": "paris", "vector": VECTOR}, "write input with vector, or exactly one of similarity, ranking, score"),
        ({"name": "paris"}, "write input with vector, or exactly one of similarity, ranking, score"),
        (vector_form() | similarity_form(), "write input with vector, or exactly one of similarity, ranking, score"),
        (
            similarity_form() | {"input": "SECRET"},
            "write input with vector, or exactly one of similarity, ranking, score",
        ),
        (similarity_form(expected=0.6), 'similarity.expected: write a decimal string from "-1" to "1" with at most'),
        (
            similarity_form(a="SECRET", b="SECRET"),
            "compares a text with itself, which any model finds equal: write two",
        ),
        (
            similarity_form(expected="0", tolerance="0.999999999"),
            "takes every similarity with its tolerance of 0.99999",
        ),
        (similarity_form(expected="1.1"), "expects a similarity of 1.1"),
        (similarity_form(expected="-1.000001"), "expects a similarity of -1.000001"),
        (similarity_form(expected="6e-1"), 'with at most twelve decimals, for example "0.6660"'),
        (similarity_form(expected="NaN"), 'similarity.expected: write a decimal string from "-1" to "1"'),
        (similarity_form(tolerance=".1"), 'similarity.tolerance: write a decimal string above "0" and below "1"'),
        (similarity_form(tolerance="0"), "a tolerance of 0"),
        (similarity_form(tolerance="-0.1"), "a tolerance of -0.1"),
        (similarity_form(tolerance="1"), "a tolerance of 1"),
        (similarity_form(a=""), "similarity.a: String should have at least 1 character"),
        (ranking_form(order=[0, 1]), "an order that does not fit its 3 documents: write each number from 0 to 2 once"),
        (ranking_form(order=[0, 1, 1]), "an order that does not fit its 3 documents"),
        (ranking_form(order=[1, 2, 3]), "an order that does not fit its 3 documents"),
        (ranking_form(order=[0, 1, -1]), "ranking.order.2: Input should be greater than or equal to 0"),
        (ranking_form(order=[0, 1, True]), "ranking.order.2: Input should be a valid integer"),
        (ranking_form(documents=["SECRET"], order=[0]), "ranking.documents: List should have at least 2 items"),
        (ranking_form(documents=["x"] * 33), "ranking.documents: List should have at most 32 items"),
        (ranking_form(documents=["SECRET", ""]), "ranking.documents.1: String should have at least 1 character"),
        (ranking_form(minGap="0"), "a minGap of 0; write more than 0"),
        (ranking_form(minGap="-0.1"), "a minGap of -0.1; write more than 0"),
        (ranking_form(min_gap="0.1"), "ranking: unknown field; its fields are query, documents, order, minGap"),
        (ranking_form() | {"prompt": "query"}, "a prompt goes with vector, similarity and sparse alone: leave it out"),
        (score_form(tolerance="0"), "a tolerance of 0; write more than 0"),
        (score_form(expected=0.5), 'score.expected: write a decimal string between "-1000" and "1000"'),
        (score_form(tolerance="1e-3"), 'score.tolerance: write a decimal string above "0" and below "1000"'),
        (ranking_form(minGap="+0.1"), 'ranking.minGap: write a decimal string above "0"'),
        (sparse_form(terms=[term("1e1")]), 'sparse.terms.0.weight: write a decimal string above "0"'),
        (sparse_form(tolerance="0.999999999"), "takes an answer without any term with its tolerance of 0.999999999"),
        (score_form(document=""), "score.document: String should have at least 1 character"),
        (label_form(expected="0.5"), "label: write expected and tolerance, or neither"),
        (label_form(tolerance="0.5"), "label: write expected and tolerance, or neither"),
        (label_form(expected="0.5", tolerance="0.0"), "a tolerance of 0.0; write more than 0"),
        (sparse_form(terms=[]), "sparse.terms: List should have at least 1 item"),
        (sparse_form(terms=[term("0")]), "1 terms with a weight that is not above 0: leave them out"),
        (sparse_form(terms=[term("1"), term("-1", term="b")]), "1 terms with a weight that is not above 0"),
        (sparse_form(terms=[term("1"), term("2")]), "a term twice: write each term once"),
        (sparse_form(terms=[term("1", term="")]), "sparse.terms.0.term: String should have at least 1 character"),
        (sparse_form(terms=[term("1") | {"SECRET": 1}]), "sparse.terms.0: unknown field; its fields are term, weight"),
        (sparse_form(tolerance="1"), "a tolerance of 1; write more than 0 and less than 1"),
        (ranking_form() | score_form(), "write input with vector, or exactly one of similarity, ranking, score"),
    ],
)
def test_a_case_that_is_wrong_is_refused_with_what_is_wrong(raw: dict[str, Any], says: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_case(raw, **(SETTINGS | {"task": None}))
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
        (b'{"name": ""}', "line 2 has a name that cannot be shown: write at most 63 letters"),
        (b'{"name": "a\\u0007b"}', "line 2 has a name that cannot be shown: write at most 63 letters"),
        (b'{"name": "a", "name": "b"}', "line 2 has a field twice in one object: write each field once"),
        (b'{"name": "a", "similarity": {"a": "x", "a": "y"}}', "line 2 has a field twice in one object"),
        (b'{"name": "a", "x": ' + b"[" * 1000 + b"]" * 1000 + b"}", "line 2 is not valid JSON"),
    ],
)
def test_a_broken_line_is_named_by_its_number(line: bytes, says: str) -> None:
    with pytest.raises(Refusal, match=says) as caught:
        parse_jsonl(json.dumps(vector_form()).encode() + b"\n" + line, **SETTINGS)
    assert caught.value.field == "verification.goldensConfigMapRef"


def test_a_number_of_any_length_is_no_reason_to_fail() -> None:
    line = json.dumps(score_form()).replace('"-11.5"', "9" * 5000).encode()
    with pytest.raises(Refusal, match=r"line 1 is not valid JSON|score\.expected: write a decimal string"):
        parse_jsonl(line, **(SETTINGS | {"task": None}))


def test_a_byte_order_mark_is_taken_off() -> None:
    line = codecs.BOM_UTF8 + json.dumps(vector_form()).encode()
    (case,) = parse_jsonl(line, **SETTINGS)
    assert parse_golden_file(line).cases == (case,)
    assert parse_golden_file(codecs.BOM_UTF8 + CaseSet(cases=(case,)).to_jsonl()).cases == (case,)
    assert parse_golden_file(codecs.BOM_UTF8).cases == ()


# Busy machines generate slowly; speed is not what these tests judge.
unhurried = settings(suppress_health_check=[HealthCheck.too_slow])

keys = st.sampled_from(
    ["name", "input", "vector", "prompt", "similarity", "ranking", "score", "label", "sparse", "other"]
)


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


def test_a_normalised_file_is_refused_for_a_field_that_stands_twice() -> None:
    line = CaseSet(cases=(parse_case(similarity_form(), **SETTINGS),)).to_jsonl()
    with pytest.raises(Refusal, match="golden case line 2 has a field twice"):
        parse_golden_file(b"\n" + line.replace(b'"tolerance":"0.1"', b'"tolerance":"0.1","tolerance":"0.9"'))


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


FORMS = {
    "vector": (vector_form(), "a vector"),
    "similarity": (similarity_form(), "a similarity"),
    "ranking": (ranking_form(), "a ranking"),
    "score": (score_form(), "a score"),
    "label": (label_form(), "a label"),
    "sparse": (sparse_form(), "a sparse vector"),
}
ANSWERS = {
    Task.EMBEDDING: "an embedding model, which answers vectors: write input and vector, or similarity",
    Task.RERANKING: "a reranker, which answers scores: write ranking or score",
    Task.CLASSIFICATION: "a classifier, which answers labels with their scores: write label",
    Task.SPARSE: "a sparse model, which answers weights of tokens: write sparse",
}
WITHOUT_HEAD = "this embedding model has no sparse head that is served: write input and vector, or similarity"
TAKEN = {"vector": Task.EMBEDDING, "similarity": Task.EMBEDDING, "ranking": Task.RERANKING, "score": Task.RERANKING}
TAKEN |= {"label": Task.CLASSIFICATION, "sparse": Task.SPARSE}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("task", Task)
def test_a_case_is_for_the_one_task_that_answers_it(form: str, task: Task) -> None:
    raw, expects = FORMS[form]
    if TAKEN[form] is task:
        assert parse_case(raw, **(SETTINGS | {"task": task})).kind == form
        return
    with pytest.raises(Refusal) as refusal:
        parse_cases([raw], **(SETTINGS | {"task": task, "dimensions": None}))
    assert (refusal.value.reason, refusal.value.field) == (Reason.INVALID_GOLDEN, "verification.goldens")
    says = WITHOUT_HEAD if (form, task) == ("sparse", Task.EMBEDDING) else f"this model is {ANSWERS[task]}"
    assert refusal.value.message == (f'golden case "{raw["name"]}" expects {expects}, but {says}, or take the case out')


@pytest.mark.parametrize("form", FORMS)
def test_a_sparse_head_answers_sparse_cases_beside_those_of_vectors(form: str) -> None:
    raw, expects = FORMS[form]
    settings = SETTINGS | {"task": Task.EMBEDDING, "heads": (TokenHeadKind.MULTI_VECTOR, TokenHeadKind.SPARSE)}
    if form in ("vector", "similarity", "sparse"):
        assert parse_case(raw, **settings).kind == form
        assert parse_jsonl(json.dumps(raw).encode(), **settings)[0].kind == form
        return
    with pytest.raises(Refusal) as refusal:
        parse_case(raw, **settings)
    assert refusal.value.message == (
        f'golden case "{raw["name"]}" expects {expects}, but this model is an embedding model with a sparse head, '
        "which answers vectors and weights of tokens: write input and vector, similarity or sparse, or take the case "
        "out"
    )


def test_another_head_answers_no_sparse_case() -> None:
    with pytest.raises(Refusal, match="this embedding model has no sparse head"):
        parse_case(sparse_form(), **SETTINGS, heads=(TokenHeadKind.MULTI_VECTOR,))


def test_without_a_model_a_case_of_every_kind_is_read() -> None:
    raws = [raw for raw, _ in FORMS.values()]
    cases = parse_cases(raws, **(SETTINGS | {"task": None}))
    assert [case.kind for case in cases] == list(FORMS)
    assert parse_golden_file(CaseSet(cases=cases).to_jsonl()).cases == cases


@pytest.mark.parametrize("prefix", ["reference.", "holdout.", "check."])
def test_a_name_as_computed_cases_and_checks_have_it_is_refused(prefix: str) -> None:
    with pytest.raises(Refusal) as refusal:
        parse_case(vector_form(name=f"{prefix}short"), **SETTINGS)
    assert refusal.value.message == (
        f'golden case "{prefix}short" has a name that begins with "{prefix}", as those of computed cases and built-in '
        "checks do: write another"
    )
    assert parse_case(vector_form(name=prefix.removesuffix(".")), **SETTINGS).kind == "vector"
