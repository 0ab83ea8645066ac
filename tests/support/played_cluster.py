"""A real API server on which a test plays what is missing beside it: Deployment controller, kubelet, Job controller and
EndpointSlice controller, each moved along a few times a second, for every model in a namespace of its own.

What becomes of a namespace's pods is a script (`Play`) that a test may change at any time. Left alone, pods start,
answer rightly, are audited by the operator, and become ready.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from administrator import Api, Object
from declared_conditions import find_undeclared, list_said
from private_apiserver import PrivateApiServer
from scripted_pods import ScriptedPod, ScriptedPods

from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import GOLDENS_FILE, MODEL_FILE, GateState, JobReport, JobState
from embedding_model.resolved import ResolvedModel
from embedding_operator.api import names

Status = Mapping[str, Any]
Said = tuple[str, str, str]  # type, status and reason of a condition

STEP_SECONDS: Final = 0.3
POLL_SECONDS: Final = 0.5
LABEL_HASH: Final = "pod-template-hash"


def write_time(*, seconds_ago: float = 0.0) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Play:
    """What becomes of the pods of one namespace.

    `trouble` gives a pod's status instead of a good start, `answer` changes what its server says, and `job` is what the
    pod of a Job says. Without `makes_pods` Deployments and Jobs stay without, without `lists_endpoints` EndpointSlices
    stay as they are.
    """

    trouble: Callable[[Object], Status | None] = lambda pod: None
    answer: Callable[[Object, ScriptedPod], None] = lambda pod, server: None
    job: JobReport = field(default_factory=lambda: JobReport(state=JobState.RUNNING))
    makes_pods: bool = True
    lists_endpoints: bool = True


@dataclass
class PlayedCluster:
    """`plays` by namespace; a namespace without one has no controllers."""

    api: Api
    servers: ScriptedPods
    plays: dict[str, Play] = field(default_factory=dict)
    models: dict[str, Object] = field(default_factory=dict)  # by namespace, as seen last
    said: dict[str, set[Said]] = field(default_factory=dict)  # by namespace, of every status that there ever was
    undeclared: list[tuple[str, Said]] = field(default_factory=list)  # with its namespace
    failure: BaseException | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _of_pod: dict[str, ScriptedPod] = field(default_factory=dict)  # by uid
    _written: dict[str, str] = field(default_factory=dict)  # last status by uid
    _documents: dict[tuple[str, str], str] = field(default_factory=dict)  # immutable ConfigMaps' content

    def wait_for(self, what: str, probe: Callable[[], Any], *, seconds: float) -> Any:
        """Probe until it answers something true; AssertionError that names what was awaited."""
        end = time.monotonic() + seconds
        while not (answer := probe()):
            assert self.failure is None, f"the controllers ended: {self.failure!r}"
            assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
            self._stop.wait(POLL_SECONDS)
        return answer

    def control(self) -> None:
        """Be the controllers until `stop`."""
        with self._failing_loudly():
            while not self._stop.wait(STEP_SECONDS):
                self._step()

    def watch(self) -> None:
        """Follow the models until `stop`: every status is seen, however short it lasts."""
        with self._failing_loudly():
            version = ""
            while not self._stop.wait(STEP_SECONDS):
                for kind, model in self.api.watch(names.KIND, since=version):
                    # An error says that the version is too old: all objects come again.
                    version = model["metadata"].get("resourceVersion", "")
                    if kind in ("ADDED", "MODIFIED"):
                        self._note(model)

    def _note(self, model: Object) -> None:
        namespace = model["metadata"]["namespace"]
        self.said.setdefault(namespace, set()).update(list_said(model))
        self.undeclared += [(namespace, said) for said in find_undeclared(model)]
        self.models[namespace] = model

    @contextmanager
    def _failing_loudly(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.failure = error
            raise

    def stop(self) -> None:
        self._stop.set()

    def server_of(self, pod: Object) -> ScriptedPod | None:
        return self._of_pod.get(pod["metadata"]["uid"])

    def _step(self) -> None:
        listed = {kind: self.api.list(kind, labels=names.LABEL_MODEL) for kind in ("Deployment", "Job", "Pod")}
        deployments, jobs, pods = (self._of_plays(items) for items in listed.values())
        services = self._of_plays(self.api.list("Service", labels=names.LABEL_MODEL))
        for deployment in deployments:
            self._run_deployment(deployment, pods=_pods_of(deployment, pods=pods))
        for job in jobs:
            if self._play(job).makes_pods and not _pods_of(job, pods=pods):
                self._create_pod(job, suffix="0", labels={})
        for pod in pods:
            self._run_pod(pod)
        for service in services:
            self._list_endpoints(service, pods=pods)

    def _of_plays(self, items: list[Object]) -> list[Object]:
        return [item for item in items if item["metadata"]["namespace"] in self.plays]

    def _play(self, item: Object) -> Play:
        return self.plays[item["metadata"]["namespace"]]

    def _run_deployment(self, deployment: Object, *, pods: list[Object]) -> None:
        """New pods first; old ones go once as many new ones are ready, or at once where all may be unavailable."""
        if not self._play(deployment).makes_pods:
            return
        digest, wanted = _hash_template(deployment), int(deployment["spec"]["replicas"])
        new = [pod for pod in pods if pod["metadata"]["labels"][LABEL_HASH] == digest]
        old = [pod for pod in pods if pod not in new]
        for number in range(wanted):
            suffix = f"{digest}-{number}"
            if not any(pod["metadata"]["name"].endswith(suffix) for pod in new):
                self._create_pod(deployment, suffix=suffix, labels={LABEL_HASH: digest})
        ready = [pod for pod in new if _is_ready(pod)]
        goes_first = deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == "100%"
        for pod in [*new[wanted:], *(old if goes_first or len(ready) >= wanted else ())]:
            self.api.delete("Pod", pod["metadata"]["name"], namespace=pod["metadata"]["namespace"])
        self._write_status(
            deployment,
            {
                "observedGeneration": deployment["metadata"]["generation"],
                "replicas": len(pods),
                "updatedReplicas": len(new),
                "readyReplicas": len([pod for pod in pods if _is_ready(pod)]),
            },
        )

    def _create_pod(self, owner: Object, *, suffix: str, labels: Mapping[str, str]) -> None:
        template, metadata = owner["spec"]["template"], owner["metadata"]
        is_job = owner["kind"] == "Job"
        name = f"{metadata['name']}-{suffix}"
        reference = {
            "apiVersion": "batch/v1" if is_job else "apps/v1",
            "kind": "Job" if is_job else "ReplicaSet",
            "name": metadata["name"] if is_job else name,
            "uid": metadata["uid"],
            "controller": True,
        }
        if self.api.get("Pod", name, namespace=metadata["namespace"]) is None:
            self.api.create(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {
                        "namespace": metadata["namespace"],
                        "name": name,
                        "labels": {**template["metadata"]["labels"], **labels},
                        "annotations": template["metadata"].get("annotations", {}),
                        "ownerReferences": [reference],
                    },
                    "spec": {**template["spec"], "nodeName": ""},
                }
            )

    def _run_pod(self, pod: Object) -> None:
        """As the kubelet: the status that the play gives, else that of a pod which starts and serves."""
        play, uid = self._play(pod), pod["metadata"]["uid"]
        status = play.trouble(pod)
        if status is None or "podIP" in status:
            server = self._of_pod.get(uid) or self._start_server(pod)
            if pod["metadata"]["labels"][names.LABEL_COMPONENT] in names.JOB_COMPONENTS:
                server.job = play.job
            play.answer(pod, server)
        if status is None:
            status = self._serve(pod, server=self._of_pod[uid])
        elif "podIP" in status:
            address = next(key for key, item in self.servers.by_address.items() if item is self._of_pod[uid])
            status = {**status, "podIP": address, "podIPs": [{"ip": address}]}
        self._write_status(pod, status)

    def _start_server(self, pod: Object) -> ScriptedPod:
        labels, server = pod["metadata"]["labels"], ScriptedPod()
        if labels[names.LABEL_COMPONENT] == names.COMPONENT_SERVER:
            model = ResolvedModel.from_json(self._read_mounted(pod, volume="model-config", key=MODEL_FILE)[0])
            cases = "".join(self._read_mounted(pod, volume=names.VOLUME_GOLDENS, key=GOLDENS_FILE))
            server.space, server.dimensions = model.space, model.serving.dimensions or 0
            server.cases = CaseSet.from_jsonl(cases.encode())
        self.servers.assign(server)
        self._of_pod[pod["metadata"]["uid"]] = server
        return server

    def _read_mounted(self, pod: Object, *, volume: str, key: str) -> list[str]:
        """Content of the ConfigMaps behind a volume."""
        namespace = pod["metadata"]["namespace"]
        found = [item for item in pod["spec"]["volumes"] if item["name"] == volume]
        sources = [source for item in found for source in [item, *item.get("projected", {}).get("sources", ())]]
        mounted = [source["configMap"]["name"] for source in sources if "configMap" in source]
        for name in mounted:
            if (namespace, name) not in self._documents:
                config_map = self.api.must_get("ConfigMap", name, namespace=namespace)
                self._documents[namespace, name] = config_map["data"][key]
        return [self._documents[namespace, name] for name in mounted]

    def _serve(self, pod: Object, *, server: ScriptedPod) -> Status:
        """It runs, and is ready while both walls say so: what it finds of itself, and the operator's verdict."""
        container, before = pod["spec"]["containers"][0]["name"], pod.get("status") or {}
        warns = "Warn" in pod["spec"]["containers"][0].get("args", ())
        verdict = server.verdict is not None and server.verdict.passed
        is_open = bool(server.space) and (warns or (verdict and server.gate is GateState.PASSED))
        old = next((item for item in before.get("conditions") or () if item["type"] == "Ready"), None)
        turned = old["lastTransitionTime"] if old and old["status"] == str(is_open) else write_time()
        started = next(
            (item["state"]["running"]["startedAt"] for item in before.get("containerStatuses") or ()),
            write_time(seconds_ago=5),
        )
        address = next(key for key, item in self.servers.by_address.items() if item is server)
        return {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [
                {"type": "Ready", "status": str(is_open), "lastTransitionTime": turned, "reason": "Played"},
                {"type": "ContainersReady", "status": str(is_open), "lastTransitionTime": turned, "reason": "Played"},
            ],
            "containerStatuses": [_container(container, started=True, state={"running": {"startedAt": started}})],
        }

    def _list_endpoints(self, service: Object, *, pods: list[Object]) -> None:
        metadata = service["metadata"]
        if not self._play(service).lists_endpoints:
            return
        selector = service["spec"]["selector"]
        chosen = [
            pod
            for pod in pods
            if pod["metadata"]["namespace"] == metadata["namespace"]
            and selector.items() <= pod["metadata"]["labels"].items()
            and _is_ready(pod)
        ]
        # EndpointSlices refuse loopback, and nobody is sent here: the address is of a range for documentation.
        endpoints = [
            {"addresses": [f"192.0.2.{number + 1}"], "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"]}}
            for number, pod in enumerate(chosen)
        ]
        text = json.dumps(endpoints)
        if self._written.get(metadata["uid"]) == text:
            return
        name = f"{metadata['name']}-played"
        if self.api.get("EndpointSlice", name, namespace=metadata["namespace"]) is None:
            owner = {"apiVersion": "v1", "kind": "Service", "name": metadata["name"], "uid": metadata["uid"]}
            self.api.create(
                {
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "addressType": "IPv4",
                    "metadata": {
                        "namespace": metadata["namespace"],
                        "name": name,
                        "labels": {"kubernetes.io/service-name": metadata["name"], **metadata["labels"]},
                        "ownerReferences": [owner],
                    },
                    "endpoints": endpoints,
                }
            )
        else:
            self.api.patch("EndpointSlice", name, {"endpoints": endpoints}, namespace=metadata["namespace"])
        self._written[metadata["uid"]] = text

    def _write_status(self, item: Object, status: Status) -> None:
        uid, text = item["metadata"]["uid"], json.dumps(status, sort_keys=True)
        if self._written.get(uid) == text:
            return
        metadata = item["metadata"]
        self.api.patch(
            item["kind"],
            metadata["name"],
            {"status": status},
            namespace=metadata["namespace"],
            subresource="status",
        )
        self._written[uid] = text


def _container(name: str, **fields: Any) -> Object:
    return {
        "name": name,
        "image": "registry.example/runtime:1",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        **fields,
    }


def _pods_of(owner: Object, *, pods: list[Object]) -> list[Object]:
    uid = owner["metadata"]["uid"]
    return [pod for pod in pods if pod["metadata"]["ownerReferences"][0]["uid"] == uid]


def _hash_template(deployment: Object) -> str:
    return hashlib.sha256(json.dumps(deployment["spec"]["template"], sort_keys=True).encode()).hexdigest()[:8]


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


@contextmanager
def played_cluster(server: PrivateApiServer, *, servers: ScriptedPods) -> Iterator[PlayedCluster]:
    """The controllers work until the block ends. The CRD has to be there."""
    api = Api(server)
    cluster = PlayedCluster(api=api, servers=servers)
    threads = [threading.Thread(target=work, daemon=True) for work in (cluster.control, cluster.watch)]
    for thread in threads:
        thread.start()
    try:
        yield cluster
    finally:
        cluster.stop()
        for thread in threads:
            thread.join()
        api.close()
