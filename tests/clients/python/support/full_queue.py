"""A queue that is full: a request as large as the queue, which is computed for some seconds, or until it hangs up."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

QUEUE_TOKENS = 262_144  # the runtime's default
TEXT_TOKENS = 256  # as much as MiniLM takes, and what a longer text counts for before it is tokenised
WORD = "cat "  # one token, and as long as the runtime reckons one to be before it has counted
DEADLINE_SECONDS = 60


@dataclass(frozen=True)
class Question:
    """A path of the server, and the body that asks it about some texts."""

    path: str
    about: Callable[[Sequence[str]], Mapping[str, Any]]


EMBED = Question("/embed", lambda texts: {"inputs": texts, "truncate": True})
RERANK = Question("/rerank", lambda texts: {"query": "cat", "texts": texts, "truncate": True})


class FullQueue:
    """While the context lasts, or until `release`, the server admits nobody else."""

    def __init__(self, url: str, *, question: Question) -> None:
        address = urlsplit(url)
        assert address.hostname
        self._host, self._port = address.hostname, address.port or 80
        self._question = question
        self._connection: socket.socket | None = None

    def __enter__(self) -> Self:
        # Little more than fits, so that a client is told to come back soon.
        texts = [WORD * (TEXT_TOKENS - 2)] * (QUEUE_TOKENS // TEXT_TOKENS + 1)
        body = self._body(texts)
        head = (
            f"POST {self._question.path} HTTP/1.1\r\nhost: {self._host}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self._connection = socket.create_connection((self._host, self._port), timeout=DEADLINE_SECONDS)
        self._connection.sendall(head.encode() + body)
        self._wait_until(full=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Hang up: nothing more is computed for the large request. When this returns, the next one is admitted."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._wait_until(full=False)

    def _wait_until(self, *, full: bool) -> None:
        pause, deadline = threading.Event(), time.monotonic() + DEADLINE_SECONDS
        while (self._ask() == 429) != full:
            assert time.monotonic() < deadline, f"the queue was never {'full' if full else 'free again'}"
            pause.wait(0.02)

    def _ask(self) -> int:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=DEADLINE_SECONDS)
        try:
            headers = {"content-type": "application/json"}
            connection.request("POST", self._question.path, body=self._body(["cat"]), headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def _body(self, texts: Sequence[str]) -> bytes:
        return json.dumps(self._question.about(texts)).encode()
