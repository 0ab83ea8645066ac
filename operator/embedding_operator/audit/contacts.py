"""Telling pods whose audit waits for its turn that the operator is there: without a word from it they open alone."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from embedding_operator.audit.client import PodUnreachable
from embedding_operator.audit.lanes import Lanes
from embedding_operator.audit.pod_record import PodRecord, Topic
from embedding_operator.clock import Clock, backoff
from embedding_operator.observe.facts import PodRef

logger = logging.getLogger(__name__)

# A pod opens alone 10 s after it last heard of us: one word may get lost.
INTERVAL_SECONDS: Final = 4.0
RETRY_SECONDS: Final = 1.0
# Of a pod that cannot be reached: it opens alone, as it would without an operator.
MAX_RETRY_SECONDS: Final = 15.0
# Pods that answer nothing hold places for a minute each. Nobody else's pod stays shut for them for longer than this.
LONGEST_SECONDS: Final = 300.0


class Contacts:
    """`contact` says it to one pod, and raises PodUnreachable. One event loop."""

    def __init__(
        self,
        contact: Callable[[PodRef], Awaitable[None]],
        *,
        lanes: Lanes,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._contact = contact
        self._lanes = lanes
        self._clock = clock
        self._jitter = jitter

    @asynccontextmanager
    async def kept(self, pod: PodRecord) -> AsyncIterator[None]:
        """Until it is left, or LONGEST_SECONDS have passed, the pod hears of us. One that is ready need not: it is
        open, and stays so."""
        task = asyncio.create_task(self._repeat(pod), name=f"contact with {pod.ref.name}")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _repeat(self, pod: PodRecord) -> None:
        failures, until = 0, self._clock.monotonic() + LONGEST_SECONDS
        while self._clock.monotonic() < until:
            try:
                if not pod.ref.is_ready:
                    async with self._lanes.place(namespace=pod.ref.key.namespace, topic=Topic.CONTACT):
                        await self._contact(pod.ref)
                failures, seconds = 0, INTERVAL_SECONDS
            except PodUnreachable as error:
                failures += 1
                seconds = backoff(failures, first=RETRY_SECONDS, limit=MAX_RETRY_SECONDS, jitter=self._jitter)
                logger.debug("%s: pod %s: %s", pod.ref.key, pod.ref.name, error)
            except Exception as error:
                seconds = MAX_RETRY_SECONDS
                logger.error("%s: unexpected error while pod %s waits", pod.ref.key, pod.ref.name, exc_info=error)
            await self._clock.sleep(seconds)
