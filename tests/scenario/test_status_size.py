"""Whatever a model's files say, its status can be written."""

from dataclasses import replace

import orjson
from model_samples import hub_spec, refused, request_token, resolved
from simulated_cluster import SimulatedCluster

from embedding_model.refusal import Reason
from embedding_model.resolved import Evidence, Prompt

ETCD_BYTES = 1536 * 1024
LONG = "\N{GRINNING FACE}" * 1_100  # four bytes each


async def test_a_status_fits_into_etcd_whatever_the_files_say(cluster: SimulatedCluster) -> None:
    evidence = Evidence(field="pooling", value=LONG, file=LONG, key=LONG, note=LONG, overruled=(LONG,) * 17)
    told = resolved().inspection.model_copy(
        update={
            "architecture": LONG,
            "prompts": tuple(Prompt(name=f"p{number}", text=LONG) for number in range(65)),
            "labels": (LONG,) * 130,
            "licence": LONG,
            "evidence": (evidence,) * 65,
        }
    )
    cluster.facts.resolutions[request_token()] = replace(resolved(), inspection=told)
    cluster.create_model(hub_spec())
    await cluster.reconcile()
    cluster.facts.resolutions[request_token(revision="dev")] = refused(Reason.AMBIGUOUS_TASK, LONG * 30)
    cluster.edit_spec(lambda spec: spec["model"]["huggingFace"].update(revision="dev"))
    await cluster.reconcile()
    status = cluster.status()
    assert cluster.says("Stalled") == ("True", "AmbiguousTask")
    assert status["model"]["evidence"], "some of it is shown all the same"
    assert len(orjson.dumps(status)) < ETCD_BYTES / 2, "managed fields and the spec are stored beside it"
