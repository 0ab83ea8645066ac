"""What the source says, and what of it changes a model that exists already."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from model_samples import COMMIT, OTHER_COMMIT, golden, hub_spec, refused, request_token, resolved, verified_by
from simulated_cluster import SimulatedCluster

from embedding_model.refusal import Reason
from embedding_operator.kube.gateway import CONFIG_MAP, DEPLOYMENT
from embedding_operator.observe.facts import InProgress, Resolution, Retrying
from embedding_operator.reconcile.outcome import Done, Stalled


async def test_a_missing_repository_stalls_and_heals_when_it_appears(cluster: SimulatedCluster) -> None:
    cluster.facts.resolutions[request_token()] = refused()
    cluster.create_model(hub_spec())
    assert await cluster.settle() == Stalled("RepositoryNotFound")
    assert cluster.says("Resolved") == ("False", "RepositoryNotFound")
    assert cluster.says("Ready") == ("False", "RepositoryNotFound")
    assert cluster.says("Stalled") == ("True", "RepositoryNotFound")
    assert cluster.all(DEPLOYMENT) == []
    cluster.facts.resolutions[request_token()] = resolved()
    assert await cluster.settle() == Done()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_hub_that_is_down_is_waited_for(cluster: SimulatedCluster) -> None:
    cluster.facts.resolutions[request_token()] = Retrying(
        message="the hub does not answer", since=cluster.now, attempts=3
    )
    cluster.create_model(hub_spec())
    await cluster.settle()
    assert cluster.says("Resolved") == ("False", "HubUnavailable")
    assert cluster.says("Reconciling") == ("True", "HubUnavailable")
    assert cluster.condition("Stalled") is None


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (refused(Reason.ACCESS_DENIED, "acme/tiny is gated"), "Stalled", "AccessDenied"),
        (Retrying("the hub does not answer", datetime(2026, 3, 1, tzinfo=UTC), 1), "Reconciling", "HubUnavailable"),
    ],
)
async def test_a_restarted_operator_repeats_what_the_hub_said_until_it_answers_again(
    cluster: SimulatedCluster, answer: Resolution, kind: str, reason: str
) -> None:
    cluster.facts.resolutions[request_token()] = answer
    cluster.create_model(hub_spec())
    await cluster.settle()
    cluster.facts.resolutions[request_token()] = InProgress()
    cluster.gateway.forget_calls()
    await cluster.reconcile()
    assert cluster.gateway.writes == ()
    assert cluster.says(kind) == ("True", reason)


async def test_a_branch_that_moves_changes_nothing(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    before = cluster.picture()
    cluster.facts.resolutions[request_token()] = resolved(revision=OTHER_COMMIT, seed="b")
    cluster.facts.resolutions_requested.clear()
    await cluster.settle()
    assert cluster.picture() == before
    assert cluster.facts.resolutions_requested == []


async def test_a_lost_resolution_is_found_again_by_its_commit_not_by_its_branch(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    (lost,) = [item for item in cluster.all(CONFIG_MAP) if "-model-" in item["metadata"]["name"]]
    cluster.facts.resolutions[request_token()] = resolved(revision=OTHER_COMMIT, seed="b")  # the branch has moved
    cluster.gateway.remove(CONFIG_MAP, namespace="search", name=lost["metadata"]["name"])
    await cluster.settle()
    assert cluster.status()["model"]["revision"] == COMMIT
    assert cluster.find(CONFIG_MAP, lost["metadata"]["name"])["data"] == lost["data"]  # type: ignore[index]
    assert cluster.says("Ready") == ("True", "Serving")


@pytest.mark.parametrize("harm", ["unreadable", "deleted"])
async def test_without_its_resolution_a_branch_is_not_followed_when_the_annotation_goes(
    cluster: SimulatedCluster, harm: str
) -> None:
    """Taking requestedAt away asks nothing anew, whatever became of the ConfigMap (another version may have written
    it)."""
    cluster.facts.resolutions[request_token(requested_at="now")] = resolved()
    cluster.create_model(hub_spec())
    cluster.request_anew("now")
    await cluster.settle()
    (lost,) = [item for item in cluster.all(CONFIG_MAP) if "-model-" in item["metadata"]["name"]]
    cluster.gateway.remove(CONFIG_MAP, namespace="search", name=lost["metadata"]["name"])
    if harm == "unreadable":
        metadata = {**lost["metadata"], "name": "tiny-model-0123456789"}
        cluster.gateway.put({**lost, "metadata": metadata, "data": {"model.json": "{}"}})
    cluster.facts.resolutions[request_token()] = resolved(revision=OTHER_COMMIT, seed="b")  # the branch has moved
    cluster.request_anew("")
    await cluster.settle()
    assert cluster.status()["model"]["revision"] == COMMIT
    assert cluster.says("Ready") == ("True", "Serving")


async def test_another_mirror_is_another_request_and_follows_its_branch(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    moved = resolved(revision=OTHER_COMMIT, seed="b")
    origin = moved.origin.model_copy(update={"mirror": "corp"})
    cluster.facts.resolutions[request_token(mirror="corp")] = replace(moved, origin=origin)
    cluster.edit_spec(lambda spec: spec["model"]["huggingFace"].update(mirror="corp"))
    await cluster.settle()
    assert cluster.status()["model"]["revision"] == OTHER_COMMIT


async def test_a_profile_that_the_chart_lost_neither_stalls_nor_freezes_what_serves(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(runtime={"profile": "cuda"}))
    await cluster.settle()
    cluster.settings = replace(cluster.settings, profiles={"cpu": cluster.settings.profiles["cpu"]})
    cluster.edit_spec(lambda spec: spec.update(replicas=3))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert len(cluster.ready_pods()) == 3


async def test_an_unknown_profile_does_not_keep_replicas_from_changing(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    cluster.edit_spec(lambda spec: spec.update(runtime={"profile": "tpu"}, replicas=2))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "ProfileNotFound")
    assert len(cluster.ready_pods()) == 2


async def test_a_spec_edit_elsewhere_resolves_nothing_anew(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    cluster.facts.resolutions.clear()
    cluster.facts.resolutions_requested.clear()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}, replicas=2))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.status()["model"]["dimensions"] == 4
    assert cluster.facts.resolutions_requested == []


async def test_writing_the_commit_where_its_branch_stood_restarts_no_pod(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    pods, commit = cluster.ready_pods(), cluster.status()["model"]["revision"]
    cluster.facts.resolutions[request_token(revision=commit)] = resolved(requested=commit)
    cluster.edit_spec(lambda spec: spec["model"]["huggingFace"].update(revision=commit))
    await cluster.settle()
    assert cluster.ready_pods() == pods
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.status()["model"]["requested"] == commit


async def test_asking_anew_follows_the_branch_through_the_gate(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    first = cluster.selected_space()
    at = "2026-03-01T13:00:00Z"
    cluster.facts.resolutions[request_token(requested_at=at)] = resolved(revision=OTHER_COMMIT, seed="b")
    cluster.request_anew(at)
    await cluster.settle()
    assert cluster.status()["model"]["revision"] == OTHER_COMMIT
    assert cluster.status()["lastHandledRequest"] == at
    assert cluster.selected_space() != first
    assert cluster.says("Ready") == ("True", "Serving")


async def test_taking_the_annotation_away_stays_with_what_serves_whatever_its_values_were(
    cluster: SimulatedCluster,
) -> None:
    """As texts, 9 is later than 10; and the model of 9 is kept for the way back."""
    cluster.facts.resolutions[request_token(requested_at="9")] = resolved(seed="c")
    cluster.facts.resolutions[request_token(requested_at="10")] = resolved(revision=OTHER_COMMIT, seed="b")
    cluster.create_model(hub_spec())
    for at in ("9", "10"):
        cluster.request_anew(at)
        await cluster.settle()
    space = cluster.selected_space()
    cluster.request_anew("")
    await cluster.settle()
    assert cluster.selected_space() == space
    assert cluster.status()["model"]["revision"] == OTHER_COMMIT
    assert cluster.says("Ready") == ("True", "Serving")


async def test_asking_anew_and_getting_the_same_commit_restarts_no_pod(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    pods = cluster.ready_pods()
    cluster.facts.resolutions[request_token(requested_at="again")] = resolved()
    cluster.request_anew("again")
    await cluster.settle()
    assert cluster.ready_pods() == pods
    assert cluster.status()["lastHandledRequest"] == "again"


async def test_a_refused_revision_leaves_the_generation_before_serving(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    pods, children = cluster.ready_pods(), [*cluster.all(DEPLOYMENT), *cluster.all(CONFIG_MAP)]
    cluster.facts.resolutions[request_token(revision="v2")] = refused(Reason.REVISION_NOT_FOUND, "no revision v2")
    cluster.edit_spec(lambda spec: spec["model"]["huggingFace"].update(revision="v2"))
    assert await cluster.settle() == Stalled("RevisionNotFound")
    assert cluster.ready_pods() == pods
    assert [*cluster.all(DEPLOYMENT), *cluster.all(CONFIG_MAP)] == children
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    assert cluster.status()["model"]["requested"] == "main", "what serves is described, not what was refused"


async def test_an_override_that_does_not_fit_names_its_field(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(embedding={"dimensions": 9}))
    assert await cluster.settle() == Stalled("InvalidOverride")
    assert "embedding.dimensions" in cluster.condition("Stalled")["message"]  # type: ignore[index]
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 8}))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_spec_that_cannot_be_read_is_a_condition_and_no_crash(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    pods = cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec.update(model={}))
    assert await cluster.settle() == Stalled("InvalidSpec")
    assert "exactly one source" in cluster.condition("Stalled")["message"]  # type: ignore[index]
    assert cluster.ready_pods() == pods
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")


async def test_of_a_spec_that_cannot_be_read_nobody_says_how_many_replicas_it_asks_for(
    cluster: SimulatedCluster,
) -> None:
    cluster.create_model(hub_spec(model={}))
    assert await cluster.settle() == Stalled("InvalidSpec")
    assert cluster.says("Available") == ("False", "NotAvailable")


async def test_a_profile_that_is_there_at_last_is_said_no_more_while_the_volume_is_read(
    cluster: SimulatedCluster,
) -> None:
    """The status says it of this very request; it is not what the source answered."""
    profiles = dict(cluster.settings.profiles)
    cluster.gateway.put(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"namespace": "search", "name": "models"},
        }
    )
    cluster.create_model(hub_spec(model={"persistentVolumeClaim": {"claimName": "models"}}, runtime={"profile": "own"}))
    await cluster.settle()
    assert cluster.says("Resolved") == ("False", "ProfileNotFound")
    assert cluster.says("Verified") == ("Unknown", "InspectingVolume")
    cluster.settings = replace(cluster.settings, profiles={**profiles, "own": profiles["cpu"]})
    await cluster.settle()
    assert cluster.says("Reconciling") == ("True", "InspectingVolume")
    assert cluster.says("Stalled") is None


async def test_an_unknown_profile_is_named_with_the_known_ones(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    pods = cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec.update(runtime={"profile": "tpu"}))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "ProfileNotFound")
    message = cluster.condition("Stalled")["message"]  # type: ignore[index]
    assert '"tpu"' in message
    assert "cpu, cuda" in message
    assert cluster.ready_pods() == pods
