"""What a folder of an image holds: layer upon layer, and nothing from outside."""

import gzip
import importlib.util
import io
import random
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from image_puller import Puller
from images import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    DOCKER_TAR,
    OCI_TAR,
    Entry,
    Layer,
    archive,
    file_layer,
    files_layer,
    folder,
    hard_link,
    image,
    index,
    layer,
    link,
)
from scripted_registry import ScriptedRegistry
from small_model import small_model_files

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.folder import FolderSource

FILES = small_model_files()
AMD64 = {"os": "linux", "architecture": "amd64"}
ARM64 = {"os": "linux", "architecture": "arm64"}


def refusal_of(puller: Puller, *layers: Layer, path: str = "/models") -> Refusal:
    """What a pull is refused with; it leaves no file behind."""
    with pytest.raises(Refusal) as caught:
        puller.folder(puller.registry.add(image(*layers)), path=path)
    assert not list(puller.root.rglob("*"))
    return caught.value


def test_a_model_pushed_as_an_image_is_pulled_byte_for_byte(puller: Puller, registry: ScriptedRegistry) -> None:
    assert puller.folder(registry.add(image(files_layer(FILES)))) == FILES


def test_what_was_pulled_is_a_folder_that_can_be_inspected(puller: Puller, registry: ScriptedRegistry) -> None:
    puller.folder(registry.add(image(files_layer(FILES))))
    assert [file.path for file in FolderSource(puller.root / "folder").files()] == sorted(FILES)


def test_progress_counts_the_layers(puller: Puller, registry: ScriptedRegistry) -> None:
    layers = (files_layer({"a": b"1"}), files_layer({"b": b"2"}))
    puller.folder(registry.add(image(*layers)))
    progress = puller.meter.read()
    size = sum(len(each.data) for each in layers)
    assert (progress.files, progress.files_done, progress.bytes, progress.bytes_done) == (2, 2, size, size)


@pytest.mark.parametrize("path", ["/models", "models", "/models/", "//models/."])
def test_a_path_is_read_from_the_image_root(puller: Puller, registry: ScriptedRegistry, path: str) -> None:
    assert puller.folder(registry.add(image(files_layer(FILES))), path=path) == FILES


def test_the_root_holds_everything(puller: Puller, registry: ScriptedRegistry) -> None:
    assert puller.folder(registry.add(image(files_layer({"a": b"1"}))), path="/") == {"models/a": b"1"}


@pytest.mark.parametrize("name", ["./models/a", "/models/a", "models//a", "models/./a"])
def test_names_are_normalised(puller: Puller, registry: ScriptedRegistry, name: str) -> None:
    assert puller.folder(registry.add(image(layer(Entry(name, b"1"))))) == {"a": b"1"}


def test_other_folders_are_not_laid_out(puller: Puller, registry: ScriptedRegistry) -> None:
    reference = registry.add(image(layer(Entry("etc/passwd", b"x"), Entry("models2/b", b"x"), Entry("models/a", b"1"))))
    assert puller.folder(reference) == {"a": b"1"}


def test_a_later_layer_wins(puller: Puller, registry: ScriptedRegistry) -> None:
    reference = registry.add(image(files_layer({"a": b"old", "b": b"kept"}), files_layer({"a": b"new"})))
    assert puller.folder(reference) == {"a": b"new", "b": b"kept"}


def test_a_whiteout_removes_a_file_of_a_lower_layer(puller: Puller, registry: ScriptedRegistry) -> None:
    reference = registry.add(image(files_layer({"a": b"1", "b": b"2"}), layer(Entry("models/.wh.a"))))
    assert puller.folder(reference) == {"b": b"2"}


def test_a_whiteout_removes_a_folder(puller: Puller, registry: ScriptedRegistry) -> None:
    reference = registry.add(image(files_layer({"x/a": b"1", "b": b"2"}), layer(Entry("models/.wh.x"))))
    assert puller.folder(reference) == {"b": b"2"}


@pytest.mark.parametrize("first", [True, False])
def test_a_whiteout_spares_its_own_layer(puller: Puller, registry: ScriptedRegistry, first: bool) -> None:
    entries = [Entry("models/.wh.a"), Entry("models/a", b"new")]
    reference = registry.add(image(files_layer({"a": b"old"}), layer(*(entries if first else entries[::-1]))))
    assert puller.folder(reference) == {"a": b"new"}


@pytest.mark.parametrize("where", ["models/x", "models"])
def test_an_opaque_folder_hides_all_lower_layers(puller: Puller, registry: ScriptedRegistry, where: str) -> None:
    upper = layer(Entry("models/x/new", b"2"), Entry(f"{where}/.wh..wh..opq"))
    reference = registry.add(image(files_layer({"x/a": b"1", "x/y/b": b"1"}), upper))
    assert puller.folder(reference) == {"x/new": b"2"}


