"""What the reference implementation computes of the small model of `model_samples`, and the Job that answers it."""

import base64
import struct
from typing import Any

from model_samples import DIMENSIONS
from simulated_cluster import SimulatedCluster

from embedding_model.goldens.cases import VectorCase
from embedding_model.ports import JobReport, JobState, ReferenceSet
from embedding_model.refusal import Reason, RefusalDocument
from embedding_operator.api import names
from embedding_operator.kube.gateway import CONFIG_MAP, JOB, POD

IMPLEMENTATION = "sentence-transformers 5.0.0, transformers 5.0.0, torch 2.9.0"


def computed_case(name: str, *, threshold: str = "0.999", dimensions: int = DIMENSIONS) -> VectorCase:
    vector = base64.b64encode(struct.pack(f"<{dimensions}f", *([0.25] * dimensions))).decode()
    return VectorCase(name=name, input="a text", vector=vector, min_cosine_similarity=threshold)


def reference_set(
    space: str,
    *,
    threshold: str = "0.999",
    prefix: str = "reference.",
    dimensions: int = DIMENSIONS,
    cases: int = 3,
    implementation: str = IMPLEMENTATION,
    repeats: int = 1,
) -> ReferenceSet:
    """`cases` in each half, of which so many in a row have the same name."""

    def half(begin: str) -> tuple[VectorCase, ...]:
        names_of = (f"{begin}{number // repeats}" for number in range(cases))
        return tuple(computed_case(name, threshold=threshold, dimensions=dimensions) for name in names_of)

    return ReferenceSet(space=space, implementation=implementation, goldens=half(prefix), holdout=half("holdout."))


def reference_jobs(cluster: SimulatedCluster) -> list[dict[str, Any]]:
    jobs = cluster.all(JOB)
    return [job for job in jobs if job["metadata"]["labels"][names.LABEL_COMPONENT] == names.COMPONENT_REFERENCE]


def reference_pods(cluster: SimulatedCluster) -> list[dict[str, Any]]:
    """Of all reference Jobs, oldest first."""
    uids = {job["metadata"]["uid"] for job in reference_jobs(cluster)}
    return [pod for pod in cluster.all(POD) if pod["metadata"]["ownerReferences"][0]["uid"] in uids]


def answer_references(cluster: SimulatedCluster, *, document: ReferenceSet | None = None, **parts: Any) -> None:
    """Every pod of a reference Job has computed its set: `document`, or one of these `parts` of `reference_set`."""
    for pod in reference_pods(cluster):
        space = parts.get("space", pod["metadata"]["labels"][names.LABEL_SPACE])
        found = document or reference_set(**{**parts, "space": space})
        report = JobReport(state=JobState.DONE, reference=found.model_copy(update={"space": space}))
        cluster.facts.job_reports[pod["metadata"]["uid"]] = report


def refuse_references(cluster: SimulatedCluster, message: str = "no class of transformers loads it") -> None:
    refusal = RefusalDocument(reason=Reason.UNSUPPORTED_ARCHITECTURE, message=message)
    for pod in reference_pods(cluster):
        report = JobReport(state=JobState.REFUSED, refusal=refusal)
        cluster.facts.job_reports[pod["metadata"]["uid"]] = report


def end_references(cluster: SimulatedCluster, *, kind: str, message: str = "") -> None:
    """Every reference Job has ended, with the condition `kind`: Failed or Complete."""
    at = cluster.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {"type": kind, "status": "True", "lastTransitionTime": at, "message": message}
    for job in reference_jobs(cluster):
        name = job["metadata"]["name"]
        cluster.gateway.edit(
            JOB, lambda item: item.update(status={"conditions": [condition]}), namespace="search", name=name
        )


def stored_cases(cluster: SimulatedCluster, component: str) -> list[dict[str, Any]]:
    """ConfigMaps of golden cases of one component."""
    return [item for item in cluster.all(CONFIG_MAP) if item["metadata"]["labels"][names.LABEL_COMPONENT] == component]
