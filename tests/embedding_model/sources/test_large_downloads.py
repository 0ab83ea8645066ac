"""A file of 200 MB through everything that goes wrong on the way: the right bytes, or a clear refusal."""

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fetch_on_small_volume
import httpx
import pytest
from large_file_hub import LARGE_BYTES, LargeFileHub, hub_with_large_file

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.sources.access import Access
from embedding_model.sources.destination import FolderDestination
from embedding_model.sources.download import download
from embedding_model.sources.progress import Meter
from embedding_model.sources.reading import hash_in_place
from embedding_model.sources.retries import RetryPolicy
from localcluster.hub.state import Fault, FaultKind

GLOB = "*/model.safetensors"
UNSHARE = ("unshare", "--mount")
FETCH_ON_SMALL_VOLUME = str(Path(fetch_on_small_volume.__file__))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LargeFileHub]:
    folder = tmp_path_factory.mktemp("large")
    with hub_with_large_file(folder) as hub:
        yield hub
    shutil.rmtree(folder)


@pytest.fixture
def hub(served: LargeFileHub) -> Iterator[LargeFileHub]:
    yield served
    served.store.state.clear_faults()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "model"
    shutil.rmtree(tmp_path)  # pytest would keep the last three runs


class Destination(FolderDestination):
    """A folder whose volume says that it has room."""

    def free_bytes(self) -> int:
        return 1 << 60


def fetch(
    hub: LargeFileHub,
    target: Path,
    *,
    attempts: int = 4,
    waits: list[float] | None = None,
    client: httpx.Client | None = None,
    connections: int = 4,
) -> Meter:
    meter, slept = Meter(), [] if waits is None else waits
    download(
        hub.entries,
        origin=hub.origin,
        access=Access(endpoint=hub.url),
        destination=Destination(target),
        meter=meter,
        retry=RetryPolicy(attempts=attempts, sleep=slept.append),
        client=client,
        connections=connections,
    )
    return meter


def assert_whole(hub: LargeFileHub, target: Path) -> None:
    assert hash_in_place(target / hub.large.path) == (hub.large.size, hub.large.sha256)


@contextmanager
def counting() -> Iterator[tuple[httpx.Client, list[str | None]]]:
    """A client, and the ranges that are asked of the large file through it."""
    ranges: list[str | None] = []

    def note(request: httpx.Request) -> None:
        if "/lfs/" in request.url.path:
            ranges.append(request.headers.get("range"))

    with httpx.Client(trust_env=False, timeout=10, event_hooks={"request": [note]}) as client:
        yield client, ranges


def bytes_of(range_header: str | None) -> int:
    if range_header is None:
        return LARGE_BYTES
    start, _, end = range_header.removeprefix("bytes=").partition("-")
    return int(end) + 1 - int(start)


def test_it_comes_in_parts_that_together_are_the_file_once(hub: LargeFileHub, target: Path) -> None:
    with counting() as (client, ranges):
        meter = fetch(hub, target, client=client)

    assert_whole(hub, target)
    assert len(ranges) == 3
    assert sum(map(bytes_of, ranges)) == LARGE_BYTES
    progress = meter.read()
    assert (progress.files, progress.files_done) == (2, 2)
    assert progress.bytes == progress.bytes_done == LARGE_BYTES + 2


@pytest.mark.parametrize("tenth", range(10))
def test_a_cut_at_any_tenth_costs_only_what_had_not_come(hub: LargeFileHub, target: Path, tenth: int) -> None:
    hub.store.state.add_fault(Fault(GLOB, FaultKind.CUT, fraction=tenth / 10, times=1))

    with counting() as (client, ranges):
        meter = fetch(hub, target, client=client)

    assert_whole(hub, target)
    assert len(ranges) == 4
    assert meter.read().bytes_done == LARGE_BYTES + 2


def test_a_connection_that_is_cut_at_every_tenth_still_brings_the_file(hub: LargeFileHub, target: Path) -> None:
    for tenth in range(10):
        hub.store.state.add_fault(Fault(GLOB, FaultKind.CUT, fraction=tenth / 10, times=1))

    fetch(hub, target, connections=1)

    assert_whole(hub, target)
    assert hub.store.state.read().faults[0].times == 0


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.999])
def test_a_wrong_byte_is_fetched_once_more_and_then_right(hub: LargeFileHub, target: Path, fraction: float) -> None:
    hub.store.state.add_fault(Fault(GLOB, FaultKind.FLIP, fraction=fraction, times=1))

    meter = fetch(hub, target)

    assert_whole(hub, target)
    assert meter.read().bytes_done == LARGE_BYTES + 2


def test_a_byte_that_stays_wrong_is_refused_and_nothing_has_the_name(hub: LargeFileHub, target: Path) -> None:
    hub.store.state.add_fault(Fault(GLOB, FaultKind.FLIP))

    with pytest.raises(Refusal, match=hub.large.sha256) as refused:
        fetch(hub, target)

    assert refused.value.reason is Reason.HASH_MISMATCH
    assert not (target / hub.large.path).exists()


@pytest.mark.parametrize("more", [-1, 1, -100_000_000, 100_000_000])
def test_a_file_of_another_size_is_refused_before_its_bytes_come(hub: LargeFileHub, target: Path, more: int) -> None:
    hub.store.state.add_fault(Fault(GLOB, FaultKind.WRONG_SIZE, value=more))

    with pytest.raises(Refusal, match=f"found {LARGE_BYTES + more} bytes") as refused:
        fetch(hub, target)

    assert refused.value.reason is Reason.HASH_MISMATCH
    assert not (target / hub.large.path).exists()


