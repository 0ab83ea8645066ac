"""What kubelets, pods and the auditor do in a cluster in memory: volumes, starts, the gate, golden cases."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from simulated_objects import KEY, SimulatedObjects

from embedding_model.goldens.cases import CaseSet, GoldenCase, VectorCase
from embedding_model.ports import MODEL_FILE, CaseResult, GateState, GoldensReport
from embedding_model.resolved import Quantization, ResolvedModel
from embedding_operator.api import names
from embedding_operator.judge.generations import list_mounted
from embedding_operator.kube.gateway import CONFIG_MAP, POD
from embedding_operator.observe.facts import AuditReport, MemoryFacts

Status = Mapping[str, Any]


@dataclass(frozen=True)
class Mounted:
    """What a pod found in its volumes when it started, and has for as long as it runs."""

    model: ResolvedModel | None  # None of a Job that finds it out
    case_set: CaseSet | None


@dataclass
class SimulatedPods(SimulatedObjects):
    """`wrong` holds names of golden cases that pods fail, `ill` by a pod's uid those that it fails in audits alone;
    `trouble` gives a pod's status instead of a good start. Without `answers_audits` nobody audits: pods open alone.
    `verdicts`: what pods were told last, by uid; an operator that is restarted does not know. Without `tells_reports`
    it hears nothing of what pods found of themselves. `cosine`: what vectors of right answers measure.
    A pod that mounts a ConfigMap that was taken waits; any other that is missing is a bug. `mounted` is by pod uid.
    """

    facts: MemoryFacts = field(default_factory=lambda: MemoryFacts(key_data={"issuer": "https://issuer"}))
    wrong: set[str] = field(default_factory=set)
    trouble: Callable[[Mapping[str, Any]], Status | None] = lambda pod: None
    answers_trials: bool = True
    answers_audits: bool = True
    tells_reports: bool = True
    ill: dict[str, set[str]] = field(default_factory=dict)
    cosine: str = "0.999990"
    verdicts: dict[str, GateState] = field(default_factory=dict)
    mounted: dict[str, Mounted] = field(default_factory=dict)

    def run_pod(self, pod: Mapping[str, Any]) -> None:
        trouble = self.trouble(pod)
        status = trouble if trouble is not None else self._start_pod(pod)
        if status != pod.get("status"):
            self.gateway.edit(
                POD, lambda item: item.update(status=status), namespace=KEY.namespace, name=pod["metadata"]["name"]
            )

    def answer_audits(self) -> None:
        """The auditor's work: what reconciles have requested is asked, judged, and told to the pod."""
        pods = {pod["metadata"]["uid"] for pod in self.pods()}
        for uid, order in self.facts.audits_requested.items():
            if uid not in pods or not self.answers_audits:
                continue
            failed = self.wrong | self.ill.get(uid, set())
            results = _judge_cases(*order.case_set.cases, *order.holdout.cases, failed=failed, cosine=self.cosine)
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
            self.verdicts[uid] = GateState.FAILED if order.objection else state
            before = self.facts.audits.get(uid)
            if before is None or before.results != results:
                self.facts.audits[uid] = AuditReport("boot", order.case_set.name, state, results, at=self.now)

    def answer_trials(self) -> None:
        if not self.answers_trials:
            return
        pods = {pod["metadata"]["uid"]: pod for pod in self.pods()}
        for (uid, name), case_set in self.facts.trials_requested.items():
            if uid in pods and (uid, name) not in self.facts.trial_reports:
                self.facts.trial_reports[uid, name] = self.report_goldens(pods[uid], case_set=case_set)

    def _start_pod(self, pod: Mapping[str, Any]) -> Status:
        before = pod.get("status", {})
        if before.get("phase") != "Running" or not _has_started(before):
            if self._find_missing(pod):
                return {"phase": "Pending", "conditions": [{"type": "PodReadyToStartContainers", "status": "False"}]}
            state = {"running": {"startedAt": self.write_now()}}
            self._mount(pod)
            running = {"name": pod["spec"]["containers"][0]["name"], "started": True, "state": state}
            ready = {"type": "Ready", "status": "False", "lastTransitionTime": self.write_now()}
            return {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [running], "conditions": [ready]}
        opens = "True" if self._is_open(pod) else "False"
        ready = next((item for item in before.get("conditions", ()) if item["type"] == "Ready"), {})
        if ready.get("status") != opens:
            ready = {"type": "Ready", "status": opens, "lastTransitionTime": self.write_now()}
        return {**before, "conditions": [ready]}

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

    def _is_open(self, pod: Mapping[str, Any]) -> bool:
        """As the pod decides: by its own check, and by the verdict, without which it opens when nobody audits."""
        uid, mounted = pod["metadata"]["uid"], self._mount(pod)
        verdict = self.verdicts.get(uid, GateState.PENDING)
        if pod["metadata"]["labels"][names.LABEL_COMPONENT] != names.COMPONENT_SERVER:
            return False
        report = self.report_goldens(pod, case_set=mounted.case_set or CaseSet(cases=()))
        if self.tells_reports:
            self.facts.reports[uid] = report.model_copy(update={"verdict": verdict})
        passed = report.state is GateState.PASSED
        warns = "Warn" in pod["spec"]["containers"][0]["args"]
        if verdict is GateState.PENDING:
            return (passed or warns) and not self.answers_audits
        return warns or (passed and verdict is GateState.PASSED)

    def report_goldens(self, pod: Mapping[str, Any], *, case_set: CaseSet) -> GoldensReport:
        results = _judge_cases(*case_set.cases, failed=self.wrong, cosine=self.cosine)
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


def _judge_cases(*cases: GoldenCase, failed: set[str], cosine: str) -> tuple[CaseResult, ...]:
    return tuple(_judge_case(case, measured="0.913000" if case.name in failed else cosine) for case in cases)


def _judge_case(case: GoldenCase, *, measured: str) -> CaseResult:
    threshold = case.min_cosine_similarity if isinstance(case, VectorCase) else "0.999"
    passed = Decimal(measured) >= Decimal(threshold)
    return CaseResult(name=case.name, kind=case.kind, passed=passed, measured=measured, threshold=threshold)


def _has_started(status: Status) -> bool:
    return all(item.get("started") and "running" in item["state"] for item in status.get("containerStatuses", ()))
