"""What a Job finds out about a model, wherever it comes from; pickles only as far as the spec allows."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hostile_pickles import write_hostile
from images import files_layer
from images import image as make_image
from model_folders import write_files
from pickled_models import model_files, noisy_tensors, sharded_files
from runtime_under_test import resolved_model
from safetensors.torch import load_file
from scripted_registry import Answer, Request, Script, basic, scripted_registry
from tiny_models import tiny_embedder

from embedding_model.cache.destination import CacheDestination
from embedding_model.inspection import inspect
from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import (
    Conversion,
    Declared,
    FileEntry,
    InspectionResult,
    Manifest,
    Origin,
    SourceKind,
    Task,
)
from embedding_model.sources.access import Access
from embedding_model.sources.destination import FolderDestination
from embedding_model.sources.folder import FolderSource
from embedding_model.sources.progress import Meter
from embedding_runtime.conversion.repetition import convert_entries, missing_conversions
from embedding_runtime.fetching import FetchSettings, fetch_model
from embedding_runtime.resolving import ConversionPolicy, ResolveSettings, resolve_model
from localcluster.hub.server import running
from localcluster.hub.store import Store

REPO = "acme/old"
CLAIM = Origin(kind=SourceKind.PERSISTENT_VOLUME_CLAIM, claim="models", path="/old")
NOWHERE = Access(endpoint="http://127.0.0.1:1")


def resolve_claim(
    folder: Path,
    *,
    conversion: ConversionPolicy = ConversionPolicy.NEVER,
    work: Path | None = None,
    cache: Path | None = None,
    declared: Declared | None = None,
) -> InspectionResult:
    settings = ResolveSettings(
        origin=CLAIM,
        access=NOWHERE,
        folder=folder,
        conversion=conversion,
        work=work,
        cache=cache,
        declared=declared or Declared(),
    )
    return resolve_model(settings, meter=Meter())


def hash_file(path: Path) -> tuple[int, str]:
    data = path.read_bytes()
    return len(data), hashlib.sha256(data).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "hub")


@pytest.fixture
def hub(store: Store) -> Iterator[str]:
    with running(store) as url:
        yield url


def test_a_claim_is_inspected_and_hashed_under_its_own_origin(tmp_path: Path) -> None:
    folder = write_files(tmp_path, tiny_embedder())
    found = resolve_claim(folder)
    assert found.origin == CLAIM
    assert found.inspection == inspect(FolderSource(folder))
    weights = found.manifest.entry("model.safetensors")
    assert weights is not None
    assert (weights.size, weights.sha256) == hash_file(folder / "model.safetensors")
    assert found.manifest.conversions == ()


@pytest.mark.parametrize("stays", [True, False])
def test_a_path_that_is_a_link_must_stay_on_its_volume(tmp_path: Path, stays: bool) -> None:
    files = write_files(tmp_path / ("mount" if stays else "elsewhere") / "real", tiny_embedder())
    link = tmp_path / "mount" / "link"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(files)
    origin = CLAIM.model_copy(update={"path": "/link"})
    settings = ResolveSettings(origin=origin, access=NOWHERE, folder=link)
    if stays:
        assert resolve_model(settings, meter=Meter()).origin == origin
        return
    with pytest.raises(Refusal) as raised:
        resolve_model(settings, meter=Meter())
    assert raised.value.reason is Reason.UNSAFE_PATH


def test_what_the_spec_declares_is_held_against_the_files(tmp_path: Path) -> None:
    folder = write_files(tmp_path, tiny_embedder())
    with pytest.raises(Refusal) as raised:
        resolve_claim(folder, declared=Declared(task=Task.RERANKING))
    assert raised.value.reason is Reason.TASK_MISMATCH


def test_an_images_folder_has_the_digest_as_its_revision(tmp_path: Path) -> None:
    digest = "sha256:" + "a" * 64
    origin = Origin(kind=SourceKind.IMAGE, image=f"registry.example.com/models/x@{digest}", path="/")
    folder = write_files(tmp_path, tiny_embedder())
    found = resolve_model(ResolveSettings(origin=origin, access=NOWHERE, folder=folder), meter=Meter())
    assert found.origin == origin.model_copy(update={"revision": digest})


def test_an_image_is_pulled_with_the_first_secret_that_knows_its_registry(tmp_path: Path) -> None:
    with scripted_registry() as registry:
        reference = registry.add(make_image(files_layer(tiny_embedder())))
        registry.scripts.append(require_basic("user", "secret"))
        secrets = [tmp_path / name for name in ("missing", "other", "right")]
        secrets[1].write_text(pull_secret("registry.example.com", username="user", password="wrong"))
        secrets[2].write_text(pull_secret(reference.registry, username="user", password="secret"))
        origin = Origin(kind=SourceKind.IMAGE, image=str(reference), path="/models")
        settings = ResolveSettings(
            origin=origin, access=registry.access, work=tmp_path / "work", pull_secrets=tuple(secrets)
        )
        (tmp_path / "work" / "image").mkdir(parents=True)
        (tmp_path / "work" / "image" / "left.bin").write_bytes(b"by an earlier process")
        meter = Meter()
        found = resolve_model(settings, meter=meter)
    assert found.origin == origin.model_copy(update={"revision": reference.digest})
    assert found.manifest == resolve_claim(write_files(tmp_path / "model", tiny_embedder())).manifest
    assert meter.read().bytes_done == meter.read().bytes > 0


def test_an_image_without_a_place_to_pull_it_to_is_a_mistake_of_the_caller() -> None:
    origin = Origin(kind=SourceKind.IMAGE, image="registry.example.com/x@sha256:" + "a" * 64)
    with pytest.raises(ValueError, match="--work"):
        resolve_model(ResolveSettings(origin=origin, access=NOWHERE), meter=Meter())


def test_a_claim_without_its_folder_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="--folder"):
        resolve_model(ResolveSettings(origin=CLAIM, access=NOWHERE), meter=Meter())


def test_a_branch_is_resolved_to_its_commit_and_a_pinned_commit_stays(tmp_path: Path, store: Store, hub: str) -> None:
    folder = write_files(tmp_path / "model", tiny_embedder())
    first = store.push(folder, REPO)
    (folder / "README.md").write_text("# Moved\n")
    second = store.push(folder, REPO)
    asked = Origin(kind=SourceKind.HUGGING_FACE, repo=REPO, requested="main")

    access = Access(endpoint=hub)
    moved = resolve_model(ResolveSettings(origin=asked, access=access), meter=Meter())
    pinned = asked.model_copy(update={"revision": first})
    stayed = resolve_model(ResolveSettings(origin=pinned, access=access), meter=Meter())

    assert moved.origin == asked.model_copy(update={"revision": second})
    assert stayed.origin == pinned


def test_a_hub_that_is_down_is_no_refusal() -> None:
    origin = Origin(kind=SourceKind.HUGGING_FACE, repo=REPO, requested="main")
    with pytest.raises(Unavailable):
        resolve_model(ResolveSettings(origin=origin, access=NOWHERE), meter=Meter())


def test_beside_safetensors_a_pickle_is_never_looked_at(tmp_path: Path) -> None:
    """gte-base-zh: pytorch_model.bin and model.safetensors hold other weights."""
    folder = write_files(tmp_path / "model", model_files(pickle_seed=1, safetensors_seed=2))
    trace = tmp_path / "trace"
    write_hostile(folder / "pytorch_model.bin", code=f"open({str(trace)!r}, 'w').close()")
    found = resolve_claim(folder, conversion=ConversionPolicy.ISOLATED, work=tmp_path / "work")
    assert found.manifest.conversions == ()
    assert [file.path for file in found.manifest.fetched() if file.path.endswith(".bin")] == []
    assert found.manifest.entry("model.safetensors") is not None
    assert not (tmp_path / "work").exists()
    assert not trace.exists()


def test_a_pickle_alone_is_refused_with_the_field_that_allows_its_conversion(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "model", model_files(pickle_seed=1))
    with pytest.raises(Refusal) as raised:
        resolve_claim(folder, work=tmp_path / "work")
    assert raised.value.reason is Reason.PICKLE_ONLY
    assert raised.value.field == "model.conversion"
    assert not (tmp_path / "work").exists()


def test_a_pickle_of_a_claim_is_converted_on_request_and_stays_where_it_is(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "model", model_files(pickle_seed=1))
    work, cache = tmp_path / "work", tmp_path / "cache"
    cache.mkdir()

    found = resolve_claim(folder, conversion=ConversionPolicy.ISOLATED, work=work, cache=cache)

    [conversion] = found.manifest.conversions
    pickle, target = folder / "pytorch_model.bin", CacheDestination(cache).locate(conversion.target)
    assert (conversion.source.size, conversion.source.sha256) == hash_file(pickle)
    assert (conversion.target.size, conversion.target.sha256) == hash_file(target)
    assert conversion.target in found.manifest.files
    assert conversion.source in found.manifest.fetched()
    assert conversion.source not in found.manifest.files
    assert same_tensors(load_file(target), noisy_tensors(seed=1))
    [evidence] = [item for item in found.inspection.evidence if item.file == "pytorch_model.bin"]
    assert (evidence.field, evidence.value) == ("weights", "model.safetensors")
    assert "converted from a pickle" in str(evidence.note)
    assert not list(folder.rglob("*.safetensors"))


def test_a_sharded_pickle_of_a_hub_is_converted_shard_by_shard_and_repeated_by_a_pod(
    tmp_path: Path, store: Store, hub: str
) -> None:
    folder = write_files(tmp_path / "model", sharded_files(seed=3))
    store.push(folder, REPO)
    origin = Origin(kind=SourceKind.HUGGING_FACE, repo=REPO, requested="main")
    meter, work = Meter(), tmp_path / "work"
    settings = ResolveSettings(
        origin=origin, access=Access(endpoint=hub), conversion=ConversionPolicy.ISOLATED, work=work
    )

    found = resolve_model(settings, meter=meter)

    assert [(item.source.path, item.target.path) for item in found.manifest.conversions] == [
        ("pytorch_model-00001-of-00002.bin", "model-00001-of-00002.safetensors"),
        ("pytorch_model-00002-of-00002.bin", "model-00002-of-00002.safetensors"),
        ("pytorch_model.bin.index.json", "model.safetensors.index.json"),
    ]
    progress = meter.read()
    assert progress.files == progress.files_done == 2
    assert progress.bytes == progress.bytes_done > 0
    assert not list(work.rglob("*.bin")), "a pickle is deleted once it is converted"

    served, work = tmp_path / "served", tmp_path / "work of the pod"
    model = resolved_model().model_copy(update=dict(found))
    fetch_model(model, settings=FetchSettings(access=Access(endpoint=hub), target=served, work=work), meter=Meter())
    assert missing_conversions(found.manifest, destination=FolderDestination(served)) == ()
    assert not list(served.rglob("*.bin"))
    assert not list(work.rglob("*.bin"))
    weight_map = json.loads((served / "model.safetensors.index.json").read_bytes())["weight_map"]
    tensors = {name: load_file(served / path)[name] for name, path in weight_map.items()}
    assert same_tensors(tensors, noisy_tensors(seed=3))


def test_a_pod_refuses_another_result_than_the_recorded_one(tmp_path: Path) -> None:
    pickle = write_files(tmp_path / "model", model_files(pickle_seed=1)) / "pytorch_model.bin"
    size, sha256 = hash_file(pickle)
    target = FileEntry(path="model.safetensors", size=size, sha256="0" * 64)
    conversion = Conversion(source=FileEntry(path=pickle.name, size=size, sha256=sha256), target=target)
    served = tmp_path / "served"

    with pytest.raises(Refusal) as raised:
        convert_entries(
            Manifest(files=(target,), conversions=(conversion,)),
            locate=lambda entry: pickle,
            destination=FolderDestination(served),
            discard=False,
        )

    assert raised.value.reason is Reason.HASH_MISMATCH
    assert len(set(re.findall("[0-9a-f]{64}", raised.value.message))) == 2, "both hashes are named"
    assert target.sha256 in raised.value.message
    assert [path for path in served.rglob("*") if path.is_file()] == []


def require_basic(username: str, password: str) -> Script:
    def script(request: Request) -> Answer | None:
        if request.headers.get("authorization") == basic(username, password):
            return None
        return Answer(status=401, headers={"www-authenticate": 'Basic realm="registry"'})

    return script


def pull_secret(host: str, *, username: str, password: str) -> str:
    return json.dumps({"auths": {host: {"username": username, "password": password}}})


def same_tensors(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)
