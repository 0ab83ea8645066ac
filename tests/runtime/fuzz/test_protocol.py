"""HTTP as no proper client speaks it: each gets an answer or a closed connection, and nothing hangs or breaks."""

import json
import socket
from collections.abc import Iterator

import pytest
from served_process import RawConnection, ServedProcess

from embedding_model.resolved import Task

EVERY_KEY = {"error", "error_type", "id", "message", "detail"}
BODY = json.dumps({"model": "words", "input": "hello"}).encode()
LENGTH = f"content-length: {len(BODY)}"
MOST_SECONDS = 20  # of waiting: the slowest of these takes a hundredth of it


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedProcess]:
    log = tmp_path_factory.mktemp("server") / "log"
    with ServedProcess.of_task(Task.EMBEDDING, log=log) as process:
        process.wait("/ready")
        yield process
        assert process.process.poll() is None
        assert "Traceback" not in log.read_text(encoding="utf-8")


def post(*headers: str, path: str = "/v1/embeddings", version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "host: runtime", "connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode()


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: runtime", "connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def exchange(server: ServedProcess, data: bytes, *, ends: bool = False, port: int | None = None) -> bytes:
    """All that the server says until it closes. `ends`: the client sends no more, and says so."""
    with socket.create_connection(("127.0.0.1", port or server.port), timeout=MOST_SECONDS) as connection:
        try:
            connection.sendall(data)
            if ends:
                connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it closed while bytes were under way; its answer was sent before
        said = b""
        try:
            while part := connection.recv(65_536):
                said += part
        except ConnectionResetError:
            pass
        return said


def statuses(said: bytes) -> list[int]:
    return [int(part.split(b" ", 1)[0]) for part in said.split(b"HTTP/1.1 ")[1:]]


SMUGGLED = {
    "two lengths that differ": post(LENGTH, "content-length: 5") + BODY,
    "two lengths alike": post(LENGTH, LENGTH) + BODY,
    "a list of lengths": post(f"{LENGTH}, {len(BODY)}") + BODY,
    "length, then chunks": post(LENGTH, "transfer-encoding: chunked") + b"0\r\n\r\n",
    "chunks, then length": post("transfer-encoding: chunked", "content-length: 5") + b"0\r\n\r\n",
    "chunks, but not last": post("transfer-encoding: chunked, identity") + b"0\r\n\r\n",
    "unknown coding": post("transfer-encoding: xchunked") + b"0\r\n\r\n",
    "space before the colon": post("transfer-encoding : chunked") + b"0\r\n\r\n",
    "negative length": post("content-length: -1") + BODY,
    "signed length": post(f"content-length: +{len(BODY)}") + BODY,
    "hexadecimal length": post("content-length: 0x10") + BODY,
    "length beyond 64 bits": post("content-length: 99999999999999999999999") + BODY,
    "empty length": post("content-length: ") + BODY,
    "chunk of no number": post("transfer-encoding: chunked") + b"zz\r\n",
    "chunk beyond 64 bits": post("transfer-encoding: chunked") + b"fffffffffffffffff\r\n",
    "folded header": get("/health", "x: a\r\n b"),
    "zero byte in a header": get("/health", "x: a\0b"),
    "header without a colon": get("/health", "abc"),
    "line feeds alone": get("/health").replace(b"\r\n", b"\n"),
    "carriage returns alone": b"GET /health HTTP/1.1\rhost: x\r\r",
}
MALFORMED = {
    "bytes": bytes(range(256)),
    "TLS": bytes.fromhex("160301007a010000760303") + bytes(100),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.7": get("/health").replace(b"HTTP/1.1", b"HTTP/3.7"),
    "a method of no standard": get("/health", method="FROB"),
    "a method in small letters": get("/health", method="get"),
    "a tunnel": get("runtime:80", method="CONNECT"),
    "a path of bytes": get("/\xe9"),
    "a path with a space": get("/a b"),
    "a URI without a path": get("http://runtime"),
    "a URI of half an address": get("http://[::1"),
}


@pytest.mark.parametrize("data", [*SMUGGLED.values(), *MALFORMED.values()], ids=[*SMUGGLED, *MALFORMED])
def test_what_two_servers_could_read_differently_or_nobody_can_is_refused_once(
    server: ServedProcess, data: bytes
) -> None:
    """And the connection ends, so that what follows is taken for no request."""
    said = exchange(server, data + get("/health"))
    assert statuses(said) == [400]


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/openai/v1/embeddings", {"error"}),
        ("/cohere/v2/embed", {"id", "message"}),
        ("/jina/v1/embeddings", {"detail"}),
        ("/tei/embed", {"error", "error_type"}),
        ("/v1/embeddings", EVERY_KEY),
    ],
)
def test_a_body_that_breaks_off_in_nonsense_is_refused_in_the_dialects_form(
    server: ServedProcess, path: str, keys: set[str]
) -> None:
    said = exchange(server, post("transfer-encoding: chunked", path=path) + b"5\r\nhello\r\nzz\r\n")
    head, _, body = said.partition(b"\r\n\r\n")
    assert statuses(said) == [400]
    assert set(json.loads(body)) == keys
    assert b"\r\nx-embedding-space: sp1-" in head
    assert b"\r\nconnection: close" in head


