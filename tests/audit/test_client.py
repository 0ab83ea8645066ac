"""One pod's private port over HTTP: what is sent, and which answers count."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from embedding_model.goldens.cases import CaseSet, SimilarityCase
from embedding_model.goldens.questions import Answer, AnswerSheet, Question, QuestionKind, QuestionSheet
from embedding_model.ports import GateState, GoldensReport, JobReport, JobState, Verdict
from embedding_operator.audit.client import (
    MAX_ANSWER_BYTES,
    MAX_SHEET_BYTES,
    PodClient,
    PodUnreachable,
    RouteUnknown,
    VerdictRefused,
)

SHEET = QuestionSheet(questions=(Question(kind=QuestionKind.EMBED, text="It rains."),))
CASES = CaseSet(cases=(SimilarityCase(name="weather", a="a", b="b", expected="0.7", tolerance="0.1"),))


def report(case_set: str = "cs-1") -> GoldensReport:
    return GoldensReport(
        boot_id="b",
        case_set=case_set,
        state=GateState.PASSED,
        space="sp1-0",
        revision="r",
        device="cpu",
        dtype="float32",
    )


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("first\n")
    return file


@asynccontextmanager
async def client_of(answer: Callable[[httpx.Request], httpx.Response], *, token_file: Path) -> AsyncIterator[PodClient]:
    client = PodClient(token_file=token_file, client=httpx.AsyncClient(transport=httpx.MockTransport(answer)))
    try:
        yield client
    finally:
        await client.close()


async def test_goldens_are_asked_on_the_private_port_with_the_token_as_it_is_now(token_file: Path) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=report().to_json())

    async with client_of(answer, token_file=token_file) as client:
        assert await client.goldens("10.0.0.1") == report()
        token_file.write_text("rotated")  # noqa: ASYNC240
        await client.goldens("10.0.0.1")
    assert str(seen[0].url) == "http://10.0.0.1:8081/goldens"
    assert [request.headers["Authorization"] for request in seen] == ["Bearer first", "Bearer rotated"]


async def test_an_ipv6_pod_is_asked_in_brackets(token_file: Path) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, content=JobReport(state=JobState.RUNNING).to_json())

    async with client_of(answer, token_file=token_file) as client:
        assert (await client.job_report("fd00::1")).state is JobState.RUNNING
    assert seen == ["http://[fd00::1]:8081/result"]


async def test_a_trial_posts_the_cases_as_json_lines(token_file: Path) -> None:
    seen: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        return httpx.Response(200, content=report(CASES.name).to_json())

    async with client_of(answer, token_file=token_file) as client:
        assert (await client.trial("10.0.0.1", case_set=CASES)).case_set == CASES.name
    assert seen == [CASES.to_jsonl()]


async def test_an_answer_for_other_cases_does_not_count(token_file: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=report("cs-other").to_json())

    async with client_of(answer, token_file=token_file) as client:
        with pytest.raises(PodUnreachable, match="cs-other"):
            await client.trial("10.0.0.1", case_set=CASES)


def refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (refuse, "ConnectError"),
        (lambda request: httpx.Response(401), "401"),
        (lambda request: httpx.Response(503), "503"),
        (lambda request: httpx.Response(302, headers={"Location": "http://elsewhere/"}), "302"),
        (lambda request: httpx.Response(200, content=b"<html>"), "no GoldensReport"),
        (lambda request: httpx.Response(200, content=b" " * (MAX_ANSWER_BYTES + 1)), "longer than"),
    ],
    ids=["refused", "unauthorised", "starting", "redirect", "not a report", "too long"],
)
async def test_anything_but_a_report_is_unreachable_and_no_verdict(
    token_file: Path, answer: Callable[[httpx.Request], httpx.Response], words: str
) -> None:
    async with client_of(answer, token_file=token_file) as client:
        with pytest.raises(PodUnreachable, match=words):
            await client.goldens("10.0.0.1")


async def test_an_answer_that_trickles_and_never_ends_is_given_up(
    token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield b""

    monkeypatch.setattr("embedding_operator.audit.client.SHEET_SECONDS", 0.01)
    monkeypatch.setattr("embedding_operator.audit.client.CONNECT_SECONDS", 0.01)
    async with client_of(lambda request: httpx.Response(200, content=trickle()), token_file=token_file) as client:
        async with asyncio.timeout(5):
            with pytest.raises(PodUnreachable, match="no answer to POST /answers"):
                await client.answers("10.0.0.1", sheet=SHEET)


async def test_pods_that_hang_keep_no_other_from_being_asked(token_file: Path) -> None:
    pods, waiting = 150, asyncio.Semaphore(0)

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        waiting.release()
        await all_asked
        writer.close()

    all_asked = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    client = PodClient(token_file=token_file, port=server.sockets[0].getsockname()[1])
    try:
        asking = [asyncio.create_task(client.progress("127.0.0.1")) for _ in range(pods)]
        async with asyncio.timeout(30):
            for _ in range(pods):
                await waiting.acquire()
        all_asked.set_result(None)
        assert {type(item) for item in await asyncio.gather(*asking, return_exceptions=True)} == {PodUnreachable}
    finally:
        server.close()
        await client.close()


async def test_without_a_token_no_pod_is_asked(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise AssertionError("asked without a token")

    async with client_of(answer, token_file=tmp_path / "missing") as client:
        with pytest.raises(PodUnreachable, match="cannot read the token file"):
            await client.goldens("10.0.0.1")


VERDICT = Verdict(boot_id="b", case_set="cs-1", passed=False, reason="weather: too far")


async def test_questions_are_posted_as_json_and_come_back_as_answers(token_file: Path) -> None:
    seen: list[httpx.Request] = []
    answers = AnswerSheet(boot_id="b", space="sp1-0", answers=(Answer(vector="AACAPw=="),))

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=answers.to_json())

    async with client_of(answer, token_file=token_file) as client:
        assert await client.answers("10.0.0.1", sheet=SHEET) == answers
    assert (seen[0].method, seen[0].url.path, seen[0].headers["Content-Type"]) == (
        "POST",
        "/answers",
        "application/json",
    )
    assert QuestionSheet.from_json(seen[0].content) == SHEET
    assert seen[0].headers["Authorization"] == "Bearer first"


async def test_a_verdict_is_delivered_and_needs_no_answer(token_file: Path) -> None:
    seen: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        return httpx.Response(204)

    async with client_of(answer, token_file=token_file) as client:
        await client.deliver("10.0.0.1", verdict=VERDICT)
    assert [Verdict.from_json(body) for body in seen] == [VERDICT]


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, RouteUnknown), (405, RouteUnknown), (409, VerdictRefused), (401, PodUnreachable), (503, PodUnreachable)],
)
async def test_each_refusal_of_a_verdict_has_its_meaning(
    token_file: Path, status: int, error: type[PodUnreachable]
) -> None:
    async with client_of(lambda request: httpx.Response(status), token_file=token_file) as client:
        with pytest.raises(PodUnreachable) as caught:
            await client.deliver("10.0.0.1", verdict=VERDICT)
    assert type(caught.value) is error


@pytest.mark.parametrize(("status", "error"), [(404, RouteUnknown), (413, PodUnreachable), (500, PodUnreachable)])
async def test_only_a_route_that_is_not_there_tells_of_an_older_server(
    token_file: Path, status: int, error: type[PodUnreachable]
) -> None:
    async with client_of(lambda request: httpx.Response(status), token_file=token_file) as client:
        with pytest.raises(PodUnreachable) as caught:
            await client.answers("10.0.0.1", sheet=SHEET)
    assert type(caught.value) is error


async def test_answers_that_are_too_long_are_not_read_to_their_end(token_file: Path) -> None:
    async with client_of(
        lambda request: httpx.Response(200, content=b" " * (MAX_SHEET_BYTES + 1)), token_file=token_file
    ) as client:
        with pytest.raises(PodUnreachable, match="longer than"):
            await client.answers("10.0.0.1", sheet=SHEET)
