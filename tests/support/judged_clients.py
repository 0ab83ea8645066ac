"""Clients under whose load something goes wrong, and who know what is right: every vector is judged by itself.

Half of them keep their connections, half make one for every request; none tries again.
"""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from models_under_test import cosine, decode_vector

CLIENTS = 8
LEAST_COSINE = 0.999
MOST_NORM_ERROR = 1e-2
PAUSE_SECONDS = 0.2  # after a failure: asking at once again would only count how fast it is said

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True)
class References:
    """What is right: the vector of each text, by space."""

    texts: Sequence[str]
    vectors: Mapping[str, Sequence[Vector]] = field(default_factory=dict)

    def judge(self, answer: "Answer") -> str | None:
        """What is wrong with the vector, in words; None when it is the one of the space that its header names."""
        assert answer.vector is not None
        known = self.vectors.get(answer.space)
        if known is None:
            return f"of space {answer.space}, which nobody asked for"
        vector, wanted = answer.vector, known[answer.index]
        if vector.shape != wanted.shape:
            return f"{vector.shape[0]} wide, not {wanted.shape[0]}"
        if not np.isfinite(vector).all():
            return "not finite"
        if cosine(vector, wanted) < LEAST_COSINE:
            return f"cosine {cosine(vector, wanted):.4f}"
        error = abs(float(np.linalg.norm(vector)) / float(np.linalg.norm(wanted)) - 1)
        return f"norm off by {error:.3f}" if error > MOST_NORM_ERROR else None


@dataclass(frozen=True)
class Answer:
    """To the text of that index. `asked` and `came` are of time.monotonic(). `failure` is set where no vector came."""

    index: int
    asked: float
    came: float
    space: str = ""
    vector: Vector | None = None
    failure: str = ""


@dataclass
class Traffic:
    """What the clients saw, in the order in which it came."""

    answers: list[Answer] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def answered(self) -> int:
        return sum(not answer.failure for answer in list(self.answers))

    @property
    def failed(self) -> Sequence[Answer]:
        return [answer for answer in list(self.answers) if answer.failure]

    def find_wrong(self, references: References) -> Sequence[tuple[Answer, str]]:
        """Every vector that is not the right one, and why."""
        judged = [(answer, references.judge(answer)) for answer in list(self.answers) if not answer.failure]
        return [(answer, why) for answer, why in judged if why]

    def spaces(self) -> Mapping[str, tuple[float, float]]:
        """When the first and the last vector of each space came."""
        found: dict[str, tuple[float, float]] = {}
        for answer in list(self.answers):
            if not answer.failure:
                first, _ = found.get(answer.space, (answer.came, answer.came))
                found[answer.space] = first, answer.came
        return found


def ask_on_and_on(
    host: str, *, model: str, texts: Sequence[str], traffic: Traffic, keeps: bool, start: int, pinned: str | None
) -> None:
    connection = http.client.HTTPConnection(host, 80, timeout=60)
    headers = {"Content-Type": "application/json"} | ({"x-embedding-space": pinned} if pinned else {})
    for number in itertools.count(start):
        if traffic.stop.is_set():
            break
        index = number * 7 % len(texts)
        body = json.dumps({"model": model, "input": texts[index], "encoding_format": "base64"})
        asked = time.monotonic()
        try:
            connection.request("POST", "/v1/embeddings", body.encode(), headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            failure = f"{type(error).__name__}: {error}"
            traffic.answers.append(Answer(index, asked=asked, came=time.monotonic(), failure=failure))
            connection.close()
            traffic.stop.wait(PAUSE_SECONDS)
            continue
        came = time.monotonic()
        if response.status == 200:
            vector = decode_vector(json.loads(content)["data"][0]["embedding"])
            space = str(response.headers["x-embedding-space"])
            traffic.answers.append(Answer(index, asked=asked, came=came, space=space, vector=vector))
        else:
            retry = response.headers["x-should-retry"]
            failure = f"{response.status} x-should-retry={retry} {content[:200]!r}"
            traffic.answers.append(Answer(index, asked=asked, came=came, failure=failure))
            traffic.stop.wait(PAUSE_SECONDS)
        if not keeps:
            connection.close()
    connection.close()


@contextmanager
def asking(
    host: str, *, model: str, texts: Sequence[str], clients: int = CLIENTS, pinned: str | None = None
) -> Iterator[Traffic]:
    """`pinned`: the space that every request asks for."""
    traffic = Traffic()
    threads = [
        threading.Thread(
            target=ask_on_and_on,
            args=(host,),
            kwargs={
                "model": model,
                "texts": texts,
                "traffic": traffic,
                "keeps": number % 2 == 0,
                "start": number * 1000,
                "pinned": pinned,
            },
        )
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield traffic
    finally:
        traffic.stop.set()
        for thread in threads:
            thread.join()
