"""Load on a serving process: raw HTTP/1.1 clients with keep-alive, which neither retry nor forgive.

Closed loop: so many clients, each asks again when it was answered; this finds the capacity. Open loop: requests come at
a rate whatever the answers do; this is what overload is.
"""

import asyncio
import base64
import json
import random
import re
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import numpy.typing as npt

# Requests under way at once in an open loop. Beyond it none is sent, for the machine's sake; the test says how many.
MOST_UNDER_WAY = 800

ANSWER_SECONDS = 120.0  # a request that takes longer is lost

Vectors = npt.NDArray[np.float32]


@dataclass
class Tally:
    """What became of the requests."""

    answered: int = 0
    refused: int = 0
    texts: int = 0
    skipped: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return self.answered + self.refused + len(self.problems)


@dataclass(frozen=True)
class Question:
    """A request of some texts of the pool, by their numbers, as the bytes of its body."""

    numbers: Sequence[int]
    body: bytes


@dataclass
class LoadClient:
    """`references`: float32 [texts, dimensions], the right answers, normalised. `least`: the least cosine to them."""

    port: int
    model: str
    texts: Sequence[str]
    references: Vectors | None = None
    least: float = 0.9999
    closes: bool = False  # the server may end connections after an answer: it is being shut down, or is broken
    path: str = "/v1/embeddings"
    answered: int = 0  # of all its loops
    unconnected: int = 0  # connections that were refused while the server was to close: no request was sent
    _idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    def pick(self, chance: random.Random) -> Question:
        """Mostly single texts; some batches, which are answered whole or not at all."""
        size = chance.choices([1, 4, 16], weights=[8, 2, 1])[0]
        return self.ask([chance.randrange(len(self.texts)) for _ in range(size)])

    def ask(self, numbers: Sequence[int]) -> Question:
        inputs = [self.texts[number] for number in numbers]
        body = json.dumps({"model": self.model, "input": inputs, "encoding_format": "base64"})
        return Question(numbers=numbers, body=body.encode())

    async def learn_references(self) -> None:
        """From the server itself while nothing else is under way, each text alone."""
        rows = [await self._fetch(self.ask([number])) for number in range(len(self.texts))]
        self.references = np.concatenate([self._read(body) for _, _, body in rows])

    async def run_closed(self, *, clients: int, seconds: float) -> tuple[Tally, float]:
        """What became of the requests, and how many were answered in a second."""
        tally, loop = Tally(), asyncio.get_running_loop()
        started = loop.time()

        async def work(number: int) -> None:
            chance = random.Random(number)
            while loop.time() - started < seconds:
                await self.send(self.pick(chance), tally=tally)

        await asyncio.gather(*(work(number) for number in range(clients)))
        return tally, tally.answered / (loop.time() - started)

    async def run_open(
        self,
        *,
        rate: float,
        seconds: float,
        seed: int = 0,
        most_under_way: int = MOST_UNDER_WAY,
        meanwhile: Callable[[], Awaitable[None]] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Tally:
        """`rate` requests a second for `seconds`, then wait for the last answer. `meanwhile` runs beside it."""
        tally, loop, chance = Tally(), asyncio.get_running_loop(), random.Random(seed)
        under_way: set[asyncio.Task[None]] = set()
        started, due = loop.time(), 0
        other = asyncio.ensure_future(meanwhile()) if meanwhile else None
        ticks = asyncio.Event()
        while (now := loop.time()) - started < seconds and not stop():
            while due < (now - started) * rate:
                due += 1
                if len(under_way) >= most_under_way:
                    tally.skipped += 1
                    continue
                task = asyncio.create_task(self.send(self.pick(chance), tally=tally))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            ticks.clear()
            loop.call_later(0.005, ticks.set)
            await ticks.wait()
        await asyncio.gather(*under_way)
        if other is not None:
            await other
        return tally

    async def send(self, question: Question, *, tally: Tally) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status, head, body = await self._fetch(question)
        except ConnectionRefusedError as error:
            if self.closes:
                self.unconnected += 1
            else:
                tally.problems.append(f"refused: {error}")
        except TimeoutError:
            tally.problems.append(f"no answer within {ANSWER_SECONDS:g} s")
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            tally.problems.append(f"lost: {type(error).__name__}: {error}")
        else:
            problem = self._check(question, status=status, head=head, body=body)
            if problem:
                tally.problems.append(problem)
            elif status == 200:
                self.answered += 1
                tally.answered += 1
                tally.texts += len(question.numbers)
            else:
                tally.refused += 1

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()

    async def _fetch(self, question: Question) -> tuple[int, bytes, bytes]:
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self.port)
        try:
            head = f"POST {self.path} HTTP/1.1\r\nhost: runtime\r\ncontent-type: application/json\r\n"
            writer.write(f"{head}content-length: {len(question.body)}\r\n\r\n".encode() + question.body)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = re.search(rb"content-length: (\d+)", answer)
            if length is None:
                raise ValueError("an answer without a length")
            body = await reader.readexactly(int(length.group(1)))
        except BaseException:
            writer.close()
            raise
        if b"connection: close" in answer:
            if not self.closes:
                raise ValueError("the server ends the connection")
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(answer.split(b" ", 2)[1]), answer, body

    def _check(self, question: Question, *, status: int, head: bytes, body: bytes) -> str:
        """What is wrong with an answer; empty: nothing."""
        if status == 429:
            waits = re.search(rb"retry-after: (\d+)\r\n", head)
            return "" if waits and int(waits.group(1)) >= 1 else "429 without a time to come back"
        if status != 200:
            return f"status {status}: {body[:200].decode(errors='replace')}"
        found = self._read(body)
        if len(found) != len(question.numbers):
            return f"{len(found)} vectors for {len(question.numbers)} texts"
        if self.references is None:
            return ""
        cosines = (found * self.references[list(question.numbers)]).sum(axis=1)
        return "" if float(cosines.min()) >= self.least else f"a wrong vector: cosine {cosines.min():.6f}"

    def _read(self, body: bytes) -> Vectors:
        entries = json.loads(body)["data"]
        return np.stack([np.frombuffer(base64.b64decode(entry["embedding"]), dtype="<f4") for entry in entries])


def forget_peak(pid: int) -> None:
    """From now on `peak_bytes` counts anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_bytes(pid: int) -> int:
    """Most resident memory of a process since `forget_peak`, in bytes."""
    return _read_status(pid, name="VmHWM")


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return _read_status(pid, name="VmRSS")


def _read_status(pid: int, *, name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found.group(1)) * 1024


def read_metric(url: str, line: str) -> float:
    """The sum of all samples of the private port's metrics that begin with `line`."""
    lines = httpx.get(f"{url}/metrics", timeout=30).text.splitlines()
    return sum(float(found.rsplit(" ", 1)[1]) for found in lines if re.match(rf"{re.escape(line)}[ {{]", found))


def wait_until_admitted(url: str, *, tokens: int) -> None:
    """Until so many are under way. `url` is the private port's, which has no such number before the model is loaded."""
    pause = threading.Event()
    for _ in range(3000):
        if read_metric(url, "embedding_admitted_tokens") >= tokens:
            return
        pause.wait(0.01)
    raise AssertionError(f"there were never {tokens} tokens under way")
