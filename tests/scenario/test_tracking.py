"""updatePolicy Track: a branch that moves is followed within its vector space, and no further."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from model_samples import COMMIT, OTHER_COMMIT, REPO, hub_spec, refused, request_token, resolved
from simulated_cluster import SimulatedCluster

from embedding_model.refusal import Reason, RefusalDocument
from embedding_model.resolved import Origin, SourceKind
from embedding_model.sources.access import Access
from embedding_operator.kube.gateway import CONFIG_MAP, DEPLOYMENT
from embedding_operator.observe.facts import Head, InProgress
from embedding_operator.reconcile.outcome import Done, Stalled
from embedding_operator.settings import Hub

SOURCE = Origin(kind=SourceKind.HUGGING_FACE, repo=REPO, requested="main").request_key()
THIRD_COMMIT = "1111111111111111111111111111111111111111"
SEEN = datetime(2026, 3, 1, 13, 0, tzinfo=UTC)


def tracking(**parts: Any) -> dict[str, Any]:
    return hub_spec(model={"huggingFace": {"repo": REPO, "revision": "main", "updatePolicy": "Track"}}, **parts)


def move(
    cluster: SimulatedCluster, commit: str, *, seed: str = "a", seen: datetime = SEEN, requested_at: str | None = None
) -> None:
    """The branch stands at `commit`; another seed is another vector space."""
    cluster.facts.heads[SOURCE] = Head(commit=commit, seen_at=seen, requested_at=requested_at)
    for at in (None, requested_at):
        cluster.facts.resolutions[request_token(commit=commit, requested_at=at)] = resolved(revision=commit, seed=seed)


@pytest.fixture
async def tracked(cluster: SimulatedCluster) -> SimulatedCluster:
    cluster.create_model(tracking())
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    return cluster


async def test_a_commit_of_the_same_space_is_rolled_out_in_place(tracked: SimulatedCluster) -> None:
    space, pods = tracked.selected_space(), tracked.ready_pods()
    move(tracked, OTHER_COMMIT)
    await tracked.settle()
    assert tracked.says("Ready") == ("True", "Serving")
    assert tracked.status()["model"]["revision"] == OTHER_COMMIT
    assert tracked.selected_space() == space
    assert not tracked.ready_pods() & pods
    assert len(tracked.all(DEPLOYMENT)) == 1


async def test_a_commit_of_another_space_is_reported_and_nothing_moves(tracked: SimulatedCluster) -> None:
    space, pods = tracked.selected_space(), tracked.ready_pods()
    children = [*tracked.all(DEPLOYMENT), *tracked.all(CONFIG_MAP)]
    move(tracked, OTHER_COMMIT, seed="b")
    assert await tracked.settle() == Stalled("SpaceChangeNotApproved")
    assert tracked.says("Stalled") == ("True", "SpaceChangeNotApproved")
    assert tracked.says("Available") == ("True", "MinimumAvailable")
    assert tracked.says("Resolved") == ("True", "Resolved")
    status = tracked.status()
    assert status["space"]["fingerprint"] == space
    message = tracked.condition("Stalled")["message"]  # type: ignore[index]
    assert OTHER_COMMIT in message
    assert space in message
    assert status["space"]["pending"] in message
    assert status["model"]["revision"] == COMMIT
    assert tracked.ready_pods() == pods
    assert [*tracked.all(DEPLOYMENT), *tracked.all(CONFIG_MAP)] == children


async def test_what_was_reported_stands_until_a_restarted_operator_has_asked_again(tracked: SimulatedCluster) -> None:
    move(tracked, OTHER_COMMIT, seed="b")
    await tracked.settle()
    tracked.gateway.forget_calls()
    tracked.facts.heads.clear()
    await tracked.reconcile()
    assert tracked.gateway.writes == ()
    move(tracked, OTHER_COMMIT, seed="b")
    tracked.facts.resolutions[request_token(commit=OTHER_COMMIT)] = InProgress()
    await tracked.reconcile()
    assert tracked.gateway.writes == ()


async def test_a_branch_that_moves_back_is_done_with(tracked: SimulatedCluster) -> None:
    move(tracked, OTHER_COMMIT, seed="b")
    await tracked.settle()
    move(tracked, COMMIT)
    assert await tracked.settle() == Done()
    assert tracked.says("Ready") == ("True", "Serving")
    assert "pending" not in tracked.status()["space"]


async def test_approving_the_other_space_moves_the_service_to_it(tracked: SimulatedCluster) -> None:
    move(tracked, OTHER_COMMIT, seed="b")
    await tracked.settle()
    pending = tracked.status()["space"]["pending"]
    tracked.edit_spec(lambda spec: spec.update(space=pending))
    await tracked.settle()
    assert tracked.says("Ready") == ("True", "Serving")
    assert tracked.selected_space() == pending
    assert tracked.status()["model"]["revision"] == OTHER_COMMIT


async def test_with_a_space_approved_only_that_space_is_followed(tracked: SimulatedCluster) -> None:
    space = tracked.selected_space()
    tracked.edit_spec(lambda spec: spec.update(space=space))
    await tracked.settle()
    move(tracked, OTHER_COMMIT, seed="b")
    assert await tracked.settle() == Stalled("SpaceChangeNotApproved")
    move(tracked, THIRD_COMMIT)
    assert await tracked.settle() == Done()
    assert tracked.status()["model"]["revision"] == THIRD_COMMIT
    assert tracked.selected_space() == space


async def test_a_forced_push_back_to_an_old_commit_is_followed_too(tracked: SimulatedCluster) -> None:
    move(tracked, OTHER_COMMIT)
    await tracked.settle()
    old = next(item for item in tracked.all(CONFIG_MAP) if item["metadata"]["name"] == _model_name(tracked))
    assert old["metadata"]["annotations"]["embedding-operator.dev/followed"] == "2026-03-01T13:00:00Z"
    move(tracked, COMMIT, seen=datetime(2026, 3, 1, 14, 0, tzinfo=UTC))
    await tracked.settle()
    assert tracked.status()["model"]["revision"] == COMMIT
    assert tracked.says("Ready") == ("True", "Serving")


def _model_name(cluster: SimulatedCluster) -> str:
    volumes = cluster.all(DEPLOYMENT)[0]["spec"]["template"]["spec"]["volumes"]
    return str(next(item["configMap"]["name"] for item in volumes if item["name"] == "model-config"))


async def test_a_new_commit_that_is_refused_is_reported_and_nothing_moves(tracked: SimulatedCluster) -> None:
    pods = tracked.ready_pods()
    move(tracked, OTHER_COMMIT)
    tracked.facts.resolutions[request_token(commit=OTHER_COMMIT)] = refused(Reason.REMOTE_CODE_REQUIRED, "needs code")
    assert await tracked.settle() == Stalled("RemoteCodeRequired")
    message = tracked.condition("Stalled")["message"]  # type: ignore[index]
    assert OTHER_COMMIT in message
    assert COMMIT in message
    assert tracked.says("Resolved") == ("True", "Resolved")
    assert tracked.ready_pods() == pods


@pytest.mark.parametrize("is_gone", [True, False], ids=["repository gone", "commit refused"])
async def test_a_refusal_stands_until_a_restarted_operator_has_asked_again(
    tracked: SimulatedCluster, is_gone: bool
) -> None:
    move(tracked, OTHER_COMMIT)
    tracked.facts.resolutions[request_token(commit=OTHER_COMMIT)] = refused(Reason.REMOTE_CODE_REQUIRED, "needs code")
    if is_gone:
        refusal = RefusalDocument(reason=Reason.REPOSITORY_NOT_FOUND, message="no repository acme/tiny")
        tracked.facts.heads[SOURCE] = Head(commit=None, seen_at=SEEN, refusal=refusal)
    await tracked.settle()
    said = tracked.condition("Stalled")
    tracked.facts.heads.clear()
    tracked.gateway.forget_calls()
    await tracked.reconcile()
    assert tracked.gateway.writes == ()
    assert tracked.condition("Stalled") == said


async def test_a_repository_that_is_gone_is_reported_and_serves_on(tracked: SimulatedCluster) -> None:
    pods = tracked.ready_pods()
    refusal = RefusalDocument(reason=Reason.REPOSITORY_NOT_FOUND, message="no repository acme/tiny")
    tracked.facts.heads[SOURCE] = Head(commit=None, seen_at=SEEN, refusal=refusal)
    assert await tracked.settle() == Stalled("RepositoryNotFound")
    assert tracked.says("Available") == ("True", "MinimumAvailable")
    assert tracked.ready_pods() == pods


async def test_a_changed_spec_is_served_of_the_commit_that_is_followed(tracked: SimulatedCluster) -> None:
    """The user's own change of the space needs no other word; the branch's does."""
    move(tracked, OTHER_COMMIT)
    await tracked.settle()
    tracked.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await tracked.settle()
    assert tracked.says("Ready") == ("True", "Serving")
    assert tracked.status()["model"]["revision"] == OTHER_COMMIT
    assert tracked.status()["model"]["dimensions"] == 4


async def test_asking_anew_asks_the_branch_at_once_and_approves_no_other_space(tracked: SimulatedCluster) -> None:
    at = "2026-03-01T15:00:00Z"
    space = tracked.selected_space()
    tracked.request_anew(at)
    await tracked.settle()
    assert [item.requested_at for item in tracked.facts.heads_requested[:1]] == [at]
    assert "lastHandledRequest" not in tracked.status(), "the branch has not been asked since"
    move(tracked, OTHER_COMMIT, seed="b", requested_at=at)
    await tracked.settle()
    assert tracked.status()["lastHandledRequest"] == at
    assert tracked.says("Stalled") == ("True", "SpaceChangeNotApproved")
    assert tracked.selected_space() == space
    tracked.facts.heads_requested.clear()
    await tracked.reconcile()
    assert tracked.facts.heads_requested == []


async def test_a_request_is_handled_once_the_new_commit_is_known_not_only_that_there_is_one(
    tracked: SimulatedCluster,
) -> None:
    """Who waits for lastHandledRequest must not find the commit before, Ready."""
    at = "2026-03-01T15:00:00Z"
    tracked.request_anew(at)
    move(tracked, OTHER_COMMIT, requested_at=at)
    question = request_token(commit=OTHER_COMMIT, requested_at=at)
    answer = tracked.facts.resolutions[question]
    tracked.facts.resolutions[question] = InProgress()
    await tracked.settle()
    assert "lastHandledRequest" not in tracked.status()
    tracked.facts.resolutions[question] = answer
    await tracked.settle()
    assert tracked.status()["lastHandledRequest"] == at
    assert tracked.status()["model"]["revision"] == OTHER_COMMIT


async def test_following_what_was_known_before_handles_no_request(tracked: SimulatedCluster) -> None:
    at = "2026-03-01T15:00:00Z"
    tracked.request_anew(at)
    move(tracked, OTHER_COMMIT)
    tracked.facts.resolutions[request_token(commit=OTHER_COMMIT, requested_at=at)] = resolved(revision=OTHER_COMMIT)
    await tracked.settle()
    assert tracked.status()["model"]["revision"] == OTHER_COMMIT
    assert "lastHandledRequest" not in tracked.status()


async def test_a_pinned_model_never_asks_where_its_branch_stands(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    move(cluster, OTHER_COMMIT)
    await cluster.settle()
    assert cluster.status()["model"]["revision"] == COMMIT


async def test_pinning_a_followed_branch_stays_where_it_is(tracked: SimulatedCluster) -> None:
    move(tracked, OTHER_COMMIT)
    await tracked.settle()
    tracked.edit_spec(lambda spec: spec["model"]["huggingFace"].update(updatePolicy="Pin"))
    move(tracked, THIRD_COMMIT)
    await tracked.settle()
    assert tracked.says("Ready") == ("True", "Serving")
    assert tracked.status()["model"]["revision"] == OTHER_COMMIT


async def test_a_private_mirror_cannot_be_tracked_and_says_so(cluster: SimulatedCluster) -> None:
    await _serve_from_mirror(cluster)
    cluster.settings = _with_mirror(cluster, private=True)
    assert await cluster.settle() == Stalled("InvalidSpec")
    assert "spec.model.huggingFace.updatePolicy" in cluster.condition("Stalled")["message"]  # type: ignore[index]
    assert cluster.says("Available") == ("True", "MinimumAvailable")


async def _serve_from_mirror(cluster: SimulatedCluster) -> None:
    cluster.settings = _with_mirror(cluster, private=False)
    cluster.facts.resolutions[request_token(mirror="corp")] = resolved()
    spec = tracking()
    spec["model"]["huggingFace"]["mirror"] = "corp"
    cluster.create_model(spec)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


def _with_mirror(cluster: SimulatedCluster, *, private: bool) -> Any:
    return replace(cluster.settings, mirrors={"corp": Hub(Access(endpoint="https://corp.example"), private=private)})


async def test_scaling_works_while_a_space_waits_for_approval(tracked: SimulatedCluster) -> None:
    move(tracked, OTHER_COMMIT, seed="b")
    await tracked.settle()
    tracked.edit_spec(lambda spec: spec.update(replicas=3))
    await tracked.settle()
    assert len(tracked.ready_pods()) == 3
    assert tracked.says("Stalled") == ("True", "SpaceChangeNotApproved")