def test_a_whiteout_above_the_folder_hides_it(puller: Puller) -> None:
    refusal = refusal_of(puller, files_layer({"a": b"1"}), layer(Entry(".wh.models")))
    assert refusal.reason is Reason.MISSING_FILE
    assert "/models" in refusal.message
    assert refusal.field == "model.image.path"


def test_a_folder_takes_the_place_of_a_file_and_back(puller: Puller, registry: ScriptedRegistry) -> None:
    lower = files_layer({"a": b"file", "b/c": b"below"})
    reference = registry.add(image(lower, files_layer({"a/c": b"below", "b": b"file"})))
    assert puller.folder(reference) == {"a/c": b"below", "b": b"file"}


def test_a_hard_link_inside_the_folder_is_the_same_file(puller: Puller, registry: ScriptedRegistry) -> None:
    upper = layer(hard_link("models/c", "models/a"), hard_link("models/d", "/models/b"))
    lower = layer(Entry("models/a", b"1"), hard_link("models/b", "models/a"))
    reference = registry.add(image(lower, upper, layer(Entry("models/a", b"2"))))
    assert puller.folder(reference) == {"a": b"2", "b": b"1", "c": b"1", "d": b"1"}


@pytest.mark.parametrize(
    "target", ["blobs/weights", "/models/blobs/weights", "./blobs/../blobs/weights", "../models/blobs/weights"]
)
def test_a_link_inside_the_folder_is_resolved(puller: Puller, registry: ScriptedRegistry, target: str) -> None:
    reference = registry.add(image(layer(link("models/a", target), Entry("models/blobs/weights", b"1"))))
    assert puller.folder(reference) == {"a": b"1", "blobs/weights": b"1"}


def test_a_link_leads_to_what_later_layers_put_there(puller: Puller, registry: ScriptedRegistry) -> None:
    reference = registry.add(image(layer(link("models/a", "b"), Entry("models/b", b"1")), files_layer({"b": b"2"})))
    assert puller.folder(reference) == {"a": b"2", "b": b"2"}


@pytest.mark.parametrize(
    "entry",
    [
        link("models/a", "/etc/passwd"),
        link("models/a", "../secret"),
        link("models/a", "../../../../../../etc/passwd"),
        hard_link("models/a", "etc/passwd"),
        hard_link("models/a", "models/nothing"),
        Entry("models/a", type=tarfile.CHRTYPE),
        Entry("models/a", type=tarfile.FIFOTYPE),
        Entry("../models/a", b"1"),
        Entry("models/../../a", b"1"),
        Entry("elsewhere/../../a", b"1"),
        Entry("models/a\\b", b"1"),
        Entry("models/a\nb", b"1"),
        Entry("models/" + "n" * 300, b"1"),
        hard_link("models/a", "../../etc/passwd"),
    ],
    ids=lambda entry: f"{entry.name[:20]!r}->{entry.target}",
)
def test_what_leads_out_of_the_folder_is_refused(puller: Puller, entry: Entry) -> None:
    base = layer(Entry("etc/passwd", b"root"), Entry("secret", b"s"), folder("models"))
    assert refusal_of(puller, base, layer(entry)).reason is Reason.UNSAFE_PATH


def test_a_file_below_a_link_is_refused(puller: Puller, tmp_path: Path) -> None:
    refusal = refusal_of(puller, layer(link("models/x", "/etc")), layer(Entry("models/x/passwd", b"pwned")))
    assert refusal.reason is Reason.UNSAFE_PATH


def test_a_folder_that_is_a_link_is_refused_naming_the_field(puller: Puller) -> None:
    refusal = refusal_of(puller, layer(Entry("data/a", b"1"), link("models", "data")))
    assert (refusal.reason, refusal.field) == (Reason.UNSAFE_PATH, "model.image.path")


def test_links_in_circles_and_to_nothing_are_left_out(puller: Puller, registry: ScriptedRegistry) -> None:
    entries = (link("models/a", "b"), link("models/b", "a"), link("models/c", "nothing"), Entry("models/d", b"1"))
    assert puller.folder(registry.add(image(layer(*entries)))) == {"d": b"1"}


def test_names_that_begin_with_a_dot_are_left_out(puller: Puller, registry: ScriptedRegistry) -> None:
    files = {".git/config": b"x", "x/.cache": b"x", ".pull/0/00000000": b"x", "a": b"1"}
    assert puller.folder(registry.add(image(files_layer(files)))) == {"a": b"1"}


