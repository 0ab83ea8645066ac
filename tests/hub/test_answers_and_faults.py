"""The hub's HTTP answers in detail: headers, ranges, signatures, faults."""

import time

import httpx
import pytest
from hub_in_process import REPO, Hub
from small_model import small_model_files

from localcluster.hub.repository import Large
from localcluster.hub.state import Fault, FaultKind, Gate
from localcluster.progress import wait_until

WEIGHTS = small_model_files()["model.safetensors"]
CONFIG = small_model_files()["config.json"]


def resolve(hub: Hub, path: str) -> str:
    return f"/{REPO}/resolve/{hub.commit}/{path}"


def test_small_files_are_answered_with_commit_and_git_hash(hub: Hub, http: httpx.Client) -> None:
    answer = http.get(resolve(hub, "config.json"))

    assert answer.status_code == 200
    assert answer.content == CONFIG
    assert answer.headers["x-repo-commit"] == hub.commit
    assert len(answer.headers["etag"].strip('"')) == 40
    assert "x-linked-etag" not in answer.headers


def test_large_files_are_redirected_with_hash_and_size_told_beforehand(hub: Hub, http: httpx.Client) -> None:
    answer = http.head(resolve(hub, "model.safetensors"))

    assert answer.status_code == 302
    large = large_file(hub)
    assert answer.headers["x-linked-etag"] == f'"{large.sha256}"'
    assert answer.headers["x-linked-size"] == str(len(WEIGHTS))
    assert answer.headers["x-repo-commit"] == hub.commit
    assert http.get(answer.headers["location"]).content == WEIGHTS


def large_file(hub: Hub) -> Large:
    repository = hub.store.find(REPO)
    assert repository is not None
    return next(entry.large for entry in repository.entries(hub.commit) if entry.large)


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        ("bytes=0-9", 206, WEIGHTS[:10]),
        ("bytes=1499990-", 206, WEIGHTS[1_499_990:]),
        ("bytes=-5", 206, WEIGHTS[-5:]),
        ("bytes=10-99999999", 206, WEIGHTS[10:]),
        ("bytes=0-1,5-6", 200, WEIGHTS),
        ("lines=1-2", 200, WEIGHTS),
        ("bytes=1500000-", 416, b""),
        ("bytes=-0", 416, b""),
    ],
)
def test_ranges_follow_the_rfc(hub: Hub, http: httpx.Client, asked: str, status: int, expected: bytes) -> None:
    answer = http.get(resolve(hub, "model.safetensors"), headers={"Range": asked}, follow_redirects=True)

    assert answer.status_code == status
    assert answer.content == expected
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{len(WEIGHTS)}"


def test_an_lfs_url_without_its_signature_is_denied(hub: Hub, http: httpx.Client) -> None:
    hub.store.state.set_gate(REPO, Gate(gated=True))

    answer = http.get(f"/lfs/{REPO}/{hub.commit}/{large_file(hub).sha256}/model.safetensors")

    assert answer.status_code == 403


def test_a_long_tree_is_listed_in_pages(hub: Hub, http: httpx.Client) -> None:
    seen: list[str] = []
    url = f"/api/models/{REPO}/tree/main?recursive=true&limit=2"
    while url:
        answer = http.get(url)
        seen += [item["path"] for item in answer.json()]
        url = answer.links.get("next", {}).get("url", "")

    assert sorted(seen) == sorted([*small_model_files(), "1_Pooling"])


