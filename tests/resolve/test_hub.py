"""Resolving from a real hub server: commit, files and type, or a refusal."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_models import tiny_embedder

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Origin, SourceKind
from embedding_model.sources.access import Access
from embedding_operator.observe.facts import ResolutionRequest
from embedding_operator.resolve.hub import resolve_from_hub
from embedding_operator.settings import Hub, Settings
from localcluster.hub.server import running
from localcluster.hub.store import Store


def endpoints(url: str, **mirrors: str) -> Settings:
    return Settings(
        hub=Hub(Access(endpoint=url)), mirrors={name: Hub(Access(endpoint=at)) for name, at in mirrors.items()}
    )


@pytest.fixture
def hub_url(tmp_path: Path) -> Iterator[str]:
    store = Store(tmp_path / "hub")
    pushed = tmp_path / "pushed"
    for name, data in tiny_embedder().items():
        file = pushed / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    store.push(pushed, "acme/tiny")
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
