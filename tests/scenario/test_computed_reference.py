"""What `embedding-runtime goldens` really computes is what the operator takes, stores and has pods answer."""

from pathlib import Path

import seeded_models
from model_samples import golden, hub_spec, verified_by
from reference_samples import answer_references, stored_cases
from reference_under_test import compute, resolve
from simulated_cluster import SimulatedCluster

from embedding_model.ports import JobReport, JobState
from embedding_operator.api import names
from embedding_operator.audit.client import MAX_ANSWER_BYTES


async def test_a_computed_set_is_stored_whole_and_mounted(cluster: SimulatedCluster, tmp_path: Path) -> None:
    found = compute(resolve(seeded_models.build(tmp_path / "model", family="bert", max_length=40)))
    assert len(JobReport(state=JobState.DONE, reference=found).to_json()) < MAX_ANSWER_BYTES
    cluster.create_model(hub_spec(verification=verified_by(golden("paris"), reference="Auto")))
    await cluster.settle()
    answer_references(cluster, document=found)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving"), cluster.condition("Ready")
    verification = cluster.status()["verification"]
    assert (verification["source"], verification["total"]) == ("Both", len(found.goldens) + 1)
    [holdout] = stored_cases(cluster, names.COMPONENT_HOLDOUT)
    assert holdout["data"]["goldens.jsonl"].count("\n") == len(found.holdout)
    assert holdout["metadata"]["annotations"][names.ANNOTATION_REFERENCE] == found.implementation
