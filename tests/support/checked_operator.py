"""The operator on a simulated cluster, with every reconcile checked against what must never happen."""

import asyncio
import copy
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from disturbed_gateway import remember
from faulty_gateway import Crash
from simulated_cluster import KEY, SimulatedCluster

from embedding_operator.api import names
from embedding_operator.kube.gateway import (
    CONFIG_MAP,
    DEPLOYMENT,
    EMBEDDING_MODEL,
    ENDPOINT_SLICE,
    SERVICE,
    Gateway,
    GatewayError,
)
from embedding_operator.kube.memory import Call, MemoryGateway

WAYS_BACK: Final = 2  # retired generations that are kept
QUARANTINE_PAUSE: Final = timedelta(seconds=60)  # at least, between two deletions of one operator's life


class CheckedOperator:
    """Over a cluster with one model. `past` is what it saw last, `earlier` what it saw before that.

    `warned`: inputs that Deployments were written of while the spec, as it may have been seen, said Warn.
    """

    def __init__(self, cluster: SimulatedCluster) -> None:
        self.cluster = cluster
        self.loop = asyncio.new_event_loop()
        self.forget_past()
        self.selected: str | None = None
        self.served: str | None = None
        self.order: list[str] = []  # in which spaces served, the last first
        self.lived: str | None = None
        self.had_ready = False
        self.warned: set[str] = set()
        self.replaced_at: datetime | None = None

    def start_anew(self) -> None:
        """Forget what only the process knew: not what was resolved, nor what pods have been told."""
        facts = self.cluster.facts
        for known in (facts.reports, facts.trial_reports, facts.trials_requested, facts.audits, facts.audits_requested):
            known.clear()
        for noted in (facts.noted_documents, facts.restorations, facts.refused, facts.unmade, facts.quarantines):
            noted.clear()
        for told in (facts.retired_pods, facts.retirements_requested, facts.recalls_requested):
            told.clear()
        self.replaced_at = None

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

    def list_warned(self) -> list[str]:
        """Names of pods that serve whatever they answer, because the spec said so when they were rendered."""
        inputs = names.ANNOTATION_INPUTS
        pods = self.cluster.pods()
        return [pod["metadata"]["name"] for pod in pods if pod["metadata"]["annotations"].get(inputs) in self.warned]

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
        uid = self.cluster.model()["metadata"]["uid"]
        if uid != self.lived:
            self.lived, self.order = uid, []
        if served and served not in self.order[:1]:
            self.order = [served, *(space for space in self.order if space != served)]

    # What the operator does, and must not do.

    def _run(self, *reconciles: Awaitable[object]) -> Sequence[object]:
        async def all_of_them() -> Sequence[object]:
            return await asyncio.gather(*reconciles, return_exceptions=True)

        return self.loop.run_until_complete(all_of_them())

    def reconcile(self, *gateways: Gateway, is_fresh: bool, is_refused: bool = False) -> None:
        """Let an operator reconcile over each of the gateways at once, and see that it kept to its own.

        `is_refused`: what fails may fail for long, so that the status has to be true all the same.
        """
        spec, generation = copy.deepcopy(self.spec), self.cluster.model()["metadata"]["generation"]
        self._note_service()
        earlier = remember(self.cluster.gateway)
        self.cluster.gateway.forget_calls()
        scaled, asked_for = self.deployment_of(self.selected), self.cluster.replicas()
        sound = self._list_sound()
        outcomes = self._run(*(self.cluster.reconcile(gateway=gateway) for gateway in gateways))
        for outcome in outcomes:
            assert not isinstance(outcome, BaseException) or isinstance(outcome, GatewayError | Crash), outcome
        model = self.cluster.model()
        assert (model["spec"], model["metadata"]["generation"]) == (spec, generation), "the user's object was written"
        self._note_warned()
        self._check_move(is_fresh=is_fresh)
        self._check_last_good(before=scaled, is_fresh=is_fresh)
        if is_fresh:
            self._check_endings(asked_for=asked_for)
            self._check_ways_back()
            self._check_isolated(sound=sound)
        self._check_replaced()
        has_failed = any(isinstance(outcome, BaseException) for outcome in outcomes)
        if is_refused and is_fresh:
            self.check_status()
        elif is_fresh and not has_failed:
            self._check_served()
            self.check_status()
        if is_fresh:
            self.earlier, self.past = earlier, remember(self.cluster.gateway)

    def _list_writes(self, verb: str, kind: str) -> Sequence[Call]:
        """Those of the last reconcile that reached the API server."""
        return [call for call in self.cluster.gateway.writes if (call.verb, call.kind) == (verb, kind)]

    def _note_warned(self) -> None:
        models = [
            gateway.peek(EMBEDDING_MODEL, namespace=KEY.namespace, name=KEY.name) for gateway in self._list_seen()
        ]
        policies = {model["spec"]["verification"].get("failurePolicy") for model in models if model}
        if "Warn" in policies:
            written = [call.body["metadata"] for call in self._list_writes("apply", "Deployment") if call.body]
            self.warned |= {metadata["annotations"][names.ANNOTATION_INPUTS] for metadata in written}

    def _list_seen(self) -> Sequence[MemoryGateway]:
        return self.cluster.gateway, self.past, self.earlier

    def _list_sound(self) -> Mapping[str, str]:
        """Spaces of the pods that are ready and not out of the Service, by name."""
        labels = {pod["metadata"]["name"]: pod["metadata"]["labels"] for pod in self.cluster.pods()}
        return {
            name: labels[name].get(names.LABEL_SPACE, "")
            for name in self.cluster.ready_pods()
            if labels[name].get(names.LABEL_TRAFFIC) != names.TRAFFIC_QUARANTINED
        }

    def _check_isolated(self, *, sound: Mapping[str, str]) -> None:
        """A pod is taken out of the Service only while another one of its generation answers requests."""
        isolated = {call.name for call in self._list_writes("label", "Pod")}
        labels = {pod["metadata"]["name"]: pod["metadata"]["labels"] for pod in self.cluster.pods()}
        for name in isolated & labels.keys():
            space = labels[name][names.LABEL_SPACE]
            others = [other for other, of in sound.items() if of == space and other not in isolated]
            assert others, f"pod {name} was taken out of the Service, and no other pod of {space} serves"

    def _check_replaced(self) -> None:
        """Pods with wrong answers are deleted one by one, with a pause for the next one to come up."""
        deleted = {call.name for call in self._list_writes("delete", "Pod")}
        assert len(deleted) <= 1, f"pods were deleted together: {deleted}"
        if deleted:
            now, before = self.cluster.now, self.replaced_at
            assert before is None or now - before >= QUARANTINE_PAUSE, f"{deleted} so soon after another one"
            self.replaced_at = now

    def _check_ways_back(self) -> None:
        """A generation is deleted only when enough others are there beside what the Service selects, and never the one
        that served last before that.
        """
        deleted = {call.name for call in self._list_writes("delete", "Deployment")}
        former = next((space for space in self.order if space != self.service_space()), "")
        last_good = names.deployment_name(KEY.name, fingerprint=former)
        assert last_good not in deleted, "the generation that served last was deleted"
        kept = [item["metadata"] for item in self.cluster.all(DEPLOYMENT) if item["metadata"]["name"] not in deleted]
        others = {metadata["labels"][names.LABEL_SPACE] for metadata in kept} - {self.service_space()}
        assert not deleted or len(others) >= WAYS_BACK, "a retired generation was deleted, and with it the way back"

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
