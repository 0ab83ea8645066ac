"""Unmodified huggingface_hub against the local hub."""

from pathlib import Path

import httpx2
import pytest
from hub_in_process import REPO, Hub
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from small_model import small_model_files

from localcluster.hub.server import running
from localcluster.hub.state import Fault, FaultKind, Gate


@pytest.fixture
def api(hub: Hub) -> HfApi:
    return HfApi(endpoint=hub.url, token=False)


def read_all(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and ".cache" not in file.parts
    }


def test_a_snapshot_holds_every_file_byte_for_byte(hub: Hub, tmp_path: Path) -> None:
    folder = snapshot_download(REPO, endpoint=hub.url, cache_dir=tmp_path / "cache", token=False)

    assert read_all(Path(folder)) == small_model_files()
    assert Path(folder).name == hub.commit


def test_a_snapshot_into_a_folder_of_its_own_works(hub: Hub, tmp_path: Path) -> None:
    folder = snapshot_download(REPO, endpoint=hub.url, local_dir=tmp_path / "here", token=False)

    assert read_all(Path(folder)) == small_model_files()


def test_large_files_come_from_another_origin_as_they_do_from_a_cdn(hub: Hub, tmp_path: Path) -> None:
    with (
        running(hub.store) as cdn,
        running(hub.store, cdn_url=cdn.replace("127.0.0.1", "localhost")) as endpoint,
    ):
        file = hf_hub_download(REPO, "model.safetensors", endpoint=endpoint, cache_dir=tmp_path, token=False)

    assert Path(file).read_bytes() == small_model_files()["model.safetensors"]


def test_a_branch_a_tag_a_commit_and_a_full_ref_name_revisions(hub: Hub, api: HfApi, tmp_path: Path) -> None:
    other = hub.push(seed=1, branch="feature/other")
    repository = hub.store.find(REPO)
    assert repository is not None
    repository.tag("v1", commit=other)

    assert api.model_info(REPO).sha == hub.commit
    for revision in ("feature/other", "v1", other, "refs/heads/feature/other"):
        assert api.model_info(REPO, revision=revision).sha == other
        file = hf_hub_download(
            REPO, "config.json", revision=revision, endpoint=hub.url, cache_dir=tmp_path, token=False
        )
        assert Path(file).read_bytes() == small_model_files(seed=1)["config.json"]


def test_short_commits_and_pull_requests_name_revisions_too(hub: Hub, api: HfApi) -> None:
    proposed = hub.push(seed=1, branch="refs/pr/1")

    assert api.model_info(REPO).sha == hub.commit
    for revision in ("refs/pr/1", proposed[:7], proposed[:12], proposed[:39]):
        assert api.model_info(REPO, revision=revision).sha == proposed
    refs = api.list_repo_refs(REPO, include_pull_requests=True)
    assert [(ref.ref, ref.target_commit) for ref in refs.pull_requests or ()] == [("refs/pr/1", proposed)]
    assert [ref.name for ref in refs.branches] == ["main"]
    for revision in (proposed[:6], "refs/pr/2"):
        with pytest.raises(RevisionNotFoundError):
            api.model_info(REPO, revision=revision)


def test_only_the_commit_is_told_when_only_that_is_asked_for(hub: Hub, api: HfApi) -> None:
    info = api.model_info(REPO, expand=["sha"])

    assert info.sha == hub.commit
    assert info.siblings is None


def test_model_info_tells_sizes_and_hashes(hub: Hub, api: HfApi) -> None:
    siblings = {file.rfilename: file for file in api.model_info(REPO, files_metadata=True).siblings or ()}
    files = small_model_files()

    assert {path: file.size for path, file in siblings.items()} == {path: len(data) for path, data in files.items()}
    large = siblings["model.safetensors"].lfs
    assert large is not None
    assert large.size == len(files["model.safetensors"])
    assert siblings["config.json"].lfs is None


def test_files_trees_paths_and_refs_are_listed(hub: Hub, api: HfApi) -> None:
    assert sorted(api.list_repo_files(REPO)) == sorted(small_model_files())
    top = {item.path for item in api.list_repo_tree(REPO)}
    assert "1_Pooling" in top
    assert "1_Pooling/config.json" not in top
    assert [item.path for item in api.list_repo_tree(REPO, "1_Pooling", expand=True)] == ["1_Pooling/config.json"]
    assert [item.path for item in api.get_paths_info(REPO, ["config.json"])] == ["config.json"]
    assert [(ref.name, ref.target_commit) for ref in api.list_repo_refs(REPO).branches] == [("main", hub.commit)]


def test_what_is_missing_is_missing_in_the_hubs_own_way(hub: Hub, api: HfApi, tmp_path: Path) -> None:
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("acme/nothing")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(REPO, revision="nothing")
    with pytest.raises(EntryNotFoundError):
        hf_hub_download(REPO, "nothing.json", endpoint=hub.url, cache_dir=tmp_path, token=False)


def test_a_gated_repository_is_listed_for_all_and_read_by_those_allowed(hub: Hub, api: HfApi, tmp_path: Path) -> None:
    hub.store.state.add_token("hf_allowed")
    hub.store.state.add_token("hf_other")
    hub.store.state.set_gate(REPO, Gate(gated=True, allowed=("hf_allowed",)))

    assert api.model_info(REPO).gated == "manual"
    for token in (False, "hf_other"):
        with pytest.raises(GatedRepoError):
            hf_hub_download(REPO, "config.json", endpoint=hub.url, cache_dir=tmp_path, token=token)
    for path in ("config.json", "model.safetensors"):
        file = hf_hub_download(REPO, path, endpoint=hub.url, cache_dir=tmp_path, token="hf_allowed")
        assert Path(file).read_bytes() == small_model_files()[path]


def test_a_private_repository_looks_missing_to_strangers(hub: Hub, api: HfApi) -> None:
    hub.store.state.add_token("hf_mine")
    hub.store.state.set_gate(REPO, Gate(private=True))

    with pytest.raises(RepositoryNotFoundError):
        api.model_info(REPO)
    assert HfApi(endpoint=hub.url, token="hf_mine").model_info(REPO).private is True


def test_whoami_knows_valid_tokens_only(hub: Hub) -> None:
    hub.store.state.add_token("hf_mine")

    assert HfApi(endpoint=hub.url).whoami(token="hf_mine")["name"] == "local"
    with pytest.raises(HfHubHTTPError):
        HfApi(endpoint=hub.url).whoami(token="hf_wrong")


def test_a_cut_download_resumes(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    hub.store.state.add_fault(Fault("*/model.safetensors", FaultKind.CUT, times=2))

    file = hf_hub_download(REPO, "model.safetensors", endpoint=hub.url, cache_dir=tmp_path, token=False)

    assert Path(file).read_bytes() == small_model_files()["model.safetensors"]
    assert [fault.times for fault in hub.store.state.read().faults] == [0]


def test_a_hub_that_is_down_closes_the_connection(hub: Hub, api: HfApi) -> None:
    hub.store.state.add_fault(Fault("/api/models/*", FaultKind.DOWN))

    with pytest.raises(httpx2.RemoteProtocolError):
        api.model_info(REPO)
