"""Asking one pod one kind of question again and again, in the background, and what is said when it does not answer."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from embedding_operator.audit.client import PodUnreachable
from embedding_operator.audit.contacts import Contacts
from embedding_operator.audit.lanes import Lanes
from embedding_operator.audit.pod_record import Failure, PodRecord, Topic
from embedding_operator.clock import Clock, backoff
from embedding_operator.observe.facts import Key, PodRef

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0
MAX_UNREACHABLE_SECONDS: Final = 15.0
# A trial that failed is asked again this often: what failed it may have passed.
FAILED_TRIAL_SECONDS: Final = 300.0
# What shortens a pod's rest between audits, that it has closed or that another one failed, is seen this soon.
LOOK_SECONDS: Final = 60.0
# A pod that cannot be asked for so long is reported: before, it may be starting, or the network may be slow.
SILENT_SECONDS: Final = 30.0

Ask = Callable[[], Awaitable[float | None]]


class Pursuit:
    """`on_change` gets the key of a model of which a pod has become silent, or answers again; `contact` tells a pod
    that the operator is there. One event loop.
    """

    def __init__(
        self,
        *,
        on_change: Callable[[Key], None],
        contact: Callable[[PodRef], Awaitable[None]],
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._on_change = on_change
        self._clock = clock
        self._jitter = jitter
        self._lanes = Lanes()
        self._contacts = Contacts(contact, lanes=self._lanes, clock=clock, jitter=jitter)

    def start(self, pod: PodRecord, topic: Topic, ask: Ask) -> None:
        """Once the pod has an address; does nothing when the question is pursued already.

        `ask` says after how many seconds to ask again; None once the question is settled.
        """
        if pod.ref.ip and topic not in pod.tasks:
            loop = asyncio.get_running_loop()
            pod.tasks[topic] = loop.create_task(self._repeat(pod, topic, ask), name=f"{topic} of {pod.ref.name}")

    def hurry(self, pod: PodRecord, topic: Topic) -> None:
        """End a wait for the next question, which `start` then asks; one that is under way goes on."""
        if topic not in pod.asking and (task := pod.tasks.pop(topic, None)):
            task.cancel()

    def drop(self, pod: PodRecord, topic: Topic) -> None:
        pod.failures.pop(topic, None)
        if topic is Topic.AUDIT:
            pod.undelivered = None
        if task := pod.tasks.pop(topic, None):
            task.cancel()

    async def _repeat(self, pod: PodRecord, topic: Topic, ask: Ask) -> None:
        """Ask until the question is settled, waiting as long as the answer says; unreachable pods back off."""
        attempts = 0
        while True:
            try:
                async with self._place(pod, topic):
                    seconds = await _ask(pod, topic, ask)
                attempts = 0
                self._note_answer(pod, topic)
                if seconds is None:
                    pod.tasks.pop(topic, None)
                    return
            except PodUnreachable as error:
                attempts += 1
                limit = FAILED_TRIAL_SECONDS if topic is Topic.TRIAL else MAX_UNREACHABLE_SECONDS
                seconds = backoff(attempts, first=RETRY_SECONDS, limit=limit, jitter=self._jitter)
                self._note_failure(pod, topic, words=str(error))
            except Exception as error:
                attempts += 1
                seconds = MAX_UNREACHABLE_SECONDS
                logger.error("%s: unexpected error while asking pod %s", pod.ref.key, pod.ref.name, exc_info=error)
            await self._clock.sleep(seconds)
            if topic is Topic.AUDIT:
                await self._rest(pod)

    async def _rest(self, pod: PodRecord) -> None:
        """Until the pod's audits are paid for; a verdict that is to be delivered costs it nothing."""
        while pod.undelivered is None and (left := pod.rest(now=self._clock.monotonic())) > 0:
            await self._clock.sleep(min(left, LOOK_SECONDS))

    @asynccontextmanager
    async def _place(self, pod: PodRecord, topic: Topic) -> AsyncIterator[None]:
        """Entered at the question's turn. Whoever waits for an audit hears meanwhile that it is coming, and no longer:
        where audits fail by themselves the pod must be able to open alone.
        """
        lane = Topic.FIRST_AUDIT if topic is Topic.AUDIT and pod.audit_report is None else topic
        place = self._lanes.place(namespace=pod.ref.key.namespace, topic=lane)
        if topic is not Topic.AUDIT:
            async with place:
                yield
            return
        async with AsyncExitStack() as held:
            async with self._contacts.kept(pod):
                await held.enter_async_context(place)
            yield

    def _note_answer(self, pod: PodRecord, topic: Topic) -> None:
        failure = pod.failures.pop(topic, None)
        if failure is not None and failure.is_told:
            self._on_change(pod.ref.key)

    def _note_failure(self, pod: PodRecord, topic: Topic, *, words: str) -> None:
        """Tell the model once, when a running pod has been silent for long."""
        now = self._clock.monotonic()
        failure = pod.failures.setdefault(topic, Failure(since=now, words=words))
        failure.words = words
        if not pod.ref.is_running or failure.is_told or now - failure.since < SILENT_SECONDS:
            logger.debug("%s: pod %s: %s", pod.ref.key, pod.ref.name, words)
            return
        failure.is_told = True
        logger.warning("%s: pod %s cannot be asked: %s", pod.ref.key, pod.ref.name, words)
        self._on_change(pod.ref.key)


async def _ask(pod: PodRecord, topic: Topic, ask: Ask) -> float | None:
    pod.asking.add(topic)
    try:
        return await ask()
    finally:
        pod.asking.discard(topic)
