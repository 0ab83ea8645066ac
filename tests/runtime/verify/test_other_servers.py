"""Golden cases asked of servers that are not this runtime: each takes some of the routes, and lists models or not."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import pytest

from embedding_model.goldens.cases import GoldenCase, LabelCase, RankingCase, ScoreCase, VectorCase
from embedding_model.goldens.compare import encode_vector
from embedding_model.ports import SPACE_HEADER, CaseResult
from embedding_model.refusal import Unavailable
from embedding_runtime.server_check import check_server

VECTOR = VectorCase(name="v", input="a", vector=encode_vector([0.6, 0.8]), min_cosine_similarity="0.999")
PROMPTED = VECTOR.model_copy(update={"prompt": "query"})
RANKING = RankingCase(name="r", query="q", documents=("a", "bb", "ccc"), order=(2, 1, 0), min_gap="0.5")
SCORE = ScoreCase(name="s", query="q", document="bb", expected="2", tolerance="0.01")
LABEL = LabelCase(name="l", input="a", label="joy", expected="0.75", tolerance="0.01")

Answer = Callable[[Mapping[str, Any]], httpx.Response]


class Server(httpx.AsyncBaseTransport):
    """Answers these paths, and 404 elsewhere; it remembers what it was asked."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = answers
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(await request.aread() or b"{}")
        self.asked.append((request.url.path, body))
        answer = self._answers.get(request.url.path)
        return answer(body) if answer else httpx.Response(404, json={"error": "no such path"})


def embed(body: Mapping[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={"data": [{"embedding": VECTOR.vector} for _ in body["input"]]})


def embed_by_prompt(body: Mapping[str, Any]) -> httpx.Response:
    """As this runtime: the vector of the prompt that the request names, in a space that the answer names."""
    vector = VECTOR.vector if body.get("prompt_name") == "query" else encode_vector([1.0, 0.0])
    return httpx.Response(200, json={"data": [{"embedding": vector}]}, headers={SPACE_HEADER: "sp1-0"})


def list_models(body: Mapping[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={"data": [{"id": "first"}, {"id": "second"}]})


def score_texts(body: Mapping[str, Any]) -> httpx.Response:
    """TEI's form: a document's score is its length, best first."""
    if "texts" not in body:
        return httpx.Response(422, json={"error": "texts are missing", "error_type": "Validation"})
    found = [{"index": index, "score": float(len(text))} for index, text in enumerate(body["texts"])]
    return httpx.Response(200, json=sorted(found, key=lambda entry: -entry["score"]))


def score_documents(body: Mapping[str, Any]) -> httpx.Response:
    """Cohere's form of the same."""
    if "documents" not in body:
        return httpx.Response(422, json={"message": "documents are missing"})
    found = [{"index": index, "relevance_score": float(len(text))} for index, text in enumerate(body["documents"])]
    return httpx.Response(200, json={"results": sorted(found, key=lambda entry: -entry["relevance_score"])})


def predict(body: Mapping[str, Any]) -> httpx.Response:
    labels = [{"label": "joy", "score": 0.75}, {"label": "anger", "score": 0.25}]
    return httpx.Response(200, json=[labels for _ in body["inputs"]])


def fail(status: int) -> Answer:
    return lambda body: httpx.Response(status, json={"error": {"message": "no luck"}})


def check(
    server: Server, *cases: GoldenCase, name: str | None = None, api_key: str | None = None
) -> Sequence[CaseResult]:
    asking = check_server("http://server", cases=cases, name=name, api_key=api_key, transport=server)
    return asyncio.run(asking)


def test_a_server_of_one_model_needs_no_list_of_models() -> None:
    server = Server({"/v1/embeddings": embed, "/predict": predict})
    assert all(result.passed for result in check(server, VECTOR, LABEL))


def test_the_first_listed_model_is_asked_unless_another_is_named() -> None:
    server = Server({"/v1/embeddings": embed, "/v1/models": list_models})
    check(server, VECTOR)
    check(server, VECTOR, name="second")
    assert [body["model"] for path, body in server.asked if path == "/v1/embeddings"] == ["first", "second"]


@pytest.mark.parametrize(
    "answers",
    [{"/rerank": score_texts}, {"/v1/rerank": score_documents}, {"/rerank": score_documents}],
    ids=["TEI", "Cohere", "Cohere's form under TEI's path"],
)
def test_scores_are_asked_in_the_form_that_the_server_takes(answers: Mapping[str, Answer]) -> None:
    results = check(Server(answers), RANKING, SCORE)
    assert [(result.name, result.passed, result.measured) for result in results] == [
        ("r", True, "1.000000"),
        ("s", True, "0.000000"),
    ]


def test_a_server_that_refuses_every_form_is_quoted_once() -> None:
    (result,) = check(Server({"/rerank": fail(422)}), SCORE)
    assert (result.passed, result.detail) == (False, "answered with status 422: no luck")


def test_an_overloaded_server_is_not_asked_in_other_forms() -> None:
    server = Server({"/rerank": fail(503), "/v1/rerank": score_documents})
    (result,) = check(server, SCORE)
    assert result.detail == "answered with status 503: no luck"
    assert [path for path, _ in server.asked] == ["/v1/models", "/rerank"]


def test_scores_of_some_documents_alone_are_no_answer() -> None:
    def score_best(body: Mapping[str, Any]) -> httpx.Response:
        return httpx.Response(200, json=[{"index": 2, "score": 3.0}])

    (result,) = check(Server({"/rerank": score_best}), RANKING)
    assert result.detail == "the server answered scores of 1 documents, and 3 were asked"


def test_a_prompt_is_asked_by_its_name_where_the_server_knows_prompts() -> None:
    assert check(Server({"/v1/embeddings": embed_by_prompt}), PROMPTED)[0].passed
    assert not check(Server({"/v1/embeddings": embed_by_prompt}), VECTOR)[0].passed


def test_a_server_that_knows_no_prompts_cannot_pass_a_prompted_case_by_chance() -> None:
    (result,) = check(Server({"/v1/embeddings": embed}), PROMPTED)
    assert not result.passed
    assert "say with --name which served name applies it" in result.detail


def test_a_served_name_applies_the_prompt_of_a_case() -> None:
    server = Server({"/v1/embeddings": embed})
    (result,) = check(server, PROMPTED, name="as-query")
    assert result.passed
    assert server.asked[0][1] == {"model": "as-query", "input": ["a"], "encoding_format": "base64"}


def test_a_refused_prompt_is_told_with_the_server_s_words() -> None:
    (result,) = check(Server({"/v1/embeddings": fail(400)}), PROMPTED)
    assert result.detail == "answered with status 400: no luck"


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"/v1/models": fail(401)}, "answered with 401"),
        ({"/v1/models": lambda body: httpx.Response(200, json={"data": []})}, "no usable answer: IndexError"),
        ({"/v1/embeddings": lambda body: httpx.Response(200, text="<html>")}, "no usable answer: JSONDecodeError"),
        ({"/v1/embeddings": lambda body: httpx.Response(200, json={"data": []})}, "no usable answer: ValueError"),
    ],
)
def test_what_is_no_answer_is_no_verdict_either(answers: Mapping[str, Answer], says: str) -> None:
    with pytest.raises(Unavailable, match=says):
        check(Server(answers), VECTOR)


def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(Unavailable, match="no usable answer"):
        asyncio.run(check_server("http://[", cases=[VECTOR], name=None))
