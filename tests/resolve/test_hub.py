"""Resolving from a real hub server: commit, files and type, or a refusal."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from model_folders import write_files
from tiny_models import tiny_embedder

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Declared, Origin, SourceKind, Task
from embedding_model.sources.access import Access
from embedding_operator.api.spec import ConversionPolicy
from embedding_operator.observe.facts import ResolutionRequest
from embedding_operator.resolve.hub import poll_branch, resolve_from_hub
from embedding_operator.resolve.tracker import Branch, BranchQuestion
from embedding_operator.settings import Hub, Settings
from localcluster.hub.server import running
from localcluster.hub.store import Store


def endpoints(url: str, **mirrors: str) -> Settings:
    return Settings(
        hub=Hub(Access(endpoint=url)), mirrors={name: Hub(Access(endpoint=at)) for name, at in mirrors.items()}
    )


@pytest.fixture
def pushed(tmp_path: Path) -> Path:
    return write_files(tmp_path / "pushed", tiny_embedder())


@pytest.fixture
def store(tmp_path: Path, pushed: Path) -> Store:
    made = Store(tmp_path / "hub")
    made.push(pushed, "acme/tiny")
    return made


@pytest.fixture
def hub_url(store: Store) -> Iterator[str]:
    with running(store) as url:
        yield url


def request_for(repo: str, *, mirror: str | None = None) -> ResolutionRequest:
    return ResolutionRequest(Origin(kind=SourceKind.HUGGING_FACE, repo=repo, requested="main", mirror=mirror))


def test_a_branch_resolves_to_its_commit_with_every_loaded_file(hub_url: str) -> None:
    resolved = resolve_from_hub(request_for("acme/tiny"), settings=endpoints(hub_url))
    assert resolved.origin.requested == "main"
    assert resolved.origin.revision is not None
    assert len(resolved.origin.revision) == 40
    assert resolved.manifest.entry("model.safetensors") is not None
    assert resolved.manifest.entry("README.md") is None
    assert resolved.inspection.architecture == "BertModel"


def test_a_mirror_is_asked_instead_of_the_hub_and_kept_in_the_origin(hub_url: str) -> None:
    resolved = resolve_from_hub(
        request_for("acme/tiny", mirror="corp"), settings=endpoints("http://127.0.0.1:9", corp=hub_url)
    )
    assert resolved.origin.mirror == "corp"


def test_an_unknown_mirror_is_refused_with_the_known_names(hub_url: str) -> None:
    with pytest.raises(Refusal, match="configured: corp, lab") as caught:
        resolve_from_hub(
            request_for("acme/tiny", mirror="crop"),
            settings=endpoints(hub_url, lab="http://lab", corp="http://corp"),
        )
    assert caught.value.reason is Reason.MIRROR_NOT_FOUND
    assert caught.value.field == "model.huggingFace.mirror"


def test_a_missing_repository_is_refused(hub_url: str) -> None:
    with pytest.raises(Refusal) as caught:
        resolve_from_hub(request_for("acme/missing"), settings=endpoints(hub_url))
    assert caught.value.reason is Reason.REPOSITORY_NOT_FOUND


def test_a_known_commit_is_read_again_whatever_the_branch_is_now(hub_url: str, store: Store, pushed: Path) -> None:
    before = resolve_from_hub(request_for("acme/tiny"), settings=endpoints(hub_url))
    (pushed / "README.md").write_text("another commit")
    store.push(pushed, "acme/tiny")
    again = resolve_from_hub(request_for("acme/tiny").at(before.origin.revision), settings=endpoints(hub_url))
    assert again == before
    moved = resolve_from_hub(request_for("acme/tiny"), settings=endpoints(hub_url))
    assert moved.origin.revision != before.origin.revision


def test_what_the_spec_declares_is_held_against_the_files(hub_url: str) -> None:
    request = replace(request_for("acme/tiny"), declared=Declared(task=Task.RERANKING))
    with pytest.raises(Refusal) as caught:
        resolve_from_hub(request, settings=endpoints(hub_url))
    assert caught.value.reason is Reason.TASK_MISMATCH


def test_a_branch_is_polled_for_its_commit_and_then_for_what_is_new(hub_url: str, store: Store, pushed: Path) -> None:
    branch = Branch(repo="acme/tiny", revision="main", mirror=None)
    commit = resolve_from_hub(request_for("acme/tiny"), settings=endpoints(hub_url)).origin.revision
    first = poll_branch(BranchQuestion(branch, etag=None), settings=endpoints(hub_url))
    assert first.commit == commit
    second = poll_branch(BranchQuestion(branch, etag=first.etag), settings=endpoints(hub_url))
    assert second.commit in (None, commit)
    (pushed / "README.md").write_text("another commit")
    moved = store.push(pushed, "acme/tiny")
    assert poll_branch(BranchQuestion(branch, etag=second.etag), settings=endpoints(hub_url)).commit == moved


def test_a_branch_that_is_gone_is_refused(hub_url: str) -> None:
    branch = Branch(repo="acme/tiny", revision="gone", mirror=None)
    with pytest.raises(Refusal) as caught:
        poll_branch(BranchQuestion(branch, etag=None), settings=endpoints(hub_url))
    assert caught.value.reason is Reason.REVISION_NOT_FOUND


@pytest.mark.parametrize("conversion", list(ConversionPolicy))
def test_pickled_heads_beside_the_weights_are_left_to_a_conversion_where_one_is_asked_for(
    store: Store, pushed: Path, hub_url: str, conversion: ConversionPolicy
) -> None:
    (pushed / "sparse_linear.pt").write_bytes(b"pickled")
    store.push(pushed, "acme/heads")
    asked = replace(request_for("acme/heads"), conversion=conversion)
    if conversion is ConversionPolicy.NEVER:
        assert not resolve_from_hub(asked, settings=endpoints(hub_url)).inspection.token_heads
        return
    with pytest.raises(Refusal) as caught:
        resolve_from_hub(asked, settings=endpoints(hub_url))
    assert caught.value.reason is Reason.PICKLE_ONLY
    assert "sparse_linear.pt" in caught.value.message
