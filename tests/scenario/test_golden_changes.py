"""Editing the golden cases of a model that serves."""

from typing import Any

import orjson
import pytest
from model_samples import golden, hub_spec, request_token, verified_by
from simulated_cluster import KEY, SimulatedCluster

from embedding_operator.kube.gateway import CONFIG_MAP, DEPLOYMENT
from embedding_operator.observe.facts import MemoryFacts
from embedding_operator.reconcile.outcome import Done, Stalled, Wait


async def _serve(cluster: SimulatedCluster, **parts: object) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden("paris")), **parts))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_wrong_golden_closes_no_pod_of_a_serving_model(cluster: SimulatedCluster) -> None:
    await _serve(cluster, replicas=2)
    deployments, pods = cluster.all(DEPLOYMENT), cluster.ready_pods()
    cluster.wrong.add("berlin")
    cluster.edit_spec(lambda spec: spec.update(verification=verified_by(golden("berlin", first=2.0))))
    assert await cluster.settle() == Stalled("GoldenMismatch")
    assert cluster.ready_pods() == pods
    assert cluster.all(DEPLOYMENT) == deployments
    assert cluster.says("Verified") == ("False", "GoldenMismatch")
    assert cluster.says("Ready") == ("False", "GoldenMismatch")
    assert cluster.says("Stalled") == ("True", "GoldenMismatch")
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    message = cluster.condition("Verified")["message"]  # type: ignore[index]
    assert all(word in message for word in ("berlin", "0.913000", "threshold 0.999"))


async def test_from_warn_to_block_what_serves_goes_on_until_a_new_pod_has_passed(cluster: SimulatedCluster) -> None:
    cluster.wrong.add("paris")
    cluster.create_model(hub_spec(replicas=2, verification=verified_by(golden("paris"), failurePolicy="Warn")))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    pods = cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec.update(verification=verified_by(golden("paris"))))
    await cluster.settle()
    assert cluster.ready_pods() == pods
    assert cluster.says("Stalled") == ("True", "GoldenMismatch")
    assert cluster.says("Verified") == ("False", "GoldenMismatch")
    cluster.wrong.clear()
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.says("Verified") == ("True", "GoldensPassed")
    assert not cluster.ready_pods() & pods


async def test_taking_the_wrong_golden_back_heals_without_touching_a_pod(cluster: SimulatedCluster) -> None:
    await _serve(cluster)
    pods = cluster.ready_pods()
    cluster.wrong.add("berlin")
    cluster.edit_spec(lambda spec: spec.update(verification=verified_by(golden("berlin", first=2.0))))
    await cluster.settle()
    cluster.edit_spec(lambda spec: spec.update(verification=verified_by(golden("paris"))))
    assert await cluster.settle() == Done()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.ready_pods() == pods


async def test_a_changed_golden_that_passes_its_trial_becomes_the_templates(cluster: SimulatedCluster) -> None:
    await _serve(cluster)
    before = cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec.update(verification=verified_by(golden("paris"), golden("rome", first=2.0))))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.status()["verification"]["total"] == 2
    assert cluster.ready_pods() != before
    goldens = [item for item in cluster.all(CONFIG_MAP) if "-goldens-" in item["metadata"]["name"]]
    assert len(goldens) == 1, "the set before is named by nothing any more"


async def test_while_running_pods_have_not_answered_nothing_is_rolled_out(cluster: SimulatedCluster) -> None:
    await _serve(cluster)
    deployments = cluster.all(DEPLOYMENT)
    cluster.answers_trials = False
    cluster.edit_spec(lambda spec: spec.update(verification=verified_by(golden("rome", first=2.0))))
    await cluster.settle()
    assert cluster.all(DEPLOYMENT) == deployments
    assert cluster.says("Verified") == ("Unknown", "Verifying")
    assert cluster.says("Reconciling") == ("True", "Verifying")


async def test_a_restarted_operator_repeats_the_mismatch_until_pods_answer_again(cluster: SimulatedCluster) -> None:
    await _serve(cluster)
    cluster.wrong.add("berlin")
    cluster.edit_spec(lambda spec: spec.update(verification=verified_by(golden("berlin", first=2.0))))
    await cluster.settle()
    said = cluster.status()["conditions"]
    cluster.facts = MemoryFacts(resolutions=cluster.facts.resolutions, key_data=cluster.facts.key_data)
    cluster.gateway.forget_calls()
    await cluster.reconcile()
    assert cluster.gateway.writes == ()
    assert cluster.status()["conditions"] == said


async def test_a_pod_that_never_became_ready_is_tried_before_it_is_replaced(cluster: SimulatedCluster) -> None:
    cluster.wrong |= {"paris", "rome"}
    cluster.create_model(hub_spec(verification=verified_by(golden("paris"))))
    await cluster.settle()
    deployments = cluster.all(DEPLOYMENT)
    cluster.edit_spec(lambda spec: spec.update(verification=verified_by(golden("rome", first=2.0))))
    assert await cluster.settle() == Stalled("GoldenMismatch")
    assert cluster.all(DEPLOYMENT) == deployments, "a set that fails on the running pod is not worth a new pod"
    assert "rome" in cluster.condition("Stalled")["message"]  # type: ignore[index]


