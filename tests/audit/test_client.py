"""One pod's private port over HTTP: what is sent, and which answers count."""

import asyncio
import gzip
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from aiohttp import web
from fixed_tokens import FixedTokens
from pod_client_under_test import Asked, client_of, client_served_by

from embedding_model.goldens.cases import CaseSet, SimilarityCase
from embedding_model.goldens.questions import Answer, AnswerSheet, Question, QuestionKind, QuestionSheet
from embedding_model.ports import GateState, GoldensReport, JobReport, JobState, Progress, Verdict
from embedding_operator.audit.client import (
    MAX_ANSWER_BYTES,
    MAX_SHEET_BYTES,
    NeverAsked,
    PodClient,
    PodUnreachable,
    RouteUnknown,
    VerdictRefused,
)
from embedding_operator.observe.facts import Key, PodRef

VERDICT = Verdict(boot_id="b", case_set="cs-1", passed=False, reason="weather: too far")
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


POD = PodRef(key=Key("search", "words"), name="words-0", uid="uid-0", ip="10.0.0.1", starts=0)


async def test_goldens_are_asked_on_the_private_port_with_the_token_as_it_is_now() -> None:
    seen: list[Asked] = []

    def answer(request: Asked) -> web.Response:
        seen.append(request)
        return web.Response(body=report().to_json())

    tokens = FixedTokens("first")
    async with client_of(answer, tokens=tokens) as client:
        assert await client.goldens(POD) == report()
        tokens.every = "rotated"
        await client.goldens(POD)
    assert seen[0].url == "http://10.0.0.1:8081/goldens"
    assert [request.headers["Authorization"] for request in seen] == ["Bearer first", "Bearer rotated"]


async def test_a_pod_is_asked_with_the_token_of_its_namespace_and_of_no_other() -> None:
    shown: list[str] = []

    def answer(request: Asked) -> web.Response:
        shown.append(request.headers["Authorization"])
        return web.Response(body=report().to_json())

    tokens = FixedTokens(by_audience={"embedding-runtime/search": "searching", "embedding-runtime/ranking": "ranking"})
    async with client_of(answer, tokens=tokens) as client:
        await client.goldens(POD)
        await client.goldens(replace(POD, key=Key("ranking", "words")))
    assert shown == ["Bearer searching", "Bearer ranking"]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_pod_gets_no_other_token_by_refusing_the_one_of_its_namespace(status: int) -> None:
    tokens = FixedTokens()
    async with client_of(lambda request: web.Response(status=status), tokens=tokens) as client:
        for _ in range(2):
            with pytest.raises(PodUnreachable, match=str(status)):
                await client.goldens(POD)
    assert set(tokens.asked) == {"embedding-runtime/search"}


async def test_a_pod_of_an_older_version_is_asked_with_the_token_that_it_knows() -> None:
    tokens = FixedTokens()
    async with client_of(lambda request: web.Response(body=report().to_json()), tokens=tokens) as client:
        await client.goldens(replace(POD, takes_shared_token=True))
    assert tokens.asked == ["embedding-runtime"]


async def test_an_answer_that_unpacks_to_more_is_refused_before_it_does() -> None:
    seen: list[str] = []

    def answer(request: Asked) -> web.Response:
        seen.append(request.headers["Accept-Encoding"])
        packed = gzip.compress(report().to_json())
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async with client_of(answer) as client:
        with pytest.raises(PodUnreachable, match="packed"):
            await client.goldens(POD)
    assert seen == ["identity"]


async def test_an_ipv6_pod_is_asked_in_brackets() -> None:
    seen: list[str] = []

    def answer(request: Asked) -> web.Response:
        seen.append(request.url)
        return web.Response(body=JobReport(state=JobState.RUNNING).to_json())

    async with client_of(answer) as client:
        assert (await client.job_report(replace(POD, ip="fd00::1"))).state is JobState.RUNNING
    assert seen == ["http://[fd00::1]:8081/result"]


async def test_a_trial_posts_the_cases_as_json_lines() -> None:
    seen: list[bytes] = []

    def answer(request: Asked) -> web.Response:
        seen.append(request.content)
        return web.Response(body=report(CASES.name).to_json())

    async with client_of(answer) as client:
        assert (await client.trial(POD, case_set=CASES)).case_set == CASES.name
    assert seen == [CASES.to_jsonl()]


