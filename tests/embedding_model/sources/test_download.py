"""Verified download: whatever happens on the way, a file that has its name is right."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from hub_in_process import REPO, Hub
from small_model import LOADED, small_model_files

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import (
    FileEntry,
    Inspection,
    Manifest,
    Origin,
    Pooling,
    ResolvedModel,
    Serving,
    SourceKind,
    Task,
    Weights,
)
from embedding_model.sources.access import Access
from embedding_model.sources.destination import PARTIAL, FolderDestination
from embedding_model.sources.download import download as download_entries
from embedding_model.sources.hub import HubSource
from embedding_model.sources.manifest import build_manifest
from embedding_model.sources.progress import Meter
from embedding_model.sources.retries import RetryPolicy
from embedding_model.sources.selection import select
from embedding_model.sources.verification import verify
from localcluster.hub.state import Fault, FaultKind

FILES = small_model_files()
WEIGHTS = FILES["model.safetensors"]


class Sleeper:
    """Notes the waits instead of waiting."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def resolved(hub: Hub) -> ResolvedModel:
    with HubSource.resolve(access=Access(endpoint=hub.url), repo=REPO, revision="main") as source:
        return resolved_model(source.origin, manifest=build_manifest(source, paths=select(source)))


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=10) as client:
        yield client


def resolved_model(origin: Origin, *, manifest: Manifest) -> ResolvedModel:
    inspection = Inspection(
        task=Task.EMBEDDING,
        architecture="BertModel",
        family="bert",
        pooling=Pooling.MEAN,
        normalize=True,
        dimensions=64,
        max_input_tokens=128,
        positions=512,
        weights=Weights(bytes=len(WEIGHTS), files=1, parameters=1),
    )
    serving = Serving(
        task=Task.EMBEDDING,
        pooling=Pooling.MEAN,
        include_prompt=True,
        normalize=True,
        dimensions=64,
        model_dimensions=64,
        max_input_tokens=128,
        lowercase=False,
    )
    return ResolvedModel(
        origin=origin, manifest=manifest, inspection=inspection, serving=serving, space="sp1-" + "0" * 32
    )


def download(
    hub: Hub,
    resolved: ResolvedModel,
    target: Path,
    sleeper: Callable[[float], None] | None,
    *,
    attempts: int = 4,
    client: httpx.Client | None = None,
    connections: int = 4,
) -> Meter:
    """As the fetch command does for a folder."""
    destination, meter = FolderDestination(target), Meter()
    download_entries(
        resolved.manifest.files,
        origin=resolved.origin,
        access=Access(endpoint=hub.url),
        destination=destination,
        meter=meter,
        retry=RetryPolicy(attempts=attempts, sleep=sleeper),
        client=client,
        connections=connections,
    )
    destination.tidy()
    return meter


def start_of(range_header: str) -> int:
    return int(range_header.removeprefix("bytes=").partition("-")[0])


def contents(target: Path) -> dict[str, bytes]:
    return {
        file.relative_to(target).as_posix(): file.read_bytes() for file in sorted(target.rglob("*")) if file.is_file()
    }


def expected_files() -> dict[str, bytes]:
    return {path: FILES[path] for path in LOADED}


def test_every_file_of_the_manifest_arrives_and_nothing_else(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper
) -> None:
    download(hub, resolved, target, sleeper)

    assert contents(target) == expected_files()
    assert sleeper.waits == []
    verify(manifest=resolved.manifest, folder=target)


def test_a_branch_that_moved_since_still_gives_the_resolved_commit(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper
) -> None:
    assert hub.push(seed=1) != hub.commit

    download(hub, resolved, target, sleeper)

    assert contents(target) == expected_files()


