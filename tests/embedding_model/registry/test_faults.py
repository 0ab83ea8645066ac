"""A registry, or what stands between, that does wrong: the right bytes come, or a clear refusal."""

import dataclasses
import gzip
import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from image_puller import Puller
from images import OCI_MANIFEST, OCI_TAR, Entry, Image, Layer, archive, digest_of, files_layer, image, index, layer
from scripted_registry import Answer, Request, Script, ScriptedRegistry, once

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import FileEntry
from embedding_model.sources.registry import pull_folder

DATA = {"model.safetensors": bytes(range(256)) * 8000, "config.json": b"{}"}  # 2 MB that do not compress to nothing
ENTRIES = tuple(
    FileEntry(path=path, size=len(data), sha256=digest_of(data).removeprefix("sha256:")) for path, data in DATA.items()
)
STORED = Layer(archive(*(Entry(f"models/{path}", data) for path, data in DATA.items())), OCI_TAR)

Pull = Callable[[Puller, Image], Mapping[str, bytes]]


def as_folder(puller: Puller, made: Image) -> Mapping[str, bytes]:
    return puller.folder(puller.registry.add(made))


def as_entries(puller: Puller, made: Image) -> Mapping[str, bytes]:
    return puller.entries(puller.registry.add(made), entries=ENTRIES)


both_ways = pytest.mark.parametrize("pull", [as_folder, as_entries])


def on_blobs(registry: ScriptedRegistry, change: Callable[[Answer], Answer]) -> Script:
    """Change the answer to every request for a blob."""

    def script(request: Request) -> Answer | None:
        return change(registry.stored(request)) if "/blobs/" in request.path else None

    return script


@both_ways
@pytest.mark.parametrize("tenths", range(10))
def test_a_cut_connection_is_continued(puller: Puller, registry: ScriptedRegistry, pull: Pull, tenths: int) -> None:
    cut = len(STORED.data) * tenths // 10
    registry.scripts.append(once(on_blobs(registry, lambda answer: dataclasses.replace(answer, cut=cut))))
    assert pull(puller, image(STORED)) == DATA
    first, second = registry.asked("/blobs/")
    assert "range" not in first.headers
    assert second.headers.get("range") == (f"bytes={cut}-" if cut else None)


@both_ways
def test_a_registry_that_cuts_all_the_time_is_read_as_long_as_something_comes(
    puller: Puller, registry: ScriptedRegistry, pull: Pull
) -> None:
    registry.scripts.append(on_blobs(registry, lambda answer: dataclasses.replace(answer, cut=200_000)))
    assert pull(puller, image(STORED)) == DATA
    assert len(registry.asked("/blobs/")) > 2 * puller.attempts


@both_ways
def test_a_registry_that_sends_next_to_nothing_each_time_is_given_up(
    puller: Puller, registry: ScriptedRegistry, pull: Pull
) -> None:
    registry.scripts.append(on_blobs(registry, lambda answer: dataclasses.replace(answer, cut=10)))
    with pytest.raises(Unavailable):
        pull(puller, image(STORED))
    assert len(registry.asked("/blobs/")) == puller.attempts


@both_ways
def test_a_compressed_answer_is_not_read(puller: Puller, registry: ScriptedRegistry, pull: Pull) -> None:
    encoded = {"content-encoding": "gzip"}
    registry.scripts.append(
        on_blobs(registry, lambda answer: dataclasses.replace(answer, headers={**answer.headers, **encoded}))
    )
    with pytest.raises(Unavailable, match="content encoding 'gzip'"):
        pull(puller, image(STORED))


@both_ways
def test_a_registry_without_ranges_is_read_from_the_start_again(
    puller: Puller, registry: ScriptedRegistry, pull: Pull
) -> None:
    registry.ranges = False
    registry.scripts.append(once(on_blobs(registry, lambda answer: dataclasses.replace(answer, cut=1_000_000))))
    assert pull(puller, image(STORED)) == DATA


@both_ways
@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_an_answer_that_may_pass_is_waited_out(
    puller: Puller, registry: ScriptedRegistry, pull: Pull, status: int
) -> None:
    for part in ("/manifests/", "/blobs/"):
        registry.scripts.append(
            once(
                lambda request, part=part: (
                    Answer(status=status, headers={"retry-after": "7"}) if part in request.path else None
                )
            )
        )
    assert pull(puller, image(STORED)) == DATA
    assert puller.waits == [7.0, 7.0]


