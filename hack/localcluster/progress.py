"""Progress lines on standard error: what runs, how long it usually takes, how long it took."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Protocol

from localcluster.errors import TookTooLong

HEARTBEAT_SECONDS = 30.0


class Task(Protocol):
    """A step without arguments."""

    def __call__(self) -> object: ...


def say(message: str) -> None:
    """Write one progress line."""
    print(message, file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(name: str, *, usually: str) -> Iterator[None]:
    """Announce a step, repeat that it still runs every 30 s, and say how long it took."""
    started = time.monotonic()
    say(f"  {name} (usually {usually}) ...")
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            say(f"  {name}: {time.monotonic() - started:.0f} s of about {usually}")

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    except BaseException:
        say(f"  {name}: failed after {time.monotonic() - started:.1f} s")
        raise
    finally:
        ended.set()
        reporter.join()
    say(f"  {name}: done in {time.monotonic() - started:.1f} s")


def run_side_by_side(*tasks: Task) -> None:
    """Run the tasks at the same time; the first failure is raised once the others have ended."""
    with ThreadPoolExecutor(max_workers=max(1, len(tasks))) as pool:
        futures: list[Future[object]] = [pool.submit(task) for task in tasks]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in [*done, *futures]:
        future.result()


def wait_until(condition: Task, *, what: str, deadline_seconds: float, interval_seconds: float = 0.1) -> None:
    """Call ``condition`` until it answers something true.

    Raises TookTooLong, naming ``what``, when it has not within ``deadline_seconds``.
    """
    end = time.monotonic() + deadline_seconds
    while not condition():
        if time.monotonic() > end:
            raise TookTooLong(f"{what}: not within {deadline_seconds:.0f} s")
        time.sleep(interval_seconds)
