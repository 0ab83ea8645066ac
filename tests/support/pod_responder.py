"""Answers for pods that nothing runs: kwok gives them addresses, and this stands behind each on the private port.

A pod with an address of the range gets a listener of its own, so that one that is gone refuses connections. Readiness
goes into the pod's status as a kubelet would write it after a probe: on change, within a second.

    a pod of a serving Deployment      everything of the private port: see responding_pods
    a pod of a reference Job           its result
    any other pod                      ready as soon as it has started
"""

import asyncio
import contextlib
import ipaddress
import json
import logging
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp
from aiohttp import web
from pod_volumes import PodVolumes
from pod_watch import Pod, watch_pods
from private_apiserver import PrivateApiServer
from private_port_routes import answer, say
from responding_pods import (
    Fault,
    Keys,
    Mounted,
    Refused,
    ServingPod,
    compute_reference,
    find_volume,
    start_serving,
)

from embedding_model import ports
from embedding_model.ports import JobReport
from embedding_operator.api import names

logger = logging.getLogger(__name__)

PROBE_SECONDS = 1.0  # as the readiness probe of our pods
PARALLEL_PATCHES = 16
STOP_SECONDS = 20.0
HANGING_SECONDS = 3600.0  # longer than anybody waits


@dataclass
class _Standing:
    """One pod, as long as it is there. `serving` or `result` once what it mounts is known."""

    object: Pod
    server: asyncio.Server | None = None
    serving: ServingPod | None = None
    result: JobReport | None = None
    is_plain: bool = False
    checked_with: Fault | None = None

    @property
    def is_probed(self) -> bool:
        """Without a readiness probe it is ready as soon as it runs, and kwok says so."""
        return any("readinessProbe" in container for container in self.object["spec"]["containers"])

    @property
    def is_told_ready(self) -> bool:
        """What its status says: others write it too, when its node is lost."""
        conditions = self.object["status"].get("conditions") or ()
        return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)

    @property
    def ready(self) -> bool:
        if self.serving is not None:
            return bool(self.serving.lifecycle.ready)
        return self.is_plain or self.result is not None