async def test_an_answer_for_other_cases_does_not_count() -> None:
    def answer(request: Asked) -> web.Response:
        return web.Response(body=report("cs-other").to_json())

    async with client_of(answer) as client:
        with pytest.raises(PodUnreachable, match="cs-other"):
            await client.trial(POD, case_set=CASES)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda request: web.Response(status=401), "401"),
        (lambda request: web.Response(status=503), "503"),
        (lambda request: web.Response(status=302, headers={"Location": "http://elsewhere/"}), "302"),
        (lambda request: web.Response(body=b"<html>"), "no GoldensReport"),
        (lambda request: web.Response(body=b" " * (MAX_ANSWER_BYTES + 1)), "longer than"),
    ],
    ids=["unauthorised", "starting", "redirect", "not a report", "too long"],
)
async def test_anything_but_a_report_is_unreachable_and_no_verdict(
    answer: Callable[[Asked], web.Response], words: str
) -> None:
    async with client_of(answer) as client:
        with pytest.raises(PodUnreachable, match=words):
            await client.goldens(POD)


async def test_a_pod_that_refuses_connections_was_never_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    await expect_never_asked(port=port)


async def test_a_pod_whose_network_swallows_everything_was_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedding_operator.audit.client.CONNECT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first:
        first.connect(full.getsockname())  # nobody accepts it, and there is room for no other
        await expect_never_asked(port=full.getsockname()[1])


async def expect_never_asked(*, port: int) -> None:
    client = PodClient(tokens=FixedTokens(), port=port)
    try:
        with pytest.raises(NeverAsked, match="no answer to GET /goldens"):
            await client.goldens(replace(POD, ip="127.0.0.1"))
    finally:
        await client.close()


async def test_an_answer_that_trickles_and_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def trickle(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.001)

    monkeypatch.setattr("embedding_operator.audit.client.SHEET_SECONDS", 0.05)
    async with client_served_by(trickle) as client:
        async with asyncio.timeout(30):
            with pytest.raises(PodUnreachable, match="no answer to POST /answers"):
                await client.answers(POD, sheet=SHEET)


async def test_a_pod_that_hangs_up_gave_no_answer() -> None:
    async def hang_up(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async with client_served_by(hang_up) as client:
        with pytest.raises(PodUnreachable, match="no answer to POST /answers") as caught:
            await client.answers(POD, sheet=SHEET)
    assert type(caught.value) is PodUnreachable


async def test_no_connection_is_kept_over_which_a_pod_could_send_without_being_asked() -> None:
    """The pod would keep each open, whatever it was told."""
    opened: list[asyncio.StreamWriter] = []
    closed = asyncio.Semaphore(0)
    body = AnswerSheet(boot_id="b", space="sp1-0", answers=()).to_json()

    async def keep_answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)
        with suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(len(SHEET.to_json()))
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        writer.close()
        closed.release()

    server = await asyncio.start_server(keep_answering, "127.0.0.1", 0)
    client = PodClient(tokens=FixedTokens(), port=server.sockets[0].getsockname()[1])
    try:
        async with asyncio.timeout(30):
            for _ in range(2):
                await client.answers(replace(POD, ip="127.0.0.1"), sheet=SHEET)
            assert len(opened) == 2
            for _ in opened:
                await closed.acquire()
    finally:
        server.close()
        await client.close()


async def test_a_set_of_megabytes_is_tried() -> None:
    """The HTTP client warns of content that it would have to send in one piece."""
    text = "a" * 2_000_000
    large = CaseSet(cases=(SimilarityCase(name="long", a=text, b="b", expected="0.7", tolerance="0.1"),))

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        received.append(sum([len(chunk) async for chunk in request.content.iter_any()]))
        return web.Response(body=report(large.name).to_json())

    received: list[int] = []
    async with client_served_by(answer) as client:
        await client.trial(POD, case_set=large)
    assert received == [len(large.to_jsonl())]


async def test_what_a_pod_wants_kept_is_not() -> None:
    requests: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        body = Progress(files=1, files_done=0, bytes=1, bytes_done=0).to_json()
        head = f"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    client = PodClient(tokens=FixedTokens(), port=server.sockets[0].getsockname()[1])
    try:
        for _ in range(2):
            await client.progress(replace(POD, ip="127.0.0.1"))
    finally:
        server.close()
        await client.close()
    assert len(requests) == 2
    assert not any("cookie" in request for request in requests)


