"""Our client and the unmodified huggingface_hub are told the same by one hub, for every form of a revision."""

from dataclasses import dataclass

import pytest
from hub_in_process import REPO, Hub
from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.access import Access
from embedding_model.sources.hub import HubSource
from embedding_model.sources.listing import Listed
from localcluster.hub.state import Gate


@dataclass(frozen=True)
class Answer:
    commit: str | None
    files: tuple[Listed, ...]


def ours(hub: Hub, *, revision: str, repo: str = REPO, token: str | None = None) -> Answer:
    with HubSource.resolve(access=Access(endpoint=hub.url, token=token), repo=repo, revision=revision) as source:
        return Answer(source.origin.revision, tuple(source.files()))


def theirs(hub: Hub, *, revision: str, repo: str = REPO, token: str | None = None) -> Answer:
    api = HfApi(endpoint=hub.url, token=token or False)
    info = api.model_info(repo, revision=revision, files_metadata=True)
    files = [
        Listed(file.rfilename, file.lfs.size, sha256=file.lfs.sha256)
        if file.lfs is not None
        else Listed(file.rfilename, file.size or 0, blob_id=file.blob_id)
        for file in info.siblings or ()
    ]
    return Answer(info.sha, tuple(sorted(files, key=lambda file: file.path)))


REVISIONS = {
    "the default branch": "main",
    "a branch": "other",
    "a branch with slashes": "feature/x/y",
    "a branch that looks like a short commit": "deadbeef",
    "a branch with odd characters": "a+b%c&d#é",
    "a tag": "v1.0",
    "an annotated tag": "v2.0",
    "a tag with a branch's name": "both",
    "a full ref of a branch": "refs/heads/feature/x/y",
    "a full ref of a tag": "refs/tags/v1.0",
    "a pull request": "refs/pr/7",
}


@pytest.fixture
def many(hub: Hub) -> Hub:
    """Every revision names a commit of its own."""
    repository = hub.store.find(REPO)
    assert repository is not None
    for seed, branch in enumerate(("other", "feature/x/y", "deadbeef", "a+b%c&d#é", "both", "refs/pr/7"), start=1):
        hub.push(seed=seed, branch=branch)
    repository.tag("v1.0", commit=hub.push(seed=20, branch="forgotten"))
    repository.tag("v2.0", commit=hub.push(seed=21, branch="forgotten"), message="Release")
    repository.tag("both", commit=hub.push(seed=22, branch="forgotten"))
    return hub


def test_every_form_of_a_revision_means_the_same_to_both(many: Hub) -> None:
    found = {}
    for form, revision in REVISIONS.items():
        answer = ours(many, revision=revision)
        assert answer == theirs(many, revision=revision), form
        found[revision] = answer.commit
    for commit in filter(None, set(found.values())):
        for revision in (commit, commit[:7], commit[:20]):
            answer = ours(many, revision=revision)
            assert answer.commit == commit
            assert answer == theirs(many, revision=revision)
    assert found["refs/heads/feature/x/y"] == found["feature/x/y"]
    assert found["refs/tags/v1.0"] == found["v1.0"]
    assert len(set(found.values())) == len(found) - 2


@pytest.mark.parametrize("revision", ["nothing", "f" * 40, "f" * 7, "refs/pr/9", "refs/heads/nothing", "main/x"])
def test_a_revision_that_is_not_there_is_not_there_for_both(many: Hub, revision: str) -> None:
    with pytest.raises(RevisionNotFoundError):
        theirs(many, revision=revision)
    with pytest.raises(Refusal) as refused:
        ours(many, revision=revision)
    assert refused.value.reason is Reason.REVISION_NOT_FOUND


def test_a_private_repository_is_listed_to_both_with_a_token_only(hub: Hub) -> None:
    hub.store.state.add_token("hf_mine")
    hub.store.state.set_gate(REPO, Gate(private=True))

    assert ours(hub, revision="main", token="hf_mine") == theirs(hub, revision="main", token="hf_mine")
    with pytest.raises(RepositoryNotFoundError):
        theirs(hub, revision="main")
    with pytest.raises(Refusal) as refused:
        ours(hub, revision="main")
    assert refused.value.reason is Reason.REPOSITORY_NOT_FOUND
