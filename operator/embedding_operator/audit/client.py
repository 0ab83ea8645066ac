"""Questions to one pod's private port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, TypeVar

import httpx
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
MAX_IDLE_CONNECTIONS: Final = 20  # the next question to the same pod comes after longer than one stays open
CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 10.0
# A trial runs every case through the model; a large set on a busy CPU pod takes a while.
TRIAL_SECONDS: Final = 120.0
SHEET_SECONDS: Final = 60.0

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
    """The verdict speaks of another process, or of other cases than the pod has mounted."""


class PodClient:
    """Asks pods over HTTP, each with the token of its namespace. Safe to use from many tasks."""

    def __init__(self, *, tokens: Tokens, port: int = PRIVATE_PORT, client: httpx.AsyncClient | None = None) -> None:
        self._tokens = tokens
        self._port = port
        # Pods are reached directly: a proxy of the environment must never see the token. How many are asked at once is
        # for whoever asks: with a limit here, pods that hang would keep the others from being asked.
        self._client = client or httpx.AsyncClient(
            trust_env=False,
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=MAX_IDLE_CONNECTIONS),
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # what pods set would be kept for ever
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def goldens(self, pod: PodRef) -> GoldensReport:
        """The report on the mounted case set. Raises PodUnreachable."""
        return await self._ask(GoldensReport, "GET", pod, path=GOLDENS)

    async def trial(self, pod: PodRef, *, case_set: CaseSet) -> GoldensReport:
        """The answer to these cases, without effect on readiness. Raises PodUnreachable."""
        report = await self._ask(
            GoldensReport, "POST", pod, path=GOLDENS, content=case_set.to_jsonl(), seconds=TRIAL_SECONDS
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
            media_type="application/json",
            seconds=SHEET_SECONDS,
            limit=MAX_SHEET_BYTES,
        )

    async def deliver(self, pod: PodRef, *, verdict: Verdict) -> None:
        """Tell the pod what was found of it. Raises PodUnreachable, RouteUnknown, VerdictRefused."""
        async with self._request(
            "POST", pod, path=VERDICT, content=verdict.to_json(), media_type="application/json"
        ) as response:
            if response.status_code == httpx.codes.CONFLICT:
                raise VerdictRefused("the pod refused the verdict: it runs another process, or has other cases mounted")
            if not response.is_success:
                raise _describe(response, method="POST", path=VERDICT)

    async def retire(self, pod: PodRef, *, order: RetireOrder) -> None:
        """Have the pod end its clients' connections, or keep them. Raises PodUnreachable, RouteUnknown."""
        content = order.to_json()
        async with self._request("POST", pod, path=RETIRE, content=content, media_type="application/json") as response:
            if not response.is_success:
                raise _describe(response, method="POST", path=RETIRE)

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
        media_type: str = "application/jsonl",
        seconds: float = READ_SECONDS,
        limit: int = MAX_ANSWER_BYTES,
    ) -> _Report:
        async with self._request(
            method, pod, path=path, content=content, media_type=media_type, seconds=seconds
        ) as response:
            if response.status_code != httpx.codes.OK:
                raise _describe(response, method=method, path=path)
            try:
                return report.from_json(await _read(response, limit=limit))
            except ValidationError as error:
                raise AnswerUnusable(f"the answer to {method} {path} is no {report.__name__}") from error

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        pod: PodRef,
        *,
        path: str,
        content: bytes | None,
        media_type: str,
        seconds: float = READ_SECONDS,
    ) -> AsyncIterator[httpx.Response]:
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        try:
            headers = {"Authorization": f"Bearer {await self._tokens.token(_choose_audience(pod))}"}
            headers["Accept-Encoding"] = "identity"
            if content is not None:
                headers["Content-Type"] = media_type
            request = self._client.stream(
                method,
                f"http://{host}:{self._port}{path}",
                headers=headers,
                content=content,
                timeout=httpx.Timeout(seconds, connect=CONNECT_SECONDS),
            )
            # httpx counts anew from every byte: a pod that sends one at a time would hold its slot for days.
            async with asyncio.timeout(CONNECT_SECONDS + seconds), request as response:
                yield response
        except TokenUnavailable as error:
            raise NeverAsked(str(error)) from error
        except (httpx.HTTPError, TimeoutError) as error:
            is_lost = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            kind = NeverAsked if is_lost else PodUnreachable
            raise kind(f"no answer to {method} {path} ({type(error).__name__})") from error


def _choose_audience(pod: PodRef) -> str:
    """By what was rendered, and never by what the pod answers: it could ask for the token that opens others."""
    return TOKEN_AUDIENCE if pod.takes_shared_token else name_audience(pod.key.namespace)


def _describe(response: httpx.Response, *, method: str, path: str) -> PodUnreachable:
    words = f"the pod answered {response.status_code} to {method} {path}"
    is_unknown = response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED)
    return RouteUnknown(words) if is_unknown else PodUnreachable(words)


async def _read(response: httpx.Response, *, limit: int) -> bytes:
    """Raises PodUnreachable, also for a packed answer: some KiB may unpack to gigabytes before they are measured."""
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise PodUnreachable("the answer is packed, which was not asked for")
    data = bytearray()
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) > limit:
            raise AnswerUnusable(f"the answer is longer than {limit} bytes")
    return bytes(data)
