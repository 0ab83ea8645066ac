"""Questions to one pod's private port."""

from http import HTTPStatus
from io import BytesIO
from typing import Final, TypeVar

import aiohttp
from pydantic import ValidationError

from embedding_model.goldens.cases import CaseSet
from embedding_model.goldens.questions import AnswerSheet, QuestionSheet
from embedding_model.ports import (
    ANSWERS,
    GOLDENS,
    PRIVATE_PORT,
    PROGRESS,
    RESULT,
    RETIRE,
    TOKEN_AUDIENCE,
    VERDICT,
    GoldensReport,
    JobReport,
    Progress,
    RetireOrder,
    Verdict,
    name_audience,
)
from embedding_model.resolved import Document
from embedding_operator.audit.token import Tokens, TokenUnavailable
from embedding_operator.observe.facts import PodRef

# A report on the largest case set (900 KiB), or a manifest of some thousand files. More is not one of our pods, and
# many at a time must fit into the operator's memory.
MAX_ANSWER_BYTES: Final = 2 * 1024 * 1024
MAX_SHEET_BYTES: Final = 8 * 1024 * 1024
CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 10.0
# A part of a trial asks what a sheet does, or one case, which may be a query with hundreds of documents.
TRIAL_SECONDS: Final = 120.0
SHEET_SECONDS: Final = 60.0
# Nothing is computed. A pod that waits for its audit must have heard of us well within the 10 s after which it opens.
CONTACT_SECONDS: Final = 3.0

_SUCCESS: Final = range(200, 300)

_Report = TypeVar("_Report", bound=Document)


class PodUnreachable(Exception):
    """No usable answer. Says nothing about the pod's vectors, and is never a failed audit."""


class NeverAsked(PodUnreachable):
    """The question did not reach the pod, and cost it nothing."""


class RouteUnknown(PodUnreachable):
    """The server answers, and does not know the route: it is of an older version."""


class AnswerUnusable(PodUnreachable):
    """The server answers, with something else than what was asked for: the words say what is wrong with it."""


class VerdictRefused(PodUnreachable):
    """The verdict speaks of another process, of other cases than the pod has mounted, or passes what the pod answered
    before it failed or recovered."""


