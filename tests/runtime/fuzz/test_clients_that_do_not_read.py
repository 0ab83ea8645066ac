"""What a client does not take of its answer must not stay in memory for ever."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from runtime_under_test import until

from embedding_runtime.http.answer_watch import LEAST_BYTES, AnswerWatch
from embedding_runtime.http.bounded_protocol import BoundedProtocol
from embedding_runtime.http.messages import Receive, Scope, Send
from embedding_runtime.http.server import bind, make_server

ANSWER_BYTES = 64 * 1024 * 1024  # more than the kernel keeps for a connection


async def answer_much(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"content-length", str(ANSWER_BYTES).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(ANSWER_BYTES)})


async def test_a_client_that_takes_nothing_of_its_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedProtocol, "answer_seconds", 0.05)
    server = make_server(answer_much, keep_alive_seconds=60, shutdown_seconds=1)
    with bind("127.0.0.1", port=0) as listener, socket.socket() as client:
        listener.listen()
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, listener.getsockname())
        await asyncio.get_running_loop().sock_sendall(client, b"GET / HTTP/1.1\r\nhost: runtime\r\n\r\n")
        await until(lambda: server.server_state.total_requests == 1)
        await until(lambda: not server.server_state.connections)
        server.should_exit = True
        await serving


class Transport:
    """Of an answer of which `left` bytes were not taken yet."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.left

    def abort(self) -> None:
        self.aborted = True


class Timer:
    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """Its time passes when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Timer, Callable[[], None]]] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> Any:
        timer = Timer()
        self.waiting.append((timer, callback))
        return timer

    def pass_time(self) -> None:
        waiting, self.waiting = self.waiting, []
        for timer, callback in waiting:
            if not timer.cancelled:
                callback()


def watched(left: int) -> tuple[Transport, Loop, AnswerWatch]:
    transport, loop = Transport(left), Loop()
    watch = AnswerWatch(transport, loop=loop, seconds=60)
    watch.start()
    return transport, loop, watch


def test_a_slow_client_that_goes_on_gets_all_of_its_answer() -> None:
    transport, loop, _ = watched(10 * LEAST_BYTES)
    while transport.left:
        transport.left -= LEAST_BYTES
        loop.pass_time()
        assert not transport.aborted


@pytest.mark.parametrize("taken", [0, 1, LEAST_BYTES - 1])
def test_a_client_that_takes_next_to_nothing_is_left(taken: int) -> None:
    transport, loop, _ = watched(10 * LEAST_BYTES)
    transport.left -= LEAST_BYTES
    loop.pass_time()
    transport.left -= taken
    loop.pass_time()
    assert transport.aborted


def test_a_client_that_has_taken_its_answer_may_wait() -> None:
    transport, loop, watch = watched(LEAST_BYTES)
    watch.stop()
    loop.pass_time()
    assert not transport.aborted
