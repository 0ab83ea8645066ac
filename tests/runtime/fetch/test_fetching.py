"""Where the files of a resolved model come from, and that what is there already is not asked for."""

import os
from pathlib import Path

import pytest
from hub_in_process import Hub

from embedding_model.cache.destination import CacheDestination
from embedding_model.cache.layout import CacheVerify
from embedding_model.ports import Progress
from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import Origin, ResolvedModel, SourceKind
from embedding_model.sources.access import Access
from embedding_model.sources.progress import Meter
from embedding_model.sources.retries import RetryPolicy
from embedding_runtime.fetching import FetchSettings, fetch_model
from embedding_runtime.files import cache_place, folder_place, read_files

NOWHERE = Access(endpoint="http://127.0.0.1:1")


def fetch(resolved: ResolvedModel, settings: FetchSettings) -> Progress:
    meter = Meter()
    fetch_model(resolved, settings=settings, meter=meter)
    return meter.read()


def from_hub(hub: Hub, cache: Path, *, verify: CacheVerify = CacheVerify.FULL) -> FetchSettings:
    return FetchSettings(access=Access(endpoint=hub.url), cache=cache, cache_verify=verify)


def expected(hub: Hub, resolved: ResolvedModel) -> dict[str, bytes]:
    return {entry.path: (hub.folder / entry.path).read_bytes() for entry in resolved.manifest.files}


def read(resolved: ResolvedModel, cache: Path, *, verify: CacheVerify = CacheVerify.FULL) -> dict[str, bytes]:
    files = read_files(cache_place(cache, verify=verify), manifest=resolved.manifest, threads=2)
    return {path: bytes(data) for path, data in files.items()}


def weights_blob(resolved: ResolvedModel, cache: Path) -> Path:
    entry = resolved.manifest.entry("model.safetensors")
    assert entry is not None
    return CacheDestination(cache).locate(entry)


def test_what_a_fetch_puts_into_a_cache_is_what_serving_reads(hub: Hub, resolved: ResolvedModel, cache: Path) -> None:
    progress = fetch(resolved, from_hub(hub, cache))

    assert read(resolved, cache) == expected(hub, resolved)
    assert progress.files == progress.files_done == len(resolved.manifest.files)
    assert progress.bytes == progress.bytes_done == sum(file.size for file in resolved.manifest.files)
    assert list(cache.iterdir()) == [cache / "embedding-operator-v1"]


def test_a_cache_that_holds_everything_needs_no_network(hub: Hub, resolved: ResolvedModel, cache: Path) -> None:
    first = fetch(resolved, from_hub(hub, cache))

    assert fetch(resolved, FetchSettings(access=NOWHERE, cache=cache)) == first


def test_a_second_model_fetches_only_the_files_that_differ(hub: Hub, resolved: ResolvedModel, cache: Path) -> None:
    fetch(resolved, from_hub(hub, cache))
    blob = weights_blob(resolved, cache)
    os.utime(blob, (1, 1))
    other = resolved.model_copy(
        update={"manifest": resolved.manifest.model_copy(update={"files": resolved.manifest.files[-2:]})}
    )

    fetch(other, FetchSettings(access=NOWHERE, cache=cache))


@pytest.mark.parametrize("damage", [b"", b"short"])
def test_a_blob_of_another_size_is_fetched_anew_under_either_check(
    hub: Hub, resolved: ResolvedModel, cache: Path, damage: bytes
) -> None:
    fetch(resolved, from_hub(hub, cache))
    weights_blob(resolved, cache).write_bytes(damage)

    fetch(resolved, from_hub(hub, cache, verify=CacheVerify.QUICK))

    assert read(resolved, cache) == expected(hub, resolved)


def test_a_blob_with_other_bytes_is_fetched_anew_under_full(hub: Hub, resolved: ResolvedModel, cache: Path) -> None:
    fetch(resolved, from_hub(hub, cache))
    blob = weights_blob(resolved, cache)
    blob.write_bytes(bytes(blob.stat().st_size))

    fetch(resolved, from_hub(hub, cache))

    assert read(resolved, cache) == expected(hub, resolved)