def test_many_names_of_one_file_are_written_once(puller: Puller, registry: ScriptedRegistry) -> None:
    puller.folder(registry.add(image(layer(Entry("models/a", b"1"), hard_link("models/b", "models/a")))))
    found = puller.root / "folder"
    assert (found / "a").stat().st_ino == (found / "b").stat().st_ino


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_are_read_in_every_format(puller: Puller, registry: ScriptedRegistry, format: int) -> None:
    name = "/".join(["n" * 90] * 5) + "/ä"
    data = archive(Entry(f"models/{name}", b"1"), link("models/" + "l" * 150, name), format=format)
    reference = registry.add(image(Layer(data, OCI_TAR)))
    assert puller.folder(reference) == {name: b"1", "l" * 150: b"1"}


@pytest.mark.parametrize(
    "made",
    [
        Layer(archive(Entry("models/a", b"1")), OCI_TAR),
        Layer(gzip.compress(archive(Entry("models/a", b"1"))), f"{OCI_TAR}+gzip"),
        Layer(archive(Entry("models/a", b"1")), DOCKER_TAR),
        Layer(gzip.compress(archive(Entry("models/a", b"1"))), f"{DOCKER_TAR}.gzip"),
        Layer(archive(Entry("models/a", b"1")), "application/vnd.cncf.model.weight.v1.tar"),
        Layer(gzip.compress(archive(Entry("models/a", b"1"))), "application/vnd.cncf.model.weight.v1.tar+gzip"),
        Layer(b"1", "application/vnd.cncf.model.weight.v1.raw", {"org.cncf.model.filepath": "models/a"}),
        Layer(b"1", "application/vnd.docker.ai.safetensors", {"org.cncf.model.filepath": "models/a"}),
        file_layer("models/a", b"1"),
        file_layer("models/a", b"1", media_type="application/octet-stream"),
        Layer(
            gzip.compress(archive(Entry("models/a", b"1"))),
            f"{OCI_TAR}+gzip",
            {"org.opencontainers.image.title": "models", "io.deis.oras.content.unpack": "true"},
        ),
    ],
    ids=lambda made: f"{made.media_type} {'file' if made.data == b'1' else 'archive'}",
)
def test_every_kind_of_layer_is_read(puller: Puller, registry: ScriptedRegistry, made: Layer) -> None:
    assert puller.folder(registry.add(image(made))) == {"a": b"1"}


def test_gzip_in_several_members_is_read(puller: Puller, registry: ScriptedRegistry) -> None:
    """Tools that make layers seekable (eStargz, zstd:chunked's predecessor) compress each file for itself."""
    data = archive(Entry("models/a", b"1" * 5000))
    parts = b"".join(gzip.compress(data[start : start + 1024]) for start in range(0, len(data), 1024))
    assert puller.folder(registry.add(image(Layer(parts, f"{OCI_TAR}+gzip")))) == {"a": b"1" * 5000}


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.in-toto+json",
    ],
)
def test_a_layer_of_another_kind_is_refused(puller: Puller, media_type: str) -> None:
    refusal = refusal_of(puller, Layer(b"{}", media_type))
    assert refusal.reason is Reason.UNSUPPORTED_FORMAT
    assert media_type in refusal.message


def test_docker_images_are_read(puller: Puller, registry: ScriptedRegistry) -> None:
    made = Layer(gzip.compress(archive(Entry("models/a", b"1"))), f"{DOCKER_TAR}.gzip")
    assert puller.folder(registry.add(image(made, media_type=DOCKER_MANIFEST))) == {"a": b"1"}


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_of_an_index_the_only_image_or_that_for_amd64_is_read(
    puller: Puller, registry: ScriptedRegistry, kind: str
) -> None:
    manifest = {} if kind == "oci" else {"media_type": DOCKER_MANIFEST}
    listed = {} if kind == "oci" else {"media_type": DOCKER_LIST, "below": DOCKER_MANIFEST}
    first, second = (image(files_layer({"a": each}), **manifest) for each in (b"amd", b"arm"))
    assert puller.folder(registry.add(index((second, ARM64), (first, AMD64), **listed))) == {"a": b"amd"}


def test_an_attestation_in_an_index_is_no_image(puller: Puller, registry: ScriptedRegistry) -> None:
    attestation = image(Layer(b"{}", "application/vnd.in-toto+json"))
    unknown = {"os": "unknown", "architecture": "unknown"}
    made = index((image(files_layer({"a": b"1"})), ARM64), (attestation, unknown))
    assert puller.folder(registry.add(made)) == {"a": b"1"}


