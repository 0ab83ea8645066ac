"""updatePolicy Track beside spec.space: a commit of another space comes up behind a Service of its own."""

from datetime import UTC, datetime
from typing import Any

import pytest
from model_samples import COMMIT, OTHER_COMMIT, REPO, hub_spec, request_token, resolved
from simulated_cluster import KEY, SimulatedCluster

from embedding_model.resolved import Origin, SourceKind
from embedding_operator.api import names
from embedding_operator.kube.gateway import CONFIG_MAP, DEPLOYMENT, SERVICE
from embedding_operator.observe.facts import Head, InProgress
from embedding_operator.reconcile.outcome import Done, Stalled

SOURCE = Origin(kind=SourceKind.HUGGING_FACE, repo=REPO, requested="main").request_key()
THIRD_COMMIT = "1111111111111111111111111111111111111111"


def _move(cluster: SimulatedCluster, commit: str, *, seed: str) -> None:
    """The branch stands at `commit`; another seed is another vector space."""
    cluster.facts.heads[SOURCE] = Head(commit=commit, seen_at=datetime(2026, 3, 1, 13, tzinfo=UTC))
    cluster.facts.resolutions[request_token(commit=commit)] = resolved(revision=commit, seed=seed)


def _services(cluster: SimulatedCluster) -> dict[str, str]:
    return {item["metadata"]["name"]: item["spec"]["selector"][names.LABEL_SPACE] for item in cluster.all(SERVICE)}


def _own_service(space: str) -> str:
    return names.pending_service_name(KEY.name, fingerprint=space)


@pytest.fixture
async def bound(cluster: SimulatedCluster) -> SimulatedCluster:
    """Serves a tracked branch; spec.space approves what serves."""
    model = {"huggingFace": {"repo": REPO, "revision": "main", "updatePolicy": "Track"}}
    cluster.create_model(hub_spec(model=model, replicas=2))
    await cluster.settle()
    cluster.edit_spec(lambda spec: spec.update(space=cluster.selected_space()))
    assert await cluster.settle() == Done()
    return cluster


async def _follow_to_other_space(cluster: SimulatedCluster) -> str:
    _move(cluster, OTHER_COMMIT, seed="b")
    assert await cluster.settle() == Stalled("SpaceChangeNotApproved")
    return str(cluster.status()["space"]["pending"])


async def test_a_commit_of_another_space_comes_up_beside_what_serves(bound: SimulatedCluster) -> None:
    space, pods = bound.selected_space(), bound.ready_pods()
    pending = await _follow_to_other_space(bound)
    assert _services(bound) == {KEY.name: space, _own_service(pending): pending}
    assert bound.replicas() == {space: 2, pending: 2}
    assert pods < bound.ready_pods()
    assert bound.says("Available") == ("True", "MinimumAvailable")
    assert bound.status()["model"]["revision"] == COMMIT
    message = bound.condition("Stalled")["message"]  # type: ignore[index]
    assert OTHER_COMMIT in message
    assert f"http://{_own_service(pending)}.{KEY.namespace}.svc:80" in message


async def test_approving_it_moves_to_the_pods_that_are_there(bound: SimulatedCluster) -> None:
    space = bound.selected_space()
    pending = await _follow_to_other_space(bound)
    coming = {pod["metadata"]["uid"] for pod in bound.pods() if pending in str(pod["metadata"]["labels"])}
    bound.edit_spec(lambda spec: spec.update(space=pending))
    assert await bound.settle() == Done()
    assert _services(bound) == {KEY.name: pending}
    assert bound.replicas() == {space: 0, pending: 2}
    assert {pod["metadata"]["uid"] for pod in bound.pods()} == coming
    assert bound.status()["model"]["revision"] == OTHER_COMMIT


async def test_a_branch_that_moves_back_takes_it_away(bound: SimulatedCluster) -> None:
    space, pods = bound.selected_space(), bound.ready_pods()
    pending = await _follow_to_other_space(bound)
    _move(bound, COMMIT, seed="a")
    assert await bound.settle() == Done()
    assert _services(bound) == {KEY.name: space}
    assert bound.replicas() == {space: 2, pending: 0}
    assert bound.ready_pods() == pods


async def test_what_serves_follows_the_spec_meanwhile(bound: SimulatedCluster) -> None:
    space = bound.selected_space()
    pending = await _follow_to_other_space(bound)
    limits = {"limits": {"memory": "3Gi"}}
    bound.edit_spec(lambda spec: spec.update(resources=limits, replicas=3))
    await bound.settle()
    assert bound.replicas() == {space: 3, pending: 3}
    for deployment in bound.all(DEPLOYMENT):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["resources"]["limits"]["memory"] == "3Gi"


async def test_taking_the_bound_away_approves_nothing(bound: SimulatedCluster) -> None:
    """Without spec.space a branch moves nothing to another space, and brings nothing up."""
    space = bound.selected_space()
    pending = await _follow_to_other_space(bound)
    bound.edit_spec(lambda spec: spec.pop("space"))
    assert await bound.settle() == Stalled("SpaceChangeNotApproved")
    assert _services(bound) == {KEY.name: space}
    assert bound.replicas() == {space: 2, pending: 0}


@pytest.mark.parametrize("forgets", ["branch", "commit"])
async def test_a_restarted_operator_leaves_it_as_it_is_until_it_has_asked_again(
    bound: SimulatedCluster, forgets: str
) -> None:
    await _follow_to_other_space(bound)
    children = [*bound.all(DEPLOYMENT), *bound.all(SERVICE), *bound.all(CONFIG_MAP)]
    head, question = bound.facts.heads[SOURCE], request_token(commit=OTHER_COMMIT)
    answer = bound.facts.resolutions[question]
    if forgets == "branch":
        bound.facts.heads.clear()
    bound.facts.resolutions[question] = InProgress()
    bound.gateway.forget_calls()
    await bound.reconcile()
    assert bound.gateway.writes == ()
    bound.facts.heads[SOURCE], bound.facts.resolutions[question] = head, answer
    await bound.settle()
    assert [*bound.all(DEPLOYMENT), *bound.all(SERVICE), *bound.all(CONFIG_MAP)] == children


async def test_a_spec_edited_while_the_operator_restarts_takes_nothing_away(bound: SimulatedCluster) -> None:
    space = bound.selected_space()
    pending = await _follow_to_other_space(bound)
    bound.facts.heads.clear()
    bound.edit_spec(lambda spec: spec.update(replicas=3))
    await bound.settle()
    assert bound.replicas() == {space: 3, pending: 2}
    assert _own_service(pending) in _services(bound)


async def test_of_two_commits_of_other_spaces_the_last_comes_up(bound: SimulatedCluster) -> None:
    space = bound.selected_space()
    first = await _follow_to_other_space(bound)
    _move(bound, THIRD_COMMIT, seed="c")
    await bound.settle()
    second = str(bound.status()["space"]["pending"])
    assert bound.replicas() == {space: 2, first: 0, second: 2}
    assert _services(bound) == {KEY.name: space, _own_service(second): second}


async def test_a_change_of_the_spec_beside_it_waits_for_approval_in_its_place(bound: SimulatedCluster) -> None:
    space = bound.selected_space()
    first = await _follow_to_other_space(bound)
    changes: dict[str, Any] = {"embedding": {"dimensions": 4}}
    bound.edit_spec(lambda spec: spec.update(changes))
    assert await bound.settle() == Stalled("SpaceChangeNotApproved")
    second = str(bound.status()["space"]["pending"])
    assert second not in (space, first)
    assert _services(bound) == {KEY.name: space, _own_service(second): second}
