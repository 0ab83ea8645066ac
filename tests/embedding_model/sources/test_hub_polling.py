"""Asking whether a branch has moved: small, conditional, and right also where a mirror knows no ETag."""

import httpx
import pytest
from hub_in_process import REPO, Hub
from hub_script import ScriptedHub

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.sources.access import Access
from embedding_model.sources.polling import Polled, poll_commit
from localcluster.hub.state import Fault, FaultKind, Gate

COMMIT = "1" * 40
SCRIPTED = Access(endpoint="https://hub.example")


def test_a_branch_that_has_not_moved_is_unchanged_and_one_that_has_names_its_commit(hub: Hub) -> None:
    access = Access(endpoint=hub.url)
    hub.push(seed=1, branch="feature/x")

    first = poll_commit(access, REPO, "main")
    assert first.commit == hub.commit
    assert first.etag is not None
    assert poll_commit(access, REPO, "main", etag=first.etag) == Polled(commit=None, etag=first.etag)

    moved = hub.push(seed=2)
    again = poll_commit(access, REPO, "main", etag=first.etag)
    assert again.commit == moved
    assert again.etag not in (None, first.etag)
    assert poll_commit(access, REPO, "feature/x").commit != moved


def test_the_question_is_small() -> None:
    hub = ScriptedHub(lambda request: httpx.Response(200, json={"_id": "x", "id": REPO, "sha": COMMIT}))

    assert poll_commit(SCRIPTED, REPO, "feature/x", client=hub.client) == Polled(commit=COMMIT, etag=None)

    assert str(hub.requests[0].url) == f"https://hub.example/api/models/{REPO}/revision/feature%2Fx?expand=sha"
    assert "if-none-match" not in hub.requests[0].headers


def test_a_mirror_that_tells_everything_and_has_no_etag_is_understood() -> None:
    listing = {"sha": COMMIT, "siblings": [{"rfilename": f"{number}.json"} for number in range(1000)]}
    hub = ScriptedHub(lambda request: httpx.Response(200, json=listing))

    polled = poll_commit(SCRIPTED, REPO, "main", client=hub.client, etag='W/"old"')

    assert polled == Polled(commit=COMMIT, etag=None)
    assert hub.requests[0].headers["if-none-match"] == 'W/"old"'


@pytest.mark.parametrize("etag", ["x" * 1000, "", '"\u00fc"', '"a\tb"'])
def test_an_etag_that_cannot_be_sent_back_is_none(etag: str) -> None:
    hub = ScriptedHub(
        lambda request: httpx.Response(200, json={"sha": COMMIT}, headers=[(b"etag", etag.encode("latin-1"))])
    )

    assert poll_commit(SCRIPTED, REPO, "main", client=hub.client) == Polled(commit=COMMIT, etag=None)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(304),
        httpx.Response(204),
        httpx.Response(200, json={"sha": "main"}),
        httpx.Response(200, json={"id": REPO}),
        httpx.Response(200, text="<html>Please log in</html>"),
    ],
)
def test_an_answer_that_names_no_commit_is_unavailable(answer: httpx.Response) -> None:
    hub = ScriptedHub(lambda request: answer)

    with pytest.raises(Unavailable):
        poll_commit(SCRIPTED, REPO, "main", client=hub.client)


@pytest.mark.parametrize(("kind", "seconds"), [(FaultKind.TOO_MANY_REQUESTS, 90.0), (FaultKind.UNAVAILABLE, 12.0)])
def test_a_rate_limit_says_when_to_come_back(hub: Hub, kind: FaultKind, seconds: float) -> None:
    hub.store.state.add_fault(Fault("/api/models/*", kind, value=int(seconds)))

    with pytest.raises(Unavailable) as unavailable:
        poll_commit(Access(endpoint=hub.url), REPO, "main", etag='W/"x"')
    assert unavailable.value.retry_after == seconds


def test_what_is_gone_or_closed_is_refused(hub: Hub) -> None:
    access = Access(endpoint=hub.url)
    with pytest.raises(Refusal) as refused:
        poll_commit(access, REPO, "nothing")
    assert refused.value.reason is Reason.REVISION_NOT_FOUND

    hub.store.state.add_token("hf_mine")
    hub.store.state.set_gate(REPO, Gate(private=True))
    with pytest.raises(Refusal) as hidden:
        poll_commit(access, REPO, "main")
    assert hidden.value.reason is Reason.REPOSITORY_NOT_FOUND
    mine = Access(endpoint=hub.url, token="hf_mine")
    assert poll_commit(mine, REPO, "main").commit == hub.commit


@pytest.mark.parametrize(("repo", "revision"), [("acme/../x", "main"), (REPO, "a..b"), (REPO, "main\r\nx: y")])
def test_a_name_that_cannot_be_one_is_not_asked_for(repo: str, revision: str) -> None:
    hub = ScriptedHub(lambda request: httpx.Response(500))

    with pytest.raises(Refusal):
        poll_commit(SCRIPTED, repo, revision, client=hub.client)
    assert hub.requests == []
