"""The files of a manifest out of an image: these and no others, each with its hash."""

import dataclasses
import hashlib
from pathlib import Path

import pytest
from image_puller import Puller
from images import Entry, Layer, file_layer, files_layer, hard_link, image, layer, link
from scripted_registry import Answer, Request, ScriptedRegistry
from small_model import small_model_files

from embedding_model.cache.destination import CacheDestination
from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import FileEntry
from embedding_model.sources.folder import FolderSource
from embedding_model.sources.manifest import build_manifest
from embedding_model.sources.registry import Reference, pull_entries

FILES = small_model_files()


def entry(path: str, data: bytes) -> FileEntry:
    return FileEntry(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def manifest_of(puller: Puller, reference: Reference) -> tuple[FileEntry, ...]:
    """As a Job makes it: pulled as a folder, listed and hashed."""
    puller.folder(reference)
    source = FolderSource(puller.root / "folder")
    return build_manifest(source, paths=[file.path for file in source.files()]).files


WAYS = {
    "one layer": [files_layer(FILES)],
    "a layer for each file": [files_layer({path: data}) for path, data in FILES.items()],
    "files as layers": [file_layer(f"models/{path}", data) for path, data in FILES.items()],
    "both kinds": [
        *(file_layer(f"models/{path}", data) for path, data in list(FILES.items())[:2]),
        files_layer(dict(list(FILES.items())[2:])),
    ],
    "a later layer wins": [files_layer(dict.fromkeys(FILES, b"old")), files_layer(FILES)],
    "files of the same sizes in a later layer": [
        files_layer(FILES),
        layer(*(Entry(f"other/{path}", bytes(len(data))) for path, data in FILES.items())),
    ],
    "linked": [
        layer(
            *(
                item
                for path, data in FILES.items()
                for item in (Entry(f"models/blobs/{path}", data), link(f"models/{path}", f"/models/blobs/{path}"))
            )
        )
    ],
    "hard-linked": [
        layer(
            *(
                item
                for path, data in FILES.items()
                for item in (
                    Entry(f"models/blobs/{path}", data),
                    hard_link(f"models/{path}", f"models/blobs/{path}"),
                )
            )
        )
    ],
}


@pytest.mark.parametrize("way", WAYS)
def test_the_manifest_of_an_image_brings_the_same_files_again(
    puller: Puller, registry: ScriptedRegistry, way: str
) -> None:
    reference = registry.add(image(*WAYS[way]))
    entries = manifest_of(puller, reference)
    assert {item.path: item.sha256 for item in entries}.items() >= {
        path: hashlib.sha256(data).hexdigest() for path, data in FILES.items()
    }.items()
    found = puller.entries(reference, entries=entries)
    assert {path: hashlib.sha256(data).hexdigest() for path, data in found.items()} == {
        item.path: item.sha256 for item in entries
    }


def test_only_the_entries_are_written(puller: Puller, registry: ScriptedRegistry) -> None:
    reference = registry.add(image(files_layer({"a": b"1", "b": b"2"}), file_layer("models/c", b"3")))
    assert puller.entries(reference, entries=(entry("a", b"1"),)) == {"a": b"1"}
    assert not registry.asked(f"/blobs/sha256:{hashlib.sha256(b'3').hexdigest()}")


def test_layers_below_the_model_are_not_asked_for(puller: Puller, registry: ScriptedRegistry) -> None:
    base = layer(Entry("usr/bin/tool", b"x" * 100_000))
    reference = registry.add(image(base, files_layer(FILES)))
    puller.connections = 1
    puller.entries(reference, entries=tuple(entry(path, data) for path, data in FILES.items()))
    assert len(registry.asked("/blobs/")) == 1


def test_one_content_under_two_paths_is_there_twice(puller: Puller, registry: ScriptedRegistry) -> None:
    reference = registry.add(image(files_layer({"a": b"same", "x/b": b"same"})))
    entries = (entry("a", b"same"), entry("x/b", b"same"))
    assert puller.entries(reference, entries=entries) == {"a": b"same", "x/b": b"same"}


def test_files_of_one_size_are_told_apart(puller: Puller, registry: ScriptedRegistry) -> None:
    files = {f"model-{number}.safetensors": bytes([number]) * 1000 for number in range(8)}
    renamed = {path.replace("model", "weights"): data for path, data in files.items()}
    reference = registry.add(image(files_layer(dict(reversed(renamed.items())))))
    assert puller.entries(reference, entries=tuple(entry(*item) for item in files.items())) == files


def test_an_empty_file_is_a_file(puller: Puller, registry: ScriptedRegistry) -> None:
    reference = registry.add(image(files_layer({"a": b"", "b": b"1"})))
    assert puller.entries(reference, entries=(entry("a", b""),)) == {"a": b""}


def test_progress_counts_the_files(puller: Puller, registry: ScriptedRegistry) -> None:
    reference = registry.add(image(WAYS["files of the same sizes in a later layer"][1], *WAYS["both kinds"]))
    puller.entries(reference, entries=tuple(entry(*item) for item in FILES.items()))
    progress = puller.meter.read()
    total = sum(len(data) for data in FILES.values())
    assert (progress.files, progress.files_done) == (len(FILES), len(FILES))
    assert (progress.bytes, progress.bytes_done) == (total, total)


def test_what_is_there_is_not_asked_for(puller: Puller, registry: ScriptedRegistry) -> None:
    reference = registry.add(image(files_layer(FILES)))
    entries = tuple(entry(*item) for item in FILES.items())
    puller.entries(reference, entries=entries)
    before = len(registry.requests)
    puller.entries(reference, entries=entries)
    assert len(registry.requests) == before


def test_a_wrong_file_is_replaced(puller: Puller, registry: ScriptedRegistry) -> None:
    reference = registry.add(image(files_layer(FILES)))
    entries = tuple(entry(*item) for item in FILES.items())
    puller.entries(reference, entries=entries)
    (puller.root / "entries" / "config.json").write_bytes(b"{}")
    assert puller.entries(reference, entries=entries) == FILES


@pytest.mark.parametrize("made", [files_layer({"a": b"2"}), file_layer("models/a", b"2")], ids=["archive", "file"])
def test_a_file_that_the_image_does_not_have_is_refused(
    puller: Puller, registry: ScriptedRegistry, made: Layer
) -> None:
    with pytest.raises(Refusal) as caught:
        puller.entries(registry.add(image(made)), entries=(entry("a", b"1"),))
    assert caught.value.reason is Reason.HASH_MISMATCH
    assert "a with sha256" in caught.value.message
    assert not (puller.root / "entries" / "a").exists()


def test_a_path_that_leads_upwards_is_refused_before_anything_is_asked(
    puller: Puller, registry: ScriptedRegistry
) -> None:
    reference = registry.add(image(files_layer({"a": b"1"})))
    with pytest.raises(Refusal) as caught:
        puller.entries(reference, entries=(entry("../a", b"1"),))
    assert caught.value.reason is Reason.UNSAFE_PATH
    assert not registry.requests


def test_files_go_into_a_cache_by_their_hash(registry: ScriptedRegistry, puller: Puller, tmp_path: Path) -> None:
    reference = registry.add(image(*WAYS["both kinds"]))
    entries = (*(entry(*item) for item in FILES.items()), entry("twin", FILES["config.json"]))
    for _ in range(2):
        cache = CacheDestination(tmp_path)
        pull_entries(
            entries,
            reference=reference,
            access=registry.access,
            destination=cache,
            meter=puller.meter,
            retry=puller.retry,
        )
        assert {item.path: cache.locate(item).read_bytes() for item in entries} == {
            **FILES,
            "twin": FILES["config.json"],
        }
    assert len(registry.asked("/manifests/")) == 1


def test_a_file_that_is_a_layer_goes_on_where_a_killed_process_stopped(
    puller: Puller, registry: ScriptedRegistry
) -> None:
    data = bytes(range(256)) * 16_384  # 4 MiB: smaller files are fetched anew
    reference = registry.add(image(file_layer("models/a", data)))
    half = len(data) // 2
    puller.attempts = 1

    def cut(request: Request) -> Answer | None:
        answer = registry.stored(request)
        return dataclasses.replace(answer, cut=half) if answer.body == data else None

    registry.scripts.append(cut)
    with pytest.raises(Unavailable):
        puller.entries(reference, entries=(entry("a", data),), tidy=False)
    registry.scripts.clear()
    assert puller.entries(reference, entries=(entry("a", data),)) == {"a": data}
    assert registry.asked("/blobs/")[-1].headers["range"].startswith("bytes=")