async def test_goldens_of_a_config_map_count_and_are_read_anew(cluster: SimulatedCluster) -> None:
    def write(case: dict) -> None:  # type: ignore[type-arg]
        line = orjson.dumps(case).decode()
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"namespace": KEY.namespace, "name": "mine"},
            "data": {"goldens.jsonl": line + "\n"},
        }
        if cluster.find(CONFIG_MAP, "mine") is None:
            cluster.gateway.put(body)
        else:
            cluster.gateway.edit(CONFIG_MAP, lambda item: item.update(body), namespace=KEY.namespace, name="mine")

    verification = {"goldens": [golden("paris")], "goldensConfigMapRef": {"name": "mine"}}
    cluster.create_model(hub_spec(verification=verification))
    assert isinstance(await cluster.settle(), Wait)
    assert cluster.says("Stalled") == ("True", "GoldensConfigMapNotFound")
    assert '"mine"' in cluster.condition("Stalled")["message"]  # type: ignore[index]
    assert cluster.all(DEPLOYMENT) == []

    write(golden("rome", first=2.0))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.status()["verification"]["total"] == 2

    cluster.wrong.add("oslo")
    write(golden("oslo", first=3.0))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "GoldenMismatch")
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    assert isinstance(await cluster.reconcile(), Wait), "nobody tells us when the ConfigMap is corrected"

    cluster.answers_trials = False
    write(golden("bergen", first=4.0))
    await cluster.settle()
    assert cluster.says("Verified") == ("Unknown", "Verifying"), "what was said of other cases says nothing of these"
    cluster.answers_trials = True
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"data": {"goldens.jsonl": "\n"}}, 'holds no case under the key "goldens.jsonl"'),
        ({"binaryData": {"goldens.jsonl": "//4="}}, "under binaryData, where kubectl puts a file that is not UTF-8"),
    ],
    ids=["an empty file", "not UTF-8"],
)
@pytest.mark.parametrize("serves", [False, True])
async def test_a_config_map_without_cases_counts_as_missing_and_not_as_unnamed(
    cluster: SimulatedCluster, content: dict[str, Any], says: str, serves: bool
) -> None:
    metadata = {"namespace": KEY.namespace, "name": "mine"}
    cluster.gateway.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **content})
    verification = verified_by(golden("paris"), goldensConfigMapRef={"name": "mine"})
    if serves:
        await _serve(cluster)
        cluster.edit_spec(lambda spec: spec.update(verification=verification))
    else:
        cluster.create_model(hub_spec(verification=verification))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "GoldensConfigMapNotFound")
    assert cluster.says("Verified") == ("False", "GoldensConfigMapNotFound")
    assert says in cluster.condition("Stalled")["message"]  # type: ignore[index]
    assert len(cluster.all(DEPLOYMENT)) == serves, "what serves goes on, and nothing begins"


async def test_under_warn_a_mismatch_with_a_config_map_is_looked_at_again(cluster: SimulatedCluster) -> None:
    line = orjson.dumps(golden("oslo")).decode() + "\n"
    metadata = {"namespace": KEY.namespace, "name": "mine"}
    cluster.gateway.put(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"goldens.jsonl": line}}
    )
    cluster.create_model(
        hub_spec(verification={"goldensConfigMapRef": {"name": "mine"}, "failurePolicy": "Warn"}, replicas=0)
    )
    cluster.wrong.add("oslo")
    await cluster.settle()
    cluster.edit_spec(lambda spec: spec.update(replicas=1))
    await cluster.settle()
    opened = {"conditions": [{"type": "Ready", "status": "True"}]}
    cluster.trouble = lambda pod: {**pod["status"], **opened}
    assert await cluster.settle() == Wait(15.0, "GoldenMismatch")
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_golden_of_the_wrong_length_is_refused_by_name_and_nothing_that_serves_is_touched(
    cluster: SimulatedCluster,
) -> None:
    await _serve(cluster)
    pods, deployments = cluster.ready_pods(), cluster.all(DEPLOYMENT)
    cluster.edit_spec(lambda spec: spec.update(verification=verified_by(golden("short", dimensions=4))))
    assert await cluster.settle() == Stalled("InvalidGolden")
    message = cluster.condition("Stalled")["message"]  # type: ignore[index]
    assert '"short"' in message
    assert "4 values" in message
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    assert (cluster.ready_pods(), cluster.all(DEPLOYMENT)) == (pods, deployments)


async def test_invalid_goldens_of_a_new_model_create_no_pod(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden("short", dimensions=4))))
    await cluster.settle()
    assert cluster.all(DEPLOYMENT) == []
    assert cluster.says("Resolved") == ("True", "Resolved")
    cluster.edit_spec(lambda spec: spec.update(verification=verified_by(golden("paris"))))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert {request.token for request in cluster.facts.resolutions_requested} == {request_token()}


async def test_pods_that_cannot_be_asked_for_long_are_named_with_the_reason(cluster: SimulatedCluster) -> None:
    await _serve(cluster)
    cluster.answers_trials = False
    for pod in cluster.pods():
        cluster.facts.unreachable_pods[pod["metadata"]["uid"]] = "no answer to POST /goldens (ConnectTimeout)"
    cluster.edit_spec(lambda spec: spec.update(verification=verified_by(golden("rome", first=2.0))))
    await cluster.settle()
    message = cluster.condition("Verified")["message"]  # type: ignore[index]
    assert all(word in message for word in ("ConnectTimeout", "NetworkPolicy", "8081"))


async def test_a_trial_that_failed_stays_requested_so_that_what_failed_it_may_pass(cluster: SimulatedCluster) -> None:
    await _serve(cluster)
    cluster.wrong.add("berlin")
    cluster.edit_spec(lambda spec: spec.update(verification=verified_by(golden("berlin", first=2.0))))
    assert await cluster.settle() == Stalled("GoldenMismatch")
    cluster.facts.trials_requested.clear()
    await cluster.settle()
    assert cluster.facts.trials_requested
    cluster.wrong.clear()
    cluster.facts.trial_reports.clear()
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
