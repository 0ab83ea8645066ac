"""Pods' private ports, each on an address of its own: what a pod answers is a script that a test may change.

Every text has the same vector there, RIGHT, so that golden cases are easily right, and wrong where a test wants it.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import uvicorn
from pod_addresses import claimed_range
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from embedding_model.goldens.cases import CaseSet
from embedding_model.goldens.compare import encode_vector
from embedding_model.goldens.questions import Answer, AnswerSheet, QuestionSheet
from embedding_model.ports import (
    ANSWERS,
    GOLDENS,
    PRIVATE_PORT,
    PROGRESS,
    RESULT,
    RETIRE,
    VERDICT,
    CaseResult,
    GateState,
    GoldensReport,
    JobReport,
    Progress,
    Verdict,
)
from embedding_model.resolved import Document

POOL: Final = 160  # pods that are ever asked


def point(dimensions: int, *, axis: int = 0) -> str:
    """A unit vector along one axis, in the form of a golden case."""
    return encode_vector([1.0 if index == axis else 0.0 for index in range(dimensions)])


@dataclass
class ScriptedPod:
    """One pod's server. `gate`: what it finds of itself; `axis`: of the vector that it answers with.

    A Job's pod answers with `job`, one that fetches with `fetch`; None of either is 404.
    """

    space: str = ""
    dimensions: int = 0
    cases: CaseSet = field(default_factory=lambda: CaseSet(cases=()))
    gate: GateState = GateState.PASSED
    axis: int = 0
    job: JobReport | None = None
    fetch: Progress | None = None
    boot_id: str = "boot-1"
    verdict: Verdict | None = None

    def report(self) -> GoldensReport:
        passed = self.gate is GateState.PASSED
        results = [
            CaseResult(
                name=case.name,
                kind=case.kind,
                passed=passed,
                measured="1.000000" if passed else "0.913000",
                threshold="0.999",
            )
            for case in self.cases.cases
        ]
        told = GateState.PENDING if self.verdict is None else _name_verdict(self.verdict)
        return GoldensReport(
            boot_id=self.boot_id,
            case_set=self.cases.name,
            state=self.gate,
            results=() if self.gate is GateState.PENDING else tuple(results),
            verdict=told,
            space=self.space,
            revision="0123456789ab",
            device="cpu",
            dtype="float32",
        )

    def answer(self, sheet: QuestionSheet) -> AnswerSheet:
        vector = point(self.dimensions, axis=self.axis)
        return AnswerSheet(
            boot_id=self.boot_id, space=self.space, answers=tuple(Answer(vector=vector) for _ in sheet.questions)
        )

    def take(self, verdict: Verdict) -> int:
        """Status code: as the runtime, a verdict on another process or other cases is refused."""
        if (verdict.boot_id, verdict.case_set) != (self.boot_id, self.cases.name):
            return 409
        self.verdict = verdict
        return 204


@dataclass
class ScriptedPods:
    """Servers by address. An address without one answers 503."""

    addresses: Sequence[str]
    by_address: dict[str, ScriptedPod] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._free = iter(self.addresses)

    def assign(self, pod: ScriptedPod) -> str:
        """An address of its own for this pod."""
        address = next(self._free)
        self.by_address[address] = pod
        return address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        pod = self.by_address.get(scope["server"][0])
        response = await _answer(pod, request) if pod else Response(status_code=503)
        await response(scope, receive, send)


async def _answer(pod: ScriptedPod, request: Request) -> Response:
    if not request.headers.get("authorization", "").startswith("Bearer "):
        return Response(status_code=401)
    match request.method, request.url.path:
        case "GET", path if path == RESULT and pod.job is not None:
            return _write(pod.job)
        case "GET", path if path == PROGRESS and pod.fetch is not None:
            return _write(pod.fetch)
        case "GET", path if path == GOLDENS and pod.space:
            return _write(pod.report())
        case "POST", path if path == ANSWERS and pod.space:
            return _write(pod.answer(QuestionSheet.from_json(await request.body())))
        case "POST", path if path == VERDICT and pod.space:
            return Response(status_code=pod.take(Verdict.from_json(await request.body())))
        case "POST", path if path == RETIRE and pod.space:
            return Response(status_code=204)
    return Response(status_code=404)


def _write(document: Document) -> Response:
    return Response(document.to_json(), media_type="application/json")


def _name_verdict(verdict: Verdict) -> GateState:
    return GateState.PASSED if verdict.passed else GateState.FAILED


@contextmanager
def scripted_pods() -> Iterator[ScriptedPods]:
    """Serve pods of this process until the block ends, on addresses that nobody else has: the operator asks none of
    loopback."""
    with claimed_range() as network:
        yield from _serve([str(address) for address in islice(network.hosts(), POOL)])


def _serve(addresses: Sequence[str]) -> Iterator[ScriptedPods]:
    pods = ScriptedPods(addresses)
    configs = [
        uvicorn.Config(pods, host=address, port=PRIVATE_PORT, log_level="warning", lifespan="off")
        for address in addresses
    ]
    listeners = [config.bind_socket() for config in configs]
    server = uvicorn.Server(configs[0])
    thread = threading.Thread(target=server.run, kwargs={"sockets": listeners}, name="pods", daemon=True)
    thread.start()
    try:
        yield pods
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join()
        for listener in listeners:
            listener.close()
