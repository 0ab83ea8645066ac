"""Blocking questions to hubs, awaited from the event loop.

Each hub has a few threads and a queue of its own, so one that takes connections and never answers delays what is asked
of itself and nothing else. A question that is cancelled keeps its thread until the hub answers or its time is up: it
makes no room for further ones to a hub that hangs. A cancelled question that still waits is not asked.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

# A few, so that one slow repository does not hold up the others of its hub. Each holds a connection and a few megabytes
# of headers. The administrator's mirrors bound their number, and one starts only when there is something to ask.
THREADS_PER_HUB: Final = 4

_Question = TypeVar("_Question")
_Answer = TypeVar("_Answer")


class ThreadedAsk(Generic[_Question, _Answer]):
    """Call it like the blocking `ask`, and await the answer; it raises what `ask` raises.

    `mirrors` are the hubs beside the main one; `hub_of` says which of them a question goes to, None being the main one.
    """

    def __init__(
        self,
        ask: Callable[[_Question], _Answer],
        *,
        hub_of: Callable[[_Question], str | None],
        mirrors: Iterable[str],
    ) -> None:
        self._ask = ask
        self._hub_of = hub_of
        self._executors = {hub: _make_executor(hub or "the hub") for hub in (None, *mirrors)}
        # Users name mirrors: names that are not configured, which `ask` refuses without a connection, share threads.
        self._unknown = _make_executor("unknown mirrors")

    async def __call__(self, question: _Question) -> _Answer:
        executor = self._executors.get(self._hub_of(question), self._unknown)
        return await asyncio.get_running_loop().run_in_executor(executor, self._ask, question)

    def close(self) -> None:
        """Start nothing more. A thread that waits for a hub is not waited for; the process is about to end."""
        for executor in (*self._executors.values(), self._unknown):
            executor.shutdown(wait=False, cancel_futures=True)


def _make_executor(hub: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=THREADS_PER_HUB, thread_name_prefix=f"ask {hub}")
