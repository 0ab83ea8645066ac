"""Tracked branches: how often a hub is asked, what models see, and when asking stops."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from manual_clock import ManualClock, settle

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import Origin, SourceKind
from embedding_model.sources.polling import Polled
from embedding_operator.observe.facts import Head, Key, ResolutionRequest
from embedding_operator.resolve.tracker import MAX_RETRY_AFTER_SECONDS, SLOTS, BranchQuestion, Tracker

KEY, OTHER = Key("search", "a"), Key("search", "b")
POLL_SECONDS = 600.0
FIRST, SECOND = "a" * 40, "b" * 40


def request_for(
    repo: str = "acme/tiny", *, mirror: str | None = None, requested_at: str | None = None
) -> ResolutionRequest:
    origin = Origin(kind=SourceKind.HUGGING_FACE, repo=repo, requested="main", mirror=mirror)
    return ResolutionRequest(origin=origin, requested_at=requested_at)


class Hub:
    """`commit` is where every branch stands; `failure` is raised instead, while it is set.

    It hangs while `answers` is not set.
    """

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.commit = FIRST
        self.failure: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked: list[tuple[float, BranchQuestion]] = []

    async def __call__(self, question: BranchQuestion) -> Polled:
        self.asked.append((self._clock.monotonic() - 1000.0, question))
        await self.answers.wait()
        if self.failure is not None:
            raise self.failure
        etag = f'"{self.commit[:8]}"'
        return Polled(commit=None if question.etag == etag else self.commit, etag=etag)

    @property
    def times(self) -> list[int]:
        return [round(time) for time, _ in self.asked]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def hub(clock: ManualClock) -> Hub:
    return Hub(clock)


@asynccontextmanager
async def tracker_of(
    hub: Hub,
    *,
    clock: ManualClock,
    told: list[Key] | None = None,
    results: list[str] | None = None,
    jitter: Callable[[], float] = lambda: 0.5,
) -> AsyncIterator[Tracker]:
    """With a jitter of a half, every pause is exactly the poll interval, and the first one half of it."""
    tracker = Tracker(
        hub,
        on_change=(told if told is not None else []).append,
        poll_seconds=POLL_SECONDS,
        clock=clock,
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=clock.monotonic() - 1000.0),
        jitter=jitter,
        on_result=(results if results is not None else []).append,
    )
    try:
        yield tracker
    finally:
        await tracker.close()


def look(
    tracker: Tracker, *, key: Key = KEY, request: ResolutionRequest | None = None, at_once: bool = False
) -> Head | None:
    """One reconcile that asks."""
    with tracker.round_of(key):
        return tracker.head(key, request=request or request_for(), at_once=at_once)


async def test_a_branch_is_asked_once_an_interval_and_models_are_told_when_it_moves(
    clock: ManualClock, hub: Hub
) -> None:
    told: list[Key] = []
    async with tracker_of(hub, clock=clock, told=told) as tracker:
        assert look(tracker) is None
        await clock.advance(300)
        assert told == [KEY]
        head = look(tracker)
        assert head is not None
        assert head.commit == FIRST
        await clock.advance(1200)
        assert told == [KEY], "the branch stands where it stood"
        hub.commit = SECOND
        await clock.advance(600)
        assert told == [KEY, KEY]
        moved = look(tracker)
    assert moved is not None
    assert moved.commit == SECOND
    assert moved.seen_at > head.seen_at
    assert hub.times == [300, 900, 1500, 2100]


async def test_the_second_question_names_the_answer_before(clock: ManualClock, hub: Hub) -> None:
    async with tracker_of(hub, clock=clock) as tracker:
        look(tracker)
        await clock.advance(900)
        head = look(tracker)
    assert [question.etag for _, question in hub.asked] == [None, f'"{FIRST[:8]}"']
    assert head is not None
    assert head.commit == FIRST, "an answer of nothing new keeps the commit"


async def test_pauses_differ_by_a_fifth_at_most(clock: ManualClock, hub: Hub) -> None:
    jitters = iter([0.0, 0.0, 1.0, 0.5])
    async with tracker_of(hub, clock=clock, jitter=lambda: next(jitters)) as tracker:
        look(tracker)
        await clock.advance(480 + 720)
    assert hub.times == [0, 480, 1200]


async def test_models_that_track_the_same_branch_share_its_questions(clock: ManualClock, hub: Hub) -> None:
    told: list[Key] = []
    async with tracker_of(hub, clock=clock, told=told) as tracker:
        look(tracker)
        look(tracker, key=OTHER)
        await clock.advance(300)
        assert told == [KEY, OTHER]
    assert hub.times == [300]


async def test_five_hundred_branches_of_one_hub_are_asked_less_than_once_a_second(clock: ManualClock, hub: Hub) -> None:
    """All at once, as an operator that starts anew finds them."""
    async with tracker_of(hub, clock=clock, jitter=lambda: 0.0) as tracker:
        for number in range(500):
            look(tracker, key=Key("search", f"m{number}"), request=request_for(f"acme/m{number}"))
        await clock.advance(600)
        assert len({question.branch for _, question in hub.asked}) == 500
        times = [time for time, _ in hub.asked]
        assert min(later - before for before, later in pairwise(times)) > 1.0
        assert len(hub.asked) < 600


async def test_what_piled_up_while_a_hub_hung_is_not_asked_at_once(clock: ManualClock, hub: Hub) -> None:
    hub.answers.clear()
    async with tracker_of(hub, clock=clock, jitter=lambda: 0.0) as tracker:
        for number in range(20):
            look(tracker, key=Key("search", f"m{number}"), request=request_for(f"acme/m{number}"))
        await clock.advance(60)
        assert len(hub.asked) == SLOTS, "a thread waits for each of them"
        hub.answers.set()
        await clock.advance(30)
    assert len(hub.asked) == 20
    times = [time for time, _ in hub.asked]
    assert min(later - before for before, later in pairwise(times)) > 1.0


async def test_every_question_is_counted_by_its_result(clock: ManualClock, hub: Hub) -> None:
    results: list[str] = []
    async with tracker_of(hub, clock=clock, results=results, jitter=lambda: 0.5) as tracker:
        look(tracker)
        await clock.advance(900)
        for failure in (Refusal(Reason.REPOSITORY_NOT_FOUND, "gone"), Unavailable("down"), RuntimeError("a bug")):
            hub.failure = failure
            await clock.advance(1200)
    assert results[:3] == ["Moved", "Unchanged", "Refused"]
    assert set(results[3:]) == {"Refused", "Unavailable", "Error"}


async def test_hubs_do_not_wait_for_each_other(clock: ManualClock, hub: Hub) -> None:
    async with tracker_of(hub, clock=clock, jitter=lambda: 0.0) as tracker:
        look(tracker)
        look(tracker, key=OTHER, request=request_for(mirror="corp"))
        await clock.advance(0)
    assert hub.times == [0, 0]


async def test_a_hub_that_is_busy_is_left_alone_for_as_long_as_it_says(clock: ManualClock, hub: Hub) -> None:
    hub.failure = Unavailable("too many requests", retry_after=800.0)
    async with tracker_of(hub, clock=clock, jitter=lambda: 0.0) as tracker:
        look(tracker)
        look(tracker, key=OTHER, request=request_for("acme/other"))
        await clock.advance(0)
        assert hub.times == [0]
        hub.failure = None
        await clock.advance(799)
        assert hub.times == [0], "it holds for every branch of the hub"
        await clock.advance(3)
        assert hub.times == [0, 800, 801]


async def test_no_hub_is_left_alone_for_longer_than_a_quarter_of_an_hour(clock: ManualClock, hub: Hub) -> None:
    hub.failure = Unavailable("come back tomorrow", retry_after=86400.0)
    async with tracker_of(hub, clock=clock, jitter=lambda: 0.0) as tracker:
        look(tracker)
        await clock.advance(MAX_RETRY_AFTER_SECONDS + 1)
    assert hub.times == [0, 900]


async def test_failures_in_a_row_are_told_to_nobody_and_wait_longer_and_longer(clock: ManualClock, hub: Hub) -> None:
    told: list[Key] = []
    hub.failure = Unavailable("down")
    async with tracker_of(hub, clock=clock, told=told, jitter=lambda: 0.0) as tracker:
        look(tracker)
        await clock.advance(600 + 1200 + 2400 + 3600)
        assert hub.times == [0, 600, 1800, 4200, 7800]
        assert look(tracker) is None
    assert told == []


async def test_a_refusal_is_told_and_heals(clock: ManualClock, hub: Hub) -> None:
    told: list[Key] = []
    async with tracker_of(hub, clock=clock, told=told) as tracker:
        look(tracker)
        await clock.advance(300)
        hub.failure = Refusal(Reason.REPOSITORY_NOT_FOUND, "gone")
        await clock.advance(600)
        head = look(tracker)
        assert head is not None
        assert head.commit is None
        assert head.refusal is not None
        assert head.refusal.reason is Reason.REPOSITORY_NOT_FOUND
        hub.failure = None
        await clock.advance(600)
        healed = look(tracker)
    assert healed is not None
    assert (healed.commit, healed.refusal) == (FIRST, None)
    assert told == [KEY] * 3
    assert hub.asked[-1][1].etag is None, "what was known before the refusal is asked in full"


async def test_an_unexpected_error_does_not_end_the_tracking(clock: ManualClock, hub: Hub) -> None:
    hub.failure = RuntimeError("a bug")
    async with tracker_of(hub, clock=clock) as tracker:
        look(tracker)
        await clock.advance(300)
        hub.failure = None
        await clock.advance(600)
        head = look(tracker)
    assert head is not None
    assert head.commit == FIRST


async def test_asking_anew_asks_at_once_and_once(clock: ManualClock, hub: Hub) -> None:
    told: list[Key] = []
    anew = request_for(requested_at="now")
    async with tracker_of(hub, clock=clock, told=told) as tracker:
        look(tracker)
        await clock.advance(10)
        look(tracker, request=anew, at_once=True)
        await clock.advance(0)
        head = look(tracker, request=anew, at_once=True)
        assert head is not None
        assert head.requested_at == "now"
        await clock.advance(100)
        assert hub.times == [10]
        look(tracker, request=request_for(requested_at="again"), at_once=True)
        await clock.advance(0)
    assert hub.times == [10, 110]
    assert told == [KEY, KEY], "that it was asked is news, though the branch has not moved"


async def test_what_was_learned_before_a_model_tracked_the_branch_does_not_count(clock: ManualClock, hub: Hub) -> None:
    """The model was resolved just now, perhaps to a later commit than the last answer speaks of."""
    async with tracker_of(hub, clock=clock) as tracker:
        look(tracker)
        await clock.advance(300)
        hub.commit = SECOND
        await clock.advance(10)
        assert look(tracker, key=OTHER) is None
        await clock.advance(590)
        head = look(tracker, key=OTHER)
    assert head is not None
    assert head.commit == SECOND


async def test_a_branch_that_no_model_tracks_is_not_asked_any_more(clock: ManualClock, hub: Hub) -> None:
    async with tracker_of(hub, clock=clock) as tracker:
        look(tracker)
        await clock.advance(300)
        with tracker.round_of(KEY):
            pass  # a reconcile that did not ask: deleted, or pinned
        await clock.advance(6000)
    assert hub.times == [300]


async def test_a_reconcile_that_failed_ends_no_tracking(clock: ManualClock, hub: Hub) -> None:
    async with tracker_of(hub, clock=clock) as tracker:
        look(tracker)
        with pytest.raises(RuntimeError), tracker.round_of(KEY):
            raise RuntimeError("the API server is away")
        await clock.advance(300)
        await settle()
    assert hub.times == [300]


async def test_another_branch_is_another_question(clock: ManualClock, hub: Hub) -> None:
    async with tracker_of(hub, clock=clock) as tracker:
        look(tracker)
        look(tracker, request=request_for("acme/other"))
        await clock.advance(300)
    assert [question.branch.repo for _, question in hub.asked] == ["acme/other"]
