"""uvicorn's HTTP/1.1, with bounds on the head of a request and on how long an answer waits, and deaf to offers of other
protocols.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from embedding_runtime.errors import HeadTimeout, HeadTooLarge, MalformedRequest, RequestError
from embedding_runtime.http import lingering
from embedding_runtime.http.answer_watch import SECONDS, AnswerWatch
from embedding_runtime.http.errors import find_row
from embedding_runtime.http.lingering import LingeringTransport
from embedding_runtime.http.messages import JSON, Receive, Response, Scope, Send, json_response

logger = logging.getLogger(__name__)

_MALFORMED = MalformedRequest(
    "What came cannot be read as a request: its first line, a header, its length or a chunk of its body is malformed. "
    "This port speaks plain HTTP/1.1, neither TLS nor HTTP/2."
)

# An error before any application sees the request, and the request's path where it is known, to a whole answer with
# all of its headers.
Describe = Callable[[RequestError, str], Response]

# What only offers another protocol. Without it the request is the same.
_OFFERS = frozenset((b"upgrade", b"http2-settings"))


class BoundedProtocol(HttpToolsProtocol):
    """A head that grows or lasts too long is refused: uvicorn itself would keep all of it, and wait for ever. A
    connection on which nothing ever comes ends like one that is idle between two requests, and one whose client does
    not take its answer is ended: see AnswerWatch. One that is closed while its client sends lingers: see
    LingeringTransport.

    `Upgrade` is ignored, as RFC 9110 (7.8) lets a server do: Java's HttpClient offers h2c with its first request, and
    httptools would take that request's body for bytes of the other protocol.
    """

    head_seconds: float = 60  # from the first bytes of a head to its end
    head_bytes = 64 * 1024  # beyond what one read of the socket brings
    answer_seconds: float = SECONDS
    linger_seconds: float = lingering.SECONDS
    linger_bytes = lingering.MOST_BYTES

    transport: LingeringTransport
    _in_head = False
    _received = 0
    _head_timer: asyncio.TimerHandle | None = None
    _answer: AnswerWatch | None = None
    _refused = False
    _deaf = False  # the message at hand offers an upgrade; it is parsed again without

    def __init__(self, *arguments: Any, describe: Describe, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._describe = describe

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.transport = LingeringTransport(
            transport,
            loop=self.loop,
            is_client_sending=self._is_client_sending,
            seconds=self.linger_seconds,
            most_bytes=self.linger_bytes,
        )
        self._await_request()
        self._answer = AnswerWatch(transport, loop=self.loop, seconds=self.answer_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self.transport.stop()
        if self._answer is not None:
            self._answer.stop()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._answer is not None:
            self._answer.start()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._answer is not None:
            self._answer.stop()

    def data_received(self, data: bytes) -> None:
        if self.transport.lingers:
            self.transport.drop(len(data))
            return
        self._unset_keepalive_if_required()
        was_in_head = self._in_head
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._refuse(_MALFORMED)
            return
        if not self._in_head:
            self._received = 0
            if self.cycle is None or self.cycle.response_complete:
                self._await_request()  # empty lines, or the rest of a body that nobody reads
            return
        if was_in_head:
            self._received += len(data)
        if self._received > self.head_bytes:
            self._refuse(HeadTooLarge(f"The request's headers take more than {self.head_bytes} bytes."))
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self._give_up)

    def _parse(self, data: bytes) -> None:
        """Raises httptools.HttpParserError."""
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                if not self._deaf:
                    raise httptools.HttpParserError("a tunnel") from None  # CONNECT, whose target is no path
                self._deaf = False
                data = self._write_head() + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_timer()
        self._deaf = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if not self._deaf:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self._deaf:
            super().on_message_complete()

    def _write_head(self) -> bytes:
        """The head as it came, without its offer."""
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            kept = value
            if name == b"connection":
                tokens = (token.strip() for token in value.split(b","))
                kept = b", ".join(token for token in tokens if token.lower() not in _OFFERS)
            if name not in _OFFERS and kept:
                lines.append(b"%s: %s" % (name, kept))
        return b"\r\n".join([*lines, b"", b""])

    def _await_request(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _is_client_sending(self) -> bool:
        """As far as it is known here: the rest of a body, other requests, or what nobody can read."""
        return self._refused or bool(self.pipeline) or (self.cycle is not None and self.cycle.more_body)

    def _give_up(self) -> None:
        self._head_timer = None
        self._refuse(HeadTimeout(f"The request's headers were not complete after {self.head_seconds:g} s."))

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, error: RequestError) -> None:
        """Answers and closes. A whole request before it on the same connection is answered, and nothing after that."""
        self._stop_timer()
        self._refused = True
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body:
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        logger.warning("a request was refused with %s: %s", type(error).__name__, error.message)
        in_body = self.cycle is not None and self.cycle.more_body and not self._in_head
        if in_body and self.cycle.response_complete:  # it has its answer
            self.transport.close()
            return
        response = self._describe(error, self.scope["path"] if in_body else "")
        if in_body and self.pipeline:  # in its turn, behind the answers to those before it
            self.pipeline[0] = self.cycle, cast(ASGI3Application, _Refusal(response))
            self.flow.pause_reading()
            return
        lines = [STATUS_LINE[response.status], *(b"%s: %s\r\n" % header for header in response.headers), b"\r\n"]
        self.transport.write(b"".join([*lines, response.body]))
        self.transport.close()
        if self.cycle is not None:  # whoever reads its body reads no more
            self.cycle.disconnected = True
            self.cycle.message_event.set()


class _Refusal:
    """An application whose answer is known."""

    def __init__(self, response: Response) -> None:
        self._response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = self._response
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        await send({"type": "http.response.body", "body": response.body})


def describe_plainly(error: RequestError, path: str) -> Response:
    """In the form of the private port, which is no dialect's."""
    response = json_response({"error": {"message": error.message}}, status=find_row(type(error)).status)
    length = str(len(response.body)).encode()
    return replace(response, headers=((b"content-length", length), (b"content-type", JSON), (b"connection", b"close")))