@pytest.mark.parametrize(
    ("data", "status"),
    [(MALFORMED["TLS"], 400), (SMUGGLED["negative length"], 400), (get("/health", "x: " + "a" * 200_000), 431)],
    ids=["no request", "a wrong length", "a head that is too large"],
)
def test_what_is_refused_before_its_path_is_known_gets_every_dialects_keys(
    server: ServedProcess, data: bytes, status: int
) -> None:
    said = exchange(server, data)
    head, _, body = said.partition(b"\r\n\r\n")
    assert statuses(said) == [status]
    assert b"\r\ncontent-type: application/json" in head
    assert set(json.loads(body)) == EVERY_KEY


def test_the_private_port_refuses_in_its_own_form(server: ServedProcess) -> None:
    said = exchange(server, MALFORMED["TLS"], port=server.private_port)
    assert statuses(said) == [400]
    assert set(json.loads(said.partition(b"\r\n\r\n")[2])) == {"error"}


def test_a_broken_body_behind_other_requests_is_refused_behind_their_answers(server: ServedProcess) -> None:
    one = post(LENGTH).replace(b"connection: close\r\n", b"") + BODY
    broken = post("transfer-encoding: chunked") + b"zz\r\n"
    assert statuses(exchange(server, one + one + broken)) == [200, 200, 400]


def test_a_broken_body_of_a_request_that_was_answered_gets_no_second_answer(server: ServedProcess) -> None:
    connection = RawConnection(server.port)
    connection.send(post("transfer-encoding: chunked", path="/nothing").replace(b"connection: close\r\n", b""))
    assert connection.receive().status == 404
    connection.send(b"zz\r\n")
    assert connection.ended()
    connection.close()


ANSWERED = {
    "chunks with extensions": (
        post("transfer-encoding: chunked") + b"%x;a=b\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
        200,
    ),
    "HTTP/1.0": (post(LENGTH, version="1.0") + BODY, 200),
    "expect: 100-continue": (post(LENGTH, "expect: 100-continue") + BODY, 200),
    "an unknown expectation": (post(LENGTH, "expect: tea") + BODY, 200),
    "no length and no chunks": (post(), 400),
    "an absolute URI": (get("http://runtime/health"), 200),
    "a percent-encoded letter": (get("/h%65alth"), 200),
    "percent-encoded bytes": (get("/%ff%zz%00"), 404),
    "two slashes": (get("//health"), 404),
    "dots": (get("/v1/../health"), 404),
    "a star": (get("*", method="OPTIONS"), 404),
    "empty lines first": (b"\r\n\r\n" + get("/health"), 200),
    "a body with GET": (get("/health", "content-length: 5") + b"hello", 200),
    "a query": (get("/health?a=%ff&b"), 200),
    "HEAD": (get("/health", method="HEAD"), 200),
    "HEAD of nothing": (get("/nothing", method="HEAD"), 404),
    "HEAD of a POST": (get("/embed", method="HEAD"), 405),
    "OPTIONS": (get("/embed", method="OPTIONS"), 405),
    "TRACE": (get("/embed", method="TRACE"), 405),
    "DELETE": (get("/embed", method="DELETE"), 405),
}


