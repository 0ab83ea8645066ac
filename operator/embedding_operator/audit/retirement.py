"""Tells pods that the Service has left to end their clients' connections.

A client that keeps its connection stays with the pod that it once reached, whatever the Service selects since. A pod
that retires says `Connection: close` on every response, so that such a client connects anew, to the new pods. One that
cannot be told within `GIVE_UP_SECONDS` counts as told: it ends its connections when it is stopped.

What was told is forgotten with the pod, and by a restart of the operator: telling it again does no harm.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from embedding_operator.audit.client import PodUnreachable, RouteUnknown
from embedding_operator.clock import Clock, MonotonicClock
from embedding_operator.observe.facts import Key, PodRef

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0
# A move to another space waits for this long at most, for a pod that does not answer.
GIVE_UP_SECONDS: Final = 10.0
PARALLEL: Final = 16


class RetireCall(Protocol):
    """The pod client, or one of a test."""

    async def retire(self, ip: str) -> None:
        """Raises PodUnreachable."""


@dataclass
class _Pod:
    ref: PodRef
    round: int
    is_retired: bool = False
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
        """One reconcile of `key`; when it ends without an error, pods that it did not ask about are forgotten."""
        self._rounds[key] = self._rounds.get(key, 0) + 1
        yield
        kept = False
        for place, pod in list(self._pods.items()):
            if pod.ref.key == key and pod.round == self._rounds[key]:
                kept = True
            elif pod.ref.key == key:
                self._forget(place)
        if not kept:
            del self._rounds[key]

    def is_retired(self, pod: PodRef) -> bool:
        known = self._pods.get((pod.uid, pod.starts))
        if known is None:
            return False
        known.round = self._rounds.get(pod.key, 0)
        return known.is_retired

    def request(self, pod: PodRef) -> None:
        """Tell the pod, once; a pod without an address has no clients."""
        place = (pod.uid, pod.starts)
        if place not in self._pods:
            known = self._pods[place] = _Pod(ref=pod, round=self._rounds.get(pod.key, 0))
            known.task = asyncio.get_running_loop().create_task(self._tell(known), name=f"retire {pod.name}")

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
        until = self._clock.monotonic() + GIVE_UP_SECONDS
        while pod.ref.ip:
            try:
                async with self._slots:
                    await self._client.retire(pod.ref.ip)
                break
            except RouteUnknown as error:  # of an older version
                logger.info("%s: pod %s cannot retire: %s", pod.ref.key, pod.ref.name, error)
                break
            except PodUnreachable as error:
                if self._clock.monotonic() >= until:
                    logger.warning("%s: pod %s was not told to retire: %s", pod.ref.key, pod.ref.name, error)
                    break
            await self._clock.sleep(RETRY_SECONDS)
        pod.is_retired = True
        self._on_change(pod.ref.key)
