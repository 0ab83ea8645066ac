"""Blocking questions, asked in threads: a hub that hangs keeps its own, and nobody else's."""

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest
from manual_clock import ManualClock

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import Origin, SourceKind
from embedding_model.sources.polling import Polled
from embedding_operator.observe.facts import InProgress, Key, Refused, ResolutionRequest, Resolved
from embedding_operator.resolve.resolver import Resolver
from embedding_operator.resolve.threads import THREADS_PER_HUB, ThreadedAsk
from embedding_operator.resolve.tracker import SLOTS, BranchQuestion, Tracker

HEALTHY = Key("search", "healthy")
HUNG = [Key("search", f"hung{number}") for number in range(8)]


def request_for(repo: str = "acme/tiny", *, mirror: str | None = None) -> ResolutionRequest:
    return ResolutionRequest(Origin(kind=SourceKind.HUGGING_FACE, repo=repo, requested="main", mirror=mirror))


def name_hub(request: ResolutionRequest) -> str | None:
    return request.origin.mirror


class Hubs:
    """The hub, which answers at once, and mirrors of which those that are `silent` wait for `answer`."""

    def __init__(self, *, silent: Iterable[str]) -> None:
        self._permits = {mirror: threading.Semaphore(0) for mirror in silent}
        self._noted = threading.Condition()
        self._asked: list[tuple[str | None, str]] = []

    def resolve(self, request: ResolutionRequest) -> Resolved:
        self._take(request.origin.mirror, repo=request.origin.repo or "")
        raise Refusal(Reason.REPOSITORY_NOT_FOUND, "no such repository")

    def poll(self, question: BranchQuestion) -> Polled:
        self._take(question.branch.mirror, repo=question.branch.repo)
        return Polled(commit="a" * 40, etag=None)

    def asked_of(self, mirror: str | None) -> list[str]:
        with self._noted:
            return [repo for asked, repo in self._asked if asked == mirror]

    async def wait_until_asked(self, mirror: str | None, *, times: int) -> None:
        def wait() -> bool:
            with self._noted:
                return self._noted.wait_for(lambda: [hub for hub, _ in self._asked].count(mirror) >= times, timeout=10)

        assert await asyncio.to_thread(wait), f"asked only {self.asked_of(mirror)}"

    def answer(self, mirror: str, *, times: int) -> None:
        self._permits[mirror].release(times)

    def answer_all(self) -> None:
        for mirror in self._permits:
            self.answer(mirror, times=100)

    def _take(self, mirror: str | None, *, repo: str) -> None:
        with self._noted:
            self._asked.append((mirror, repo))
            self._noted.notify_all()
        if mirror in self._permits:
            self._permits[mirror].acquire(timeout=30)


@contextmanager
def asking(hubs: Hubs, *, mirrors: Iterable[str]) -> Iterator[ThreadedAsk[ResolutionRequest, Resolved]]:
    threaded = ThreadedAsk(hubs.resolve, hub_of=name_hub, mirrors=mirrors)
    try:
        yield threaded
    finally:
        hubs.answer_all()
        threaded.close()


async def test_what_the_question_raises_arrives() -> None:
    def ask(request: ResolutionRequest) -> Resolved:
        raise Unavailable(f"{request.origin.repo} cannot be asked")

    threaded = ThreadedAsk(ask, hub_of=name_hub, mirrors=[])
    with pytest.raises(Unavailable, match="acme/tiny"):
        await threaded(request_for())
    threaded.close()


async def test_hubs_that_hang_block_neither_the_loop_nor_closing() -> None:
    hubs = Hubs(silent=["dead", "also dead"])
    with asking(hubs, mirrors=["dead", "also dead"]) as ask:
        questions = [
            asyncio.ensure_future(ask(request_for(mirror=mirror))) for mirror in ("dead", "also dead") for _ in HUNG
        ]
        for mirror in ("dead", "also dead"):
            await hubs.wait_until_asked(mirror, times=THREADS_PER_HUB)
        for question in questions[:4]:
            question.cancel()
        ask.close()
        waiting = [question for number, question in enumerate(questions) if number % len(HUNG) >= THREADS_PER_HUB]
        async with asyncio.timeout(10):
            results = await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.gather(*questions, return_exceptions=True)
    assert {type(result) for result in results} == {asyncio.CancelledError}


