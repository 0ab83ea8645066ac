"""Resolutions in the background: when the hub is asked, when models are told, and what they see."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from manual_clock import ManualClock, settle
from tiny_models import tiny_embedder

from embedding_model.inspection import inspect
from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import Origin, SourceKind
from embedding_model.sources.manifest import build_manifest
from embedding_model.sources.memory import MemorySource
from embedding_model.sources.selection import select
from embedding_operator.observe.facts import InProgress, Key, Refused, ResolutionRequest, Resolved, Retrying
from embedding_operator.resolve.resolver import ABANDONED_SECONDS, MAX_RETRY_AFTER_SECONDS, SHARED_SECONDS, Resolver

KEY, OTHER = Key("search", "a"), Key("search", "b")


def request_for(
    repo: str = "acme/tiny", *, revision: str = "main", requested_at: str | None = None
) -> ResolutionRequest:
    origin = Origin(kind=SourceKind.HUGGING_FACE, repo=repo, requested=revision)
    return ResolutionRequest(origin=origin, requested_at=requested_at)


def answer_to(request: ResolutionRequest) -> Resolved:
    source = MemorySource(tiny_embedder())
    return Resolved(
        origin=request.origin.model_copy(update={"revision": "a" * 40}),
        manifest=build_manifest(source, paths=select(source)),
        inspection=inspect(source),
    )


class Hub:
    """Answers from a script, then with a model; remembers who asked and when."""

    def __init__(self, clock: ManualClock, *, script: list[Exception] | None = None) -> None:
        self._clock = clock
        self._script = script or []
        self.asked: list[tuple[float, ResolutionRequest]] = []

    async def __call__(self, request: ResolutionRequest) -> Resolved:
        self.asked.append((self._clock.monotonic() - 1000.0, request))
        if self._script:
            raise self._script.pop(0)
        return answer_to(request)

    @property
    def times(self) -> list[int]:
        return [round(time) for time, _ in self.asked]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@asynccontextmanager
async def resolver_of(hub: Hub, *, clock: ManualClock, told: list[Key]) -> AsyncIterator[Resolver]:
    resolver = Resolver(
        hub, on_change=told.append, clock=clock, now=lambda: datetime(2026, 1, 1, tzinfo=UTC), jitter=lambda: 0.0
    )
    try:
        yield resolver
    finally:
        await resolver.close()


async def test_a_new_request_is_in_progress_and_then_resolved_and_the_model_is_told(clock: ManualClock) -> None:
    hub, told = Hub(clock), list[Key]()
    async with resolver_of(hub, clock=clock, told=told) as resolver:
        assert resolver.resolution(KEY, request=request_for()) == InProgress()
        await settle()
        assert told == [KEY]
        state = resolver.resolution(KEY, request=request_for())
    assert isinstance(state, Resolved)
    assert state.origin.revision == "a" * 40


async def test_a_resolved_request_is_never_asked_again(clock: ManualClock) -> None:
    hub, told = Hub(clock), list[Key]()
    async with resolver_of(hub, clock=clock, told=told) as resolver:
        resolver.resolution(KEY, request=request_for())
        await settle()
        for _ in range(10):
            await clock.advance(500)
            resolver.resolution(KEY, request=request_for())
    assert hub.times == [0]


async def test_models_that_ask_for_the_same_share_one_question(clock: ManualClock) -> None:
    hub, told = Hub(clock), list[Key]()
    async with resolver_of(hub, clock=clock, told=told) as resolver:
        resolver.resolution(KEY, request=request_for())
        resolver.resolution(OTHER, request=request_for())
        await settle()
    assert told == [KEY, OTHER]
    assert len(hub.asked) == 1


async def test_another_value_of_requested_at_asks_anew(clock: ManualClock) -> None:
    hub, told = Hub(clock), list[Key]()
    async with resolver_of(hub, clock=clock, told=told) as resolver:
        resolver.resolution(KEY, request=request_for())
        await settle()
        assert resolver.resolution(KEY, request=request_for(requested_at="now")) == InProgress()
        await settle()
    assert len(hub.asked) == 2


async def test_an_unavailable_hub_is_asked_again_at_growing_intervals_and_the_model_is_told_once(
    clock: ManualClock,
) -> None:
    hub, told = Hub(clock, script=[Unavailable("the hub does not answer")] * 8), list[Key]()
    async with resolver_of(hub, clock=clock, told=told) as resolver:
        resolver.resolution(KEY, request=request_for())
        await clock.advance(3000)
        assert hub.times == [0, 10, 30, 70, 150, 310, 610, 910, 1210]
        assert isinstance(resolver.resolution(KEY, request=request_for()), Resolved)
    assert told == [KEY, KEY]


@pytest.mark.parametrize(
    ("error", "gaps"),
    [
        (Unavailable("busy", retry_after=90.0), [90, 90, 90]),
        (Unavailable("busy", retry_after=86400.0), [MAX_RETRY_AFTER_SECONDS] * 3),
        (Unavailable("busy"), [10, 20, 40]),
        (Refusal(Reason.REPOSITORY_NOT_FOUND, "no such repository"), [10, 20, 40]),
    ],
)
async def test_retries_keep_their_distance(clock: ManualClock, error: Exception, gaps: list[float]) -> None:
    hub, told = Hub(clock, script=[error] * 4), list[Key]()
    async with resolver_of(hub, clock=clock, told=told) as resolver:
        resolver.resolution(KEY, request=request_for())
        await settle()
        await clock.advance(sum(gaps))
    assert [later - earlier for earlier, later in pairwise(hub.times)] == gaps


async def test_a_refusal_stays_visible_while_it_is_asked_again_and_heals_by_itself(clock: ManualClock) -> None:
    refusal = Refusal(Reason.REPOSITORY_NOT_FOUND, "no such repository")
    hub, told = Hub(clock, script=[refusal, Unavailable("the hub does not answer"), refusal]), list[Key]()
    async with resolver_of(hub, clock=clock, told=told) as resolver:
        resolver.resolution(KEY, request=request_for())
        await settle()
        for asked, seconds in ((2, 10), (3, 20)):
            await clock.advance(seconds)
            assert len(hub.asked) == asked
            assert resolver.resolution(KEY, request=request_for()) == Refused(refusal.document())
        assert told == [KEY]
        await clock.advance(40)
        assert told == [KEY, KEY]
        assert isinstance(resolver.resolution(KEY, request=request_for()), Resolved)


async def test_an_unexpected_error_is_retried_and_says_so_without_its_text(clock: ManualClock) -> None:
    hub, told = Hub(clock, script=[KeyError("hf_secret")]), list[Key]()
    async with resolver_of(hub, clock=clock, told=told) as resolver:
        resolver.resolution(KEY, request=request_for())
        await settle()
        state = resolver.resolution(KEY, request=request_for())
    assert isinstance(state, Retrying)
    assert "KeyError" in state.message
    assert "hf_secret" not in state.message


async def test_a_request_that_the_spec_no_longer_makes_is_dropped(clock: ManualClock) -> None:
    hub, told = Hub(clock, script=[Unavailable("down")] * 2), list[Key]()
    async with resolver_of(hub, clock=clock, told=told) as resolver:
        resolver.resolution(KEY, request=request_for("acme/typo"))
        await settle()
        resolver.resolution(KEY, request=request_for("acme/tiny"))
        await settle()
        await clock.advance(3000)
        await settle()
    assert [request.origin.repo for _, request in hub.asked] == ["acme/typo", "acme/tiny", "acme/tiny"]


async def test_a_request_that_nobody_asks_about_any_more_is_given_up(clock: ManualClock) -> None:
    hub, told = Hub(clock, script=[Unavailable("down")] * 100), list[Key]()
    async with resolver_of(hub, clock=clock, told=told) as resolver:
        resolver.resolution(KEY, request=request_for())
        await clock.advance(ABANDONED_SECONDS * 3)
    assert ABANDONED_SECONDS - 300 < hub.times[-1] <= ABANDONED_SECONDS


async def test_an_answer_is_forgotten_once_a_reconcile_has_stored_it(clock: ManualClock) -> None:
    hub, told = Hub(clock), list[Key]()
    async with resolver_of(hub, clock=clock, told=told) as resolver:
        for _ in range(3):
            with resolver.round_of(KEY):
                resolver.resolution(KEY, request=request_for())
            await settle()
        assert len(hub.asked) == 1
        with resolver.round_of(KEY):
            pass  # it is stored, or the model was deleted
        with resolver.round_of(KEY):
            assert resolver.resolution(KEY, request=request_for()) == InProgress()
        await settle()
    assert len(hub.asked) == 2


async def test_a_reconcile_that_failed_forgets_no_answer(clock: ManualClock) -> None:
    hub, told = Hub(clock), list[Key]()
    async with resolver_of(hub, clock=clock, told=told) as resolver:
        resolver.resolution(KEY, request=request_for())
        await settle()
        with pytest.raises(RuntimeError), resolver.round_of(KEY):
            raise RuntimeError("the API server is away")
        assert isinstance(resolver.resolution(KEY, request=request_for()), Resolved)


async def test_another_model_does_not_get_an_answer_from_long_before_it_asked(clock: ManualClock) -> None:
    hub, told = Hub(clock), list[Key]()
    async with resolver_of(hub, clock=clock, told=told) as resolver:
        resolver.resolution(KEY, request=request_for())
        await clock.advance(SHARED_SECONDS + 1)
        assert isinstance(resolver.resolution(KEY, request=request_for()), Resolved)
        assert resolver.resolution(OTHER, request=request_for()) == InProgress()
        await settle()
    assert len(hub.asked) == 2


async def test_a_deleted_models_refused_repository_is_asked_no_more(clock: ManualClock) -> None:
    hub, told = Hub(clock, script=[Refusal(Reason.REPOSITORY_NOT_FOUND, "none")] * 100), list[Key]()
    async with resolver_of(hub, clock=clock, told=told) as resolver:
        with resolver.round_of(KEY):
            resolver.resolution(KEY, request=request_for())
        await settle()
        with resolver.round_of(KEY):
            pass
        await clock.advance(3000)
    assert len(hub.asked) == 1
