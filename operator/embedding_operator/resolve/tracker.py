"""Where tracked branches stand: each asked for regularly, once for all models that track it.

    how often     every poll interval, 20 % more or less by chance; the first time spread over a whole interval
    how many      one question a second to one hub, however many branches are tracked there; further ones queue, as
                  they do while it leaves SLOTS questions unanswered
    hub is busy   its Retry-After holds for every question to it; failures in a row wait longer and longer
    asked anew    (the annotation requestedAt) the branch is asked at once, in the hub's queue

What is known of a branch counts for a model only from the first answer after the model began to track it: an older one
may be older than the commit that the model was just resolved to.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from embedding_model.refusal import Refusal, RefusalDocument, Unavailable
from embedding_model.sources.polling import Polled
from embedding_operator.clock import Clock, MonotonicClock, backoff
from embedding_operator.observe.facts import Head, Key, ResolutionRequest

logger = logging.getLogger(__name__)

SECONDS_BETWEEN: Final = 1.1  # under one question a second
# Questions to one hub that wait for its answer, fewer than it has threads: a hub that hangs does not get all that piled
# up at once when it is well again.
SLOTS: Final = 2
JITTER: Final = 0.2
MAX_BACKOFF_SECONDS: Final = 3600.0
MAX_RETRY_AFTER_SECONDS: Final = 900.0  # as for resolutions


@dataclass(frozen=True)
class Branch:
    repo: str
    revision: str
    mirror: str | None


@dataclass(frozen=True)
class BranchQuestion:
    """`etag` of the last answer, so that the hub can say "as before" in a few bytes."""

    branch: Branch
    etag: str | None


@dataclass
class _Lane:
    """The queue in front of one hub. Times are of the clock."""

    free_at: float = 0.0
    closed_until: float = 0.0
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SLOTS))


@dataclass
class _Model:
    """`wanted`: the requestedAt that the branch is to be asked for, `answered`: the last one that it was."""

    is_answered: bool = False
    wanted: str | None = None
    answered: str | None = None


@dataclass
class _Entry:
    branch: Branch
    models: dict[Key, _Model] = field(default_factory=dict)
    commit: str | None = None
    refusal: RefusalDocument | None = None
    seen_at: datetime | None = None
    etag: str | None = None
    is_urgent: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def head(self, model: _Model) -> Head | None:
        if not model.is_answered or self.seen_at is None:
            return None
        commit = None if self.refusal else self.commit
        return Head(commit=commit, seen_at=self.seen_at, refusal=self.refusal, requested_at=model.answered)


class Tracker:
    """See the module's docstring. `poll` raises Refusal or Unavailable; `on_change` gets a key to reconcile.

    `on_result` gets a word per question: Moved (also when first seen), Unchanged, Refused, Unavailable or Error.
    Use from one event loop.
    """

    def __init__(
        self,
        poll: Callable[[BranchQuestion], Awaitable[Polled]],
        *,
        on_change: Callable[[Key], None],
        poll_seconds: float,
        clock: Clock | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
        on_result: Callable[[str], None] = lambda result: None,
    ) -> None:
        self._poll = poll
        self._on_result = on_result
        self._on_change = on_change
        self._poll_seconds = poll_seconds
        self._clock = clock or MonotonicClock()
        self._now = now
        self._jitter = jitter
        self._entries: dict[Branch, _Entry] = {}
        self._branch_of: dict[Key, Branch] = {}
        self._lanes: dict[str | None, _Lane] = {}
        self._asking: set[Key] = set()  # asked in the round under way

    @contextmanager
    def round_of(self, key: Key) -> Iterator[None]:
        """One reconcile of `key`; when it ends without an error and has not asked, `key` tracks nothing any more."""
        self._asking.discard(key)
        yield
        if key not in self._asking:
            self._leave(key)
        self._asking.discard(key)

    def head(self, key: Key, *, request: ResolutionRequest, at_once: bool) -> Head | None:
        """Where the branch of `request` stands; starts asking when it is new. Never waits, never raises."""
        self._asking.add(key)
        origin = request.origin
        branch = Branch(repo=origin.repo or "", revision=origin.requested or "", mirror=origin.mirror)
        if self._branch_of.get(key) != branch:
            self._leave(key)
            self._branch_of[key] = branch
        entry = self._entries.get(branch)
        if entry is None:
            entry = self._entries[branch] = _Entry(branch)
            entry.task = asyncio.get_running_loop().create_task(self._follow(entry), name=f"track {branch.repo}")
        model = entry.models.setdefault(key, _Model())
        asked = request.requested_at
        if at_once and asked not in (model.wanted, model.answered):
            model.wanted = asked
            entry.is_urgent.set()
        return entry.head(model)

    async def close(self) -> None:
        """Stop asking."""
        tasks = [entry.task for entry in self._entries.values() if entry.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _leave(self, key: Key) -> None:
        branch = self._branch_of.pop(key, None)
        entry = self._entries.get(branch) if branch else None
        if entry is None:
            return
        entry.models.pop(key, None)
        if not entry.models:
            del self._entries[entry.branch]
            if entry.task is not None:
                entry.task.cancel()

    async def _follow(self, entry: _Entry) -> None:
        failures = 0
        await self._wait(entry, seconds=self._poll_seconds * self._jitter())
        while True:
            lane = self._lanes.setdefault(entry.branch.mirror, _Lane())
            async with lane.slots:
                await self._take_turn(lane)
                entry.is_urgent.clear()
                failures = 0 if await self._ask(entry) else failures + 1
            await self._wait(entry, seconds=self._choose_pause(failures))

    def _choose_pause(self, failures: int) -> float:
        if failures:
            longest = max(MAX_BACKOFF_SECONDS, self._poll_seconds)
            return backoff(failures, first=self._poll_seconds, limit=longest, jitter=self._jitter)
        return self._poll_seconds * (1.0 + JITTER * (2.0 * self._jitter() - 1.0))

    async def _wait(self, entry: _Entry, *, seconds: float) -> None:
        """So long, or until a user asks."""
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        urgent = asyncio.ensure_future(entry.is_urgent.wait())
        try:
            await asyncio.wait({sleeping, urgent}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            urgent.cancel()

    async def _take_turn(self, lane: _Lane) -> None:
        while True:
            now = self._clock.monotonic()
            turn = max(now, lane.free_at, lane.closed_until)
            lane.free_at = turn + SECONDS_BETWEEN
            if turn > now:
                await self._clock.sleep(turn - now)
            if self._clock.monotonic() >= lane.closed_until:
                return

    async def _ask(self, entry: _Entry) -> bool:
        """One question; whether the hub had an answer to it, be it a refusal."""
        before = {key: entry.head(model) for key, model in entry.models.items()}
        wanted = {key: model.wanted for key, model in entry.models.items()}
        question = BranchQuestion(entry.branch, etag=entry.etag)
        try:
            is_moved = self._note_commit(entry, polled=await self._poll(question))
            self._on_result("Moved" if is_moved else "Unchanged")
        except Refusal as refusal:
            self._note_refusal(entry, document=refusal.document())
            self._on_result("Refused")
        except Unavailable as unavailable:
            self._on_result("Unavailable")
            self._close_lane(entry, seconds=unavailable.retry_after)
            logger.warning("branch %s of %s: %s", entry.branch.revision, entry.branch.repo, unavailable.message)
            return False
        except Exception as error:
            self._on_result("Error")
            logger.error("unexpected error while tracking %s", entry.branch.repo, exc_info=error)
            return False
        for key, head in before.items():
            model = entry.models.get(key)
            if model is None:
                continue
            model.is_answered = True
            model.answered = wanted[key] or model.answered
            if model.wanted == wanted[key]:
                model.wanted = None
            if entry.head(model) != head:
                self._on_change(key)
        return True

    def _note_commit(self, entry: _Entry, *, polled: Polled) -> bool:
        """Whether the branch stands elsewhere now."""
        is_moved = polled.commit is not None and polled.commit != entry.commit
        if is_moved:
            entry.commit, entry.seen_at = polled.commit, self._now()
        entry.etag, entry.refusal = polled.etag, None
        return is_moved

    def _note_refusal(self, entry: _Entry, *, document: RefusalDocument) -> None:
        if entry.refusal != document:
            entry.refusal, entry.seen_at = document, self._now()
        entry.commit = entry.etag = None

    def _close_lane(self, entry: _Entry, *, seconds: float | None) -> None:
        if seconds:
            lane = self._lanes.setdefault(entry.branch.mirror, _Lane())
            lane.closed_until = max(lane.closed_until, self._clock.monotonic() + min(seconds, MAX_RETRY_AFTER_SECONDS))
