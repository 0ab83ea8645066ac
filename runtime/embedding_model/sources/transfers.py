"""The files of one download, and the parts of large ones, side by side over a number of connections.

The first part of a file is asked for alone. Once the server has shown that it can send a part, the others follow; one
that cannot sends the whole file in answer to the first. A file whose hash comes out wrong is fetched once more from the
start: a part that a killed process left may be torn, and a proxy may have answered something of its own.
"""

import functools
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import FileEntry
from embedding_model.sources.destination import Destination
from embedding_model.sources.growing import Gap, GrowingFile, forget
from embedding_model.sources.progress import Meter
from embedding_model.sources.receiving import Receiver, Server, Stopped
from embedding_model.sources.retries import RetryPolicy
from embedding_model.sources.verification import differs
from embedding_model.sources.volume import volume_errors

SMALLEST_PART = 64 * 1024 * 1024  # bytes; each part costs a request, and a redirect, before its first byte
_MOST_PARTS = 64  # of one file
_ROUNDS = 2

_log = logging.getLogger(__name__)

Task = Callable[[], None]


def transfer(
    entries: Iterable[FileEntry],
    *,
    server: Server,
    destination: Destination,
    meter: Meter,
    connections: int,
    retry: RetryPolicy,
    smallest_part: int = SMALLEST_PART,
) -> None:
    """Put every file into its place. Raises Refusal, Unavailable: what kept the first file from it."""
    stop = threading.Event()
    tasks = _Tasks(stop)
    receiver = Receiver(server, retry=retry, meter=meter, stop=stop)
    means = _Means(tasks=tasks, receiver=receiver, destination=destination, meter=meter)
    files = [
        _File(entry, means=means, part_bytes=max(smallest_part, -(-entry.size // _MOST_PARTS)))
        for entry in sorted(entries, key=lambda entry: -entry.size)  # the long file should not start last
    ]
    for file in files:
        tasks.add_file(file.fetch)
    try:
        tasks.run(threads=connections)
    finally:
        for file in files:
            file.let_go()


class _Tasks:
    """What threads do, until no file is left or one has failed."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._changed = threading.Condition()
        self._tasks: deque[Task] = deque()
        self._files = 0
        self._errors: list[BaseException] = []

    def add_file(self, task: Task) -> None:
        self._tasks.append(task)
        self._files += 1

    def add_parts(self, tasks: Iterable[Task]) -> None:
        """Before what waits: the parts of a file that has begun go before the files that have not."""
        with self._changed:
            self._tasks.extendleft(reversed(list(tasks)))
            self._changed.notify_all()

    def finish_file(self) -> None:
        with self._changed:
            self._files -= 1
            self._changed.notify_all()

    def run(self, *, threads: int) -> None:
        """Raises the error that says most when one or more tasks have failed."""
        workers = [
            threading.Thread(target=self._work, name=f"fetch-{number}", daemon=True)
            for number in range(max(1, threads))
        ]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                worker.join()
        finally:
            self._give_up()
        if self._errors:
            raise min(self._errors, key=_rank)

    def _work(self) -> None:
        while (task := self._take()) is not None:
            try:
                task()
            except BaseException as error:  # raised again by `run`, in the caller's thread
                self._errors.append(error)
                self._give_up()

    def _take(self) -> Task | None:
        with self._changed:
            self._changed.wait_for(lambda: self._tasks or not self._files or self._stop.is_set())
            return None if self._stop.is_set() or not self._tasks else self._tasks.popleft()

    def _give_up(self) -> None:
        with self._changed:
            self._stop.set()
            self._changed.notify_all()


@dataclass(frozen=True)
class _Means:
    """What every file of a download uses."""

    tasks: _Tasks
    receiver: Receiver
    destination: Destination
    meter: Meter


class _File:
    """One file: a round, and another where the first came out wrong."""

    def __init__(self, entry: FileEntry, *, means: _Means, part_bytes: int) -> None:
        self.entry = entry
        self.means = means
        self._part_bytes = part_bytes
        self._part: Path | None = None
        self._growing: GrowingFile | None = None
        self._rounds = 0

    def fetch(self) -> None:
        self._part = self.means.destination.part(self.entry)
        self._begin(self._part)

    def finish(self, round_: "_Round", *, wrong: Refusal | None) -> None:
        entry, means = self.entry, self.means
        received = round_.growing.received()
        self._close()
        if wrong is None:
            means.destination.commit(entry, part=round_.part)
            self._part = None
            means.meter.finish()
            _log.info("fetched %s (%d bytes)", entry.path, entry.size)
            means.tasks.finish_file()
            return
        means.meter.lose(received)
        with volume_errors(round_.part.parent):
            forget(round_.part)
        if self._rounds == _ROUNDS:
            raise wrong
        _log.warning("%s came out wrong; fetching it once more from the start", entry.path)
        self._begin(round_.part)

    def let_go(self) -> None:
        """Of what was not finished, when every thread has stopped."""
        self._close()
        if self._part is not None:
            self.means.destination.release(self._part)

    def _begin(self, part: Path) -> None:
        with volume_errors(part.parent):
            self._growing = growing = GrowingFile(part, size=self.entry.size, part_bytes=self._part_bytes)
        received = growing.received()
        self.means.meter.add(received)
        if received:
            _log.info("%s: going on after %d of %d bytes", self.entry.path, received, self.entry.size)
        self._rounds += 1
        _Round(self, part=part, growing=growing).begin()

    def _close(self) -> None:
        growing, self._growing = self._growing, None
        if growing is not None:
            growing.close()


class _Round:
    """One go at a file. Several threads may fill its gaps; the one that leaves the last of them has it judged."""

    def __init__(self, file: _File, *, part: Path, growing: GrowingFile) -> None:
        self.part = part
        self.growing = growing
        self._file = file
        self._entry = file.entry
        self._lock = threading.Lock()
        self._left = 1  # gaps, of those that were given out
        self._spread = False
        self._wrong: Refusal | None = None

    def begin(self) -> None:
        if self.growing.gaps:
            self._fill(self.growing.gaps[0])
        else:
            self._judge()

    def _fill(self, gap: Gap) -> None:
        try:
            if self._wrong is None:
                with volume_errors(self.part.parent):
                    self._file.means.receiver.fill(gap, file=self.growing, entry=self._entry, begun=self._give_out)
        except Refusal as refusal:
            if refusal.reason is not Reason.HASH_MISMATCH:
                raise
            self._wrong = refusal
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._judge()

    def _give_out(self, partial: bool) -> None:
        """With the first answer: have the other gaps filled too, or take all from this one."""
        if self._spread:
            return
        self._spread = True  # no other thread knows of this round yet
        others = self.growing.gaps[1:]
        if partial:
            self._left += len(others)
            self._file.means.tasks.add_parts([functools.partial(self._fill, gap) for gap in others])
        else:
            before = self.growing.received()
            self.growing.join_gaps()
            self._file.means.meter.lose(before - self.growing.received())

    def _judge(self) -> None:
        with volume_errors(self.part.parent):
            found = self.growing.digest() if self._wrong is None else None
        if found is not None and found != self._entry.sha256:
            self._wrong = differs(self._entry, size=self._entry.size, sha256=found)
        self._file.finish(self, wrong=self._wrong)


def _rank(error: BaseException) -> int:
    """A refusal says more than a hub that was down; a file that was given up says nothing."""
    return 0 if isinstance(error, Refusal) else 2 if isinstance(error, Stopped) else 1