def test_an_index_that_leaves_a_choice_is_refused(puller: Puller, registry: ScriptedRegistry) -> None:
    images = [image(files_layer({"a": each})) for each in (b"1", b"2")]
    for made in (index(*((each, None) for each in images)), index(*((each, ARM64) for each in images)), index()):
        with pytest.raises(Refusal) as caught:
            puller.folder(registry.add(made))
        assert caught.value.reason is Reason.UNSUPPORTED_FORMAT


def test_layers_overlay_as_a_file_system_would(puller: Puller, registry: ScriptedRegistry, tmp_path: Path) -> None:
    """Random layers against a model of whole paths: what is there afterwards is the same."""
    chance = random.Random(4)
    names = ["a", "b", "c/a", "c/b", "c/d/a"]
    for turn in range(40):
        expected: dict[str, bytes] = {}
        layers = []
        for _ in range(chance.randint(1, 5)):
            entries, lower = [], expected
            for folded in ("c", "c/d"):
                if chance.random() < 0.15:
                    entries.append(Entry(f"models/{folded}/.wh..wh..opq"))
                    lower = _without(lower, folded)
            for gone in ("a", "c/a", "c", "c/d"):
                if chance.random() < 0.15:
                    parent, _, name = f"models/{gone}".rpartition("/")
                    entries.append(Entry(f"{parent}/.wh.{name}"))
                    lower = _without(lower, gone)
            brought = {name: chance.randbytes(3) for name in names if chance.random() < 0.4}
            entries += [Entry(f"models/{name}", data) for name, data in brought.items()]
            chance.shuffle(entries)
            layers.append(layer(folder("models"), *entries))
            expected = {**lower, **brought}
        found = Puller(registry, tmp_path / str(turn), client=puller.client).folder(registry.add(image(*layers)))
        assert found == dict(sorted(expected.items()))


def _without(files: Mapping[str, bytes], path: str) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if name != path and not name.startswith(f"{path}/")}


def test_nothing_of_the_configuration_is_asked_for(puller: Puller, registry: ScriptedRegistry) -> None:
    made = image(files_layer({"a": b"1"}))
    puller.folder(registry.add(made))
    assert len(registry.asked("/blobs/")) == 1


def test_a_folder_that_holds_something_is_left_as_it_is(puller: Puller, registry: ScriptedRegistry) -> None:
    (puller.root / "folder").mkdir()
    (puller.root / "folder" / "mine").write_bytes(b"1")
    with pytest.raises(ValueError, match="not empty"):
        puller.folder(registry.add(image(files_layer(FILES))))
    assert (puller.root / "folder" / "mine").read_bytes() == b"1"


def test_what_a_killed_process_left_is_replaced(puller: Puller, registry: ScriptedRegistry) -> None:
    leftover = puller.root / "folder" / ".pull" / "0"
    leftover.mkdir(parents=True)
    (leftover / "00000000").write_bytes(b"torn")
    assert puller.folder(registry.add(image(files_layer(FILES)))) == FILES
    assert not leftover.exists()


def _sparse() -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo("models/a")
        info.type = tarfile.GNUTYPE_SPARSE
        tar.addfile(info)
    return output.getvalue()


@pytest.mark.parametrize(
    "data", [_sparse(), archive(Entry("models/a", b"1", pax={"GNU.sparse.major": "1"}))], ids=["old", "pax"]
)
def test_sparse_files_are_refused(puller: Puller, data: bytes) -> None:
    assert refusal_of(puller, Layer(data, OCI_TAR)).reason is Reason.UNSUPPORTED_FORMAT


def _zstd(data: bytes) -> bytes:
    """A zstd frame of raw blocks (RFC 8878 3.1.1): no library is needed to write it."""
    blocks = [data[start : start + 100_000] for start in range(0, len(data), 100_000)]
    framed = b"".join(
        (len(block) << 3 | (number == len(blocks) - 1)).to_bytes(3, "little") + block
        for number, block in enumerate(blocks)
    )
    return b"\x28\xb5\x2f\xfd" + b"\xa0" + len(data).to_bytes(4, "little") + framed


def test_zstd_is_read_where_its_library_is_there_and_else_refused_saying_what_to_do(
    puller: Puller, registry: ScriptedRegistry
) -> None:
    data = archive(Entry("models/a", b"1" * 300_000))
    reference = registry.add(image(Layer(_zstd(data), f"{OCI_TAR}+zstd")))
    if importlib.util.find_spec("zstandard") is not None:
        assert puller.folder(reference) == {"a": b"1" * 300_000}
        return
    with pytest.raises(Refusal, match="push it with gzip") as caught:
        puller.folder(reference)
    assert caught.value.reason is Reason.UNSUPPORTED_FORMAT
