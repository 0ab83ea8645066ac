"""Questions to one pod's private port."""

from pathlib import Path
from typing import Final, TypeVar

import httpx
from pydantic import ValidationError

from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import GOLDENS, PRIVATE_PORT, PROGRESS, RESULT, GoldensReport, JobReport, Progress
from embedding_model.resolved import Document
from embedding_operator.audit.token import TokenUnavailable, read_token

# A report on the largest case set (900 KiB), or a manifest of some thousand files. More is not one of our pods, and
# many at a time must fit into the operator's memory.
MAX_ANSWER_BYTES: Final = 2 * 1024 * 1024
CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 10.0
# A trial runs every case through the model; a large set on a busy CPU pod takes a while.
TRIAL_SECONDS: Final = 120.0

_Report = TypeVar("_Report", bound=Document)


class PodUnreachable(Exception):
    """No usable answer. Says nothing about the pod's vectors, and is never a failed audit."""


class PodClient:
    """Asks pods over HTTP with the operator's projected token. Safe to use from many tasks."""

    def __init__(self, *, token_file: Path, port: int = PRIVATE_PORT, client: httpx.AsyncClient | None = None) -> None:
        self._token_file = token_file
        self._port = port
        # Pods are reached directly: a proxy of the environment must never see the token.
        self._client = client or httpx.AsyncClient(
            trust_env=False, timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS), follow_redirects=False
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def goldens(self, ip: str) -> GoldensReport:
        """The report on the mounted case set. Raises PodUnreachable."""
        return await self._ask(GoldensReport, "GET", ip, path=GOLDENS)

    async def trial(self, ip: str, *, case_set: CaseSet) -> GoldensReport:
        """The answer to these cases, without effect on readiness. Raises PodUnreachable."""
        report = await self._ask(
            GoldensReport, "POST", ip, path=GOLDENS, content=case_set.to_jsonl(), seconds=TRIAL_SECONDS
        )
        if report.case_set != case_set.name:
            raise PodUnreachable(f"the pod answered for case set {report.case_set}, asked was {case_set.name}")
        return report

    async def job_report(self, ip: str) -> JobReport:
        """What a Job's pod found. Raises PodUnreachable."""
        return await self._ask(JobReport, "GET", ip, path=RESULT)

    async def progress(self, ip: str) -> Progress:
        """How far the fetch of a pod is. Raises PodUnreachable."""
        return await self._ask(Progress, "GET", ip, path=PROGRESS)

    async def _ask(
        self,
        report: type[_Report],
        method: str,
        ip: str,
        *,
        path: str,
        content: bytes | None = None,
        seconds: float = READ_SECONDS,
    ) -> _Report:
        host = f"[{ip}]" if ":" in ip else ip
        try:
            headers = {"Authorization": f"Bearer {read_token(self._token_file)}"}
            if content is not None:
                headers["Content-Type"] = "application/jsonl"
            async with self._client.stream(
                method,
                f"http://{host}:{self._port}{path}",
                headers=headers,
                content=content,
                timeout=httpx.Timeout(seconds, connect=CONNECT_SECONDS),
            ) as response:
                if response.status_code != httpx.codes.OK:
                    raise PodUnreachable(f"the pod answered {response.status_code} to {method} {path}")
                return report.from_json(await _read(response))
        except TokenUnavailable as error:
            raise PodUnreachable(str(error)) from error
        except httpx.HTTPError as error:
            raise PodUnreachable(f"no answer to {method} {path} ({type(error).__name__})") from error
        except ValidationError as error:
            raise PodUnreachable(f"the answer to {method} {path} is no {report.__name__}") from error


async def _read(response: httpx.Response) -> bytes:
    data = bytearray()
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) > MAX_ANSWER_BYTES:
            raise PodUnreachable(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
    return bytes(data)
