"""A hub as a source: the commit is pinned once, and every byte that is read is the one that was listed."""

import hashlib
import resource
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hub_in_process import REPO, Hub
from hub_script import ScriptedHub
from small_model import LOADED, small_model_files

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import Origin, SourceKind
from embedding_model.sources.access import Access
from embedding_model.sources.hub import HubSource
from embedding_model.sources.manifest import build_manifest
from embedding_model.sources.selection import select
from localcluster.hub.state import Fault, FaultKind, Gate

FILES = small_model_files()
COMMIT = "1" * 40


SCRIPTED = Access(endpoint="https://hub.example")


def resolve(
    hub: Hub,
    revision: str = "main",
    *,
    repo: str = REPO,
    token: str | None = None,
    mirror: str | None = None,
    commit: str | None = None,
) -> HubSource:
    access = Access(endpoint=hub.url, token=token)
    return HubSource.resolve(access=access, repo=repo, revision=revision, mirror=mirror, commit=commit)


def test_a_branch_is_resolved_to_its_commit(hub: Hub) -> None:
    with resolve(hub, mirror="corp") as source:
        assert source.origin == Origin(
            kind=SourceKind.HUGGING_FACE, repo=REPO, requested="main", revision=hub.commit, mirror="corp"
        )
        assert [(file.path, file.size) for file in source.files()] == sorted(
            (path, len(data)) for path, data in FILES.items()
        )


def test_a_known_commit_is_fetched_again_whatever_its_branch_is_now(hub: Hub) -> None:
    hub.push(seed=1)

    with resolve(hub, "main", commit=hub.commit) as source:
        assert (source.origin.requested, source.origin.revision) == ("main", hub.commit)
        assert source.read("config.json", limit=1000) == FILES["config.json"]

    with pytest.raises(ValueError, match="a commit has 40 hex digits"):
        resolve(hub, "main", commit="main")