async def test_pods_that_hang_keep_no_other_from_being_asked() -> None:
    pods, waiting = 150, asyncio.Semaphore(0)

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        waiting.release()
        await all_asked
        writer.close()

    all_asked = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(hang, "127.0.0.1", 0, backlog=pods)
    client = PodClient(tokens=FixedTokens(), port=server.sockets[0].getsockname()[1])
    try:
        asking = [asyncio.create_task(client.progress(replace(POD, ip="127.0.0.1"))) for _ in range(pods)]
        async with asyncio.timeout(30):
            for _ in range(pods):
                await waiting.acquire()
        all_asked.set_result(None)
        assert {type(item) for item in await asyncio.gather(*asking, return_exceptions=True)} == {PodUnreachable}
    finally:
        server.close()
        await client.close()


async def test_without_a_token_no_pod_is_asked() -> None:
    def answer(request: Asked) -> web.Response:
        raise AssertionError("asked without a token")

    async with client_of(answer, tokens=FixedTokens("")) as client:
        with pytest.raises(PodUnreachable, match="no token"):
            await client.goldens(POD)


async def test_questions_are_posted_as_json_and_come_back_as_answers() -> None:
    seen: list[Asked] = []
    answers = AnswerSheet(boot_id="b", space="sp1-0", answers=(Answer(vector="AACAPw=="),))

    def answer(request: Asked) -> web.Response:
        seen.append(request)
        return web.Response(body=answers.to_json())

    async with client_of(answer) as client:
        assert await client.answers(POD, sheet=SHEET) == answers
    assert (seen[0].method, seen[0].url, seen[0].headers["Content-Type"]) == (
        "POST",
        "http://10.0.0.1:8081/answers",
        "application/json",
    )
    assert QuestionSheet.from_json(seen[0].content) == SHEET
    assert seen[0].headers["Authorization"] == "Bearer operator"


async def test_a_pod_hears_that_the_operator_is_there_by_a_sheet_without_questions() -> None:
    seen: list[Asked] = []

    def answer(request: Asked) -> web.Response:
        seen.append(request)
        return web.Response(body=AnswerSheet(boot_id="b", space="sp1-0", answers=()).to_json())

    async with client_of(answer) as client:
        await client.contact(POD)
    assert [(request.method, request.url) for request in seen] == [("POST", "http://10.0.0.1:8081/answers")]
    assert QuestionSheet.from_json(seen[0].content).questions == ()
    assert seen[0].headers["Authorization"] == "Bearer operator"


async def test_a_pod_that_does_not_say_that_it_heard_is_unreachable() -> None:
    async with client_of(lambda request: web.Response(status=503)) as client:
        with pytest.raises(PodUnreachable, match="503"):
            await client.contact(POD)


async def test_a_verdict_is_delivered_and_needs_no_answer() -> None:
    seen: list[bytes] = []

    def answer(request: Asked) -> web.Response:
        seen.append(request.content)
        return web.Response(status=204)

    async with client_of(answer) as client:
        await client.deliver(POD, verdict=VERDICT)
    assert [Verdict.from_json(body) for body in seen] == [VERDICT]


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, RouteUnknown), (405, RouteUnknown), (409, VerdictRefused), (401, PodUnreachable), (503, PodUnreachable)],
)
async def test_each_refusal_of_a_verdict_has_its_meaning(status: int, error: type[PodUnreachable]) -> None:
    async with client_of(lambda request: web.Response(status=status)) as client:
        with pytest.raises(PodUnreachable) as caught:
            await client.deliver(POD, verdict=VERDICT)
    assert type(caught.value) is error


@pytest.mark.parametrize(("status", "error"), [(404, RouteUnknown), (413, PodUnreachable), (500, PodUnreachable)])
async def test_only_a_route_that_is_not_there_tells_of_an_older_server(
    status: int, error: type[PodUnreachable]
) -> None:
    async with client_of(lambda request: web.Response(status=status)) as client:
        with pytest.raises(PodUnreachable) as caught:
            await client.answers(POD, sheet=SHEET)
    assert type(caught.value) is error


async def test_answers_that_are_too_long_are_not_read_to_their_end() -> None:
    async with client_of(lambda request: web.Response(body=b" " * (MAX_SHEET_BYTES + 1))) as client:
        with pytest.raises(PodUnreachable, match="longer than"):
            await client.answers(POD, sheet=SHEET)
