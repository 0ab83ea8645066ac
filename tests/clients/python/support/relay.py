"""A forwarder between a client and the server: what really goes over the wire, whatever library a client is made of."""

import http.client
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "date", "server"}
CLOCK_SECONDS = 0.05  # by how much two threads may differ in when a wait began


@dataclass(frozen=True)
class Exchange:
    """A request and its answer. `began`, `ended`: seconds of the monotonic clock."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int
    answer_headers: dict[str, str]
    answer: bytes
    began: float
    ended: float

    @property
    def asked(self) -> Any:
        return json.loads(self.body)

    @property
    def answered(self) -> Any:
        return json.loads(self.answer)


@dataclass
class Relay:
    """Forwards everything to `target` and keeps it. Used as a context manager.

    `on_answer` is called with each exchange before its answer is passed on.
    """

    target: str
    on_answer: Callable[[Exchange], None] = lambda exchange: None
    exchanges: list[Exchange] = field(default_factory=list)

    def __enter__(self) -> Self:
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                relay.forward(self)

            do_GET = do_POST = forward

            def log_message(self, format: str, *arguments: object) -> None:
                """The checks say what went wrong."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def statuses(self) -> list[int]:
        return [exchange.status for exchange in self.exchanges]

    @property
    def last(self) -> Exchange:
        return self.exchanges[-1]

    def assert_retried(self) -> None:
        """The first request was refused, and the last, not sooner than the refusal said, answered."""
        first, last = self.exchanges[0], self.last
        assert (first.status, last.status) == (429, 200)
        assert last.began - first.ended >= int(first.answer_headers["retry-after"]) - CLOCK_SECONDS

    def forward(self, handler: BaseHTTPRequestHandler) -> None:
        began = time.monotonic()
        body = read_body(handler)
        address = urlsplit(self.target)
        assert address.hostname
        connection = http.client.HTTPConnection(address.hostname, address.port or 80, timeout=120)
        passed = {name: value for name, value in handler.headers.items() if name.lower() not in HOP_BY_HOP}
        try:
            connection.request(handler.command, handler.path, body=body, headers=passed)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        exchange = Exchange(
            method=handler.command,
            path=handler.path,
            headers={name.lower(): value for name, value in handler.headers.items()},
            body=body,
            status=response.status,
            answer_headers={name.lower(): value for name, value in response.getheaders()},
            answer=answer,
            began=began,
            ended=time.monotonic(),
        )
        self.exchanges.append(exchange)
        self.on_answer(exchange)
        handler.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in HOP_BY_HOP:
                handler.send_header(name, value)
        handler.send_header("content-length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)


def read_body(handler: BaseHTTPRequestHandler) -> bytes:
    """By its length, or in chunks, as the client sends it."""
    if handler.headers.get("transfer-encoding", "").lower() != "chunked":
        return handler.rfile.read(int(handler.headers.get("content-length") or 0))
    body = b""
    while size := int(handler.rfile.readline().split(b";")[0], 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body
