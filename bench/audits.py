"""What audits cost the operator: CPU time of an audit and of a pod's report on itself, and the memory of a pod.

    .venv/bin/python bench/audits.py [--pods 1200] [--rounds 3]

Needs no cluster. A process of its own answers for all pods, each at an address of its own (127.1.0.0/16), with as many
cases as a reference Job computes. Prints, for each pod, the milliseconds of CPU that the auditor's process spends on
    first audit    the questions, the judgement, the verdict, and the pod's reports on itself that come with it
    audit          the same without a report: what comes every minute
    report         GET /goldens: what comes every minute, too
and the share of a core that both take of 2000 pods; and what resident memory each pod adds. Only ratios are worth
reading on a machine that others use too.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import hashlib
import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from statistics import median

import numpy as np
from aiohttp import web

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "bench")]

from fixed_tokens import CLAIMS, token_of  # noqa: E402
from processes import read_memory  # noqa: E402

from embedding_model import ports  # noqa: E402
from embedding_model.goldens.cases import CaseSet, VectorCase  # noqa: E402
from embedding_model.goldens.questions import Answer, AnswerSheet, QuestionSheet  # noqa: E402
from embedding_model.ports import CaseResult, GateState, GoldensReport  # noqa: E402
from embedding_model.resolved import Serving, Task  # noqa: E402
from embedding_operator.audit.auditor import REFRESH_SECONDS, Auditor  # noqa: E402
from embedding_operator.audit.client import PodClient  # noqa: E402
from embedding_operator.observe.facts import AuditOrder, Key, PodRef  # noqa: E402

DIMENSIONS = 384
# As many as the reference image computes.
GOLDENS = 12
HOLDOUT = 28
PODS_OF_A_MODEL = 4
MODELS_OF_A_NAMESPACE = 15
SPACE = f"sp1-{'a' * 32}"
AUDIT_SECONDS = 60.0
REPORT_SECONDS = REFRESH_SECONDS + 1.0  # so that the clock tells the two apart
MANY_PODS = 2000
# As long as one of the API server's, which names namespace, account and audience.
TOKEN = token_of({**CLAIMS, "kubernetes.io": {"padding": "x" * 400}}) + "s" * 342


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=1200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with responder() as port:
        asyncio.run(measure(port=port, pods=list_pods(arguments.pods), rounds=arguments.rounds))


async def measure(*, port: int, pods: list[PodRef], rounds: int) -> None:
    client = PodClient(tokens=FixedToken(), port=port)
    await run(client, pods[:PODS_OF_A_MODEL], rounds=1)  # what the first one has to load is no pod's cost
    figures = await run(client, pods, rounds=rounds)
    for name, values in figures.items():
        each = ", ".join(f"{1e3 * value:.3f}" for value in values)
        print(f"{name:<12} {1e3 * median(values):8.3f} ms of CPU ({each})")
    share = median(figures["audit"]) / AUDIT_SECONDS + median(figures["report"]) / REPORT_SECONDS
    print(f"{f'{MANY_PODS} pods':<12} {MANY_PODS * share:8.3f} of a core")
    await client.close()


async def run(client: PodClient, pods: list[PodRef], *, rounds: int) -> Mapping[str, list[float]]:
    """CPU seconds for each pod, of each round. Prints the memory that they take."""
    before = resident()
    clock, results = ReleasedClock(), set[str]()
    auditor = Auditor(
        client,
        on_change=lambda key: None,
        audit_seconds=AUDIT_SECONDS,
        refresh_seconds=REPORT_SECONDS,
        clock=clock,
        jitter=lambda: 0.0,
        on_audit=lambda result, seconds: results.add(result),
    )
    orders = {key: make_order() for key in dict.fromkeys(pod.key for pod in pods)}
    of_orders = resident() - before

    async def begin() -> None:
        clock.expect_asleep(2 * len(pods))
        for key, order in orders.items():
            with auditor.round_of(key):
                for pod in pods_of[key]:
                    auditor.goldens(pod)
                    auditor.request_audit(pod, order=order)
        await clock.all_asleep.wait()

    async def sleep_on(seconds: float) -> None:
        """Those that sleep for so long are waken, and done when they sleep again."""
        clock.expect_asleep(len(pods))
        clock.wake(seconds)
        await clock.all_asleep.wait()

    pods_of: dict[Key, list[PodRef]] = {}
    for pod in pods:
        pods_of.setdefault(pod.key, []).append(pod)
    figures: dict[str, list[float]] = {"first audit": [await spent(begin()) / len(pods)], "audit": [], "report": []}
    for _ in range(rounds):
        figures["audit"].append(await spent(sleep_on(AUDIT_SECONDS)) / len(pods))
        figures["report"].append(await spent(sleep_on(REPORT_SECONDS)) / len(pods))
    assert results == {str(GateState.PASSED)}, results
    assert all(auditor.unreachable(pod) is None for pod in pods)
    taken = resident() - before - of_orders
    print(f"{f'{len(pods)} pods':<12} {taken / len(pods) / 1024:8.1f} KiB each, {count_sockets()} sockets")
    await auditor.close()
    return figures


async def spent(work: Awaitable[None]) -> float:
    gc.collect()
    begun = time.process_time()
    await work
    return time.process_time() - begun


def resident() -> int:
    gc.collect()
    return read_memory(os.getpid()).rss


def count_sockets() -> int:
    links = (Path(entry.path) for entry in os.scandir("/proc/self/fd"))
    return sum(os.readlink(link).startswith("socket:") for link in links if link.is_symlink())


class FixedToken:
    async def token(self, audience: str) -> str:
        return TOKEN


class ReleasedClock:
    """Whoever sleeps does so until `wake` says for how long."""

    def __init__(self) -> None:
        self.all_asleep = asyncio.Event()
        self._now = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._wanted = 0

    def monotonic(self) -> float:
        return self._now

    def expect_asleep(self, count: int) -> None:
        """`all_asleep` is set once so many more have gone to sleep."""
        self._wanted = count
        self.all_asleep.clear()

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((seconds, future))
        self._wanted -= seconds in (AUDIT_SECONDS, REPORT_SECONDS)  # and not what sleeps while an audit waits its turn
        if not self._wanted:
            self.all_asleep.set()
        await future

    def wake(self, seconds: float) -> None:
        self._now += seconds
        due = [future for asked, future in self._sleepers if asked == seconds]
        assert len(due) == self._wanted, f"{self._wanted - len(due)} pods gave no answer in time"
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] != seconds]
        for future in due:
            future.set_result(None)


def list_pods(count: int) -> list[PodRef]:
    pods = []
    for number in range(count):
        model = number // PODS_OF_A_MODEL
        key = Key(f"team-{model // MODELS_OF_A_NAMESPACE}", f"model-{model}")
        ip = f"127.1.{number // 250}.{number % 250 + 1}"
        pods.append(PodRef(key=key, name=f"pod-{number}", uid=f"uid-{number}", ip=ip, starts=0, is_ready=True))
    return pods


# What pods answer.

SERVING = Serving(task=Task.EMBEDDING, normalize=True, dimensions=DIMENSIONS, max_input_tokens=256, lowercase=False)


@lru_cache(maxsize=4096)
def embed(text: str) -> str:
    """base64 of a unit vector of this text, cut to the tokens that are read."""
    cut = " ".join(text.split(" ")[: SERVING.max_input_tokens])
    seed = int.from_bytes(hashlib.sha256(cut.encode()).digest()[:8], "little")
    values = np.random.default_rng(seed).standard_normal(DIMENSIONS)
    return base64.b64encode((values / np.linalg.norm(values)).astype("<f4").tobytes()).decode()


def make_order() -> AuditOrder:
    """As the operator has it of each model: parsed from the model's own ConfigMaps."""
    halves = make_cases("reference.", count=GOLDENS), make_cases("holdout.", count=HOLDOUT)
    mounted, held = (CaseSet.from_jsonl(half.to_jsonl()) for half in halves)
    return AuditOrder(case_set=mounted, holdout=held, serving=SERVING, space=SPACE)


