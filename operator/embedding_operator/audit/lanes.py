"""How many questions of each kind are under way at the same time: over all pods, and over those of one namespace.

Pods that answer slowly, or not at all, hold up no other tenant, and a trial, which may take minutes, no other kind.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

from embedding_operator.audit.pod_record import Topic

PARALLEL: Final = 16
PARALLEL_IN_NAMESPACE: Final = 4
# More for audits: of 2000 pods every minute there are 33 a second, and each waits for its pod nearly all the time.
PARALLEL_AUDITS: Final = 64
PARALLEL_AUDITS_IN_NAMESPACE: Final = 16
# Pods stay shut while they wait for their first: those of a few namespaces that answer nothing must not fill it.
PARALLEL_FIRST_AUDITS: Final = 256
# More still: pods that answer nothing (3 s each) must not keep the others waiting for so long that those open alone.
PARALLEL_CONTACTS: Final = 256
PARALLEL_CONTACTS_IN_NAMESPACE: Final = 64


class Lanes:
    """One event loop."""

    def __init__(self) -> None:
        self._slots = {topic: asyncio.Semaphore(_limits(topic)[0]) for topic in Topic}
        self._slots_of: WeakValueDictionary[tuple[str, Topic], asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def place(self, *, namespace: str, topic: Topic) -> AsyncIterator[None]:
        """Entered once there is one for a question of this kind."""
        async with self._slots_in(namespace, topic), self._slots[topic]:
            yield

    def _slots_in(self, namespace: str, topic: Topic) -> asyncio.Semaphore:
        """Kept as long as somebody waits for it or holds it."""
        place = (namespace, topic)
        slots = self._slots_of.get(place)
        if slots is None:
            slots = self._slots_of[place] = asyncio.Semaphore(_limits(topic)[1])
        return slots


def _limits(topic: Topic) -> tuple[int, int]:
    """Slots of all, and of one namespace."""
    if topic is Topic.AUDIT:
        return PARALLEL_AUDITS, PARALLEL_AUDITS_IN_NAMESPACE
    if topic is Topic.FIRST_AUDIT:
        return PARALLEL_FIRST_AUDITS, PARALLEL_AUDITS_IN_NAMESPACE
    if topic is Topic.CONTACT:
        return PARALLEL_CONTACTS, PARALLEL_CONTACTS_IN_NAMESPACE
    return PARALLEL, PARALLEL_IN_NAMESPACE
