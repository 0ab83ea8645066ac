import pytest
from manual_clock import ManualClock

from embedding_runtime.clock import AwakeClock
from embedding_runtime.lifecycle import Lifecycle, Phase
from embedding_runtime.settings import FailurePolicy


async def test_time_goes_on_while_the_process_runs_and_hardly_while_it_stands_still() -> None:
    time = ManualClock()
    awake = AwakeClock(time)
    for _ in range(20):
        await time.advance(AwakeClock.BEAT_SECONDS)
        awake.beat()
    assert awake() == 20 * AwakeClock.BEAT_SECONDS
    await time.advance(0.1)
    assert awake() == pytest.approx(20 * AwakeClock.BEAT_SECONDS + 0.1)
    before = awake()
    await time.advance(3600)
    assert before < awake() <= before + AwakeClock.MOST_SECONDS
    awake.beat()
    assert before < awake() <= before + AwakeClock.MOST_SECONDS


async def test_a_pod_waits_for_the_whole_of_its_grace_period_after_a_stall() -> None:
    time = ManualClock()
    awake = AwakeClock(time)
    lifecycle = Lifecycle(failure_policy=FailurePolicy.BLOCK, audit_grace_seconds=1.0, clock=awake, phase=Phase.LOADED)
    await time.advance(60)
    lifecycle.record_check((), at="2031-04-05T06:07:08Z")
    assert not lifecycle.answering
    awake.beat()
    await time.advance(0.9)
    assert not lifecycle.answering
    await time.advance(0.1)
    assert lifecycle.answering