@both_ways
def test_a_registry_that_stays_down_is_unavailable(puller: Puller, registry: ScriptedRegistry, pull: Pull) -> None:
    registry.scripts.append(lambda request: Answer(status=503, headers={"retry-after": "7"}))
    with pytest.raises(Unavailable) as caught:
        pull(puller, image(STORED))
    assert caught.value.retry_after == 7
    assert len(registry.requests) == puller.attempts


@both_ways
@pytest.mark.parametrize("compressed", [True, False])
def test_wrong_bytes_once_are_asked_for_again(
    puller: Puller, registry: ScriptedRegistry, pull: Pull, compressed: bool
) -> None:
    made = files_layer(DATA) if compressed else STORED
    registry.scripts.append(once(on_blobs(registry, _spoil)))
    assert pull(puller, image(made)) == DATA
    assert len(registry.asked("/blobs/")) == 2


@both_ways
@pytest.mark.parametrize("compressed", [True, False])
def test_wrong_bytes_are_refused(puller: Puller, registry: ScriptedRegistry, pull: Pull, compressed: bool) -> None:
    registry.scripts.append(on_blobs(registry, _spoil))
    with pytest.raises(Refusal) as caught:
        pull(puller, image(files_layer(DATA) if compressed else STORED))
    assert caught.value.reason is Reason.HASH_MISMATCH
    assert not list(puller.root.rglob("*.safetensors"))


def _spoil(answer: Answer) -> Answer:
    middle = len(answer.body) // 2
    spoiled = bytes([answer.body[middle] ^ 1])
    return dataclasses.replace(answer, body=answer.body[:middle] + spoiled + answer.body[middle + 1 :])


@both_ways
def test_more_bytes_than_the_manifest_says_are_not_read(puller: Puller, registry: ScriptedRegistry, pull: Pull) -> None:
    registry.scripts.append(on_blobs(registry, lambda answer: dataclasses.replace(answer, body=answer.body + b"more")))
    assert pull(puller, image(STORED)) == DATA


def test_fewer_bytes_than_the_manifest_says_are_never_enough(puller: Puller, registry: ScriptedRegistry) -> None:
    registry.scripts.append(
        on_blobs(registry, lambda answer: dataclasses.replace(answer, status=200, body=answer.body[:1000]))
    )
    with pytest.raises(Unavailable, match=f"1000 of {len(STORED.data)} bytes"):
        as_folder(puller, image(STORED))


@both_ways
def test_another_manifest_than_was_asked_for_is_refused(puller: Puller, registry: ScriptedRegistry, pull: Pull) -> None:
    other = image(files_layer({"a": b"evil"}))
    data = other.manifests[other.digest][1]
    registry.add(other)
    registry.scripts.append(
        lambda request: (
            Answer(body=data, headers={"content-type": OCI_MANIFEST}) if "/manifests/" in request.path else None
        )
    )
    with pytest.raises(Refusal) as caught:
        pull(puller, image(STORED))
    assert caught.value.reason is Reason.HASH_MISMATCH


@pytest.mark.parametrize("part", ["/manifests/", "/blobs/"])
@both_ways
def test_what_is_not_there_is_refused(puller: Puller, registry: ScriptedRegistry, pull: Pull, part: str) -> None:
    registry.scripts.append(lambda request: Answer(status=404) if part in request.path else None)
    with pytest.raises(Refusal) as caught:
        pull(puller, image(STORED))
    assert caught.value.reason is Reason.IMAGE_NOT_FOUND
    assert caught.value.field == "model.image.reference"


def test_a_manifest_of_the_index_that_is_not_there_is_refused(puller: Puller, registry: ScriptedRegistry) -> None:
    inner = image(STORED)
    outer = index((inner, None))
    with pytest.raises(Refusal) as caught:
        as_folder(puller, dataclasses.replace(outer, manifests={outer.digest: outer.manifests[outer.digest]}))
    assert caught.value.reason is Reason.IMAGE_NOT_FOUND


def test_an_endless_manifest_is_refused(puller: Puller, registry: ScriptedRegistry) -> None:
    registry.scripts.append(lambda request: Answer(body=b" " * (5 * 1024 * 1024)))
    with pytest.raises(Refusal) as caught:
        as_folder(puller, image(STORED))
    assert caught.value.reason is Reason.TOO_LARGE


