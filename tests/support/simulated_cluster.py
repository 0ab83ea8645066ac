"""What a cluster does with our children, in memory: Deployments, Jobs, pods with their gate, EndpointSlices.

Not an imitation of Kubernetes to be believed, but a driver for scenarios: each `step` lets every controller do one
thing. The real ones run in tests/e2e.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from declared_conditions import assert_declared

from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import MODEL_FILE, CaseResult, GateState, GoldensReport
from embedding_model.resolved import Quantization, ResolvedModel
from embedding_model.sources.access import Access
from embedding_operator.api import names
from embedding_operator.judge.generations import list_mounted
from embedding_operator.kube.gateway import (
    CONFIG_MAP,
    DEPLOYMENT,
    EMBEDDING_MODEL,
    ENDPOINT_SLICE,
    JOB,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    Gateway,
    Kind,
)
from embedding_operator.kube.memory import MemoryGateway
from embedding_operator.observe.facts import AuditReport, Key, MemoryFacts
from embedding_operator.reconcile.outcome import Outcome
from embedding_operator.reconcile.reconcile import reconcile
from embedding_operator.settings import Hub, RuntimeProfile, Settings, UpgradePolicy

KEY = Key("search", "tiny")
MAX_STEPS = 60
REVISION = "deployment.kubernetes.io/pod-template-hash"

Status = Mapping[str, Any]


def settings(*, image: str = "runtime:1", policy: UpgradePolicy = UpgradePolicy.KEEP) -> Settings:
    resources = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    profiles = {
        "cpu": RuntimeProfile(image=image, reference_image="reference:1", resources=resources),
        "cuda": RuntimeProfile(
            image=f"{image}-cuda", reference_image="reference:1-cuda", device="cuda", resources=resources
        ),
    }
    mirrors = {"corp": Hub(Access(endpoint="https://mirror.example.internal", redirect_hosts=()))}
    return Settings(profiles=profiles, mirrors=mirrors, upgrade_policy=policy, identity="test-operator")


@dataclass(frozen=True)
class Mounted:
    """What a pod found in its volumes when it started, and has for as long as it runs."""

    model: ResolvedModel | None  # None of a Job that finds it out
    case_set: CaseSet | None


@dataclass
class SimulatedCluster:
    """`wrong` holds names of golden cases that pods fail, `ill` by a pod's uid those that it fails in audits alone;
    `trouble` gives a pod's status instead of a good start. Without `answers_audits` nobody audits: pods open alone.
    `taken`: names of ConfigMaps that a hand deleted. A pod that mounts one waits; any other that is missing is a bug.
    """

    settings: Settings = field(default_factory=settings)
    facts: MemoryFacts = field(default_factory=lambda: MemoryFacts(key_data={"issuer": "https://issuer"}))
    wrong: set[str] = field(default_factory=set)
    trouble: Callable[[Mapping[str, Any]], Status | None] = lambda pod: None
    answers_trials: bool = True
    answers_audits: bool = True
    ill: dict[str, set[str]] = field(default_factory=dict)
    objected: dict[str, str] = field(default_factory=dict)
    now: datetime = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

    def __post_init__(self) -> None:
        self.gateway = MemoryGateway(now=self._write_now)
        self.taken: set[str] = set()
        self.mounted: dict[str, Mounted] = {}  # by pod uid
        self.selections: list[tuple[str, dict[str, int]]] = []  # each selection of the Service, with ready pods then

    # The user.

    def create_model(self, spec: Mapping[str, Any], *, key: Key = KEY) -> dict[str, Any]:
        return self.gateway.put(
            {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "metadata": {"namespace": key.namespace, "name": key.name},
                "spec": dict(spec),
            }
        )

    def edit_spec(self, change: Callable[[dict[str, Any]], Any], *, key: Key = KEY) -> None:
        def edit(model: dict[str, Any]) -> None:
            change(model["spec"])

        self.gateway.edit(EMBEDDING_MODEL, edit, namespace=key.namespace, name=key.name)

    def request_anew(self, at: str) -> None:
        def edit(model: dict[str, Any]) -> None:
            model["metadata"].setdefault("annotations", {})[names.ANNOTATION_REQUESTED_AT] = at

        self.gateway.edit(EMBEDDING_MODEL, edit, namespace=KEY.namespace, name=KEY.name)

    def take_away(self, kind: Kind, name: str) -> None:
        """Delete an object by hand."""
        self.taken |= {name} if kind is CONFIG_MAP else set()
        self.gateway.remove(kind, namespace=KEY.namespace, name=name)

    # What can be seen.

    def find(self, kind: Kind, name: str) -> dict[str, Any] | None:
        return self.gateway.peek(kind, namespace=KEY.namespace, name=name)

    def all(self, kind: Kind) -> list[dict[str, Any]]:
        return list(self.gateway.peek_all(kind, namespace=KEY.namespace))

    def model(self) -> dict[str, Any]:
        found = self.find(EMBEDDING_MODEL, KEY.name)
        assert found is not None
        return found

    def status(self) -> dict[str, Any]:
        return dict(self.model().get("status") or {})

    def condition(self, kind: str) -> dict[str, Any] | None:
        return next((item for item in self.status().get("conditions", ()) if item["type"] == kind), None)

    def says(self, kind: str) -> tuple[str, str] | None:
        """Status and reason of a condition."""
        condition = self.condition(kind)
        return (condition["status"], condition["reason"]) if condition else None

    def pods(self) -> list[dict[str, Any]]:
        return self.all(POD)

    def ready_pods(self) -> set[str]:
        return {pod["metadata"]["name"] for pod in self.pods() if _is_ready(pod)}

    def selected_space(self) -> str:
        service = self.find(SERVICE, KEY.name)
        assert service is not None
        return str(service["spec"]["selector"][names.LABEL_SPACE])

    def replicas(self) -> dict[str, int]:
        """Replicas that each Deployment asks for, by space."""
        return {
            item["metadata"]["labels"][names.LABEL_SPACE]: item["spec"]["replicas"] for item in self.all(DEPLOYMENT)
        }

    # Time.

    async def reconcile(self, *, gateway: Gateway | None = None) -> Outcome:
        outcome = await reconcile(
            KEY, gateway=gateway or self.gateway, facts=self.facts, settings=self.settings, clock=lambda: self.now
        )
        assert_declared(self.find(EMBEDDING_MODEL, KEY.name) or {})
        return outcome

    async def settle(self, *, gateway: Gateway | None = None) -> Outcome:
        """Reconcile and let controllers work until nothing changes; then prove that reconciling writes nothing."""
        outcome = await self.reconcile(gateway=gateway)
        before = self.picture()
        for _ in range(MAX_STEPS):
            self.step()
            outcome = await self.reconcile(gateway=gateway)
            after = self.picture()
            if after == before:
                break
            before = after
        else:
            raise AssertionError("the cluster does not come to rest")
        self.gateway.forget_calls()
        await self.reconcile(gateway=gateway)
        assert self.gateway.writes == (), "a reconcile of a settled world writes"
        return outcome

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def picture(self) -> str:
        """Everything that there is, as text: equal pictures, equal worlds."""
        kinds = (EMBEDDING_MODEL, DEPLOYMENT, SERVICE, CONFIG_MAP, POD, JOB, ENDPOINT_SLICE)
        objects = [item for kind in kinds for item in self.all(kind)]
        facts = [
            sorted(self.facts.reports),
            sorted(map(str, self.facts.trial_reports)),
            sorted(self.facts.retired_pods),
            self._list_verdicts(),
        ]
        return json.dumps([objects, facts, sorted(map(str, self.facts.trials_requested))], sort_keys=True)

    def step(self) -> None:
        self.now += timedelta(seconds=1)
        self._collect_garbage()
        self._answer_audits()
        for deployment in self.all(DEPLOYMENT):
            self._run_deployment(deployment)
        for job in self.all(JOB):
            self._run_job(job)
        for pod in self.pods():
            self._run_pod(pod)
        for deployment in self.all(DEPLOYMENT):
            self._count(deployment)
        self._answer_trials()
        self.facts.retired_pods |= self.facts.retirements_requested
        self._list_endpoints()

    # Controllers.

    def _collect_garbage(self) -> None:
        """Take away what was written for an EmbeddingModel that was gone by then."""
        models = {item["metadata"]["uid"] for item in self.all(EMBEDDING_MODEL)}
        for kind in (DEPLOYMENT, SERVICE, CONFIG_MAP, JOB, POD_DISRUPTION_BUDGET):
            for item in self.all(kind):
                owners = item["metadata"].get("ownerReferences") or ()
                if owners and not models & {owner["uid"] for owner in owners}:
                    self.gateway.remove(kind, namespace=KEY.namespace, name=item["metadata"]["name"])

    def _run_deployment(self, deployment: Mapping[str, Any]) -> None:
        """As the Deployment controller does: first add new pods within maxSurge, then take old ones away, unready ones
        first, within maxUnavailable."""
        digest, wanted = _hash_template(deployment), deployment["spec"]["replicas"]
        rolling = deployment["spec"]["strategy"]["rollingUpdate"]
        needed = 0 if rolling["maxUnavailable"] == "100%" else wanted - rolling["maxUnavailable"]
        pods = self._pods_of(deployment)
        new = [pod for pod in pods if pod["metadata"]["labels"][REVISION] == digest]
        old = [pod for pod in pods if pod not in new]
        for pod in pods if wanted == 0 else new[wanted:]:
            self._delete_pod(pod)
        kept = new[:wanted]
        room = wanted + rolling["maxSurge"] - len(kept) - len(old)
        taken = {pod["metadata"]["name"] for pod in kept}
        free = [name for name in (f"{digest}-{number}" for number in range(wanted)) if not _ends_with(taken, name)]
        added = free[: max(0, min(room, wanted - len(kept)))]
        for suffix in added:
            self._create_pod(deployment, labels={REVISION: digest}, suffix=suffix)
        unready_new = len(added) + len([pod for pod in kept if not _is_ready(pod)])
        removable = len(kept) + len(added) + len(old) - needed - unready_new
        unready_old = [pod for pod in old if not _is_ready(pod)][: max(0, removable)]
        spare = len([pod for pod in [*kept, *old] if _is_ready(pod)]) - needed
        ready_old = [pod for pod in old if _is_ready(pod)][: max(0, min(spare, removable - len(unready_old)))]
        for pod in [*unready_old, *ready_old]:
            self._delete_pod(pod)

    def _run_job(self, job: Mapping[str, Any]) -> None:
        if not self._pods_of(job):
            self._create_pod(job, labels={}, suffix="0")

    def _create_pod(self, owner: Mapping[str, Any], *, labels: Mapping[str, str], suffix: str) -> None:
        template, metadata = owner["spec"]["template"], owner["metadata"]
        name = f"{metadata['name']}-{suffix}"
        # ReplicaSets are left out: a pod names one, and goes with its Deployment.
        kind = "ReplicaSet" if owner["kind"] == "Deployment" else owner["kind"]
        reference = {"kind": kind, "name": name, "uid": metadata["uid"], "controller": True}
        if self.find(POD, name) is None:
            self.gateway.put(
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

    def _run_pod(self, pod: Mapping[str, Any]) -> None:
        trouble = self.trouble(pod)
        status = trouble if trouble is not None else self._start_pod(pod)
        if status != pod.get("status"):
            self.gateway.edit(
                POD, lambda item: item.update(status=status), namespace=KEY.namespace, name=pod["metadata"]["name"]
            )

    def _start_pod(self, pod: Mapping[str, Any]) -> Status:
        before = pod.get("status", {})
        if before.get("phase") != "Running" or not _has_started(before):
            if self._find_missing(pod):
                return {"phase": "Pending", "conditions": [{"type": "PodReadyToStartContainers", "status": "False"}]}
            state = {"running": {"startedAt": self._write_now()}}
            self._mount(pod)
            running = {"name": pod["spec"]["containers"][0]["name"], "started": True, "state": state}
            ready = {"type": "Ready", "status": "False", "lastTransitionTime": self._write_now()}
            return {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [running], "conditions": [ready]}
        opens = "True" if self._is_open(pod) else "False"
        ready = next((item for item in before.get("conditions", ()) if item["type"] == "Ready"), {})
        if ready.get("status") != opens:
            ready = {"type": "Ready", "status": opens, "lastTransitionTime": self._write_now()}
        return {**before, "conditions": [ready]}

    def _is_open(self, pod: Mapping[str, Any]) -> bool:
        """As the pod decides: by its own check, and by the verdict, without which it opens when nobody audits."""
        uid, passed, mounted = pod["metadata"]["uid"], True, self._mount(pod)
        if mounted.case_set is not None:
            report = self._answer(pod, case_set=mounted.case_set)
            verdict = GateState.FAILED if self.objected.get(uid) else report.verdict
            self.facts.reports[uid] = report.model_copy(update={"verdict": verdict})
            passed = report.state is GateState.PASSED
        warns = "Warn" in pod["spec"]["containers"][0]["args"]
        audit = self.facts.audits.get(uid)
        if audit is None:
            return (passed or warns) and not self.answers_audits
        return warns or (passed and audit.state is GateState.PASSED)

    def _answer_audits(self) -> None:
        """The auditor's work: what reconciles have requested is asked, judged, and told to the pod."""
        pods = {pod["metadata"]["uid"] for pod in self.pods()}
        for uid, order in self.facts.audits_requested.items():
            if uid not in pods or not self.answers_audits:
                continue
            failed = self.wrong | self.ill.get(uid, set())
            results = tuple(
                CaseResult(
                    name=case.name,
                    kind=case.kind,
                    passed=case.name not in failed,
                    measured="0.913000" if case.name in failed else "0.999990",
                    threshold="0.999",
                )
                for case in (*order.case_set.cases, *order.holdout.cases)
            )
            checks = {name for names_ in self.ill.values() for name in names_ if name.startswith("check.")}
            results += tuple(
                CaseResult(
                    name=name,
                    kind="check",
                    passed=name not in failed,
                    detail="it does not hold" if name in failed else "it holds",
                )
                for name in sorted(checks)
            )
            state = GateState.PASSED if all(result.passed for result in results) else GateState.FAILED
            self.objected[uid] = order.objection
            before = self.facts.audits.get(uid)
            if before is None or before.results != results:
                self.facts.audits[uid] = AuditReport("boot", order.case_set.name, state, results, at=self.now)

    def _list_verdicts(self) -> list[str]:
        audits = ((pod, self.facts.audits.get(pod["metadata"]["uid"])) for pod in self.pods())
        return [f"{pod['metadata']['name']} {audit.case_set} {audit.state}" for pod, audit in audits if audit]

    def _write_now(self) -> str:
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _find_missing(self, pod: Mapping[str, Any]) -> set[str]:
        """ConfigMaps of ours that keep the pod without its volumes."""
        mounted = (name for volume in ("model-config", "goldens") for name in list_mounted(pod["spec"], volume=volume))
        missing = {name for name in mounted if self.find(CONFIG_MAP, name) is None}
        assert missing <= self.taken, f"a pod mounts ConfigMaps that are gone: {missing - self.taken}"
        return missing

    def _mount(self, pod: Mapping[str, Any]) -> Mounted:
        """The volumes of a pod that has started."""
        uid = pod["metadata"]["uid"]
        if uid not in self.mounted:
            models = self._read_volume(pod, volume="model-config", key=MODEL_FILE)
            parts = self._read_volume(pod, volume="goldens", key="goldens.jsonl")
            self.mounted[uid] = Mounted(
                model=ResolvedModel.from_json(models[0]) if models else None,
                case_set=CaseSet.from_jsonl("".join(parts).encode()) if parts else None,
            )
        return self.mounted[uid]

    def _read_volume(self, pod: Mapping[str, Any], *, volume: str, key: str) -> list[str]:
        found = [self.find(CONFIG_MAP, name) for name in list_mounted(pod["spec"], volume=volume)]
        assert all(found), "a pod mounts a ConfigMap that is gone"
        return [item["data"][key] for item in found if item]

    def _answer(self, pod: Mapping[str, Any], *, case_set: CaseSet) -> GoldensReport:
        results = tuple(
            CaseResult(
                name=case.name,
                kind=case.kind,
                passed=case.name not in self.wrong,
                measured="0.913000" if case.name in self.wrong else "0.999990",
                threshold="0.999",
            )
            for case in case_set.cases
        )
        model = self._mount(pod).model
        assert model is not None, "a pod without a model was asked golden cases"
        quantization = model.serving.quantization
        state = GateState.PASSED if all(item.passed for item in results) else GateState.FAILED
        return GoldensReport(
            boot_id="boot",
            case_set=case_set.name,
            state=state,
            results=results,
            space=pod["metadata"]["labels"][names.LABEL_SPACE],
            revision="c9745ed1d9f2",
            device="cpu",
            dtype="float32",
            quantization=None if quantization is Quantization.NONE else quantization,
        )

    def _answer_trials(self) -> None:
        if not self.answers_trials:
            return
        pods = {pod["metadata"]["uid"]: pod for pod in self.pods()}
        for (uid, name), case_set in self.facts.trials_requested.items():
            if uid in pods and (uid, name) not in self.facts.trial_reports:
                self.facts.trial_reports[uid, name] = self._answer(pods[uid], case_set=case_set)

    def _count(self, deployment: Mapping[str, Any]) -> None:
        digest, wanted = _hash_template(deployment), deployment["spec"]["replicas"]
        pods = self._pods_of(deployment)
        updated = [pod for pod in pods if pod["metadata"]["labels"][REVISION] == digest]
        ready = [pod for pod in pods if _is_ready(pod)]
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
            self.gateway.edit(DEPLOYMENT, lambda item: item.update(status=status), namespace=KEY.namespace, name=name)

    def _list_endpoints(self) -> None:
        service = self.find(SERVICE, KEY.name)
        slice_name = f"{KEY.name}-slice"
        if service is None:
            return
        selector = service["spec"]["selector"]
        chosen = [
            pod for pod in self.pods() if selector.items() <= pod["metadata"]["labels"].items() and _is_ready(pod)
        ]
        endpoints = [{"targetRef": {"kind": "Pod", "name": pod["metadata"]["name"]}} for pod in chosen]
        if self.find(ENDPOINT_SLICE, slice_name) is None:
            metadata = {
                "namespace": KEY.namespace,
                "name": slice_name,
                "labels": {"kubernetes.io/service-name": KEY.name},
                "ownerReferences": [{"kind": "Service", "name": KEY.name, "uid": service["metadata"]["uid"]}],
            }
            self.gateway.put(
                {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, "endpoints": []}
            )
        self.gateway.edit(
            ENDPOINT_SLICE, lambda item: item.update(endpoints=endpoints), namespace=KEY.namespace, name=slice_name
        )

    def _delete_pod(self, pod: Mapping[str, Any]) -> None:
        if self.find(POD, pod["metadata"]["name"]) is not None:
            self.gateway.remove(POD, namespace=KEY.namespace, name=pod["metadata"]["name"])

    def _pods_of(self, owner: Mapping[str, Any]) -> list[dict[str, Any]]:
        uid = owner["metadata"]["uid"]
        return [pod for pod in self.pods() if pod["metadata"]["ownerReferences"][0]["uid"] == uid]


def _ends_with(taken: set[str], suffix: str) -> bool:
    return any(name.endswith(suffix) for name in taken)


def _hash_template(deployment: Mapping[str, Any]) -> str:
    template = json.dumps(deployment["spec"]["template"], sort_keys=True)
    return hashlib.sha256(template.encode()).hexdigest()[:8]


def _has_started(status: Status) -> bool:
    return all(item.get("started") and "running" in item["state"] for item in status.get("containerStatuses", ()))


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
