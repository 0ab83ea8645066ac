"""A server that asks for keys: what is refused, in each dialect's words, and what needs none."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from runtime_under_test import AppUnderTest, app_under_test, settings

from embedding_model.goldens.questions import Question, QuestionKind
from embedding_runtime.gate import ask_app
from embedding_runtime.http.routing import Router

KEY = "search-team-0001"
GOOD = {"authorization": f"Bearer {KEY}"}
WRONG = {"authorization": "Bearer wrong-key-0001"}


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[AppUnderTest]:
    (tmp_path / "keys").write_text(KEY)
    async with app_under_test(serve=settings(api_keys=tmp_path / "keys")) as app:
        yield app


def routes() -> list[Any]:
    """Each method of each path that the server has."""
    return [
        pytest.param(path, method, route.open, id=f"{method} {path}")
        for path, place in Router().places.items()
        for target in place.targets[:1]
        for method, route in target.methods.items()
    ]


@pytest.mark.parametrize(("path", "method", "is_open"), routes())
async def test_every_route_but_the_probes_needs_a_key(
    guarded: AppUnderTest, path: str, method: str, is_open: bool
) -> None:
    for headers in ({}, WRONG):
        answer = await guarded.client.request(method, path, headers=headers, content=b"{}")
        assert (answer.status_code == 401) != is_open
    allowed = await guarded.client.request(method, path, headers=GOOD, content=b"{}")
    assert allowed.status_code != 401


@pytest.mark.parametrize("path", ["/info", "/docs", "/openapi.json", "/v1/models", "/v1/models/words"])
async def test_what_tells_about_the_server_needs_a_key_too(guarded: AppUnderTest, path: str) -> None:
    assert (await guarded.client.get(path)).status_code == 401
    assert (await guarded.client.get(path, headers=GOOD)).status_code == 200


def test_only_probes_are_open() -> None:
    open_paths = {param.values[0] for param in routes() if param.values[2]}
    assert open_paths <= {"/health", "/tei/health", "/", "/tei/", "/ping"}
    assert {"/health", "/ping"} <= open_paths


SHAPES: Mapping[str, Any] = {
    "/openai/v1/embeddings": lambda body: (
        (body["error"]["type"], body["error"]["code"]) == ("authentication_error", "invalid_api_key")
    ),
    "/cohere/v2/embed": lambda body: "embedding-runtime server" in body["message"],
    "/jina/v1/embeddings": lambda body: "embedding-runtime server" in body["detail"],
    "/tei/embed": lambda body: "embedding-runtime server" in body["error"],
}


@pytest.mark.parametrize("path", SHAPES)
async def test_each_dialect_says_so_in_its_own_form(guarded: AppUnderTest, path: str) -> None:
    answer = await guarded.client.post(path, json={"input": "text"}, headers=WRONG)
    assert answer.status_code == 401
    assert SHAPES[path](answer.json())
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["connection"] == "close", "the body was not read"
    assert "wrong-key" not in answer.text


async def test_on_a_bare_path_the_answer_carries_the_keys_of_all_dialects(guarded: AppUnderTest) -> None:
    body = (await guarded.client.post("/v1/embeddings", json={})).json()
    assert {"error", "message", "detail"} <= set(body)


async def test_with_its_key_a_request_is_answered(guarded: AppUnderTest) -> None:
    answer = await guarded.embed(input=["text"], headers=GOOD)
    assert answer.status_code == 200
    bare = await guarded.embed(input=["text"], headers={"authorization": KEY})
    assert bare.status_code == 200


async def test_the_key_is_asked_for_before_the_body_is_read(guarded: AppUnderTest) -> None:
    async def never_read() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    answer = await guarded.client.post("/v1/embeddings", content=never_read())
    assert answer.status_code == 401


async def test_golden_cases_of_the_gate_need_no_key(guarded: AppUnderTest) -> None:
    answer = await ask_app(guarded.app)(Question(kind=QuestionKind.EMBED, text="a golden text"))
    assert answer.error is None


async def test_a_path_that_is_not_there_is_not_found_with_and_without_a_key(guarded: AppUnderTest) -> None:
    for headers in ({}, GOOD):
        assert (await guarded.client.get("/no/such/path", headers=headers)).status_code == 404


async def test_a_rotated_file_takes_effect_with_the_next_request(guarded: AppUnderTest, tmp_path: Path) -> None:
    async def status(headers: Mapping[str, str]) -> int:
        answer: httpx.Response = await guarded.embed(input="text", headers=headers)
        return answer.status_code

    (tmp_path / "new").write_text("search-team-0002\n")
    assert await status(GOOD) == 200
    (tmp_path / "new").rename(tmp_path / "keys")
    assert await status(GOOD) == 401
    assert await status({"authorization": "bearer search-team-0002"}) == 200