@both_ways
def test_an_archive_that_unfolds_without_end_is_refused(
    puller: Puller, registry: ScriptedRegistry, pull: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A TiB of zeros is announced, and enough of them come to tell."""
    monkeypatch.setattr("embedding_model.sources.registry.blob.UNFOLDED_SPARE", 1_000_000)
    header = tarfile.TarInfo("elsewhere/zeros")
    header.size = 1024**4
    bomb = Layer(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(64 * 1024**2)), f"{OCI_TAR}+gzip")
    with pytest.raises(Refusal) as caught:
        pull(puller, image(bomb))
    assert caught.value.reason is Reason.TOO_LARGE
    assert "100 times" in caught.value.message


def test_more_files_than_a_model_has_are_refused(
    puller: Puller, registry: ScriptedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedding_model.sources.registry.blob.MOST_HEADERS", 100)
    files = {f"{number}": b"" for number in range(101)}
    assert len(as_folder(puller, image(files_layer(dict(list(files.items())[:100]))))) == 100
    other = Puller(registry, puller.root / "other")
    with pytest.raises(Refusal) as caught:
        as_folder(other, image(files_layer(files)))
    assert caught.value.reason is Reason.TOO_LARGE


def test_a_layer_larger_than_the_volume_is_not_begun(puller: Puller, registry: ScriptedRegistry) -> None:
    made = image(STORED)
    media_type, data = made.manifests[made.digest]
    size = f'"size": {len(STORED.data)}'.encode()
    assert size in data
    data = data.replace(size, b'"size": %d' % 2**52)
    registry.scripts.append(
        lambda request: (
            Answer(body=data, headers={"content-type": media_type}) if "/manifests/" in request.path else None
        )
    )
    huge = dataclasses.replace(made, digest=digest_of(data))
    with pytest.raises(Unavailable, match="bytes free"):
        as_folder(puller, huge)
    assert not registry.asked("/blobs/")


def test_a_full_volume_is_unavailable_and_left_empty(puller: Puller, registry: ScriptedRegistry) -> None:
    """A limit on the size of files stands in for the volume: the write itself fails."""
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(Unavailable, match="volume"):
            as_folder(puller, image(STORED))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(puller.root.rglob("*"))


BROKEN = {
    "no gzip": (b"not gzip at all", "+gzip"),
    "cut gzip": (gzip.compress(archive(Entry("models/a", b"1" * 9000)))[:-60], "+gzip"),
    "wrong checksum": (gzip.compress(archive(Entry("models/a", b"1")))[:-8] + bytes(8), "+gzip"),
    "no tar": (b"no tar at all" * 100, ""),
    "cut header": (archive(Entry("models/a", b"1"))[:300], ""),
    "cut file": (archive(Entry("models/a", b"1" * 9000))[:2000], ""),
    "empty blob of gzip": (b"", "+gzip"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_layer_that_cannot_be_read_is_refused(puller: Puller, name: str) -> None:
    data, suffix = BROKEN[name]
    with pytest.raises(Refusal) as caught:
        as_folder(puller, image(Layer(data, OCI_TAR + suffix)))
    assert caught.value.reason is (Reason.MISSING_FILE if name == "empty blob of gzip" else Reason.INVALID_FILE)


@pytest.mark.parametrize("suffix", ["", "+gzip"])
def test_the_first_error_stops_the_other_layers(puller: Puller, registry: ScriptedRegistry, suffix: str) -> None:
    """A layer that never ends is given up once another one is refused."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../escape"))
    bad = Layer(gzip.compress(output.getvalue()) if suffix else output.getvalue(), OCI_TAR + suffix)
    slow = layer(Entry("models/a", b"1"))
    slow_path = f"/blobs/{digest_of(slow.data)}"
    registry.scripts.append(lambda request: Answer(status=503) if slow_path in request.path else None)
    puller.attempts = 10_000_000  # would not end by itself
    with pytest.raises(Refusal) as caught:
        as_folder(puller, image(slow, bad))
    assert caught.value.reason is Reason.UNSAFE_PATH


def test_a_reference_to_another_registry_is_refused_unasked(
    puller: Puller, registry: ScriptedRegistry, elsewhere: ScriptedRegistry, tmp_path: Path
) -> None:
    reference = elsewhere.add(image(STORED))
    with pytest.raises(Refusal) as caught:
        puller.folder(reference)
    assert caught.value.reason is Reason.REGISTRY_NOT_ALLOWED
    assert not registry.requests
    assert not elsewhere.requests


def test_an_endpoint_may_stand_for_a_registry_of_another_name(
    puller: Puller, registry: ScriptedRegistry, tmp_path: Path
) -> None:
    reference = dataclasses.replace(registry.add(image(STORED)), registry="registry.example.com")
    pull_folder(
        reference=reference,
        path="/models",
        access=registry.access,
        folder=tmp_path / "folder",
        meter=puller.meter,
        registry="registry.example.com",
    )
    assert (tmp_path / "folder" / "config.json").read_bytes() == DATA["config.json"]
