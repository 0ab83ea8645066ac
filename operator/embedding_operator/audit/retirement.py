"""Tells pods that the Service has left to end their clients' connections, and those that it comes back to to go on.

A client that keeps its connection stays with the pod that it once reached, whatever the Service selects since. A pod
that retires says `Connection: close` on every response, so that such a client connects anew, to the new pods. One that
cannot be told within `GIVE_UP_SECONDS` counts as told: it ends its connections when it is stopped. A pod that is to
serve again is told so until it hears it; nobody waits for that.

An order names the process that it is for: the address may be another pod's by now. What was told is forgotten with the
pod, and by a restart of the operator; pods say in their reports what they do.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from embedding_model.ports import RetireOrder
from embedding_operator.audit.client import PodUnreachable, RouteUnknown
from embedding_operator.clock import Clock, MonotonicClock, backoff
from embedding_operator.observe.facts import Key, PodRef

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0
# A move to another space waits for this long at most, for a pod that does not answer.
GIVE_UP_SECONDS: Final = 10.0
MAX_RECALL_SECONDS: Final = 15.0  # between two tries to tell a pod that it serves again
PARALLEL: Final = 16


class RetireCall(Protocol):
    """The pod client, or one of a test."""

    async def retire(self, pod: PodRef, *, order: RetireOrder) -> None:
        """Raises PodUnreachable."""


@dataclass
class _Pod:
    """What one start of a pod was told last, or is being told (`task`). `boot_id` is None as long as nobody knows it.
    `round`: the last reconcile that looked at the pod; `asked_round`: the last that requested this."""

    ref: PodRef
    boot_id: str | None
    retires: bool
    round: int
    asked_round: int
    is_told: bool = False
    task: asyncio.Task[None] | None = None


class Retirement:
    """`on_change` gets the key of a model when one of its pods has been told. One event loop."""

    def __init__(self, client: RetireCall, *, on_change: Callable[[Key], None], clock: Clock | None = None) -> None:
        self._client = client
        self._on_change = on_change
        self._clock = clock or MonotonicClock()
        self._pods: dict[tuple[str, int], _Pod] = {}
        self._rounds: dict[Key, int] = {}
        self._slots = asyncio.Semaphore(PARALLEL)

    @contextmanager
    def round_of(self, key: Key) -> Iterator[None]:
        """One reconcile of `key`; when it ends without an error, pods that it did not ask about are forgotten, and
        what it did not request is no longer tried."""
        self._rounds[key] = self._rounds.get(key, 0) + 1
        yield
        kept = False
        for place, pod in list(self._pods.items()):
            if pod.ref.key != key:
                continue
            is_wanted = pod.is_told or pod.asked_round == self._rounds[key]
            if pod.round == self._rounds[key] and is_wanted:
                kept = True
            else:
                self._forget(place)
        if not kept:
            del self._rounds[key]

    def is_retired(self, pod: PodRef) -> bool | None:
        """None where the pod was told nothing."""
        known = self._pods.get((pod.uid, pod.starts))
        if known is None:
            return None
        known.round = self._rounds.get(pod.key, 0)
        return known.retires == known.is_told

    def request(self, pod: PodRef, *, boot_id: str | None, retires: bool) -> None:
        """Tell the process, once; a pod without an address has no clients."""
        place = (pod.uid, pod.starts)
        known = self._pods.get(place)
        if known is not None and (known.retires != retires or _is_another(known, boot_id=boot_id)):
            self._forget(place)
            known = None
        if known is None:
            known = self._pods[place] = _Pod(ref=pod, boot_id=boot_id, retires=retires, round=0, asked_round=0)
            known.task = asyncio.get_running_loop().create_task(self._tell(known), name=f"retire {pod.name}")
        known.ref, known.boot_id = pod, boot_id or known.boot_id
        known.round = known.asked_round = self._rounds.get(pod.key, 0)

    async def close(self) -> None:
        tasks = [pod.task for pod in self._pods.values() if pod.task]
        for place in list(self._pods):
            self._forget(place)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, place: tuple[str, int]) -> None:
        pod = self._pods.pop(place)
        if pod.task:
            pod.task.cancel()

    async def _tell(self, pod: _Pod) -> None:
        """`boot_id` may become known, or another one, meanwhile."""
        until, attempts = self._clock.monotonic() + GIVE_UP_SECONDS, 0
        while pod.ref.ip:
            words = "it has not said which process it is"
            try:
                if pod.boot_id is not None:
                    async with self._slots:
                        order = RetireOrder(boot_id=pod.boot_id, retired=pod.retires)
                        await self._client.retire(pod.ref, order=order)
                    break
            except RouteUnknown as error:  # of an older version
                logger.info("%s: pod %s cannot retire: %s", pod.ref.key, pod.ref.name, error)
                break
            except PodUnreachable as error:
                words = str(error)
            if pod.retires and self._clock.monotonic() >= until:
                logger.warning("%s: pod %s was not told to retire: %s", pod.ref.key, pod.ref.name, words)
                break
            attempts += 1
            limit = RETRY_SECONDS if pod.retires else MAX_RECALL_SECONDS
            await self._clock.sleep(backoff(attempts, first=RETRY_SECONDS, limit=limit, jitter=lambda: 0.0))
        pod.is_told = True
        self._on_change(pod.ref.key)


def _is_another(known: _Pod, *, boot_id: str | None) -> bool:
    """Whether what was told was told to a process that is gone."""
    return known.is_told and None not in (known.boot_id, boot_id) and known.boot_id != boot_id
