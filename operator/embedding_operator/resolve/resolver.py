"""Resolutions in the background: one per request, shared by every model that asks for the same.

    new -> InProgress -> Resolved                      kept; the reconciler persists it in a ConfigMap
                      -> Refused   -> asked again      10 s, 20 s, ... 5 min: a repository may appear, a gate may open
                      -> Retrying  -> asked again      the same, or as long as the hub says (Retry-After)

An answer lives here only until a reconcile has stored it: `round_of` marks one reconcile, and a model whose round did
not ask is no longer interested. So a model that is deleted and made again gets the branch as it is then. A restart
finds the answer in the ConfigMap and does not ask.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from embedding_model.refusal import Refusal, Unavailable
from embedding_operator.clock import Clock, MonotonicClock, backoff
from embedding_operator.observe.facts import (
    InProgress,
    Key,
    Refused,
    Resolution,
    ResolutionRequest,
    Resolved,
    Retrying,
)

logger = logging.getLogger(__name__)

FIRST_RETRY_SECONDS: Final = 10.0
MAX_RETRY_SECONDS: Final = 300.0
# The longest wait that a hub may ask for: a day would leave a model without its files long after the hub is well again.
MAX_RETRY_AFTER_SECONDS: Final = 900.0
# Another model joins an answer that is at most so old; a branch may have moved since.
SHARED_SECONDS: Final = 60.0
# A request that no reconcile has asked about for this long belongs to a model that went
# while nobody watched: several resyncs.
ABANDONED_SECONDS: Final = 3600.0


@dataclass
class _Entry:
    request: ResolutionRequest
    state: Resolution = field(default_factory=InProgress)
    keys: set[Key] = field(default_factory=set)
    asked_at: float = 0.0  # by a reconcile
    answered_at: float = 0.0
    task: asyncio.Task[None] | None = None


class Resolver:
    """See the module's docstring. `ask` raises Refusal or Unavailable; `on_change` gets a key to reconcile.

    Everything new is asked at once: `ask` sees to it that a hub that hangs delays no other (threads.py).
    Use from one event loop.
    """

    def __init__(
        self,
        ask: Callable[[ResolutionRequest], Awaitable[Resolved]],
        *,
        on_change: Callable[[Key], None],
        clock: Clock | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
        on_result: Callable[[str], None] | None = None,
    ) -> None:
        self._ask = ask
        self._on_change = on_change
        self._clock = clock or MonotonicClock()
        self._now = now
        self._jitter = jitter
        self._on_result = on_result
        self._entries: dict[str, _Entry] = {}
        self._question_of: dict[Key, str] = {}
        self._asking: set[Key] = set()  # asked in the round under way

    @contextmanager
    def round_of(self, key: Key) -> Iterator[None]:
        """One reconcile of `key`; when it ends without an error and has not asked, what `key` asked is forgotten."""
        self._asking.discard(key)
        yield
        if key not in self._asking:
            self._leave(key)
        self._asking.discard(key)

    def resolution(self, key: Key, *, request: ResolutionRequest) -> Resolution:
        """What is known of the request now; starts asking when it is new. Never waits, never raises."""
        self._asking.add(key)
        if self._question_of.get(key) != request.question:
            self._leave(key)
        self._question_of[key] = request.question
        entry = self._entries.get(request.question)
        if entry is not None and self._is_outdated(entry, key=key):
            self._drop(entry)
            entry = None
        if entry is None:
            entry = _Entry(request=request)
            self._entries[request.question] = entry
            entry.task = asyncio.get_running_loop().create_task(self._pursue(entry), name=f"resolve for {key}")
        entry.keys.add(key)
        entry.asked_at = self._clock.monotonic()
        return entry.state

    async def close(self) -> None:
        """Stop asking."""
        tasks = [entry.task for entry in self._entries.values() if entry.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _leave(self, key: Key) -> None:
        """The model's spec asks for something else now, its answer is stored, or the model is gone."""
        entry = self._entries.get(self._question_of.pop(key, ""))
        if entry is not None:
            entry.keys.discard(key)
            if not entry.keys:
                self._drop(entry)

    def _is_outdated(self, entry: _Entry, *, key: Key) -> bool:
        """Whether the answer is too old for a model that asks for the first time, or for any."""
        if not isinstance(entry.state, Resolved):
            return False
        age = self._clock.monotonic() - entry.answered_at
        return self._is_abandoned(entry) or (key not in entry.keys and age > SHARED_SECONDS)

    def _drop(self, entry: _Entry) -> None:
        self._entries.pop(entry.request.question, None)
        if entry.task is not None:
            entry.task.cancel()

    async def _pursue(self, entry: _Entry) -> None:
        """Ask until it is resolved, or until nobody wants to know any more."""
        attempt = 0
        while True:
            attempt += 1
            state, retry_after = await self._ask_once(entry, attempt=attempt)
            self._set(entry, state)
            if isinstance(state, Resolved):
                return
            seconds = backoff(attempt, first=FIRST_RETRY_SECONDS, limit=MAX_RETRY_SECONDS, jitter=self._jitter)
            await self._clock.sleep(max(seconds, min(retry_after or 0.0, MAX_RETRY_AFTER_SECONDS)))
            if self._is_abandoned(entry):
                self._abandon(entry)
                return

    async def _ask_once(self, entry: _Entry, *, attempt: int) -> tuple[Resolution, float | None]:
        """The new state, and for how long the hub asks not to be asked."""
        retry_after = None
        try:
            state: Resolution = await self._ask(entry.request)
        except Refusal as refusal:
            state = Refused(refusal=refusal.document())
        except Unavailable as unavailable:
            state, retry_after = self._retrying(entry, unavailable.message, attempt), unavailable.retry_after
        except Exception as error:
            logger.error("unexpected error while resolving %s", entry.request.origin.repo, exc_info=error)
            state = self._retrying(
                entry, f"unexpected error in the operator ({type(error).__name__}), see its log", attempt
            )
        if self._on_result is not None:
            self._on_result(type(state).__name__)
        return state, retry_after

    def _retrying(self, entry: _Entry, message: str, attempt: int) -> Resolution:
        if isinstance(entry.state, Refused):
            return entry.state  # the last real answer says more than "could not ask just now"
        since = entry.state.since if isinstance(entry.state, Retrying) else self._now()
        return Retrying(message=message, since=since, attempts=attempt)

    def _set(self, entry: _Entry, state: Resolution) -> None:
        """Tell the models when there is something to see: the number of attempts is not."""
        before, entry.state = entry.state, state
        entry.answered_at = self._clock.monotonic()
        if isinstance(before, Retrying) and isinstance(state, Retrying) and before.message == state.message:
            return
        if before != state:
            for key in sorted(entry.keys):
                self._on_change(key)

    def _is_abandoned(self, entry: _Entry) -> bool:
        return self._clock.monotonic() - entry.asked_at > ABANDONED_SECONDS

    def _abandon(self, entry: _Entry) -> None:
        self._entries.pop(entry.request.question, None)
        for key in entry.keys:
            if self._question_of.get(key) == entry.request.question:
                del self._question_of[key]
