"""Clients that never finish: a head, or a body, that does not come in time is refused, and the connection ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from runtime_under_test import app_under_test, settings

from embedding_runtime.errors import BodyTimeout
from embedding_runtime.http.app import App
from embedding_runtime.http.body import BodyBudget, Patience, read_body
from embedding_runtime.http.bounded_protocol import BoundedProtocol
from embedding_runtime.http.messages import Message
from embedding_runtime.http.metrics import Metrics
from embedding_runtime.http.server import bind, make_server

SHORT = Patience(between_parts=0.05, in_all=60)
MOST_SECONDS = 20


@contextlib.asynccontextmanager
async def listening(*, patience: Patience = SHORT, keep_alive_seconds: int = 60) -> AsyncIterator[int]:
    """The port of a server of the whole application."""
    chosen = settings()
    async with app_under_test() as runtime:
        app = App(
            lifecycle=runtime.lifecycle,
            metrics=Metrics(),
            max_body_bytes=chosen.max_body_bytes,
            max_buffered_bytes=chosen.max_buffered_bytes,
            body_patience=patience,
        )
        loaded = runtime.app.loaded
        assert loaded is not None
        app.loaded = loaded
        server = make_server(app, keep_alive_seconds=keep_alive_seconds, shutdown_seconds=1)
        with bind("127.0.0.1", port=0) as listener:
            listener.listen()
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                yield listener.getsockname()[1]
            finally:
                server.should_exit = True
                await serving


async def say(port: int, data: bytes) -> bytes:
    """What the server answers until it closes, to a client that says this and no more, but stays."""
    async with asyncio.timeout(MOST_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


@pytest.fixture
def short_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedProtocol, "head_seconds", 0.05)


@pytest.mark.parametrize(
    "head", [b"POST /embed HTTP/1.1\r\nhost: run", b"G", b"POST /embed HTTP/1.1\r\ncontent-length: 2\r\n"]
)
@pytest.mark.usefixtures("short_heads")
async def test_a_head_that_stops_is_refused(head: bytes) -> None:
    async with listening() as port:
        answer = await say(port, head)
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.usefixtures("short_heads")
async def test_a_head_that_stops_behind_a_whole_request_costs_that_request_nothing() -> None:
    async with listening() as port:
        answer = await say(port, b"GET /health HTTP/1.1\r\nhost: runtime\r\n\r\nGET /hea")
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_connection_that_says_nothing_ends_like_an_idle_one() -> None:
    async with listening(keep_alive_seconds=0) as port:
        assert await say(port, b"") == b""


@pytest.mark.parametrize("path", [b"/openai/v1/embeddings", b"/tei/embed", b"/cohere/v2/embed", b"/jina/v1/rerank"])
async def test_a_body_that_stops_is_refused_in_the_dialects_form(path: bytes) -> None:
    async with listening() as port:
        answer = await say(port, b"POST %s HTTP/1.1\r\nhost: runtime\r\ncontent-length: 100\r\n\r\n{" % path)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in head
    assert b"did not come in time" in body


async def test_a_body_that_comes_a_byte_at_a_time_is_refused_in_the_end() -> None:
    """However steadily it comes."""

    async def receive() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b" ", "more_body": True}

    budget = BodyBudget(limit=2**40)
    with budget.hold() as held, pytest.raises(BodyTimeout):
        await read_body(
            {"headers": []}, receive=receive, limit=2**40, held=held, patience=Patience(between_parts=60, in_all=0.05)
        )
    assert budget.bytes == 0