@pytest.mark.parametrize("path", ["model.safetensors", "tokenizer.json"])
def test_a_flipped_byte_is_refused_with_file_expected_and_found_hash(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper, path: str
) -> None:
    hub.store.state.add_fault(Fault(f"*/{path}", FaultKind.FLIP))

    with pytest.raises(Refusal) as refused:
        download(hub, resolved, target, sleeper)

    wrong = bytearray(FILES[path])
    wrong[len(wrong) // 2] ^= 1
    assert refused.value.reason is Reason.HASH_MISMATCH
    for part in (path, hashlib.sha256(FILES[path]).hexdigest(), hashlib.sha256(wrong).hexdigest()):
        assert part in refused.value.message
    assert not (target / path).exists()


def test_a_fetch_after_a_refused_one_heals_when_the_hub_does(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper
) -> None:
    hub.store.state.add_fault(Fault("*/model.safetensors", FaultKind.FLIP, times=2))
    with pytest.raises(Refusal):
        download(hub, resolved, target, sleeper)

    download(hub, resolved, target, sleeper)

    assert contents(target) == expected_files()


def test_a_cut_connection_goes_on_where_it_stopped(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper, client: httpx.Client
) -> None:
    hub.store.state.add_fault(Fault("*/model.safetensors", FaultKind.CUT, times=3))
    ranges: list[str | None] = []
    client.event_hooks["request"].append(
        lambda request: ranges.append(request.headers.get("range")) if "/lfs/" in request.url.path else None
    )

    download(hub, resolved, target, sleeper, attempts=2, client=client)

    assert contents(target) == expected_files()
    assert len(ranges) == 4
    assert ranges[0] is None
    starts = [start_of(asked) for asked in ranges[1:] if asked]
    assert len(starts) == 3
    assert 0 < starts[0] < starts[1] < starts[2]


def test_bytes_of_an_earlier_process_are_not_asked_for_again(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper, client: httpx.Client
) -> None:
    hub.store.state.add_fault(Fault("*/model.safetensors", FaultKind.CUT, value=1_000_000))
    with pytest.raises(Unavailable):
        download(hub, resolved, target, sleeper, attempts=1)
    hub.store.state.clear_faults()
    ranges: list[str | None] = []
    client.event_hooks["request"].append(lambda request: ranges.append(request.headers.get("range")))

    download(hub, resolved, target, None, client=client)

    assert contents(target) == expected_files()
    asked = [start_of(text) for text in ranges if text]
    assert asked
    assert all(500_000 < start <= 1_000_000 for start in asked)


def test_a_torn_part_of_an_earlier_process_is_dropped_and_fetched_anew(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper
) -> None:
    hub.store.state.add_fault(Fault("*/model.safetensors", FaultKind.CUT, value=1_000_000))
    with pytest.raises(Unavailable):
        download(hub, resolved, target, sleeper, attempts=1)
    hub.store.state.clear_faults()
    (part,) = [file for file in (target / PARTIAL).iterdir() if file.stat().st_size == len(WEIGHTS)]
    part.write_bytes(b"\0" * len(WEIGHTS))

    download(hub, resolved, target, sleeper)

    assert contents(target) == expected_files()


def test_a_rate_limit_is_waited_for_as_long_as_the_hub_says(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper
) -> None:
    hub.store.state.add_fault(Fault("*/model.safetensors", FaultKind.TOO_MANY_REQUESTS, value=17, times=2))

    download(hub, resolved, target, sleeper)

    assert contents(target) == expected_files()
    assert sleeper.waits == [17, 17]


def test_a_hint_of_hours_is_shortened_to_five_minutes(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper
) -> None:
    hub.store.state.add_fault(Fault("*/model.safetensors", FaultKind.TOO_MANY_REQUESTS, value=86400, times=1))

    download(hub, resolved, target, sleeper)

    assert sleeper.waits == [300]


@pytest.mark.parametrize("kind", [FaultKind.UNAVAILABLE, FaultKind.DOWN])
def test_a_short_outage_is_ridden_out_with_growing_waits(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper, kind: FaultKind
) -> None:
    hub.store.state.add_fault(Fault("*/model.safetensors", kind, times=3))

    download(hub, resolved, target, sleeper)

    assert contents(target) == expected_files()
    assert len(sleeper.waits) == 3
    for wait, longest in zip(sleeper.waits, (0.5, 1.0, 2.0), strict=True):
        assert longest / 2 <= wait <= longest


def test_a_long_outage_is_unavailable_after_the_policys_attempts(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper
) -> None:
    hub.store.state.add_fault(Fault("*/model.safetensors", FaultKind.UNAVAILABLE))

    with pytest.raises(Unavailable, match=r"answered 503 for acme/small/model\.safetensors"):
        download(hub, resolved, target, sleeper, attempts=3)

    assert len(sleeper.waits) == 2


def test_a_refused_file_ends_the_wait_for_another(hub: Hub, resolved: ResolvedModel, target: Path) -> None:
    hub.store.state.add_fault(Fault("*/model.safetensors", FaultKind.TOO_MANY_REQUESTS, value=3000))
    hub.store.state.add_fault(Fault("*/config.json", FaultKind.FLIP))

    with pytest.raises(Refusal) as refused:
        download(hub, resolved, target, None)

    assert refused.value.reason is Reason.HASH_MISMATCH


def test_files_that_are_right_are_kept_and_wrong_ones_replaced(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper
) -> None:
    download(hub, resolved, target, sleeper)
    before = (target / "model.safetensors").stat().st_ino
    (target / "config.json").write_bytes(b"{}")
    hub.store.state.add_fault(Fault("*/model.safetensors", FaultKind.UNAVAILABLE))

    download(hub, resolved, target, sleeper)

    assert contents(target) == expected_files()
    assert (target / "model.safetensors").stat().st_ino == before


def test_two_paths_with_one_content_both_arrive(hub: Hub, target: Path, sleeper: Sleeper) -> None:
    shutil.copyfile(hub.folder / "config.json", hub.folder / "1_Pooling" / "config.json")
    hub.store.push(hub.folder, REPO)
    with HubSource.resolve(access=Access(endpoint=hub.url), repo=REPO, revision="main") as source:
        resolved = resolved_model(source.origin, manifest=build_manifest(source, paths=select(source)))

    download(hub, resolved, target, sleeper)

    assert (target / "1_Pooling/config.json").read_bytes() == (target / "config.json").read_bytes()


def test_an_empty_file_arrives(hub: Hub, target: Path, sleeper: Sleeper) -> None:
    (hub.folder / "added_tokens.json").write_bytes(b"")
    hub.store.push(hub.folder, REPO)
    with HubSource.resolve(access=Access(endpoint=hub.url), repo=REPO, revision="main") as source:
        resolved = resolved_model(source.origin, manifest=build_manifest(source, paths=select(source)))

    download(hub, resolved, target, sleeper)

    assert (target / "added_tokens.json").read_bytes() == b""


@pytest.mark.parametrize("size", [len(WEIGHTS) - 1, len(WEIGHTS) + 1])
def test_a_file_of_another_size_never_gets_its_name(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper, size: int
) -> None:
    files = tuple(
        file.model_copy(update={"size": size}) if file.path == "model.safetensors" else file
        for file in resolved.manifest.files
    )
    wrong = resolved.model_copy(update={"manifest": Manifest(files=files)})

    with pytest.raises(Refusal) as refused:
        download(hub, wrong, target, sleeper)

    assert refused.value.reason is Reason.HASH_MISMATCH
    assert not (target / "model.safetensors").exists()


def test_a_manifest_with_an_unsafe_path_is_refused_before_anything_is_written(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper
) -> None:
    unsafe = Manifest(files=(FileEntry(path="../escaped", size=1, sha256="0" * 64),))

    with pytest.raises(Refusal) as refused:
        download(hub, resolved.model_copy(update={"manifest": unsafe}), target, sleeper)

    assert refused.value.reason is Reason.UNSAFE_PATH
    assert not target.exists()


def test_a_volume_without_room_is_told_before_the_download(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper
) -> None:
    huge = Manifest(files=(FileEntry(path="model.safetensors", size=1 << 60, sha256="0" * 64),))
    hub.store.state.add_fault(Fault("*/model.safetensors", FaultKind.UNAVAILABLE, times=1))

    with pytest.raises(Unavailable, match=r"bytes free; the model needs 1152921504606846976 more"):
        download(hub, resolved.model_copy(update={"manifest": huge}), target, sleeper)

    assert [fault.times for fault in hub.store.state.read().faults] == [1]  # nothing was asked of the hub


def test_a_target_that_cannot_be_written_is_told_with_user_and_cause(
    hub: Hub, resolved: ResolvedModel, tmp_path: Path, sleeper: Sleeper
) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(Unavailable, match=os.strerror(errno.ENOTDIR)):
        download(hub, resolved, tmp_path / "file" / "models", sleeper)


def test_a_model_from_a_volume_is_not_downloaded(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper
) -> None:
    volume = Origin(kind=SourceKind.PERSISTENT_VOLUME_CLAIM, claim="models", path="/")

    with pytest.raises(ValueError, match="only a model from a hub is downloaded"):
        download(hub, resolved.model_copy(update={"origin": volume}), target, sleeper)


def test_verify_names_the_first_file_that_differs(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper
) -> None:
    download(hub, resolved, target, sleeper)
    (target / "tokenizer.json").write_bytes(b"changed")

    with pytest.raises(Refusal) as refused:
        verify(manifest=resolved.manifest, folder=target)
    assert refused.value.reason is Reason.HASH_MISMATCH
    assert "tokenizer.json" in refused.value.message

    (target / "tokenizer.json").unlink()
    with pytest.raises(Refusal) as missing:
        verify(manifest=resolved.manifest, folder=target)
    assert missing.value.reason is Reason.MISSING_FILE


def test_verify_follows_links_inside_the_folder_and_refuses_those_that_leave_it(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper, tmp_path: Path
) -> None:
    download(hub, resolved, target, sleeper)
    (target / "blobs").mkdir()
    (target / "model.safetensors").rename(target / "blobs" / "1")
    (target / "model.safetensors").symlink_to("blobs/1")
    verify(manifest=resolved.manifest, folder=target)

    (target / "blobs" / "1").rename(tmp_path / "outside")
    (target / "model.safetensors").unlink()
    (target / "model.safetensors").symlink_to(tmp_path / "outside")
    with pytest.raises(Refusal) as refused:
        verify(manifest=resolved.manifest, folder=target)
    assert refused.value.reason is Reason.UNSAFE_PATH


def test_many_files_come_over_few_connections(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper, client: httpx.Client
) -> None:
    """A redirect or a part whose answer is not read to its end would cost its connection."""
    opened: list[int] = []

    def note(response: httpx.Response) -> None:
        opened.append(response.extensions["network_stream"].get_extra_info("client_addr")[1])

    client.event_hooks["response"].append(note)

    download(hub, resolved, target, sleeper, client=client, connections=1)

    assert len(opened) == len(LOADED) + 1  # the weights are redirected to
    assert len(set(opened)) == 1


def test_a_hub_that_sends_next_to_nothing_before_each_cut_is_given_up(
    hub: Hub, resolved: ResolvedModel, target: Path, sleeper: Sleeper
) -> None:
    hub.store.state.add_fault(Fault("*/model.safetensors", FaultKind.CUT, value=100))

    with pytest.raises(Unavailable, match=r"could not be read|ended"):
        download(hub, resolved, target, sleeper, attempts=5)

    assert len(sleeper.waits) == 4
