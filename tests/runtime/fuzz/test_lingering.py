"""A client that still sends when its answer is there reads the answer, and an end of the stream in place of a reset."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from runtime_under_test import app_under_test, settings, until

from embedding_runtime.http.bounded_protocol import BoundedProtocol
from embedding_runtime.http.lingering import LingeringTransport
from embedding_runtime.http.server import Server, bind, make_server

LIMIT = 1000
PART = bytes(65_536)
GET = b"GET /health HTTP/1.1\r\nhost: runtime\r\n\r\n"
MOST_SECONDS = 20


@contextlib.asynccontextmanager
async def listening(**changes: Any) -> AsyncIterator[tuple[Server, int]]:
    """A server of the whole application, and its port."""
    async with app_under_test(serve=settings(max_body_bytes=LIMIT, **changes)) as runtime:
        server = make_server(runtime.app, keep_alive_seconds=60, shutdown_seconds=1)
        with bind("127.0.0.1", port=0) as listener:
            listener.listen()
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                yield server, listener.getsockname()[1]
            finally:
                server.should_exit = True
                await serving


def post(length: int, *, path: str = "/embed") -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: runtime\r\ncontent-length: {length}\r\n\r\n".encode()


async def read_answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    await reader.readexactly(int(length.split(b":")[1]))
    return int(head.split()[1])


async def send_all_then_read(port: int, request: bytes, *, parts: int) -> tuple[int, bytes]:
    """As most clients do. The status, and what came behind the answer: nothing, where the server ended in order."""
    async with asyncio.timeout(MOST_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        for _ in range(parts):
            writer.write(PART)
            await writer.drain()
        status = await read_answer(reader)
        rest = await reader.read()
        writer.close()
        await writer.wait_closed()
        return status, rest


async def send_for_ever(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(PART)
        await writer.drain()


@pytest.mark.parametrize("parts", [1, 200], ids=["64 KiB", "12.5 MiB"])
async def test_a_client_that_sends_too_much_reads_its_413(parts: int) -> None:
    async with listening() as (_, port):
        request = post(parts * len(PART))
        assert await send_all_then_read(port, request, parts=parts) == (413, b"")


async def test_a_client_without_a_key_reads_its_401(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("a-key-that-is-long-enough\n", encoding="utf-8")
    async with listening(api_keys=keys) as (_, port):
        assert await send_all_then_read(port, post(100 * len(PART)), parts=100) == (401, b"")


async def test_a_client_whose_bytes_nobody_can_read_reads_its_400() -> None:
    async with listening() as (_, port):
        assert await send_all_then_read(port, b"\x16\x03\x01 hello\r\n\r\n", parts=100) == (400, b"")


async def test_who_sends_on_for_ever_is_left_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedProtocol, "linger_seconds", 0.05)
    async with listening() as (server, port):
        async with asyncio.timeout(MOST_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(post(2 * LIMIT))
            assert await read_answer(reader) == 413
            await until(lambda: not server.server_state.connections)
            writer.close()


async def test_who_sends_very_much_is_left_by_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedProtocol, "linger_bytes", 2 * len(PART))
    async with listening() as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(2**40))
        assert await read_answer(reader) == 413
        async with asyncio.timeout(MOST_SECONDS):
            with pytest.raises(ConnectionError):
                await send_for_ever(writer)
            await until(lambda: not server.server_state.connections)
        writer.close()


async def test_a_connection_lives_on_behind_a_body_that_nobody_read() -> None:
    """No reset, and the rest of the body is taken for no request."""
    async with listening() as (_, port), asyncio.timeout(MOST_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(post(len(PART), path="/nothing"))
            assert await read_answer(reader) == 404
            writer.write(PART)
        writer.write(GET)
        assert await read_answer(reader) == 200
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("request_", "answers", "said"),
    [
        pytest.param(b"", [], b"\r\n", id="an empty line"),
        pytest.param(GET, [200], b"\r\n", id="an empty line behind an answer"),
        pytest.param(post(100, path="/nothing"), [404], b"half", id="a body that stops behind its answer"),
    ],
)
async def test_who_says_something_that_is_no_request_is_idle_from_then_on(
    request_: bytes, answers: list[int], said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedProtocol, "linger_seconds", 0.05)
    async with listening() as (server, port), asyncio.timeout(MOST_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_)
        assert [await read_answer(reader) for _ in answers] == answers
        await until(lambda: bool(server.server_state.connections))
        [connection] = server.server_state.connections
        connection.timeout_keep_alive = 0  # what is waited for so far is another time
        writer.write(said)
        await until(lambda: not server.server_state.connections)
        writer.close()


class Recording(asyncio.Transport):
    """What was done to a connection, in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []

    def write(self, data: Any) -> None:
        self.done.append("write")

    def write_eof(self) -> None:
        self.done.append("end")

    def resume_reading(self) -> None:
        self.done.append("read")

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")

    def is_closing(self) -> bool:
        return not {"close", "abort"}.isdisjoint(self.done)


class Timers:
    """A loop whose time stands still."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> Any:
        self.waiting.append(callback)
        return self

    def cancel(self) -> None:
        self.waiting.clear()


def lingering(*, sends: bool) -> tuple[LingeringTransport, Recording, Timers]:
    own, timers = Recording(), Timers()
    transport = LingeringTransport(own, loop=timers, is_client_sending=lambda: sends, seconds=1, most_bytes=10)
    return transport, own, timers


def test_a_connection_whose_client_has_said_all_is_closed_at_once() -> None:
    transport, own, timers = lingering(sends=False)
    transport.close()
    assert (own.done, timers.waiting, transport.lingers) == (["close"], [], False)


def test_a_connection_that_lingers_counts_as_closing_and_takes_no_more_answers() -> None:
    transport, own, _ = lingering(sends=True)
    transport.close()
    transport.write(b"another")
    transport.close()
    assert own.done == ["end", "read"]
    assert transport.is_closing()


def test_a_connection_lingers_for_its_time_and_no_longer() -> None:
    transport, own, timers = lingering(sends=True)
    transport.close()
    timers.waiting[0]()
    assert own.done[-1] == "abort"


def test_a_connection_lingers_for_its_bytes_and_no_more() -> None:
    transport, own, timers = lingering(sends=True)
    transport.close()
    transport.drop(10)
    assert own.done[-1] == "read"
    transport.drop(1)
    assert (own.done[-1], timers.waiting) == ("abort", [])


@pytest.mark.parametrize("error", [OSError("not connected"), RuntimeError("the handler is closed")])
def test_a_connection_that_its_client_has_reset_is_ended_without_a_word(error: Exception) -> None:
    transport, own, timers = lingering(sends=True)

    def fail() -> None:
        raise error

    own.write_eof = fail  # type: ignore[method-assign]
    transport.close()
    assert (own.done, timers.waiting) == (["abort"], [])