def test_a_server_that_knows_no_parts_sends_the_file_in_one(hub: LargeFileHub, target: Path) -> None:
    hub.store.state.add_fault(Fault(GLOB, FaultKind.NO_RANGE))

    with counting() as (client, ranges):
        fetch(hub, target, client=client)

    assert_whole(hub, target)
    assert len(ranges) == 1


def test_a_server_that_forgets_about_parts_in_between_does_no_harm(hub: LargeFileHub, target: Path) -> None:
    hub.store.state.add_fault(Fault(GLOB, FaultKind.CUT, fraction=0.4, times=1))
    with pytest.raises(Unavailable):
        fetch(hub, target, attempts=1)
    hub.store.state.add_fault(Fault(GLOB, FaultKind.NO_RANGE))

    meter = fetch(hub, target)

    assert_whole(hub, target)
    assert meter.read().bytes_done == LARGE_BYTES + 2


@pytest.mark.parametrize("kind", [FaultKind.TOO_MANY_REQUESTS, FaultKind.UNAVAILABLE])
def test_a_busy_hub_is_asked_again_when_it_says(hub: LargeFileHub, target: Path, kind: FaultKind) -> None:
    hub.store.state.add_fault(Fault(GLOB, kind, value=7, times=5))
    waits: list[float] = []

    fetch(hub, target, waits=waits, attempts=6)

    assert_whole(hub, target)
    assert waits == [7.0] * 5


def test_a_hub_that_stays_busy_is_unavailable_and_says_with_what(hub: LargeFileHub, target: Path) -> None:
    hub.store.state.add_fault(Fault(GLOB, FaultKind.TOO_MANY_REQUESTS))

    with pytest.raises(Unavailable, match="answered 429"):
        fetch(hub, target)


def test_a_connection_that_stalls_is_given_up_and_continued(hub: LargeFileHub, target: Path) -> None:
    hub.store.state.add_fault(Fault(GLOB, FaultKind.STALL, fraction=0.7, times=1))

    with httpx.Client(trust_env=False, timeout=1) as client:
        fetch(hub, target, client=client)

    assert_whole(hub, target)


def test_a_slow_connection_is_waited_for(hub: LargeFileHub, target: Path) -> None:
    hub.store.state.add_fault(Fault(GLOB, FaultKind.SLOW, value=100_000_000, times=1))

    fetch(hub, target)

    assert_whole(hub, target)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel lets this process write no larger file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def own_volumes() -> list[str]:
    """The ways of this machine to give a process a volume of its own: none without the right to mount."""
    tried = subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    return ["tmpfs"] if tried.returncode == 0 else []


@pytest.mark.parametrize("volume", ["file-size limit", *own_volumes()])
def test_a_volume_that_fills_up_on_the_way_is_told_and_continued_when_it_has_room(
    hub: LargeFileHub, target: Path, volume: str
) -> None:
    if volume == "tmpfs":
        target.mkdir()
        documents = [hub.origin.to_json().decode(), hub.large.to_json().decode()]
        said = subprocess.run(
            [*UNSHARE, sys.executable, FETCH_ON_SMALL_VOLUME, str(target), hub.url, *documents],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout.splitlines()
        assert "it is full; give the pod more ephemeral storage, or the volume more room" in said[0]
        assert said[1:] == ["False", str((hub.large.size, hub.large.sha256))]
        return
    with largest_file(100_000_000), pytest.raises(Unavailable, match="does not allow files of that size"):
        fetch(hub, target)
    assert not (target / hub.large.path).exists()

    fetch(hub, target)

    assert_whole(hub, target)


def test_nothing_is_asked_for_twice_after_a_hub_that_went_away(hub: LargeFileHub, target: Path) -> None:
    hub.store.state.add_fault(Fault(GLOB, FaultKind.CUT, fraction=0.1, times=1))
    with pytest.raises(Unavailable):
        fetch(hub, target, attempts=1, connections=1)

    with counting() as (client, ranges):
        meter = fetch(hub, target, client=client)

    assert_whole(hub, target)
    assert sum(map(bytes_of, ranges)) == LARGE_BYTES - int(0.1 * LARGE_BYTES)
    assert meter.read().bytes_done == LARGE_BYTES + 2


Tear = Callable[[Path, Path], None]


def lie(part: Path, journal: Path) -> None:
    """A journal that says more than the file has."""
    journal.write_bytes(b"0 %d\n" % LARGE_BYTES)


def garble(part: Path, journal: Path) -> None:
    journal.write_bytes(journal.read_bytes() + b"\xff\xff nonsense\n12 11\n5 99999999999999\n1 2")


def shorten(part: Path, journal: Path) -> None:
    with part.open("r+b") as file:
        file.truncate(1000)


def zero(part: Path, journal: Path) -> None:
    """What a node that lost its power may leave: the size is there, the bytes are not."""
    size = part.stat().st_size
    with part.open("r+b") as file:
        file.truncate(0)
        file.truncate(size)


@pytest.mark.parametrize("tear", [lie, garble, shorten, zero])
def test_what_a_crash_left_torn_costs_a_download_and_never_gives_a_wrong_file(
    hub: LargeFileHub, target: Path, tear: Tear
) -> None:
    hub.store.state.add_fault(Fault(GLOB, FaultKind.CUT, fraction=0.3, times=1))
    with pytest.raises(Unavailable):
        fetch(hub, target, attempts=1, connections=1)
    [journal] = (target / ".partial").glob("*.journal")
    tear(journal.with_name(journal.name.removesuffix(".journal")), journal)

    meter = fetch(hub, target)

    assert_whole(hub, target)
    assert meter.read().bytes_done == LARGE_BYTES + 2
