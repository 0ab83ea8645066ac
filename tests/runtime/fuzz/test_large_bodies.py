"""A body over the limit is refused before it is read: by what it declares, or as soon as its chunks go beyond."""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from served_process import ServedProcess

from embedding_model.resolved import Task
from embedding_runtime.http.lingering import MOST_BYTES

LIMIT = 1024 * 1024
BODY = 256 * LIMIT
# What is dropped so that a client may read its answer, and what the kernel's buffers on both sides may take.
MOST_TAKEN = MOST_BYTES + 32 * LIMIT
CHUNK = b" " * 65_536

Body = dict[str, Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedProcess]:
    log = tmp_path_factory.mktemp("server") / "log"
    with ServedProcess.of_task(Task.EMBEDDING, log=log, max_body_bytes=LIMIT) as process:
        process.wait("/ready")
        yield process


def send_body(server: ServedProcess, path: str, *, header: str, frame: Callable[[bytes], bytes]) -> tuple[int, bytes]:
    """Sends as a client does that reads nothing before it has sent all. Bytes that were taken, and the answer."""
    head = f"POST {path} HTTP/1.1\r\nhost: runtime\r\n{header}\r\n\r\n"
    taken = 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head.encode())
        try:
            while taken < BODY:
                connection.sendall(frame(CHUNK))
                taken += len(CHUNK)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        try:
            while part := connection.recv(65_536):
                answer += part
        except ConnectionResetError:
            pass
    return taken, answer


FORMS: dict[str, Callable[[Body], object]] = {
    "/openai/v1/embeddings": lambda body: body["error"]["code"],
    "/cohere/v2/embed": lambda body: body["message"],
    "/jina/v1/embeddings": lambda body: body["detail"],
    "/tei/embed": lambda body: body["error_type"],
    "/v1/embeddings": lambda body: (body["error"]["code"], body["message"], body["detail"], body["error_type"]),
    "/invocations": lambda body: body["message"],
}
WAYS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "declared": (f"content-length: {BODY}", lambda chunk: chunk),
    "in chunks": ("transfer-encoding: chunked", lambda chunk: b"%x\r\n%s\r\n" % (len(chunk), chunk)),
}


@pytest.mark.parametrize(("header", "frame"), WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("path", FORMS)
def test_it_gets_413_in_the_dialects_form_and_most_of_it_is_never_taken(
    server: ServedProcess, path: str, header: str, frame: Callable[[bytes], bytes]
) -> None:
    taken, answer = send_body(server, path, header=header, frame=frame)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in head
    assert FORMS[path](json.loads(body))
    assert taken < MOST_TAKEN


def test_a_client_that_asks_before_it_sends_is_told_so(server: ServedProcess) -> None:
    """Without a `100 Continue` in between, which would ask for the body."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(
            b"POST /embed HTTP/1.1\r\nhost: runtime\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n" % BODY
        )
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_of_the_limit_is_read(server: ServedProcess) -> None:
    body = b'{"inputs": "hello"}'.ljust(LIMIT)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        head = b"POST /embed HTTP/1.1\r\nhost: runtime\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200 ")