def test_bytes_that_change_after_the_fetch_are_never_served_under_full(
    hub: Hub, resolved: ResolvedModel, cache: Path
) -> None:
    fetch(resolved, from_hub(hub, cache))
    blob = weights_blob(resolved, cache)
    blob.write_bytes(bytes(blob.stat().st_size))

    with pytest.raises(Refusal, match=r"model\.safetensors") as refused:
        read(resolved, cache)
    assert refused.value.reason is Reason.HASH_MISMATCH
    assert read(resolved, cache, verify=CacheVerify.QUICK)["model.safetensors"] == bytes(blob.stat().st_size)


@pytest.mark.parametrize("verify", CacheVerify)
def test_a_truncated_blob_is_never_served(hub: Hub, resolved: ResolvedModel, cache: Path, verify: CacheVerify) -> None:
    fetch(resolved, from_hub(hub, cache))
    os.truncate(weights_blob(resolved, cache), 1000)

    with pytest.raises(Refusal) as refused:
        read(resolved, cache, verify=verify)
    assert refused.value.reason is Reason.HASH_MISMATCH


def test_a_blob_that_is_gone_is_missing_and_says_what_to_do(hub: Hub, resolved: ResolvedModel, cache: Path) -> None:
    fetch(resolved, from_hub(hub, cache))
    weights_blob(resolved, cache).unlink()

    with pytest.raises(Refusal, match="a new pod does") as refused:
        read(resolved, cache)
    assert refused.value.reason is Reason.MISSING_FILE


def test_a_link_in_the_place_of_a_blob_is_never_served(
    hub: Hub, resolved: ResolvedModel, cache: Path, tmp_path: Path
) -> None:
    fetch(resolved, from_hub(hub, cache))
    blob = weights_blob(resolved, cache)
    blob.rename(tmp_path / "outside")
    blob.symlink_to(tmp_path / "outside")

    with pytest.raises(Refusal) as refused:
        read(resolved, cache)
    assert refused.value.reason is Reason.MISSING_FILE


def claim(resolved: ResolvedModel) -> ResolvedModel:
    origin = Origin(kind=SourceKind.PERSISTENT_VOLUME_CLAIM, claim="models", path="/small")
    return resolved.model_copy(update={"origin": origin})


def test_a_mounted_claim_is_copied_and_its_other_files_are_not(
    hub: Hub, resolved: ResolvedModel, tmp_path: Path
) -> None:
    target = tmp_path / "target"

    progress = fetch(claim(resolved), FetchSettings(access=NOWHERE, target=target, folder=hub.folder))

    files = read_files(folder_place(target), manifest=resolved.manifest, threads=1)
    assert {path: bytes(data) for path, data in files.items()} == expected(hub, resolved)
    assert not (target / "README.md").exists()
    assert progress.bytes == progress.bytes_done


def test_a_claim_that_changed_since_it_was_resolved_is_refused_and_leaves_no_file(
    hub: Hub, resolved: ResolvedModel, tmp_path: Path
) -> None:
    weights = hub.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[::-1])

    with pytest.raises(Refusal) as refused:
        fetch(claim(resolved), FetchSettings(access=NOWHERE, target=tmp_path / "target", folder=hub.folder))
    assert refused.value.reason is Reason.HASH_MISMATCH
    assert not (tmp_path / "target" / "model.safetensors").exists()


def test_a_claim_without_its_mount_is_bad_usage(resolved: ResolvedModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--folder"):
        fetch(claim(resolved), FetchSettings(access=NOWHERE, target=tmp_path / "target"))


def test_a_hub_that_cannot_be_reached_is_unavailable(resolved: ResolvedModel, tmp_path: Path) -> None:
    settings = FetchSettings(access=NOWHERE, target=tmp_path / "target", retry=RetryPolicy(attempts=1))

    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        fetch(resolved, settings)