def test_a_body_that_comes_too_slowly_ends_with_the_time_that_its_size_allows(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedding_model.sources.hub._LISTING_SECONDS", 0.5)
    hub.store.state.add_fault(Fault("/api/models/*", FaultKind.SLOW, value=10))

    with pytest.raises(Unavailable, match="did not answer in time"):
        resolve(hub)


def test_a_listing_of_absurd_sizes_is_not_accepted() -> None:
    listed = [{"rfilename": "config.json", "size": 10**30, "blobId": COMMIT}]
    liar = ScriptedHub(lambda request: httpx.Response(200, json={"sha": COMMIT, "siblings": listed}))

    with pytest.raises(Unavailable, match=r"siblings\.0\.size"):
        HubSource.resolve(access=SCRIPTED, repo=REPO, revision="main", client=liar.client)


@pytest.mark.parametrize(
    "siblings",
    [
        b"{}," * 2_000_000 + b"{}",
        b'{"rfilename":"a","size":1,"blobId":"%s"},' % COMMIT.encode() * 20_000 + b"{}",
        b'{"rfilename":"a"},' * 70_000 + b"{}",
    ],
    ids=["empty", "well formed", "incomplete"],
)
def test_a_listing_that_would_take_all_memory_is_turned_down_with_little(siblings: bytes) -> None:
    """Six megabytes of empty objects, each of them a mistake to report, took two gigabytes."""
    body = b'{"sha":"%s","siblings":[%s]}' % (COMMIT.encode(), siblings)
    liar = ScriptedHub(lambda request: httpx.Response(200, content=body))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # of the process; pydantic's memory is not Python's

    with pytest.raises((Refusal, Unavailable)) as turned_down:
        HubSource.resolve(access=SCRIPTED, repo=REPO, revision="main", client=liar.client)

    if isinstance(turned_down.value, Refusal):
        assert turned_down.value.reason is Reason.TOO_LARGE
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB


def test_a_listing_without_end_is_refused_after_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedding_model.sources.hub.LISTING_LIMIT", 100_000)
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 10_000
            yield b" " * 10_000

    liar = ScriptedHub(lambda request: httpx.Response(200, content=endless()))

    with pytest.raises(Refusal) as refused:
        HubSource.resolve(access=SCRIPTED, repo=REPO, revision="main", client=liar.client)
    assert refused.value.reason is Reason.TOO_LARGE
    assert sent <= 200_000


def test_a_listing_nested_without_end_is_unavailable() -> None:
    body = b'{"sha": ' + b"[" * 200_000
    liar = ScriptedHub(lambda request: httpx.Response(200, content=body))

    with pytest.raises(Unavailable):
        HubSource.resolve(access=SCRIPTED, repo=REPO, revision="main", client=liar.client)


def test_the_manifest_equals_the_files_that_were_pushed(hub: Hub) -> None:
    with resolve(hub) as source:
        manifest = build_manifest(source, paths=select(source))

    assert [(file.path, file.size, file.sha256) for file in manifest.files] == [
        (path, len(FILES[path]), hashlib.sha256(FILES[path]).hexdigest()) for path in LOADED
    ]


def test_the_manifest_reads_no_weights(hub: Hub) -> None:
    with resolve(hub) as source:
        hub.store.state.add_fault(Fault("*/model.safetensors", FaultKind.UNAVAILABLE))

        assert build_manifest(source, paths=["model.safetensors"]).files[0].size == len(FILES["model.safetensors"])


def test_ranges_of_large_and_small_files_are_read(hub: Hub) -> None:
    weights = FILES["model.safetensors"]
    with resolve(hub) as source:
        assert source.read_range("model.safetensors", start=1000, length=8) == weights[1000:1008]
        assert source.read_range("model.safetensors", start=len(weights) - 2, length=8) == weights[-2:]
        assert source.read_range("model.safetensors", start=len(weights), length=8) == b""
        assert source.read_range("config.json", start=1, length=3) == FILES["config.json"][1:4]


def test_a_branch_that_moves_changes_nothing_for_a_resolved_source(hub: Hub) -> None:
    with resolve(hub) as source:
        hub.push(seed=1)

        assert source.read("config.json", limit=1000) == FILES["config.json"]
        assert source.read_range("model.safetensors", start=0, length=8) == FILES["model.safetensors"][:8]


@pytest.mark.parametrize("path", ["config.json", "model.safetensors"])
def test_a_flipped_byte_is_refused_with_file_expected_and_found_hash(hub: Hub, path: str) -> None:
    hub.store.state.add_fault(Fault(f"*/{path}", FaultKind.FLIP))

    with resolve(hub) as source, pytest.raises(Refusal) as refused:
        source.read(path, limit=10_000_000)

    assert refused.value.reason is Reason.HASH_MISMATCH
    assert path in refused.value.message
    content = bytearray(FILES[path])
    content[len(content) // 2] ^= 1
    hashes = (
        [hashlib.sha256(FILES[path]), hashlib.sha256(content)]
        if path == "model.safetensors"
        else [hashlib.sha1(b"blob %d\0" % len(data) + data) for data in (FILES[path], bytes(content))]
    )
    assert all(known.hexdigest() in refused.value.message for known in hashes)


def test_a_file_over_the_limit_is_refused_unread(hub: Hub) -> None:
    hub.store.state.add_fault(Fault("*/model.safetensors", FaultKind.UNAVAILABLE))

    with resolve(hub) as source, pytest.raises(Refusal) as refused:
        source.read("model.safetensors", limit=1000)

    assert refused.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("repo", "revision", "reason"),
    [
        ("acme/nothing", "main", Reason.REPOSITORY_NOT_FOUND),
        ("not a name", "main", Reason.REPOSITORY_NOT_FOUND),
        ("acme/../etc", "main", Reason.REPOSITORY_NOT_FOUND),
        ("acme/small/more", "main", Reason.REPOSITORY_NOT_FOUND),
        (REPO, "nothing", Reason.REVISION_NOT_FOUND),
        (REPO, "f" * 40, Reason.REVISION_NOT_FOUND),
        (REPO, "main\n", Reason.REVISION_NOT_FOUND),
        (REPO, "a..b", Reason.REVISION_NOT_FOUND),
    ],
)
def test_what_does_not_exist_is_refused(hub: Hub, repo: str, revision: str, reason: Reason) -> None:
    with pytest.raises(Refusal) as refused:
        resolve(hub, revision, repo=repo)
    assert refused.value.reason is reason


def test_a_gated_repository_says_what_its_reader_must_do(hub: Hub) -> None:
    hub.store.state.set_gate(REPO, Gate(gated=True, allowed=("hf_allowed",)))
    hub.store.state.add_token("hf_allowed")

    with resolve(hub) as source, pytest.raises(Refusal) as refused:
        source.read("config.json", limit=1000)
    assert refused.value.reason is Reason.ACCESS_DENIED
    assert "accepted its terms" in refused.value.message
    assert refused.value.field == "model.huggingFace.tokenSecretRef"

    with resolve(hub, token="hf_allowed") as source:
        assert source.read("config.json", limit=1000) == FILES["config.json"]
        assert source.read_range("model.safetensors", start=0, length=8) == FILES["model.safetensors"][:8]


def test_a_private_repository_is_refused_as_not_found_and_a_wrong_token_as_denied(hub: Hub) -> None:
    hub.store.state.set_gate(REPO, Gate(private=True))

    with pytest.raises(Refusal) as refused:
        resolve(hub)
    assert refused.value.reason is Reason.REPOSITORY_NOT_FOUND
    assert "private" in refused.value.message

    with pytest.raises(Refusal) as denied:
        resolve(hub, token="hf_wrong")
    assert denied.value.reason is Reason.ACCESS_DENIED
    assert "hf_wrong" not in denied.value.message


@pytest.mark.parametrize(
    ("kind", "retry_after"),
    [(FaultKind.TOO_MANY_REQUESTS, 42), (FaultKind.UNAVAILABLE, None), (FaultKind.DOWN, None), (FaultKind.CUT, None)],
)
def test_a_hub_in_trouble_is_unavailable_and_recovers(hub: Hub, kind: FaultKind, retry_after: int | None) -> None:
    hub.store.state.add_fault(Fault("/api/models/*", kind, value=retry_after))

    with pytest.raises(Unavailable) as unavailable:
        resolve(hub)
    assert unavailable.value.retry_after == retry_after

    hub.store.state.clear_faults()
    with resolve(hub) as source:
        assert source.origin.revision == hub.commit


def test_a_hub_that_nobody_serves_is_unavailable_and_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"hub 127\.0\.0\.1:9 could not be read: ConnectError"):
        HubSource.resolve(access=Access(endpoint="http://127.0.0.1:9"), repo=REPO, revision="main")