@pytest.mark.parametrize(("data", "status"), ANSWERED.values(), ids=ANSWERED)
def test_what_is_unusual_but_clear_is_answered(server: ServedProcess, data: bytes, status: int) -> None:
    assert statuses(exchange(server, data))[-1] == status


def test_a_405_names_the_methods_that_are_taken(server: ServedProcess) -> None:
    head = exchange(server, get("/embed", method="DELETE")).partition(b"\r\n\r\n")[0].lower()
    assert b"allow: post" in head.split(b"\r\n")


def test_an_answer_to_head_has_no_body(server: ServedProcess) -> None:
    head, _, body = exchange(server, get("/health", method="HEAD")).partition(b"\r\n\r\n")
    assert (statuses(head), body) == ([200], b"")


@pytest.mark.parametrize(
    "offer",
    [
        ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAEAAEAAAAIAAAABAAMAAABk"),
        ("connection: upgrade", "upgrade: websocket", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="),
    ],
    ids=["h2c, as Java's client offers it", "a web socket"],
)
@pytest.mark.parametrize("parts", [1, 400], ids=["at once", "byte by byte"])
def test_an_offer_of_another_protocol_changes_nothing(
    server: ServedProcess, offer: tuple[str, ...], parts: int
) -> None:
    """Neither for the request that brings it nor for the next on the connection."""
    head = "\r\n".join(["POST /v1/embeddings HTTP/1.1", "host: runtime", LENGTH, *offer, "", ""]).encode()
    data = head + BODY
    step = -(-len(data) // parts)
    connection = RawConnection(server.port)
    for _ in range(2):
        for start in range(0, len(data), step):
            connection.send(data[start : start + step])
        answer = connection.receive()
        assert answer.status == 200
        assert len(json.loads(answer.body)["data"]) == 1
    connection.close()


def test_requests_sent_at_once_are_answered_in_their_order(server: ServedProcess) -> None:
    one = post(LENGTH).replace(b"connection: close\r\n", b"") + BODY
    said = exchange(server, one + one + get("/nothing"))
    assert statuses(said) == [200, 200, 404]


def test_nonsense_after_a_request_costs_that_request_nothing(server: ServedProcess) -> None:
    one = post(LENGTH).replace(b"connection: close\r\n", b"") + BODY
    assert statuses(exchange(server, one + b"\0\1\2\r\n\r\n"))[0] == 200


@pytest.mark.parametrize(
    "data",
    [
        get("/health", "x: " + "a" * 2_000_000),
        get("/health", *(f"x{number}: y" for number in range(200_000))),
        get("/" + "a" * 2_000_000),
    ],
    ids=["a long header", "many headers", "a long path"],
)
def test_a_head_that_grows_is_refused(server: ServedProcess, data: bytes) -> None:
    assert statuses(exchange(server, data)) == [431]


def test_a_client_that_ends_in_the_middle_of_its_body_is_let_go(server: ServedProcess) -> None:
    assert exchange(server, post("content-length: 500") + BODY, ends=True) == b""


def test_the_log_repeats_nothing_of_what_came(server: ServedProcess) -> None:
    exchange(server, get("/health", method="S3CR3T"))
    exchange(server, get("/s3cr3t", "s3cr3t: s3cr3t"))
    exchange(server, post("content-length: s3cr3t") + b"s3cr3t")
    assert "s3cr3t" not in server.log.read_text(encoding="utf-8").lower()
