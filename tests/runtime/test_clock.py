from manual_clock import ManualClock

from embedding_runtime.clock import AwakeClock


async def test_time_goes_on_while_the_process_runs_and_hardly_while_it_stands_still() -> None:
    time = ManualClock()
    awake = AwakeClock(time)
    for _ in range(20):
        await time.advance(AwakeClock.BEAT_SECONDS)
        awake.beat()
    assert awake() == 20 * AwakeClock.BEAT_SECONDS
    before = awake()
    await time.advance(3600)
    awake.beat()
    assert awake() - before == AwakeClock.MOST_SECONDS
