"""The operator on a simulated cluster, with every reconcile checked against what must never happen."""

import asyncio
import copy
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from disturbed_gateway import remember
from faulty_gateway import Crash
from simulated_cluster import KEY, SimulatedCluster

from embedding_operator.api import names
from embedding_operator.kube.gateway import CONFIG_MAP, DEPLOYMENT, ENDPOINT_SLICE, SERVICE, Gateway, GatewayError


class CheckedOperator:
    """Over a cluster with one model. `past` is what it saw last, `earlier` what it saw before that."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self.cluster = cluster
        self.loop = asyncio.new_event_loop()
        self.forget_past()
        self.selected: str | None = None
        self.served: str | None = None
        self.had_ready = False

    def close(self) -> None:
        self.loop.close()

    def settle(self) -> None:
        self.loop.run_until_complete(self.cluster.settle())

    def forget_past(self) -> None:
        self.past = self.earlier = remember(self.cluster.gateway)

    # What the world shows.

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.cluster.model()["spec"]
        return spec

    def service_space(self) -> str | None:
        service = self.cluster.find(SERVICE, KEY.name)
        return service["spec"]["selector"].get(names.LABEL_SPACE) if service else None

    def ready_pods_of(self, space: str | None) -> list[dict[str, Any]]:
        ready = self.cluster.ready_pods()
        return [
            pod
            for pod in self.cluster.pods()
            if pod["metadata"]["name"] in ready
            and pod["metadata"]["labels"].get(names.LABEL_SPACE) == space
            and pod["metadata"]["labels"].get(names.LABEL_COMPONENT) == names.COMPONENT_SERVER
        ]

    def deployment_of(self, space: str | None) -> dict[str, Any] | None:
        found = [
            item for item in self.cluster.all(DEPLOYMENT) if item["metadata"]["labels"][names.LABEL_SPACE] == space
        ]
        return found[0] if found else None

    def _list_endpoints(self, *, slice_name: str | None = None) -> set[str]:
        """Names of the pods that get requests: of any Service, or of the one whose slice this is."""
        slices = [item for item in self.cluster.all(ENDPOINT_SLICE) if slice_name in (None, item["metadata"]["name"])]
        return {endpoint["targetRef"]["name"] for item in slices for endpoint in item["endpoints"]}

    def _list_kept(self) -> set[str]:
        """Spaces whose Deployment is there, or the template to make it from."""
        labels = [item["metadata"]["labels"] for item in [*self.cluster.all(DEPLOYMENT), *self.cluster.all(CONFIG_MAP)]]
        kept = (names.COMPONENT_SERVER, names.COMPONENT_TEMPLATE)
        return {item[names.LABEL_SPACE] for item in labels if item.get(names.LABEL_COMPONENT) in kept}

    def _note_service(self) -> None:
        self.selected = self.service_space()
        self.had_ready = bool(self.ready_pods_of(self.selected))
        served = (self.cluster.status().get("space") or {}).get("fingerprint")
        self.served = served if served in self._list_kept() else None

    # What the operator does, and must not do.

    def _run(self, *reconciles: Awaitable[object]) -> Sequence[object]:
        async def all_of_them() -> Sequence[object]:
            return await asyncio.gather(*reconciles, return_exceptions=True)

        return self.loop.run_until_complete(all_of_them())

    def reconcile(self, *gateways: Gateway, is_fresh: bool) -> None:
        """Let an operator reconcile over each of the gateways at once, and see that it kept to its own."""
        spec, generation = copy.deepcopy(self.spec), self.cluster.model()["metadata"]["generation"]
        self._note_service()
        earlier = remember(self.cluster.gateway)
        self.cluster.gateway.forget_calls()
        scaled, asked_for = self.deployment_of(self.selected), self.cluster.replicas()
        outcomes = self._run(*(self.cluster.reconcile(gateway=gateway) for gateway in gateways))
        for outcome in outcomes:
            assert not isinstance(outcome, BaseException) or isinstance(outcome, GatewayError | Crash), outcome
        model = self.cluster.model()
        assert (model["spec"], model["metadata"]["generation"]) == (spec, generation), "the user's object was written"
        self._check_move(is_fresh=is_fresh)
        self._check_last_good(before=scaled, is_fresh=is_fresh)
        if is_fresh:
            self._check_endings(asked_for=asked_for)
        deleted = {call.name for call in self.cluster.gateway.writes if (call.verb, call.kind) == ("delete", "Pod")}
        assert len(deleted) <= 1, f"pods were deleted together: {deleted}"
        if is_fresh and not any(isinstance(outcome, BaseException) for outcome in outcomes):
            self._check_served()
            self.check_status()
        if is_fresh:
            self.earlier, self.past = earlier, remember(self.cluster.gateway)

    def _check_move(self, *, is_fresh: bool) -> None:
        """The Service never leaves what serves for what does not."""
        now = self.service_space()
        if self.selected is None or now == self.selected or not self.had_ready:
            return
        if now == self.served:
            return  # a hand had moved it
        assert now is not None, "the Service was deleted under its clients"
        if is_fresh:
            pods = self.ready_pods_of(now)
            assert pods, f"the Service moved from {self.selected}, which serves, to {now}, which does not"
            # What opened by itself counts only where it has served before, as on the way back.
            audited = [pod for pod in pods if pod["metadata"]["uid"] in self.cluster.facts.audits]
            blocks = self.spec["verification"].get("failurePolicy") != "Warn"
            assert audited or not blocks, f"the Service moved to {now}, of which no pod was audited"

    def _check_last_good(self, *, before: dict[str, Any] | None, is_fresh: bool) -> None:
        """What the Service selects, and serves, is neither deleted nor scaled away, but where it was asked for."""
        if before is None or not self.had_ready or self.service_space() != self.selected:
            return
        after = self.deployment_of(self.selected)
        assert after is not None, "the Deployment that serves was deleted"
        asked_for_none = self.spec["replicas"] == 0 or self.spec.get("rollout", {}).get("strategy") == "Replace"
        if is_fresh and before["spec"]["replicas"] > 0 and not asked_for_none:
            assert after["spec"]["replicas"] > 0, "the Deployment that serves was scaled away"

    def _check_served(self) -> None:
        """What served last is there and has the Service, whatever hands deleted, until another one can have it."""
        # By a hand that does it again and again.
        is_contested = self.cluster.says("Ready") == ("False", "FieldConflict")
        if self.served is None or self.spec.get("suspend") or is_contested:
            return
        now = self.service_space()
        if now != self.served:
            assert self.ready_pods_of(now), f"the Service went from {self.served} to {now}, which has no ready pod"
        else:
            assert self.deployment_of(now) is not None, "the Deployment that the Service selects was not restored"

    def _check_endings(self, *, asked_for: Mapping[str, int]) -> None:
        """Pods end only once no request comes to them any more, and they have been told to let their clients go."""
        if self.spec["replicas"] == 0 or self.spec.get("rollout", {}).get("strategy") == "Replace":
            return
        listed = self._list_endpoints()
        for space, count in self.cluster.replicas().items():
            if count > 0 or asked_for.get(space, 0) == 0:
                continue
            pods = self.ready_pods_of(space)
            requested = {pod["metadata"]["name"] for pod in pods} & listed
            assert not requested, f"{requested} of {space} were ended while endpoints list them"
            clinging = {pod["metadata"]["uid"] for pod in pods} - self.cluster.facts.retired_pods
            assert not clinging, f"pods of {space} were ended before they were told to retire"

    def check_status(self) -> None:
        """Status never claims more than is true."""
        if self.spec.get("suspend"):
            return
        status, cluster = self.cluster.status(), self.cluster
        assert status["observedGeneration"] == cluster.model()["metadata"]["generation"]
        says = {kind: cluster.says(kind) for kind in ("Ready", "Available", "Verified", "Reconciling", "Stalled")}
        is_ready = says["Ready"] is not None and says["Ready"][0] == "True"
        assert is_ready == (says["Reconciling"] is None and says["Stalled"] is None), says
        selected = self.service_space()
        ready = self.ready_pods_of(selected)
        if says["Available"] is not None and says["Available"][0] == "True":
            assert ready, f"Available with no ready pod of {selected}"
        if is_ready and self.spec["replicas"] > 0:
            assert status["space"]["fingerprint"] == selected
            assert len(ready) >= self.spec["replicas"]
            reached = {pod["metadata"]["name"] for pod in ready} & self._list_endpoints(slice_name=f"{KEY.name}-slice")
            assert reached, f"Ready, and the Service reaches no pod of {selected}"
        if says["Verified"] == ("True", "GoldensPassed"):
            wrong = {case["name"] for case in self.spec["verification"].get("goldens", ())} & cluster.wrong
            # An operator that has just started knows of a pod under Block that it is ready, and so passed.
            reports = list(cluster.facts.reports.values())
            assert not wrong or not reports or any(result.passed for report in reports for result in report.results)
