"""spec.space: the only vector space that a Service may serve."""

from model_samples import COMMIT, OTHER_COMMIT, hub_spec, request_token, resolved
from simulated_cluster import SimulatedCluster

from embedding_model.resolved import Declared, Task
from embedding_operator.kube.gateway import CONFIG_MAP, DEPLOYMENT, SERVICE
from embedding_operator.reconcile.outcome import Done, Stalled

WRONG = "sp1-" + "f" * 32


async def test_a_first_generation_of_another_space_is_not_served(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(space=WRONG))
    assert await cluster.settle() == Stalled("SpaceChangeNotApproved")
    assert cluster.all(DEPLOYMENT) == []
    assert cluster.all(SERVICE) == []
    assert cluster.says("Ready") == ("False", "SpaceChangeNotApproved")
    assert cluster.says("Resolved") == ("True", "Resolved")
    assert cluster.says("Verified") == ("Unknown", "SpaceChangeNotApproved")
    found = cluster.status()["space"]
    assert "fingerprint" not in found
    message = cluster.condition("Stalled")["message"]  # type: ignore[index]
    assert WRONG in message
    assert found["pending"] in message
    cluster.edit_spec(lambda spec: spec.update(space=found["pending"]))
    assert await cluster.settle() == Done()
    assert cluster.selected_space() == found["pending"]
    assert "pending" not in cluster.status()["space"]


async def test_a_change_of_another_space_waits_for_the_users_word(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    before = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(space=before))
    await cluster.settle()
    pods = cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    assert await cluster.settle() == Stalled("SpaceChangeNotApproved")
    assert cluster.selected_space() == before
    assert cluster.ready_pods() == pods
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    assert cluster.status()["model"]["dimensions"] == 8, "what serves is described"
    pending = cluster.status()["space"]["pending"]
    cluster.edit_spec(lambda spec: spec.update(replicas=3))
    await cluster.settle()
    assert len(cluster.ready_pods()) == 3, "what serves is scaled all the same"
    cluster.edit_spec(lambda spec: spec.update(space=pending))
    assert await cluster.settle() == Done()
    assert cluster.selected_space() == pending
    assert cluster.status()["model"]["dimensions"] == 4


async def test_taking_the_change_back_is_enough(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    before, pods = cluster.selected_space(), cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec.update(space=before, embedding={"dimensions": 4}))
    await cluster.settle()
    cluster.edit_spec(lambda spec: spec.pop("embedding"))
    assert await cluster.settle() == Done()
    assert cluster.ready_pods() == pods


async def test_taking_requested_at_away_takes_back_what_was_not_approved(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    pods = cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec.update(space=cluster.selected_space()))
    cluster.facts.resolutions[request_token(requested_at="now")] = resolved(revision=OTHER_COMMIT, seed="b")
    cluster.request_anew("now")
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "SpaceChangeNotApproved")
    cluster.request_anew("")
    assert await cluster.settle() == Done()
    assert cluster.status()["model"]["revision"] == COMMIT
    assert cluster.ready_pods() == pods


async def test_what_is_declared_is_read_again_at_the_same_commit(cluster: SimulatedCluster) -> None:
    """Writing spec.task must never follow a branch that has moved meanwhile."""
    cluster.create_model(hub_spec())
    await cluster.settle()
    pods = cluster.ready_pods()
    declared = Declared(task=Task.EMBEDDING)
    cluster.facts.resolutions[request_token(declared=declared)] = resolved(revision=OTHER_COMMIT, seed="b")
    cluster.facts.resolutions[request_token(declared=declared, commit=COMMIT)] = resolved()
    cluster.edit_spec(lambda spec: spec.update(task="Embedding"))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.status()["model"]["revision"] == COMMIT
    assert cluster.ready_pods() == pods
    model = next(item for item in cluster.all(CONFIG_MAP) if "-model-" in item["metadata"]["name"])
    assert model["metadata"]["annotations"]["embedding-operator.dev/request"] == request_token(declared=declared)


async def test_what_is_declared_after_the_annotation_went_is_read_at_the_same_commit(cluster: SimulatedCluster) -> None:
    """The commit was asked for with requestedAt, and is the model's own ever since."""
    cluster.facts.resolutions[request_token(requested_at="now")] = resolved()
    cluster.create_model(hub_spec())
    cluster.request_anew("now")
    await cluster.settle()
    cluster.request_anew("")
    await cluster.settle()
    declared = Declared(task=Task.EMBEDDING)
    cluster.facts.resolutions[request_token(declared=declared)] = resolved(revision=OTHER_COMMIT, seed="b")
    cluster.facts.resolutions[request_token(declared=declared, commit=COMMIT)] = resolved()
    cluster.edit_spec(lambda spec: spec.update(task="Embedding"))
    await cluster.settle()
    assert cluster.status()["model"]["revision"] == COMMIT
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_hub_that_gives_other_bytes_under_the_same_commit_is_refused(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    pods = cluster.ready_pods()
    token = request_token(declared=Declared(task=Task.EMBEDDING), commit=COMMIT)
    cluster.facts.resolutions[token] = resolved(seed="b")
    cluster.edit_spec(lambda spec: spec.update(task="Embedding"))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "HashMismatch")
    assert cluster.ready_pods() == pods


async def test_what_is_declared_and_asked_anew_follows_the_branch(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    declared = Declared(task=Task.EMBEDDING)
    cluster.facts.resolutions[request_token(declared=declared, requested_at="now")] = resolved(revision=OTHER_COMMIT)
    cluster.edit_spec(lambda spec: spec.update(task="Embedding"))
    cluster.request_anew("now")
    await cluster.settle()
    assert cluster.status()["model"]["revision"] == OTHER_COMMIT