class PodClient:
    """Asks pods over HTTP, each with the token of its namespace. Safe to use from many tasks."""

    def __init__(
        self, *, tokens: Tokens, port: int = PRIVATE_PORT, connector: aiohttp.BaseConnector | None = None
    ) -> None:
        """Within a running event loop. `connector` is another way to pods than over TCP."""
        self._tokens = tokens
        self._port = port
        # Pods are reached directly: a proxy of the environment must never see the token. How many are asked at once is
        # for whoever asks: with a limit here, pods that hang would keep the others from being asked. Each question has
        # a connection of its own: aiohttp reads on from one that is kept, and holds what comes without being asked for,
        # which no limit bounds.
        self._session = aiohttp.ClientSession(
            connector=connector or aiohttp.TCPConnector(limit=0, force_close=True),
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),  # what pods set would be kept for ever
        )

    async def close(self) -> None:
        await self._session.close()

    async def goldens(self, pod: PodRef) -> GoldensReport:
        """The report on the mounted case set. Raises PodUnreachable."""
        return await self._ask(GoldensReport, "GET", pod, path=GOLDENS)

    async def trial(self, pod: PodRef, *, case_set: CaseSet) -> GoldensReport:
        """The answer to these cases, as few as are answered in TRIAL_SECONDS, without effect on readiness.

        Raises PodUnreachable.
        """
        report = await self._ask(
            GoldensReport,
            "POST",
            pod,
            path=GOLDENS,
            content=case_set.to_jsonl(),
            media_type="application/jsonl",
            seconds=TRIAL_SECONDS,
        )
        if report.case_set != case_set.name:
            raise PodUnreachable(f"the pod answered for case set {report.case_set}, asked was {case_set.name}")
        return report

    async def answers(self, pod: PodRef, *, sheet: QuestionSheet) -> AnswerSheet:
        """The answers to these questions, through the serving path. Raises PodUnreachable, RouteUnknown."""
        return await self._ask(
            AnswerSheet,
            "POST",
            pod,
            path=ANSWERS,
            content=sheet.to_json(),
            seconds=SHEET_SECONDS,
            limit=MAX_SHEET_BYTES,
        )

    async def contact(self, pod: PodRef) -> None:
        """Say that the operator is there, by a sheet without questions. Raises PodUnreachable."""
        sheet = QuestionSheet(questions=())
        await self._ask(AnswerSheet, "POST", pod, path=ANSWERS, content=sheet.to_json(), seconds=CONTACT_SECONDS)

    async def deliver(self, pod: PodRef, *, verdict: Verdict) -> None:
        """Tell the pod what was found of it. Raises PodUnreachable, RouteUnknown, VerdictRefused."""
        status, _ = await self._send("POST", pod, path=VERDICT, content=verdict.to_json())
        if status == HTTPStatus.CONFLICT:
            raise VerdictRefused(
                "the pod refused the verdict: its process, its cases or its state are not those of then"
            )
        if status not in _SUCCESS:
            raise _describe(status, method="POST", path=VERDICT)

    async def retire(self, pod: PodRef, *, order: RetireOrder) -> None:
        """Have the pod end its clients' connections, or keep them. Raises PodUnreachable, RouteUnknown."""
        status, _ = await self._send("POST", pod, path=RETIRE, content=order.to_json())
        if status not in _SUCCESS:
            raise _describe(status, method="POST", path=RETIRE)

    async def job_report(self, pod: PodRef) -> JobReport:
        """What a Job's pod found. Raises PodUnreachable."""
        return await self._ask(JobReport, "GET", pod, path=RESULT)

    async def progress(self, pod: PodRef) -> Progress:
        """How far the fetch of a pod is. Raises PodUnreachable."""
        return await self._ask(Progress, "GET", pod, path=PROGRESS)

    async def _ask(
        self,
        report: type[_Report],
        method: str,
        pod: PodRef,
        *,
        path: str,
        content: bytes | None = None,
        media_type: str = "application/json",
        seconds: float = READ_SECONDS,
        limit: int = MAX_ANSWER_BYTES,
    ) -> _Report:
        status, data = await self._send(
            method, pod, path=path, content=content, media_type=media_type, seconds=seconds, limit=limit
        )
        if status != HTTPStatus.OK:
            raise _describe(status, method=method, path=path)
        try:
            return report.from_json(data)
        except ValidationError as error:
            raise AnswerUnusable(f"the answer to {method} {path} is no {report.__name__}") from error

    async def _send(
        self,
        method: str,
        pod: PodRef,
        *,
        path: str,
        content: bytes | None,
        media_type: str = "application/json",
        seconds: float = READ_SECONDS,
        limit: int = MAX_ANSWER_BYTES,
    ) -> tuple[int, bytes]:
        """The answer's status, and its content where that is 200."""
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        try:
            headers = {"Authorization": f"Bearer {await self._tokens.token(_choose_audience(pod))}"}
            headers |= {"Accept-Encoding": "identity", "Connection": "close"}
            if content is not None:
                headers["Content-Type"] = media_type
            # For all of it, not from byte to byte: a pod that sends one at a time would hold its slot for days.
            timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
            async with self._session.request(
                method,
                f"http://{host}:{self._port}{path}",
                headers=headers,
                data=None if content is None else BytesIO(content),
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                return response.status, await _read(response, limit=limit) if response.status == HTTPStatus.OK else b""
        except TokenUnavailable as error:
            raise NeverAsked(str(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            is_lost = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
            kind = NeverAsked if is_lost else PodUnreachable
            raise kind(f"no answer to {method} {path} ({type(error).__name__})") from error


def _choose_audience(pod: PodRef) -> str:
    """By what was rendered, and never by what the pod answers: it could ask for the token that opens others."""
    return TOKEN_AUDIENCE if pod.takes_shared_token else name_audience(pod.key.namespace)


def _describe(status: int, *, method: str, path: str) -> PodUnreachable:
    words = f"the pod answered {status} to {method} {path}"
    is_unknown = status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
    return RouteUnknown(words) if is_unknown else PodUnreachable(words)


async def _read(response: aiohttp.ClientResponse, *, limit: int) -> bytes:
    """Raises PodUnreachable, also for a packed answer: some KiB may unpack to gigabytes before they are measured."""
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise PodUnreachable("the answer is packed, which was not asked for")
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > limit:
            raise AnswerUnusable(f"the answer is longer than {limit} bytes")
    return bytes(data)
