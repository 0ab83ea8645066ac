"""Against a real registry, and images that a real tool made."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from image_puller import Puller
from images import DOCKER_MANIFEST, DOCKER_TAR, Entry, Image, Layer, archive, file_layer, files_layer, image, index
from local_registry import LocalRegistry, local_registry
from small_model import small_model_files, write_small_model

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import FileEntry
from embedding_model.sources.folder import FolderSource
from embedding_model.sources.manifest import build_manifest
from embedding_model.sources.registry import parse_reference
from localcluster import modelimage
from localcluster.errors import ClusterError

pytestmark = pytest.mark.apiserver  # the layer that has the registry's binary

FILES = small_model_files()
ENTRIES = tuple(
    FileEntry(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest()) for path, data in FILES.items()
)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    with local_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def real_puller(real: LocalRegistry, tmp_path: Path) -> Puller:
    return Puller(real, tmp_path)


_AMD64 = {"os": "linux", "architecture": "amd64"}
_DOCKER = Layer(archive(*(Entry(f"models/{path}", data) for path, data in FILES.items())), DOCKER_TAR)
IMAGES: Mapping[str, Image] = {
    "OCI": image(files_layer(FILES)),
    "OCI index": index((image(files_layer(FILES)), _AMD64)),
    "Docker": image(_DOCKER, media_type=DOCKER_MANIFEST),
    "artifact": image(
        *(file_layer(f"models/{path}", data) for path, data in FILES.items()),
        config_type="application/vnd.oci.empty.v1+json",
        artifactType="application/vnd.example.model",
    ),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_what_was_pushed_is_pulled(real: LocalRegistry, real_puller: Puller, kind: str) -> None:
    reference = real.push(IMAGES[kind])
    assert real_puller.folder(reference) == FILES
    assert real_puller.entries(reference, entries=ENTRIES) == FILES


def test_an_image_that_was_never_pushed_is_not_found(real: LocalRegistry, real_puller: Puller) -> None:
    for repository in ("models/small", "nobody/nothing"):
        reference = parse_reference(f"{real.host}/{repository}@sha256:{'0' * 64}")
        with pytest.raises(Refusal) as caught:
            real_puller.folder(reference)
        assert caught.value.reason is Reason.IMAGE_NOT_FOUND


def test_a_folder_pushed_by_the_cluster_command_is_pulled(
    real: LocalRegistry, real_puller: Puller, tmp_path: Path
) -> None:
    """The image is made and pushed by buildah."""
    pushed = write_small_model(tmp_path / "small")
    reference = parse_reference(modelimage.push(pushed, name="models/small", registry=real.host))
    assert reference.registry == real.host
    assert real_puller.folder(reference, path="/") == FILES
    source = FolderSource(tmp_path / "folder")
    entries = build_manifest(source, paths=FILES).files
    assert real_puller.entries(reference, entries=entries) == FILES


def test_the_same_folder_gives_the_same_digest(real: LocalRegistry, tmp_path: Path) -> None:
    first = modelimage.push(write_small_model(tmp_path / "a"), name="models/small", registry=real.host)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert modelimage.push(tmp_path / "b", name="models/small", registry=real.host) == first


def test_a_folder_can_be_pushed_below_a_path(real: LocalRegistry, real_puller: Puller, tmp_path: Path) -> None:
    pushed = write_small_model(tmp_path / "small")
    reference = modelimage.push(pushed, name="models/small", registry=real.host, path="/models/small")
    assert real_puller.folder(parse_reference(reference), path="/models/small") == FILES


@pytest.mark.parametrize("name", ["", "Models", "models/small:latest", "../x", "models//small"])
def test_a_name_that_no_repository_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ClusterError, match="lower-case"):
        modelimage.push(write_small_model(tmp_path / "small"), name=name, registry="127.0.0.1:1")


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no folder"):
        modelimage.push(tmp_path / "nothing", name="models/small", registry="127.0.0.1:1")
