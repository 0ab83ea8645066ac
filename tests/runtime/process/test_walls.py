"""Both walls of the gate around a real process: the operator's token, restarts, silence, and the end of the process."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from load_client import wait_until_admitted
from private_under_test import RIGHT
from served_process import ServedProcess
from signed_tokens import Authority, jwks

from embedding_model import ports
from embedding_model.goldens.cases import CaseSet
from embedding_model.goldens.questions import AnswerSheet, Question, QuestionKind, QuestionSheet
from embedding_model.ports import GateState, GoldensReport, Verdict

CASES = CaseSet(cases=(RIGHT,))
ISSUER, SUBJECT = "https://cluster.example", "system:serviceaccount:embedding-system:embedding-operator"
NEVER = 3600  # seconds: longer than any test


class Operator:
    """Asks a process's private port as the operator does."""

    def __init__(self, folder: Path) -> None:
        self._authority = Authority.rsa()
        self.keys = folder / "keys"
        self.keys.mkdir()
        (self.keys / ports.KEYS_ISSUER).write_text(ISSUER)
        (self.keys / ports.KEYS_JWKS).write_text(jwks(self._authority.jwk()))
        (self.keys / ports.KEYS_SUBJECT).write_text(SUBJECT)

    def ask(self, process: ServedProcess, path: str, body: bytes | None = None) -> httpx.Response:
        token = self._authority.mint(iss=ISSUER, aud=ports.TOKEN_AUDIENCE, sub=SUBJECT)
        headers = {"authorization": f"Bearer {token}"}
        url = process.private_url + path
        return httpx.request("GET" if body is None else "POST", url, content=body, headers=headers, timeout=60)

    def report(self, process: ServedProcess) -> GoldensReport:
        return GoldensReport.from_json(self.ask(process, ports.GOLDENS).content)

    def answers(self, process: ServedProcess) -> AnswerSheet:
        questions = QuestionSheet(questions=(Question(kind=QuestionKind.EMBED, text="hello"),))
        return AnswerSheet.from_json(self.ask(process, ports.ANSWERS, questions.to_json()).content)

    def judge(self, process: ServedProcess, *, boot_id: str, passed: bool = True, epoch: int | None = None) -> int:
        reason = "" if passed else "holdout.greek"
        verdict = Verdict(boot_id=boot_id, case_set=CASES.name, passed=passed, reason=reason, epoch=epoch)
        return self.ask(process, ports.VERDICT, verdict.to_json()).status_code