@pytest.mark.parametrize("mirror", [None, "corp", "a mirror that nobody configured"])
async def test_eight_models_of_a_mirror_that_hangs_delay_no_model_from_elsewhere(mirror: str | None) -> None:
    hubs, told = Hubs(silent=["dead"]), asyncio.Queue[Key]()
    with asking(hubs, mirrors=["dead", "corp"]) as ask:
        resolver = Resolver(ask, on_change=told.put_nowait)
        for key in HUNG:
            assert resolver.resolution(key, request=request_for(f"acme/{key.name}", mirror="dead")) == InProgress()
        await hubs.wait_until_asked("dead", times=THREADS_PER_HUB)
        request = request_for("acme/healthy", mirror=mirror)
        resolver.resolution(HEALTHY, request=request)
        async with asyncio.timeout(10):
            assert await told.get() == HEALTHY
        assert isinstance(resolver.resolution(HEALTHY, request=request), Refused)
        assert len(hubs.asked_of("dead")) == THREADS_PER_HUB
        await resolver.close()


async def test_however_many_mirrors_hang_the_hubs_branches_are_asked_for() -> None:
    mirrors = [f"dead{number}" for number in range(8)]
    hubs, told, clock = Hubs(silent=mirrors), asyncio.Queue[Key](), ManualClock()
    poll = ThreadedAsk(hubs.poll, hub_of=lambda question: question.branch.mirror, mirrors=mirrors)
    tracker = Tracker(poll, on_change=told.put_nowait, poll_seconds=600.0, clock=clock, jitter=lambda: 0.0)
    try:
        for mirror in mirrors:
            for key in HUNG:
                request = request_for(f"acme/{key.name}", mirror=mirror)
                tracker.head(Key(mirror, key.name), request=request, at_once=False)
        await clock.advance(60)
        for mirror in mirrors:
            await hubs.wait_until_asked(mirror, times=SLOTS)
        tracker.head(HEALTHY, request=request_for("acme/healthy"), at_once=False)
        await clock.advance(60)
        async with asyncio.timeout(10):
            assert await told.get() == HEALTHY
    finally:
        hubs.answer_all()
        await tracker.close()
        poll.close()


async def test_what_waits_for_a_hub_that_hangs_is_asked_in_the_order_in_which_it_came() -> None:
    hubs, repos = Hubs(silent=["slow"]), [f"acme/{key.name}" for key in HUNG]
    with asking(hubs, mirrors=["slow"]) as ask:
        questions = [asyncio.ensure_future(ask(request_for(repo, mirror="slow"))) for repo in repos]
        for times in range(THREADS_PER_HUB, len(repos) + 1):
            await hubs.wait_until_asked("slow", times=times)
            assert set(hubs.asked_of("slow")) == set(repos[:times])
            hubs.answer("slow", times=1)
        hubs.answer_all()
        results = await asyncio.gather(*questions, return_exceptions=True)
    assert {type(result) for result in results} == {Refusal}


async def test_models_deleted_while_their_hub_hangs_make_no_room_for_more_questions_to_it() -> None:
    """The thread that asked for a deleted model waits on: nothing ends a read but its timeout."""
    hubs = Hubs(silent=["dead"])
    with asking(hubs, mirrors=["dead"]) as ask:
        deleted = [asyncio.ensure_future(ask(request_for(f"acme/{key.name}", mirror="dead"))) for key in HUNG]
        await hubs.wait_until_asked("dead", times=THREADS_PER_HUB)
        for question in deleted:
            question.cancel()
        await asyncio.gather(*deleted, return_exceptions=True)
        later = asyncio.ensure_future(ask(request_for("acme/later", mirror="dead")))
        with pytest.raises(Refusal):
            await ask(request_for("acme/healthy"))
        assert len(hubs.asked_of("dead")) == THREADS_PER_HUB
        hubs.answer("dead", times=1)
        await hubs.wait_until_asked("dead", times=THREADS_PER_HUB + 1)
        assert hubs.asked_of("dead")[-1] == "acme/later", "what nobody waits for any more is not asked at all"
        hubs.answer_all()
        await asyncio.gather(later, return_exceptions=True)