def make_cases(prefix: str, *, count: int) -> CaseSet:
    names = [f"{prefix}{number}" for number in range(count)]
    return CaseSet(
        cases=tuple(
            VectorCase(
                name=name, input=f"text of {name}", vector=embed(f"text of {name}"), min_cosine_similarity="0.999"
            )
            for name in names
        )
    )


@contextmanager
def responder() -> Iterator[int]:
    """The port at which a process answers for every pod."""
    with socket.create_server(("0.0.0.0", 0), backlog=1024) as listener:
        process = multiprocessing.get_context("fork").Process(target=respond, args=(listener,), daemon=True)
        process.start()
        try:
            yield listener.getsockname()[1]
        finally:
            process.terminate()
            process.join()


def respond(listener: socket.socket) -> None:
    cases = make_cases("reference.", count=GOLDENS)
    results = tuple(
        CaseResult(
            name=case.name,
            kind=case.kind,
            passed=True,
            measured="0.999998",
            threshold="0.999",
            detail="cosine similarity 0.999998, at least 0.999 expected",
        )
        for case in cases.cases
    )
    report = GoldensReport(
        boot_id="b" * 16,
        case_set=cases.name,
        state=GateState.PASSED,
        verdict=GateState.PASSED,
        results=results,
        checked_at="2031-04-05T06:07:08Z",
        space=SPACE,
        revision="r" * 40,
        device="cpu",
        dtype="float32",
    ).to_json()

    @lru_cache(maxsize=256)
    def answer(body: bytes) -> bytes:
        questions = QuestionSheet.from_json(body).questions
        answers = tuple(Answer(vector=embed(question.text)) for question in questions)
        return AnswerSheet(boot_id="b" * 16, space=SPACE, answers=answers).to_json()

    async def handle(request: web.BaseRequest) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        body = await request.read()
        if request.path == ports.ANSWERS:
            return web.Response(body=answer(body), content_type="application/json")
        if request.path == ports.VERDICT:
            return web.Response(status=204)
        return web.Response(body=report, content_type="application/json")

    async def serve() -> None:
        server = web.Server(handle, access_log=None)
        await asyncio.get_running_loop().create_server(server, sock=listener)
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