class Served:
    """What one test starts, one process or several, with one operator."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.operator = Operator(folder)
        self.mode = folder / "mode"
        self.mode.write_text("right")
        self._goldens = folder / "goldens"
        self._goldens.mkdir()
        (self._goldens / "0.jsonl").write_bytes(CASES.to_jsonl())
        self._started: list[ServedProcess] = []

    def start(self, **settings: Any) -> ServedProcess:
        process = ServedProcess.turning(
            self.folder / f"log{len(self._started)}",
            mode=self.mode,
            **{"goldens": self._goldens, "keys": self.operator.keys, "audit_grace_seconds": NEVER, **settings},
        )
        self._started.append(process)
        process.wait("/live")
        return process

    def turn(self, mode: str) -> None:
        """At once and as a whole: the process reads the file at any time."""
        new = self.folder / "mode.new"
        new.write_text(mode)
        new.replace(self.mode)

    def stop(self) -> None:
        for process in self._started:
            process.__exit__()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.stop()


def embed(process: ServedProcess) -> httpx.Response:
    return httpx.post(f"{process.url}/v1/embeddings", json={"model": "words", "input": "hello"}, timeout=60)


def test_a_pod_opens_with_the_operators_verdict_on_this_process_and_with_no_other(served: Served) -> None:
    operator, first = served.operator, served.start()
    assert "waits for the operator's verdict" in first.detail("/ready", containing="waits")
    assert embed(first).status_code == 503
    for path in (ports.ANSWERS, ports.VERDICT):
        assert httpx.post(first.private_url + path, content=b"{}", timeout=60).status_code == 401
    old = operator.answers(first)
    assert old.answers[0].vector is not None
    assert operator.judge(first, boot_id=old.boot_id) == 204
    assert (first.probe("/ready"), embed(first).status_code) == (200, 200)
    assert operator.report(first).verdict is GateState.PASSED
    first.terminate()
    assert first.exit_status() == 0

    second = served.start()
    second.detail("/ready", containing="waits")
    assert operator.judge(second, boot_id=old.boot_id) == 409
    assert second.probe("/ready") == 503
    assert operator.judge(second, boot_id=operator.answers(second).boot_id) == 204
    assert second.probe("/ready") == 200


def test_a_pod_that_never_hears_of_an_operator_opens_alone(served: Served) -> None:
    process = served.start(audit_grace_seconds=0.5)
    process.wait("/ready")
    assert embed(process).status_code == 200
    assert served.operator.report(process).verdict is GateState.PENDING


def test_a_pod_that_stood_still_does_not_take_that_for_the_operators_silence(served: Served) -> None:
    """As on a node that is frozen for a moment: the operator's calls lie unread meanwhile."""
    process = served.start(audit_grace_seconds=3)
    process.detail("/ready", containing="waits")
    is_over = threading.Event()

    def keep_in_contact() -> None:
        while not is_over.is_set():
            with contextlib.suppress(httpx.HTTPError):
                served.operator.ask(process, ports.ANSWERS, b'{"questions":[]}')
            is_over.wait(0.2)

    operator = threading.Thread(target=keep_in_contact)
    operator.start()
    try:
        process.detail("/ready", containing="waits")
        os.kill(process.process.pid, signal.SIGSTOP)
        client = ThreadPoolExecutor(1).submit(embed, process)
        time.sleep(4)  # longer than the grace period: that nobody runs cannot be waited for
        os.kill(process.process.pid, signal.SIGCONT)
        assert client.result(timeout=60).status_code == 503
        assert process.probe("/ready") == 503
    finally:
        is_over.set()
        operator.join()
    process.wait("/ready")


def test_a_pod_whose_answers_turn_closes_by_itself_and_opens_with_a_new_verdict(served: Served) -> None:
    operator, process = served.operator, served.start(check_seconds=0.05)
    process.detail("/ready", containing="waits")
    boot_id = operator.answers(process).boot_id
    assert operator.judge(process, boot_id=boot_id) == 204
    process.wait("/ready")
    served.turn("wrong")
    assert "right: cosine similarity -1.000000" in process.detail("/ready", containing="golden cases failed")
    assert embed(process).status_code == 503
    assert operator.answers(process).answers[0].vector is not None
    assert operator.report(process).state is GateState.FAILED
    served.turn("right")
    process.detail("/ready", containing="waits for the operator's verdict")
    assert operator.judge(process, boot_id=boot_id) == 409, "that was of before it failed"
    assert operator.judge(process, boot_id=boot_id, epoch=operator.answers(process).epoch) == 204
    process.wait("/ready")
    assert process.probe("/live") == 200


def test_under_warn_both_walls_are_told_on_every_response(served: Served) -> None:
    operator, process = served.operator, served.start(failure_policy="Warn")
    process.detail("/ready", containing="waits")
    assert operator.judge(process, boot_id=operator.report(process).boot_id, passed=False) == 204
    answer = embed(process)
    assert (process.probe("/ready"), answer.status_code) == (200, 200)
    assert answer.headers["x-embedding-verified"] == "false"


def test_sigterm_while_a_check_runs_ends_the_process_at_once(served: Served) -> None:
    process = served.start(check_seconds=0.05, audit_grace_seconds=0)
    process.wait("/ready")
    served.turn("held")
    wait_until_admitted(process.private_url, tokens=1)
    process.terminate()
    assert process.exit_status() == 0
    assert "Traceback" not in process.log.read_text()


def test_sigterm_while_it_checks_itself_for_the_first_time_ends_the_process(served: Served) -> None:
    served.turn("held-later")
    process = served.start()
    wait_until_admitted(process.private_url, tokens=1)
    assert "golden cases are being answered" in process.detail("/ready", containing="being answered")
    process.terminate()
    assert process.exit_status() == 0
