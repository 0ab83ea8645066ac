"""When a pod is open: two walls, a policy, and how long the operator has been silent."""

from collections.abc import Callable

import pytest
from manual_clock import ManualClock

from embedding_model.ports import CaseResult, GateState
from embedding_runtime.lifecycle import Lifecycle, Phase
from embedding_runtime.settings import FailurePolicy

GOOD = CaseResult(name="weather", kind="vector", passed=True)
BAD = CaseResult(name="weather", kind="vector", passed=False, detail="cosine similarity 0.1 is below 0.999")
BAD_CHECK = CaseResult(name="check.norm", kind="check", passed=False, detail="norm 7")
GRACE = 10.0
NOW = "2031-04-05T06:07:08Z"

Step = Callable[[Lifecycle], None]


def loaded(
    clock: ManualClock, *, policy: FailurePolicy = FailurePolicy.BLOCK, grace_seconds: float = GRACE
) -> Lifecycle:
    return Lifecycle(
        failure_policy=policy, audit_grace_seconds=grace_seconds, clock=clock.monotonic, phase=Phase.LOADED
    )


def check_passes(lifecycle: Lifecycle) -> None:
    lifecycle.record_check((GOOD,), at=NOW)


def check_fails(lifecycle: Lifecycle) -> None:
    lifecycle.record_check((GOOD, BAD), at=NOW)


def contact(lifecycle: Lifecycle) -> None:
    lifecycle.record_contact()


def good_verdict(lifecycle: Lifecycle) -> None:
    lifecycle.record_verdict(passed=True)


def bad_verdict(lifecycle: Lifecycle) -> None:
    lifecycle.record_verdict(passed=False, reason="holdout.greek: cosine 0.2 is below 0.999")


@pytest.mark.parametrize(
    ("steps", "under_block", "under_warn", "unverified_under_warn"),
    [
        ([], False, False, False),
        ([good_verdict], False, False, False),
        ([check_passes], False, False, False),
        ([check_passes, good_verdict], True, True, False),
        ([good_verdict, check_passes], True, True, False),
        ([check_passes, bad_verdict], False, True, True),
        ([check_fails], False, True, True),
        ([check_fails, good_verdict], False, True, True),
        ([check_passes, good_verdict, check_fails], False, True, True),
        ([check_passes, good_verdict, bad_verdict], False, True, True),
        ([check_passes, bad_verdict, good_verdict], True, True, False),
        ([check_passes, bad_verdict, check_fails, check_passes], False, True, True),
        ([check_passes, good_verdict, check_fails, check_passes, good_verdict], True, True, False),
    ],
)
def test_a_pod_is_open_when_both_walls_say_so(
    steps: list[Step], under_block: bool, under_warn: bool, unverified_under_warn: bool
) -> None:
    for policy, is_open in ((FailurePolicy.BLOCK, under_block), (FailurePolicy.WARN, under_warn)):
        lifecycle = loaded(ManualClock(), policy=policy)
        for step in steps:
            step(lifecycle)
        assert (lifecycle.answering, lifecycle.ready) == (is_open, is_open), policy
        assert lifecycle.unverified is (policy is FailurePolicy.WARN and unverified_under_warn)
        assert (lifecycle.explain() == "ok") == is_open


async def test_without_an_operator_it_opens_alone_after_the_grace_period() -> None:
    clock = ManualClock()
    lifecycle = loaded(clock)
    check_passes(lifecycle)
    await clock.advance(2.5)
    assert lifecycle.explain() == "waits for the operator's verdict, opens alone in 8 s"
    await clock.advance(7.4)
    assert not lifecycle.ready
    await clock.advance(0.1)
    assert lifecycle.ready


def test_where_no_verdict_is_waited_for_it_opens_at_once() -> None:
    lifecycle = loaded(ManualClock(), grace_seconds=0)
    check_passes(lifecycle)
    assert lifecycle.ready


async def test_it_waits_for_the_grace_period_from_the_operators_last_contact() -> None:
    clock = ManualClock()
    lifecycle = loaded(clock)
    check_passes(lifecycle)
    for _ in range(5):
        await clock.advance(9)
        contact(lifecycle)
    await clock.advance(9.9)
    assert not lifecycle.ready
    await clock.advance(0.2)
    assert lifecycle.ready


async def test_a_contact_before_its_own_checks_are_done_does_not_open_it_early() -> None:
    clock = ManualClock()
    lifecycle = loaded(clock)
    contact(lifecycle)
    await clock.advance(30)
    check_passes(lifecycle)
    assert not lifecycle.ready
    await clock.advance(10)
    assert lifecycle.ready


async def test_one_that_opened_alone_stays_open_while_an_operator_that_came_back_audits_it() -> None:
    clock = ManualClock()
    lifecycle = loaded(clock)
    check_passes(lifecycle)
    await clock.advance(11)
    contact(lifecycle)
    assert lifecycle.ready
    bad_verdict(lifecycle)
    assert not lifecycle.ready
    await clock.advance(1000)
    assert not lifecycle.ready, "a bad verdict has no end"


async def test_an_operator_that_goes_on_asking_does_not_shut_a_pod_with_a_good_verdict() -> None:
    clock = ManualClock()
    lifecycle = loaded(clock)
    check_passes(lifecycle)
    good_verdict(lifecycle)
    for _ in range(3):
        contact(lifecycle)
        check_passes(lifecycle)
        assert lifecycle.ready
        await clock.advance(60)


async def test_one_that_passes_again_opens_with_a_new_verdict_or_after_the_grace_period() -> None:
    clock = ManualClock()
    lifecycle = loaded(clock)
    check_passes(lifecycle)
    good_verdict(lifecycle)
    check_fails(lifecycle)
    assert lifecycle.verdict is GateState.PENDING
    check_passes(lifecycle)
    assert not lifecycle.ready
    await clock.advance(10)
    assert lifecycle.ready


def test_a_verdict_from_the_time_when_it_failed_does_not_open_it_again() -> None:
    lifecycle = loaded(ManualClock())
    check_passes(lifecycle)
    check_fails(lifecycle)
    good_verdict(lifecycle)
    check_passes(lifecycle)
    assert not lifecycle.ready


def test_under_warn_one_that_is_better_again_is_not_shut_for_it() -> None:
    lifecycle = loaded(ManualClock(), policy=FailurePolicy.WARN)
    check_passes(lifecycle)
    good_verdict(lifecycle)
    check_fails(lifecycle)
    check_passes(lifecycle)
    assert (lifecycle.ready, lifecycle.unverified) == (True, False)


def test_it_says_what_has_failed() -> None:
    lifecycle = loaded(ManualClock())
    lifecycle.record_check((GOOD, BAD, BAD_CHECK), at=NOW)
    bad_verdict(lifecycle)
    assert lifecycle.explain() == (
        "1 of 2 golden cases failed: weather: cosine similarity 0.1 is below 0.999; "
        "1 of 1 built-in checks failed: check.norm: norm 7; "
        "the operator's audit failed: holdout.greek: cosine 0.2 is below 0.999"
    )


def test_while_it_drains_it_answers_and_is_not_ready() -> None:
    lifecycle = loaded(ManualClock())
    check_passes(lifecycle)
    good_verdict(lifecycle)
    lifecycle.phase = Phase.DRAINING
    assert (lifecycle.answering, lifecycle.ready, lifecycle.closing) == (True, False, True)
