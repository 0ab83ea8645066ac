"""Where the process stands between start and exit, and what that means for its ports.

Two walls stand before a pod's traffic. Wall one is what the pod found of itself (`gate`), wall two what the operator
found (`verdict`). What follows, once the model is loaded:

    wall one    verdict    the pod
    Pending     any        shut
    Failed      any        Block: shut. Warn: serves unverified
    Passed      Failed     Block: shut. Warn: serves unverified
    Passed      Passed     open
    Passed      Pending    shut until the operator has been silent for the grace period, then open

A pod that is open stays so until a wall fails; an operator that asks again does not shut it. One that failed wall one
while it served and passes again waits for a new verdict, or the grace period.
"""

import math
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from embedding_model.ports import CaseResult, GateState
from embedding_runtime.clock import Monotonic
from embedding_runtime.settings import FailurePolicy

BUILT_IN = "check"  # the kind of results that are no golden case's


class Phase(StrEnum):
    LOADING = "Loading"  # reading, hashing, warming up
    LOADED = "Loaded"
    DRAINING = "Draining"  # SIGTERM came: out of the Service, still answering


@dataclass
class Lifecycle:
    """Changed on the event loop only.

    `epoch`: another one whenever a wall fails, and when wall one passes again. What passes in one does not vouch for
    what was computed in another.
    `audit_grace_seconds`: how long the operator must have been silent before the pod opens without its verdict; 0: no
    verdict is waited for.
    """

    failure_policy: FailurePolicy
    audit_grace_seconds: float = 0
    clock: Monotonic = time.monotonic
    boot_id: str = field(default_factory=lambda: secrets.token_hex(8))
    phase: Phase = Phase.LOADING
    gate: GateState = GateState.PENDING
    results: tuple[CaseResult, ...] = ()
    checked_at: str | None = None  # RFC 3339, UTC
    verdict: GateState = GateState.PENDING
    verdict_reason: str = ""
    retired: bool = False
    epoch: int = 0
    _opens_at: float = -math.inf  # by the clock: when it opens without a verdict
    _audits: int = 0  # being answered, of those that began while the pod was shut

    @property
    def loaded(self) -> bool:
        return self.phase is not Phase.LOADING

    @property
    def answering(self) -> bool:
        """Whether requests are answered at all; a shut pod answers none."""
        if not self.loaded or self.gate is GateState.PENDING:
            return False
        if self._has_failed:
            return self.failure_policy is FailurePolicy.WARN
        return self.verdict is GateState.PASSED or (not self._audits and self.clock() >= self._opens_at)

    @property
    def ready(self) -> bool:
        """Whether the pod belongs into its Service."""
        return self.answering and self.phase is Phase.LOADED

    @property
    def unverified(self) -> bool:
        """Serving although a wall has failed."""
        return self.failure_policy is FailurePolicy.WARN and self._has_failed

    @property
    def closing(self) -> bool:
        """Whether every response ends its connection, so that clients come back elsewhere."""
        return self.retired or self.phase is Phase.DRAINING

    @property
    def _has_failed(self) -> bool:
        return GateState.FAILED in (self.gate, self.verdict)

    def record_check(self, results: tuple[CaseResult, ...], *, at: str) -> None:
        """What the pod found of itself. A pass behind a failure is a new beginning: an old verdict does not hold."""
        before, self.gate = self.gate, judge(results)
        self.results, self.checked_at = results, at
        recovers = before is GateState.FAILED and self.gate is GateState.PASSED
        self.epoch += (before is GateState.FAILED) != (self.gate is GateState.FAILED)
        if self.verdict is GateState.PASSED and (recovers or self.gate is GateState.FAILED):
            self.verdict = GateState.PENDING
        if self.gate is GateState.PASSED and before is not GateState.PASSED:
            # Under Warn it serves already: shutting it because it is better now would help nobody.
            serves = recovers and self.failure_policy is FailurePolicy.WARN
            self._opens_at = self.clock() + (0 if serves else self.audit_grace_seconds)

    @contextmanager
    def audited(self) -> Iterator[None]:
        """While the operator's questions are answered: a pod that is shut waits for them, however long they take."""
        waits = self.audit_grace_seconds > 0 and not self.answering
        self.record_contact()
        self._audits += waits
        try:
            yield
        finally:
            self.record_contact()  # first: without the audit it would be open by now
            self._audits -= waits

    def record_contact(self) -> None:
        """The operator is auditing: a pod that is shut waits for it again."""
        if not self.answering:
            self._opens_at = max(self._opens_at, self.clock() + self.audit_grace_seconds)

    def record_verdict(self, *, passed: bool, reason: str = "") -> None:
        self.record_contact()
        self.verdict = GateState.PASSED if passed else GateState.FAILED
        self.verdict_reason = "" if passed else reason
        self.epoch += not passed

    def explain(self) -> str:
        """Why the pod is not ready, in words for a person; `ok` when it is."""
        if self.phase is Phase.LOADING:
            return "the model is being loaded"
        if self.phase is Phase.DRAINING:
            return "the server is shutting down"
        if self.gate is GateState.PENDING:
            return "golden cases are being answered"
        if self.ready:
            return "ok"
        if self._has_failed:
            return self.explain_failure()
        if self._audits:
            return "the operator's questions are being answered"
        seconds = max(0, math.ceil(self._opens_at - self.clock()))
        return f"waits for the operator's verdict, opens alone in {seconds} s"

    def explain_failure(self) -> str:
        """What has failed, without the texts of golden cases; empty where nothing has."""
        sorts = (
            ("golden cases", [result for result in self.results if result.kind != BUILT_IN]),
            ("built-in checks", [result for result in self.results if result.kind == BUILT_IN]),
        )
        told = [words for sort, results in sorts if (words := _count_failed(results, sort=sort))]
        if self.verdict is GateState.FAILED:
            told.append(f"the operator's audit failed: {self.verdict_reason or 'no reason given'}")
        return "; ".join(told)


def judge(results: tuple[CaseResult, ...]) -> GateState:
    return GateState.PASSED if all(result.passed for result in results) else GateState.FAILED


def _count_failed(results: list[CaseResult], *, sort: str) -> str:
    failed = [result for result in results if not result.passed]
    if not failed:
        return ""
    return f"{len(failed)} of {len(results)} {sort} failed: {failed[0].name}: {failed[0].detail}"