@dataclass
class PodResponder:
    """Started by `pod_responder`. `faults` by `namespace/name` of a model or of a pod; change it at any time.

    Pods of `lost_nodes` are cut off: nothing answers, and no kubelet writes. `grace_seconds` stands in for what pods'
    arguments say of how long they wait for the operator. `answered` counts requests by route.
    """

    server: PrivateApiServer
    network: ipaddress.IPv4Network
    grace_seconds: float | None = None
    faults: dict[str, Fault] = field(default_factory=dict)
    lost_nodes: set[str] = field(default_factory=set)
    answered: Counter[str] = field(default_factory=Counter)
    _pods: dict[str, _Standing] = field(default_factory=dict)  # by address
    _keys: dict[tuple[str, str], Keys] = field(default_factory=dict)
    _client: aiohttp.ClientSession = field(init=False)
    _volumes: PodVolumes = field(init=False)
    _protocol: web.Server = field(init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def ready_pods(self) -> int:
        return sum(pod.is_told_ready for pod in list(self._pods.values()))

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; raises what a part of it died of."""
        connector = aiohttp.TCPConnector(limit=PARALLEL_PATCHES + 2, ssl=_unverified())
        headers = {"Authorization": f"Bearer {self.server.token}"}
        self._protocol = web.Server(self._respond, access_log=None)
        async with aiohttp.ClientSession(self.server.url, connector=connector, headers=headers) as self._client:
            self._volumes = PodVolumes(self._client)
            work = (watch_pods(self._client, observer=self), self._probe())
            loops = [asyncio.create_task(part) for part in work]
            waiting = asyncio.create_task(stop.wait())
            try:
                ended, _ = await asyncio.wait({*loops, waiting}, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    task.result()
            finally:
                for task in (*loops, *self._tasks, waiting):
                    task.cancel()
                for pod in self._pods.values():
                    if pod.server:
                        pod.server.close()
                await self._protocol.shutdown(1.0)

    # What there is.

    def see(self, pod: Pod) -> None:
        status = pod.get("status") or {}
        address = status.get("podIP")
        if not address or ipaddress.ip_address(address) not in self.network:
            return
        if status.get("phase") != "Running":
            self.see_gone(pod)
            return
        known = self._pods.get(address)
        if known is not None and _identify(known.object) == _identify(pod):
            known.object = pod
            return
        if known is not None and known.object["metadata"]["uid"] != pod["metadata"]["uid"]:
            logger.error("two pods have the address %s: %s", address, [_name(known.object), _name(pod)])
        self._drop(address)
        self._pods[address] = _Standing(pod)
        task = asyncio.create_task(self._stand_up(address, self._pods[address]))
        self._tasks.add(task)
        task.add_done_callback(self._forget_task)

    def _forget_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("a pod could not stand up", exc_info=error)

    def see_gone(self, pod: Pod) -> None:
        address = (pod.get("status") or {}).get("podIP", "")
        known = self._pods.get(address)
        if known is not None and known.object["metadata"]["uid"] == pod["metadata"]["uid"]:
            self._drop(address)

    def see_no_other(self, pods: list[Pod]) -> None:
        seen = {(pod.get("status") or {}).get("podIP") for pod in pods}
        for address in [address for address in self._pods if address not in seen]:
            self._drop(address)

    def _drop(self, address: str) -> None:
        known = self._pods.pop(address, None)
        if known is not None and known.server is not None:
            known.server.close()

    async def _stand_up(self, address: str, standing: _Standing) -> None:
        """Read what the pod mounts, as often as it takes: a kubelet waits for ConfigMaps as well."""
        pod = standing.object
        while self._pods.get(address) is standing:
            if await self._start(standing, pod=pod):
                break
            await asyncio.sleep(PROBE_SECONDS)
        if self._pods.get(address) is standing and not standing.is_plain:
            loop = asyncio.get_running_loop()
            standing.server = await loop.create_server(self._protocol, address, ports.PRIVATE_PORT, backlog=64)

    async def _start(self, standing: _Standing, *, pod: Pod) -> bool:
        """Whether everything that it mounts is there."""
        labels = pod["metadata"].get("labels") or {}
        if find_volume(pod, "model-config") is None or names.LABEL_MODEL not in labels:
            standing.is_plain = True
            return True
        model = await self._volumes.read_model(pod)
        if model is None:
            return False
        if labels.get(names.LABEL_COMPONENT) == names.COMPONENT_REFERENCE:
            standing.result = compute_reference(model)
            return True
        cases = await self._volumes.read_cases(pod)
        if cases is None:
            return False
        [arguments] = [item["args"] for item in pod["spec"]["containers"] if item["name"] == names.CONTAINER_RUNTIME]
        serving = start_serving(Mounted(model, cases), arguments=arguments, grace_seconds=self.grace_seconds)
        standing.checked_with = self._fault_of(pod)
        serving.load(standing.checked_with)
        standing.serving = serving
        return True

    # Probes, and what the kubelet writes.

    async def _probe(self) -> None:
        slots = asyncio.Semaphore(PARALLEL_PATCHES)
        while True:
            pods = [standing for standing in self._pods.values() if not self._is_lost(standing)]
            for standing in pods:
                self._check_again(standing)
            changed = [item for item in pods if item.is_probed and item.ready != item.is_told_ready]
            await asyncio.gather(*(self._tell(standing, slots=slots) for standing in changed))
            await asyncio.sleep(PROBE_SECONDS)

    def _check_again(self, standing: _Standing) -> None:
        """A pod finds by itself that its answers have changed, or are good again."""
        fault = self._fault_of(standing.object)
        if standing.serving is not None and fault is not standing.checked_with:
            standing.checked_with = fault
            standing.serving.check(fault)

    async def _tell(self, standing: _Standing, *, slots: asyncio.Semaphore) -> None:
        pod, ready = standing.object, standing.ready
        metadata = pod["metadata"]
        containers = [{**item, "ready": ready} for item in pod["status"].get("containerStatuses") or ()]
        status = {"conditions": _conditions(ready=ready), "containerStatuses": containers}
        body = json.dumps({"metadata": {"uid": metadata["uid"]}, "status": status})
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        kind = {"Content-Type": "application/strategic-merge-patch+json"}
        async with slots, self._client.patch(path, data=body, headers=kind) as response:
            written = await response.json()
        if response.status == 200:
            standing.object = written
        elif response.status not in (404, 409, 422):  # gone, or another pod of this name
            logger.warning("the API server answered %s to a pod's status", response.status)

    # What pods answer.

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        address = request.transport.get_extra_info("sockname")[0]
        standing = self._pods.get(address)
        if standing is None:
            request.transport.close()
            return web.Response(status=503)
        route = f"{request.method} {request.path}"
        self.answered[route] += 1
        if self._is_lost(standing):
            await asyncio.sleep(HANGING_SECONDS)
        if (probed := self._answer_probe(standing, request.path)) is not None:
            return probed
        if self._fault_of(standing.object) is Fault.SILENT:
            await asyncio.sleep(HANGING_SECONDS)
        try:
            await self._check_token(standing.object, request.headers.get("Authorization"))
            body, fault = await request.read(), self._fault_of(standing.object)
            return answer(route, body, serving=standing.serving, result=standing.result, fault=fault)
        except Refused as refused:
            return say(refused.status, str(refused))
        except ConnectionError:
            return say(400, "The body was not sent to its end.")  # nobody reads it

    def _answer_probe(self, standing: _Standing, path: str) -> web.Response | None:
        if path == ports.READY:
            return web.Response(status=200 if standing.ready else 503)
        return web.Response() if path in (ports.STARTUP, ports.LIVE, ports.METRICS) else None

    async def _check_token(self, pod: Pod, authorization: str | None) -> None:
        """With keys that are read again when they refuse: the operator may have written others. Raises Refused."""
        namespace, volume = pod["metadata"]["namespace"], find_volume(pod, "keys")
        place = (namespace, volume["configMap"]["name"] if volume else "")
        if (known := self._keys.get(place)) is not None:
            with contextlib.suppress(Refused):
                known.check(authorization)
                return
        keys = await self._volumes.read_keys(*place)
        if keys is None:
            raise Refused(403, "The keys are not there yet; the operator writes them.")
        self._keys[place] = keys
        keys.check(authorization)

    def _is_lost(self, standing: _Standing) -> bool:
        return standing.object["spec"].get("nodeName") in self.lost_nodes

    def _fault_of(self, pod: Pod) -> Fault | None:
        if not self.faults:
            return None
        metadata = pod["metadata"]
        model = (metadata.get("labels") or {}).get(names.LABEL_MODEL)
        namespace = metadata["namespace"]
        return self.faults.get(f"{namespace}/{metadata['name']}") or self.faults.get(f"{namespace}/{model}")


@contextmanager
def pod_responder(
    server: PrivateApiServer, *, network: str, grace_seconds: float | None = None
) -> Iterator[PodResponder]:
    """`network` is the range of the pods' addresses, which must be local: a listener is bound to each."""
    responder = PodResponder(server, ipaddress.IPv4Network(network), grace_seconds=grace_seconds)
    loop = asyncio.new_event_loop()
    stop, died = asyncio.Event(), []

    def work() -> None:
        # A Runner also ends the requests that hang for good.
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            try:
                runner.run(responder.run(stop))
            except Exception as error:
                died.append(error)

    thread = threading.Thread(target=work, name="pod responder", daemon=True)
    thread.start()
    try:
        yield responder
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
        thread.join(STOP_SECONDS)
        assert not died, f"the pod responder died: {died[0]!r}"
        assert not thread.is_alive(), "the pod responder does not end"


def _name(pod: Pod) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _identify(pod: Pod) -> tuple[str, int]:
    """Of one start of its containers."""
    starts = sum(item.get("restartCount", 0) for item in pod["status"].get("containerStatuses") or ())
    return pod["metadata"]["uid"], starts


def _conditions(*, ready: bool) -> list[dict[str, str | None]]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = "True" if ready else "False"
    reason, message = (None, None) if ready else ("ContainersNotReady", "containers with unready status")
    return [
        {"type": kind, "status": status, "lastTransitionTime": now, "reason": reason, "message": message}
        for kind in ("Ready", "ContainersReady")
    ]


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
