"""The load generator counts what a server gets wrong, and rates what was answered inside its window."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
from load import Answer, Load, check, make_request, run_load

VECTORS = np.eye(3, dtype=np.float32)
TEXTS = ("zero", "one", "two")
REQUESTS = [make_request(text, path="/v1/embeddings", model="words") for text in TEXTS]

Reply = Callable[[str], bytes | None]  # None: the connection ends


def embedding(vector: np.ndarray) -> bytes:
    encoded = base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
    return json.dumps({"data": [{"embedding": encoded}]}).encode()


def response(body: bytes, *, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def right(text: str) -> bytes:
    return response(embedding(VECTORS[TEXTS.index(text)]))


@contextlib.asynccontextmanager
async def serving(reply: Reply) -> AsyncIterator[int]:
    talks: list[asyncio.Task[None]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.current_task())  # type: ignore[arg-type]
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while (answer := reply(await read_text(reader))) is not None:
                # In two pieces, as a network may deliver them.
                for piece in (answer[:20], answer[20:]):
                    writer.write(piece)
                    await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*talks)


async def read_text(reader: asyncio.StreamReader) -> str:
    """Of one request. Raises IncompleteReadError when no more come."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    text: str = json.loads(await reader.readexactly(length))["input"]
    return text


async def ask(reply: Reply, *, clients: int = 2) -> Load:
    async with serving(reply) as port:
        return await run_load(REQUESTS, port=port, clients=clients, seconds=0.05, warm_up_seconds=0)


async def test_right_answers_are_all_counted_and_none_is_wrong() -> None:
    load = await ask(right)

    verdict = check(load.answers, expected=VECTORS, least_cosine=0.999)
    assert (verdict.failed, verdict.wrong, load.lost) == (0, 0, 0)
    assert verdict.worst_cosine == pytest.approx(1)
    assert {answer.text for answer in load.answers} == {0, 1, 2}
    assert load.rate > 0


async def test_answers_other_than_200_are_failures() -> None:
    load = await ask(lambda text: response(b"{}", status="429 Too Many Requests") if text == "one" else right(text))

    verdict = check(load.answers, expected=VECTORS, least_cosine=0.999)
    assert verdict.failed == sum(answer.text == 1 for answer in load.answers) > 0
    assert verdict.wrong == 0


@pytest.mark.parametrize(
    "body",
    [
        embedding(VECTORS[2]),
        embedding(np.array([1, 0.1, 0], dtype=np.float32)),
        embedding(np.array([np.nan, 0, 0], dtype=np.float32)),
        embedding(np.ones(4, dtype=np.float32)),
        b'{"data": []}',
        b"no JSON",
    ],
    ids=["another text's", "a little off", "NaN", "too wide", "none", "no JSON"],
)
async def test_a_vector_that_is_not_the_references_is_wrong(body: bytes) -> None:
    load = await ask(lambda text: response(body) if text == "zero" else right(text))

    verdict = check(load.answers, expected=VECTORS, least_cosine=0.999)
    assert verdict.wrong == sum(answer.text == 0 for answer in load.answers) > 0
    assert verdict.failed == 0


async def test_a_connection_that_ends_before_the_answer_loses_its_request() -> None:
    load = await ask(lambda text: None, clients=3)

    assert load.lost == 3
    assert load.rate == 0


def test_a_request_counts_by_its_part_inside_the_window() -> None:
    answers = [
        Answer(text=0, began=0.0, ended=2.0, status=200, body=b""),  # half of it
        Answer(text=0, began=2.0, ended=3.0, status=200, body=b""),
        Answer(text=0, began=4.0, ended=8.0, status=200, body=b""),  # a quarter
        Answer(text=0, began=6.0, ended=7.0, status=200, body=b""),  # behind it
    ]
    load = Load(answers, began=1.0, ended=5.0, generator_cpu=0.0, lost=0)

    assert load.rate == pytest.approx((0.5 + 1 + 0.25) / 4)