def test_a_page_that_is_no_hub_is_unavailable() -> None:
    portal = ScriptedHub(lambda request: httpx.Response(200, text="<html>Please log in</html>"))

    with pytest.raises(Unavailable, match="is the endpoint a Hugging Face hub"):
        HubSource.resolve(access=SCRIPTED, repo=REPO, revision="main", client=portal.client)


@pytest.mark.parametrize(
    "sibling",
    [
        {"rfilename": "../../etc/passwd", "size": 1, "blobId": COMMIT},
        {"rfilename": "a\\b", "size": 1, "blobId": COMMIT},
        {"rfilename": "/config.json", "size": 1, "blobId": COMMIT},
    ],
)
def test_a_listing_with_an_unsafe_path_is_refused(sibling: dict[str, object]) -> None:
    liar = ScriptedHub(lambda request: httpx.Response(200, json={"sha": COMMIT, "siblings": [sibling]}))

    with pytest.raises(Refusal) as refused:
        HubSource.resolve(access=SCRIPTED, repo=REPO, revision="main", client=liar.client)

    assert refused.value.reason is Reason.UNSAFE_PATH


@pytest.mark.parametrize(
    "sibling",
    [
        {"rfilename": "config.json"},
        {"rfilename": "config.json", "size": 1},
        {"rfilename": "config.json", "size": -1, "blobId": COMMIT},
        {"rfilename": "model.safetensors", "lfs": {"sha256": "xyz", "size": 1}},
    ],
)
def test_a_listing_without_usable_hashes_is_not_accepted(sibling: dict[str, object]) -> None:
    mirror = ScriptedHub(lambda request: httpx.Response(200, json={"sha": COMMIT, "siblings": [sibling]}))

    with pytest.raises(Unavailable):
        HubSource.resolve(access=SCRIPTED, repo=REPO, revision="main", client=mirror.client)


def test_a_hub_that_answers_for_another_commit_is_refused() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/api/"):
            listed = [{"rfilename": "config.json", "size": 2, "blobId": COMMIT}]
            return httpx.Response(200, json={"sha": COMMIT, "siblings": listed})
        return httpx.Response(200, content=b"{}", headers={"X-Repo-Commit": "2" * 40})

    hub = ScriptedHub(answer)
    source = HubSource.resolve(access=SCRIPTED, repo=REPO, revision="main", client=hub.client)

    with pytest.raises(Refusal, match="answered for commit") as refused:
        source.read("config.json", limit=100)
    assert refused.value.reason is Reason.HASH_MISMATCH

    with pytest.raises(Refusal, match="asked for"):
        HubSource.resolve(access=SCRIPTED, repo=REPO, revision="3" * 40, client=hub.client)


def test_a_mirror_that_ignores_ranges_is_read_from_the_start() -> None:
    content = bytes(range(200))

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/api/"):
            listed = [{"rfilename": "model.safetensors", "lfs": {"size": 200, "sha256": "0" * 64}}]
            return httpx.Response(200, json={"sha": COMMIT, "siblings": listed})
        return httpx.Response(200, content=content)

    hub = ScriptedHub(answer)
    source = HubSource.resolve(access=SCRIPTED, repo=REPO, revision="main", client=hub.client)

    assert source.read_range("model.safetensors", start=8, length=4) == content[8:12]
