"""What controllers do with our children in a cluster in memory: Deployments, Jobs, EndpointSlices, and what is left."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from simulated_objects import KEY, SimulatedObjects, is_ready

from embedding_operator.kube.gateway import (
    CONFIG_MAP,
    DEPLOYMENT,
    EMBEDDING_MODEL,
    ENDPOINT_SLICE,
    JOB,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVICE,
)

REVISION = "pod-template-hash"


def collect_garbage(objects: SimulatedObjects) -> None:
    """Take away what was written for an EmbeddingModel that was gone by then."""
    models = {item["metadata"]["uid"] for item in objects.all(EMBEDDING_MODEL)}
    for kind in (DEPLOYMENT, SERVICE, CONFIG_MAP, JOB, POD_DISRUPTION_BUDGET):
        for item in objects.all(kind):
            owners = item["metadata"].get("ownerReferences") or ()
            if owners and not models & {owner["uid"] for owner in owners}:
                objects.gateway.remove(kind, namespace=KEY.namespace, name=item["metadata"]["name"])


def run_deployment(objects: SimulatedObjects, deployment: Mapping[str, Any]) -> None:
    """As the Deployment controller does: first add new pods within maxSurge, then take old ones away, unready ones
    first, within maxUnavailable."""
    digest, wanted = _hash_template(deployment), deployment["spec"]["replicas"]
    rolling = deployment["spec"]["strategy"]["rollingUpdate"]
    needed = 0 if rolling["maxUnavailable"] == "100%" else wanted - rolling["maxUnavailable"]
    pods = objects.pods_of(deployment)
    new = [pod for pod in pods if pod["metadata"]["labels"][REVISION] == digest]
    old = [pod for pod in pods if pod not in new]
    for pod in pods if wanted == 0 else new[wanted:]:
        _delete_pod(objects, pod)
    kept = new[:wanted]
    room = wanted + rolling["maxSurge"] - len(kept) - len(old)
    taken = {pod["metadata"]["name"] for pod in kept}
    free = [name for name in (f"{digest}-{number}" for number in range(wanted)) if not _ends_with(taken, name)]
    added = free[: max(0, min(room, wanted - len(kept)))]
    for suffix in added:
        _create_pod(objects, deployment, labels={REVISION: digest}, suffix=suffix)
    unready_new = len(added) + len([pod for pod in kept if not is_ready(pod)])
    removable = len(kept) + len(added) + len(old) - needed - unready_new
    unready_old = [pod for pod in old if not is_ready(pod)][: max(0, removable)]
    spare = len([pod for pod in [*kept, *old] if is_ready(pod)]) - needed
    ready_old = [pod for pod in old if is_ready(pod)][: max(0, min(spare, removable - len(unready_old)))]
    for pod in [*unready_old, *ready_old]:
        _delete_pod(objects, pod)


def run_job(objects: SimulatedObjects, job: Mapping[str, Any]) -> None:
    if not objects.pods_of(job):
        _create_pod(objects, job, labels={}, suffix="0")


def count_pods(objects: SimulatedObjects, deployment: Mapping[str, Any]) -> None:
    digest, wanted = _hash_template(deployment), deployment["spec"]["replicas"]
    pods = objects.pods_of(deployment)
    updated = [pod for pod in pods if pod["metadata"]["labels"][REVISION] == digest]
    ready = [pod for pod in pods if is_ready(pod)]
    done = len(pods) == len(updated) == len(ready) == wanted
    # A rollout that is complete stays so, whatever becomes of its pods, until there is another ReplicaSet.
    message = f"ReplicaSet {digest}"
    before = next(iter((deployment.get("status") or {}).get("conditions") or ()), {})
    was_done = before.get("reason") == "NewReplicaSetAvailable" and before.get("message") == message
    status = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": len(pods),
        "updatedReplicas": len(updated),
        "readyReplicas": len(ready),
        "conditions": [
            {
                "type": "Progressing",
                "reason": "NewReplicaSetAvailable" if done or was_done else "ReplicaSetUpdated",
                "message": message,
            }
        ],
    }
    if status != deployment.get("status"):
        name = deployment["metadata"]["name"]
        objects.gateway.edit(DEPLOYMENT, lambda item: item.update(status=status), namespace=KEY.namespace, name=name)


def list_endpoints(objects: SimulatedObjects) -> None:
    """A slice for each Service that selects pods; it goes with its Service."""
    selecting = [item for item in objects.all(SERVICE) if item["spec"].get("selector")]
    services = {f"{item['metadata']['name']}-slice": item for item in selecting}
    for item in objects.all(ENDPOINT_SLICE):
        if item["metadata"]["name"] not in services:
            objects.gateway.remove(ENDPOINT_SLICE, namespace=KEY.namespace, name=item["metadata"]["name"])
    for name, service in services.items():
        _list_endpoints_of(objects, service, slice_name=name)


def _list_endpoints_of(objects: SimulatedObjects, service: Mapping[str, Any], *, slice_name: str) -> None:
    owner, selector = service["metadata"], service["spec"]["selector"]
    chosen = [pod for pod in objects.pods() if selector.items() <= pod["metadata"]["labels"].items()]
    endpoints = [
        {"targetRef": {"kind": "Pod", "name": pod["metadata"]["name"]}, "conditions": {"ready": is_ready(pod)}}
        for pod in chosen
    ]
    if objects.find(ENDPOINT_SLICE, slice_name) is None:
        metadata = {
            "namespace": KEY.namespace,
            "name": slice_name,
            "labels": {**owner["labels"], "kubernetes.io/service-name": owner["name"]},
            "ownerReferences": [{"kind": "Service", "name": owner["name"], "uid": owner["uid"]}],
        }
        objects.gateway.put(
            {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, "endpoints": []}
        )
    objects.gateway.edit(
        ENDPOINT_SLICE, lambda item: item.update(endpoints=endpoints), namespace=KEY.namespace, name=slice_name
    )


def _create_pod(objects: SimulatedObjects, owner: Mapping[str, Any], *, labels: Mapping[str, str], suffix: str) -> None:
    template, metadata = owner["spec"]["template"], owner["metadata"]
    name = f"{metadata['name']}-{suffix}"
    # ReplicaSets are left out: a pod names one, and goes with its Deployment.
    kind = "ReplicaSet" if owner["kind"] == "Deployment" else owner["kind"]
    reference = {"kind": kind, "name": name, "uid": metadata["uid"], "controller": True}
    if objects.find(POD, name) is None:
        objects.gateway.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "namespace": KEY.namespace,
                    "name": name,
                    "labels": {**template["metadata"]["labels"], **labels},
                    "annotations": template["metadata"].get("annotations", {}),
                    "ownerReferences": [reference],
                },
                "spec": template["spec"],
                "status": {"phase": "Pending"},
            }
        )


def _delete_pod(objects: SimulatedObjects, pod: Mapping[str, Any]) -> None:
    if objects.find(POD, pod["metadata"]["name"]) is not None:
        objects.gateway.remove(POD, namespace=KEY.namespace, name=pod["metadata"]["name"])


def _ends_with(taken: set[str], suffix: str) -> bool:
    return any(name.endswith(suffix) for name in taken)


def _hash_template(deployment: Mapping[str, Any]) -> str:
    template = json.dumps(deployment["spec"]["template"], sort_keys=True)
    return hashlib.sha256(template.encode()).hexdigest()[:8]
