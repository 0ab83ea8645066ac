"""The process that fetches: an init container, or a person's command. It says how far it is, in its log and, for the
operator, on the private port."""

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from pathlib import Path

from embedding_model.ports import Progress
from embedding_model.refusal import Refusal, Unavailable
from embedding_model.sources.progress import Meter
from embedding_runtime.termination import report_failure
from embedding_runtime.waiting import done_before, in_daemon_thread

logger = logging.getLogger(__name__)

TERMINATED = 128 + signal.SIGTERM  # what a shell says of a process that the signal ended

LOG_SECONDS = 10.0
LOG_SHARE = 0.05
_LOOK_SECONDS = 1.0


async def run_fetch(fetch: Callable[[Meter], None], *, keys: Path | None, host: str, port: int) -> int:
    """Fetch until done or SIGTERM; the exit status, the reason of a failure in the termination message.

    Without `keys` nobody could read the private port, and none is opened. SIGTERM does not wait: what was received is
    continued by the next process.
    """
    meter = Meter()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    try:
        async with _private_port(meter, keys=keys, host=host, port=port):
            with logged(meter):
                fetching = asyncio.create_task(in_daemon_thread(lambda: fetch(meter), name="fetch"))
                if await done_before(stop, task=fetching):
                    return 0
                logger.warning("told to stop before everything was fetched")
                return TERMINATED
    except (Refusal, Unavailable) as error:
        return report_failure(error)


def _private_port(meter: Meter, *, keys: Path | None, host: str, port: int) -> AbstractAsyncContextManager[None]:
    if keys is None:
        return nullcontext()
    from embedding_runtime.progress_port import progress_port  # a server, which a person's fetch does not wait for

    return progress_port(meter, keys=keys, host=host, port=port)


@contextmanager
def logged(meter: Meter) -> Iterator[None]:
    """A line in the log every ten seconds or twentieth of the bytes, whichever comes first, while the block runs."""
    stop = threading.Event()
    log = ProgressLog()

    def watch() -> None:
        while not stop.wait(_LOOK_SECONDS):
            log.look(meter.read(), now=time.monotonic())

    thread = threading.Thread(target=watch, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class ProgressLog:
    """Decides when progress is worth a line. `now` is in seconds, of any clock that only goes forward."""

    def __init__(self) -> None:
        self._time: float | None = None
        self._bytes = 0

    def look(self, progress: Progress, *, now: float) -> None:
        if self._time is None:
            self._time, self._bytes = now, progress.bytes_done
            return
        passed, received = now - self._time, progress.bytes_done - self._bytes
        if (passed < LOG_SECONDS and received < LOG_SHARE * progress.bytes) or not progress.bytes:
            return
        self._time, self._bytes = now, progress.bytes_done
        rate = max(0, received) / passed / 1e6 if passed else 0.0
        logger.info(
            "fetched %.1f of %.1f MB (%d %%), %d of %d files, %.1f MB/s",
            progress.bytes_done / 1e6,
            progress.bytes / 1e6,
            100 * progress.bytes_done // progress.bytes,
            progress.files_done,
            progress.files,
            rate,
        )
