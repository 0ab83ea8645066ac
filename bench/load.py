"""Clients in a closed loop over HTTP/1.1: each sends one text, waits for its vector, and sends the next.

One asyncio protocol a client writes ready-made bytes and keeps what comes back; answers are parsed and checked after
the run, so that the generator takes as little as it can of the CPUs that it shares with the server. How much that was
is `generator_cpu`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import cast

import numpy as np
from vectors import Vectors, cosines

HOST = "127.0.0.1"
HEAD_END = b"\r\n\r\n"
# Fractions of the answers still out when time is up are counted, so they are waited for; a batch takes seconds at most.
DRAIN_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """`text` is the number of the text that was asked; times in seconds."""

    text: int
    began: float
    ended: float
    status: int
    body: bytes


@dataclass(frozen=True)
class Load:
    """What the clients saw between `began` and `ended`, seconds. `generator_cpu`: CPUs that the generator took."""

    answers: Sequence[Answer]
    began: float
    ended: float
    generator_cpu: float
    lost: int  # requests whose connection ended before the answer

    @property
    def rate(self) -> float:
        """Answers a second. One that was under way when the window opened or closed counts by its part inside it: few
        large batches would otherwise fall on one side or the other.
        """
        return sum(self._part(answer) for answer in self.answers) / (self.ended - self.began)

    def _part(self, answer: Answer) -> float:
        inside = min(answer.ended, self.ended) - max(answer.began, self.began)
        return max(0.0, inside) / (answer.ended - answer.began)

    def latency(self) -> tuple[float, float]:
        """Median and 95th percentile in seconds, of the requests answered inside the window."""
        seconds = [a.ended - a.began for a in self.answers if self.began < a.ended <= self.ended]
        if len(seconds) < 2:
            return (seconds or [0.0])[0], (seconds or [0.0])[0]
        cuts = quantiles(seconds, n=20, method="inclusive")
        return cuts[9], cuts[18]


@dataclass(frozen=True)
class Verdict:
    """Of all answers: how many were not 200, how many vectors were wrong, and the smallest cosine."""

    failed: int
    wrong: int
    worst_cosine: float


def make_request(text: str, *, path: str, model: str) -> bytes:
    body = json.dumps({"model": model, "input": text, "encoding_format": "base64"}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def run_load(
    requests: Sequence[bytes], *, port: int, clients: int, seconds: float, warm_up_seconds: float
) -> Load:
    """`requests` are sent round and round. Raises OSError when the server does not listen."""
    loop = asyncio.get_running_loop()
    turn = _Turn(requests)
    connected = [await loop.create_connection(lambda: _Client(turn), HOST, port) for _ in range(clients)]
    await asyncio.sleep(warm_up_seconds)
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    ended, cpu = time.perf_counter(), time.process_time() - cpu
    turn.over = True
    await asyncio.wait([client.finished for _, client in connected], timeout=DRAIN_SECONDS)
    for transport, _ in connected:
        transport.close()
    await asyncio.wait([client.closed for _, client in connected])
    unanswered = sum(client.waiting for _, client in connected)
    return Load(turn.answers, began=began, ended=ended, generator_cpu=cpu / (ended - began), lost=unanswered)


def check(answers: Sequence[Answer], *, expected: Vectors, least_cosine: float) -> Verdict:
    """`expected`: a vector for each text, float32 [texts, dimensions]."""
    good = [answer for answer in answers if answer.status == 200]
    found, wanted, wrong = [], [], 0
    for answer in good:
        vector = _read_vector(answer.body)
        if vector is None or vector.shape != expected[answer.text].shape:
            wrong += 1
            continue
        found.append(vector)
        wanted.append(expected[answer.text])
    near = cosines(np.stack(found), expected=np.stack(wanted)) if found else np.array([np.nan])
    wrong += int((~(near >= least_cosine)).sum()) if found else 0
    return Verdict(failed=len(answers) - len(good), wrong=wrong, worst_cosine=float(near.min()))


def _read_vector(body: bytes) -> Vectors | None:
    try:
        return np.frombuffer(base64.b64decode(json.loads(body)["data"][0]["embedding"]), dtype="<f4")
    except (ValueError, KeyError, IndexError, TypeError):
        return None


class _Turn:
    """Which text comes next, over all clients."""

    def __init__(self, requests: Sequence[bytes], *, clock: Callable[[], float] = time.perf_counter) -> None:
        self.answers: list[Answer] = []
        self.over = False
        self.clock = clock
        self._requests = requests
        self._next = 0

    def take(self) -> tuple[int, bytes]:
        text = self._next % len(self._requests)
        self._next += 1
        return text, self._requests[text]


class _Client(asyncio.Protocol):
    """`waiting`: a request is out. `finished`: there is nothing more to wait for. `closed`: the connection is."""

    def __init__(self, turn: _Turn) -> None:
        self._turn = turn
        self._received = bytearray()
        self._text = 0
        self._began = 0.0
        self.waiting = False
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self._finish()
        self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(HEAD_END)
        if not found or len(body) < _content_length(head):
            return
        self._turn.answers.append(
            Answer(self._text, self._began, self._turn.clock(), status=int(head[9:12]), body=bytes(body))
        )
        self._received.clear()
        self.waiting = False
        if self._turn.over:
            self._finish()
        else:
            self._send()

    def _send(self) -> None:
        self._text, request = self._turn.take()
        self._began = self._turn.clock()
        self.waiting = True
        self._transport.write(request)

    def _finish(self) -> None:
        if not self.finished.done():
            self.finished.set_result(None)


def _content_length(head: bytes | bytearray) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise SystemExit(f"an answer without content-length: {bytes(head[:200])!r}")
