"""Blocking questions in a few threads of their own, awaited from the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

# The hub is asked by this many threads at most; each holds a connection and a few megabytes of headers.
THREADS: Final = 4

_Question = TypeVar("_Question")
_Answer = TypeVar("_Answer")


class ThreadedAsk(Generic[_Question, _Answer]):
    """Call it like the blocking `ask`, and await the answer; it raises what `ask` raises."""

    def __init__(self, ask: Callable[[_Question], _Answer], *, threads: int = THREADS) -> None:
        self._ask = ask
        self._executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="resolve")

    async def __call__(self, question: _Question) -> _Answer:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._ask, question)

    def close(self) -> None:
        """Start nothing more. A thread that waits for a hub is not waited for; the process is about to end."""
        self._executor.shutdown(wait=False, cancel_futures=True)