def test_a_flipped_byte_changes_exactly_one_byte_and_no_length(hub: Hub, http: httpx.Client) -> None:
    hub.store.state.add_fault(Fault("*/model.safetensors", FaultKind.FLIP, times=1))

    wrong = http.get(resolve(hub, "model.safetensors"), follow_redirects=True).content
    right = http.get(resolve(hub, "model.safetensors"), follow_redirects=True).content

    assert len(wrong) == len(WEIGHTS)
    assert [index for index in range(len(WEIGHTS)) if wrong[index] != WEIGHTS[index]] == [len(WEIGHTS) // 2]
    assert right == WEIGHTS


def test_a_cut_ends_the_connection_in_the_middle(hub: Hub, http: httpx.Client) -> None:
    hub.store.state.add_fault(Fault("*/config.json", FaultKind.CUT, value=7))

    received: list[bytes] = []
    with http.stream("GET", resolve(hub, "config.json")) as answer, pytest.raises(httpx.RemoteProtocolError):
        received.extend(answer.iter_raw())

    assert b"".join(received) == CONFIG[:7]


def test_a_slow_body_arrives_whole(hub: Hub, http: httpx.Client) -> None:
    rate = len(CONFIG) * 5
    hub.store.state.add_fault(Fault("*/config.json", FaultKind.SLOW, value=rate, times=1))
    began = time.monotonic()

    content = http.get(resolve(hub, "config.json")).content

    assert content == CONFIG
    assert time.monotonic() - began >= 0.1  # at that rate the body takes 0.2 s; without the fault, milliseconds


@pytest.mark.parametrize(("kind", "status"), [(FaultKind.TOO_MANY_REQUESTS, 429), (FaultKind.UNAVAILABLE, 503)])
def test_status_faults_name_when_to_come_back_and_end_after_their_times(
    hub: Hub, http: httpx.Client, kind: FaultKind, status: int
) -> None:
    hub.store.state.add_fault(Fault("/api/*", kind, value=17, times=2))

    answers = [http.get(f"/api/models/{REPO}") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [status, status, 200]
    assert answers[0].headers["retry-after"] == "17"


def test_cleared_faults_are_gone(hub: Hub, http: httpx.Client) -> None:
    hub.store.state.add_fault(Fault("*", FaultKind.UNAVAILABLE))
    hub.store.state.clear_faults()

    assert http.get(f"/api/models/{REPO}").status_code == 200


def test_a_wrong_token_is_refused_even_for_a_public_model(hub: Hub, http: httpx.Client) -> None:
    answer = http.get(f"/api/models/{REPO}", headers={"Authorization": "Bearer hf_wrong"})

    assert answer.status_code == 401
    assert answer.headers["x-error-message"] == "Invalid credentials in Authorization header"


def test_an_unchanged_answer_is_not_sent_again(hub: Hub, http: httpx.Client) -> None:
    url = f"/api/models/{REPO}/revision/main?expand=sha"
    tag = http.get(url).headers["etag"]

    unchanged = http.get(url, headers={"If-None-Match": tag})
    hub.push(seed=1)
    changed = http.get(url, headers={"If-None-Match": tag})

    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", tag)
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


def test_a_cut_at_a_fraction_hits_the_one_range_that_holds_it(hub: Hub, http: httpx.Client) -> None:
    hub.store.state.add_fault(Fault("*/model.safetensors", FaultKind.CUT, times=1, fraction=0.3))
    place = len(WEIGHTS) * 3 // 10
    url = http.head(resolve(hub, "model.safetensors")).headers["location"]

    before = http.get(url, headers={"Range": f"bytes=0-{place - 1}"})
    received: list[bytes] = []
    with (
        http.stream("GET", url, headers={"Range": f"bytes={place - 5}-"}) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        received.extend(answer.iter_raw())
    after = http.get(url, headers={"Range": f"bytes={place}-"})

    assert before.content + after.content == WEIGHTS
    assert b"".join(received) == WEIGHTS[place - 5 : place]


@pytest.mark.parametrize(("more", "expected"), [(3, CONFIG + b"\0\0\0"), (-4, CONFIG[:-4]), (None, CONFIG[:-1])])
def test_a_file_of_the_wrong_size_ends_as_if_it_were_right(
    hub: Hub, http: httpx.Client, more: int | None, expected: bytes
) -> None:
    hub.store.state.add_fault(Fault("*/config.json", FaultKind.WRONG_SIZE, value=more))

    assert http.get(resolve(hub, "config.json")).content == expected
    tail = http.get(resolve(hub, "config.json"), headers={"Range": "bytes=5-"})
    assert tail.content == expected[5:]
    assert tail.headers["content-range"] == f"bytes 5-{len(expected) - 1}/{len(expected)}"


@pytest.mark.parametrize("kind", [FaultKind.STALL, FaultKind.HANG])
def test_a_hub_that_falls_silent_keeps_the_connection(hub: Hub, http: httpx.Client, kind: FaultKind) -> None:
    hub.store.state.add_fault(Fault("*/config.json", kind, times=1))

    with pytest.raises(httpx.ReadTimeout):
        http.get(resolve(hub, "config.json"), timeout=0.3)
    wait_until(lambda: hub.store.state.read().faults[0].times == 0, what="the fault was met", deadline_seconds=60)
    assert http.get(resolve(hub, "config.json")).content == CONFIG


def test_a_hub_without_ranges_sends_the_whole_file(hub: Hub, http: httpx.Client) -> None:
    hub.store.state.add_fault(Fault("*/config.json", FaultKind.NO_RANGE))

    answer = http.get(resolve(hub, "config.json"), headers={"Range": "bytes=3-"})

    assert (answer.status_code, answer.content) == (200, CONFIG)


@pytest.mark.parametrize(("kind", "fraction"), [(FaultKind.SLOW, 0.5), (FaultKind.CUT, 1.0), (FaultKind.FLIP, -0.1)])
def test_a_fraction_that_means_nothing_is_refused(kind: FaultKind, fraction: float) -> None:
    with pytest.raises(ValueError, match="a fraction is from 0 to below 1"):
        Fault("*", kind, fraction=fraction)
