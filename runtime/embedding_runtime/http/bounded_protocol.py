"""uvicorn's HTTP/1.1, with bounds on the head of a request and on how long an answer waits, and deaf to offers of other
protocols.
"""

import asyncio
import logging

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from embedding_runtime.http.answer_watch import SECONDS, AnswerWatch

logger = logging.getLogger(__name__)

# What only offers another protocol. Without it the request is the same.
_OFFERS = frozenset((b"upgrade", b"http2-settings"))


class BoundedProtocol(HttpToolsProtocol):
    """A head that grows or lasts too long is refused: uvicorn itself would keep all of it, and wait for ever. A
    connection on which nothing ever comes ends like one that is idle between two requests, and one whose client does
    not take its answer is ended: see AnswerWatch.

    `Upgrade` is ignored, as RFC 9110 (7.8) lets a server do: Java's HttpClient offers h2c with its first request, and
    httptools would take that request's body for bytes of the other protocol.
    """

    head_seconds: float = 60  # from the first bytes of a head to its end
    head_bytes = 64 * 1024  # beyond what one read of the socket brings
    answer_seconds: float = SECONDS

    _in_head = False
    _received = 0
    _head_timer: asyncio.TimerHandle | None = None
    _answer: AnswerWatch | None = None
    _deaf = False  # the message at hand offers an upgrade; it is parsed again without

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        self._answer = AnswerWatch(transport, loop=self.loop, seconds=self.answer_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
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
        self._unset_keepalive_if_required()
        was_in_head = self._in_head
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._refuse(400, "Invalid HTTP request received.")
            return
        if not self._in_head:
            self._received = 0
            return
        if was_in_head:
            self._received += len(data)
        if self._received > self.head_bytes:
            self._refuse(431, f"The request's headers take more than {self.head_bytes} bytes.")
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

    def _give_up(self) -> None:
        self._head_timer = None
        self._refuse(408, f"The request's headers were not complete after {self.head_seconds:g} s.")

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: int, message: str) -> None:
        """Answers and closes. A whole request before it on the same connection is answered, and nothing after that."""
        self._stop_timer()
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body:
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        logger.warning("a request was refused with %d: %s", status, message)
        body = message.encode()
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
            + b"content-length: %d\r\n\r\n" % len(body)
            + body
        )
        self.transport.close()
