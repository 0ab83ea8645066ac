"""Whatever users, controllers, failing calls and restarts do in whatever order: what must never happen never does.

A random walk through the life of one EmbeddingModel over the Gateway in memory, with the operator's own reconcile. What
a walk found once stands as a scenario of its own in tests/scenario.
"""

import copy
import os
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis.strategies as st
import pytest
from checked_operator import CheckedOperator
from disturbed_gateway import SharedGateway, StaleGateway
from faulty_gateway import (
    CrashAfter,
    CrashBefore,
    Fault,
    FaultyGateway,
    LoseAnswer,
    Refuse,
    server_error,
    timeout,
    too_many_requests,
)
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from model_samples import COMMIT, DIMENSIONS, OTHER_COMMIT, REPO, golden, hub_spec, request_token, resolved, verified_by
from namesakes import NamesakeGateway
from refusing_gateway import RefusingGateway
from simulated_cluster import KEY, SimulatedCluster

from embedding_model.ports import GateState
from embedding_operator.api import names
from embedding_operator.kube.gateway import (
    CONFIG_MAP,
    DEPLOYMENT,
    EMBEDDING_MODEL,
    ENDPOINT_SLICE,
    JOB,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    Conflict,
    Forbidden,
    Gateway,
    GatewayError,
    Kind,
    TooManyRequests,
    Unreachable,
)
from embedding_operator.kube.memory import MemoryGateway

UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available."}
    ],
}
OTHER_REVISION = "v2"
CHILDREN = (DEPLOYMENT, SERVICE, CONFIG_MAP, JOB, POD_DISRUPTION_BUDGET)
WATCHED = (*CHILDREN, POD, ENDPOINT_SLICE, EMBEDDING_MODEL)
NOWHERE = "sp1-" + "0" * 32
CASES = ("paris", "rome")
HEALING_ROUNDS = 12  # pods that are out of the Service are replaced one at a time

FAULTS: Sequence[Fault] = (
    CrashBefore(),
    CrashAfter(),
    LoseAnswer(),
    server_error(),
    too_many_requests(),
    timeout(),
    Refuse(Conflict("the object has been modified", status=409)),
)
REFUSED: Sequence[tuple[str, Kind]] = (
    *(("apply", kind) for kind in (CONFIG_MAP, SERVICE, DEPLOYMENT, POD_DISRUPTION_BUDGET)),
    *(("delete", kind) for kind in (POD, CONFIG_MAP, SERVICE, DEPLOYMENT, POD_DISRUPTION_BUDGET)),
    ("label", POD),
)
REFUSALS: Sequence[GatewayError] = (
    Forbidden('"tiny" is forbidden: exceeded quota: small', status=403),
    GatewayError('admission webhook "policy.example.com" denied the request', status=400),
    Unreachable('failed calling webhook "policy.example.com"', status=500),
    TooManyRequests("too many requests", status=429, retry_after=1.0),
    Unreachable("no answer from the API server"),
)
Refusal = tuple[tuple[str, Kind], GatewayError]
ROUNDS = (0, 1, 2, 4, 8)  # of what follows an action; a Service moves in about six
faults = st.tuples(st.sampled_from(FAULTS), st.integers(0, 25))


def action(
    *, lengths: Sequence[int] = ROUNDS, **strategies: st.SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Any]:
    """A rule after which the cluster and the operator go on for a while: what a walk does to them must have effects."""

    def decorate(act: Callable[..., None]) -> Any:
        def act_and_go_on(self: "LifeOfAModel", *, rounds: int, **drawn: Any) -> None:
            act(self, **drawn)
            for _ in range(rounds):
                self.go_on()

        act_and_go_on.__name__ = act.__name__
        return rule(rounds=st.sampled_from(lengths), **strategies)(act_and_go_on)

    return decorate


class LifeOfAModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.cluster = SimulatedCluster()
        self.refusal: Refusal | None = None  # of one sort of write, as long as it lasts
        resolutions = self.cluster.facts.resolutions
        for commit in (None, COMMIT):
            resolutions[request_token(commit=commit)] = resolved()
        for commit in (None, OTHER_COMMIT):
            resolutions[request_token(revision=OTHER_REVISION, commit=commit)] = resolved(
                revision=OTHER_COMMIT, requested=OTHER_REVISION, seed="b"
            )
        self.ends_wrong = self.names_are_taken = False
        self.operator = CheckedOperator(self.cluster)
        self.cluster.create_model(hub_spec())

    @initialize(
        serves=st.booleans(),
        replicas=st.integers(1, 3),
        audits=st.sampled_from([True, True, False]),
        has_cases=st.booleans(),
        ends_wrong=st.booleans(),
        names_are_taken=st.booleans(),
    )
    def it_begins(
        self, serves: bool, replicas: int, audits: bool, has_cases: bool, ends_wrong: bool, names_are_taken: bool
    ) -> None:
        """With nothing, or with a model that serves: most of what can go wrong needs one.

        `ends_wrong`: answers are wrong just before all faults stop. `names_are_taken`: of what the operator is about to
        delete, by somebody faster.
        """
        self.ends_wrong, self.names_are_taken = ends_wrong, names_are_taken
        if serves or has_cases:
            self.edit_spec(replicas=replicas, verification=verified_by(golden()))
        if serves:
            self.operator.settle()
            self.operator.forget_past()
        self.cluster.answers_audits = audits

    def teardown(self) -> None:
        try:
            self.converges()
        finally:
            self.operator.close()

    # What the operator does, and what goes wrong meanwhile.

    @rule()
    def the_operator_reconciles(self) -> None:
        namesakes = NamesakeGateway(self.cluster.gateway)
        gateway: Gateway = namesakes if self.names_are_taken else self.cluster.gateway
        if self.refusal is not None:
            (verb, kind), error = self.refusal
            gateway = RefusingGateway(gateway, verb=verb, kind=kind.kind, error=error)
        self.operator.reconcile(gateway, is_fresh=True, is_refused=self.refusal is not None)
        assert not namesakes.take_away(), "another object of the name was deleted"

    @action(refusal=st.tuples(st.sampled_from(REFUSED), st.sampled_from(REFUSALS)))
    def the_api_server_refuses_writes(self, refusal: Refusal) -> None:
        self.refusal = refusal

    @precondition(lambda self: self.refusal)
    @action()
    def the_api_server_takes_all_writes_again(self) -> None:
        self.refusal = None

    @rule(fault=faults)
    def a_call_fails(self, fault: tuple[Fault, int]) -> None:
        what, after = fault
        faulty = FaultyGateway(self.cluster.gateway)
        faulty.fail_next(what, after=after)
        self.operator.reconcile(faulty, is_fresh=True)

    @rule(misses_writes=st.booleans())
    def the_operator_sees_what_was(self, misses_writes: bool) -> None:
        """As it was after the last reconcile, or before it: an operator may miss even what it wrote itself."""
        past = self.operator.earlier if misses_writes else self.operator.past
        before = list_uids(self.cluster.gateway, *CHILDREN)
        self.operator.reconcile(StaleGateway(past=past, present=self.cluster.gateway), is_fresh=False)
        gone = before - list_uids(self.cluster.gateway, *CHILDREN)
        assert gone <= list_uids(past, *CHILDREN), "what it had not seen was deleted"

    @rule(kinds=st.sets(st.sampled_from(WATCHED), min_size=1), misses_writes=st.booleans())
    def some_watches_lag_behind(self, kinds: set[Kind], misses_writes: bool) -> None:
        """As in a gap of a watch: what is seen of other kinds is from another moment."""
        past = self.operator.earlier if misses_writes else self.operator.past
        gateway = self.cluster.gateway
        before = {kind: list_uids(gateway, kind) for kind in kinds}
        self.operator.reconcile(StaleGateway(past=past, present=gateway, kinds=kinds), is_fresh=False)
        for kind in kinds:
            gone = before[kind] - list_uids(gateway, kind)
            assert gone <= list_uids(past, kind), f"a {kind.kind} that it had not seen was deleted"

    @rule(one=st.lists(st.integers(0, 3), max_size=30), other=st.lists(st.integers(0, 3), max_size=30))
    def two_operators_act_at_once(self, one: Sequence[int], other: Sequence[int]) -> None:
        gateway = self.cluster.gateway
        self.operator.reconcile(SharedGateway(gateway, turns=one), SharedGateway(gateway, turns=other), is_fresh=True)

    @rule()
    def the_operator_is_started_anew(self) -> None:
        self.operator.start_anew()

    # What controllers and nodes do.

    @rule(steps=st.integers(1, 6))
    def the_cluster_works(self, steps: int) -> None:
        for _ in range(steps):
            self.cluster.step()

    @rule(rounds=st.integers(1, 10))
    def all_goes_on(self, rounds: int) -> None:
        for _ in range(rounds):
            self.go_on()

    def go_on(self) -> None:
        self.cluster.step()
        self.the_operator_reconciles()

    @action(seconds=st.sampled_from([20, 120, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.pass_time(seconds)

    def pass_time(self, seconds: int) -> None:
        """In which trials that failed are asked again."""
        self.cluster.pass_time(seconds)
        reports = self.cluster.facts.trial_reports
        for asked in [asked for asked, report in reports.items() if report.state is GateState.FAILED]:
            del reports[asked]

    @action(full=st.booleans())
    def the_cluster_is_full_or_not(self, full: bool) -> None:
        placed = {pod["metadata"]["name"] for pod in self.cluster.pods() if pod["status"].get("phase") == "Running"}
        self.cluster.trouble = lambda pod: UNSCHEDULABLE if full and pod["metadata"]["name"] not in placed else None

    @action(cases=st.sampled_from([(), CASES[:1], CASES]))
    def answers_are_wrong_or_right(self, cases: Sequence[str]) -> None:
        self.cluster.wrong = set(cases)

    @action(silent=st.booleans())
    def audits_stop_or_go_on(self, silent: bool) -> None:
        self.cluster.answers_audits = not silent

    @precondition(lambda self: self.cluster.ready_pods())
    @action(lengths=ROUNDS[-2:], data=st.data())
    def pods_answer_wrongly_what_they_do_not_know(self, data: st.DataObject) -> None:
        """All of them but one, or all."""
        ready = self.cluster.ready_pods()
        uids = [pod["metadata"]["uid"] for pod in self.cluster.pods() if pod["metadata"]["name"] in ready]
        spared = data.draw(st.sampled_from([*uids, None]))
        self.cluster.ill |= {uid: {"check.norm"} for uid in uids if uid != spared}

    # What hands do.

    @precondition(lambda self: self.cluster.pods())
    @action(data=st.data())
    def a_pod_is_deleted(self, data: st.DataObject) -> None:
        pod = data.draw(st.sampled_from([pod["metadata"]["name"] for pod in self.cluster.pods()]))
        self.cluster.gateway.remove(POD, namespace=KEY.namespace, name=pod)

    @precondition(lambda self: self.cluster.all(DEPLOYMENT))
    @action(data=st.data(), replicas=st.integers(0, 3))
    def a_deployment_is_scaled(self, data: st.DataObject, replicas: int) -> None:
        name = data.draw(st.sampled_from([item["metadata"]["name"] for item in self.cluster.all(DEPLOYMENT)]))
        self.edit(DEPLOYMENT, name, lambda item: item["spec"].update(replicas=replicas))

    @precondition(lambda self: self.cluster.all(DEPLOYMENT))
    @action(data=st.data(), kind=st.sampled_from([DEPLOYMENT, SERVICE, CONFIG_MAP]))
    def a_child_is_deleted(self, data: st.DataObject, kind: Any) -> None:
        children = [item["metadata"]["name"] for item in self.cluster.all(kind)]
        if children:
            self.cluster.take_away(kind, data.draw(st.sampled_from(children)))

    @precondition(lambda self: self.cluster.find(SERVICE, KEY.name))
    @action(data=st.data())
    def the_service_is_pointed_elsewhere(self, data: st.DataObject) -> None:
        spaces = [item["metadata"]["labels"][names.LABEL_SPACE] for item in self.cluster.all(DEPLOYMENT)]
        self.cluster.point_service(data.draw(st.sampled_from([*spaces, NOWHERE])))

    # What users do.

    def edit(self, kind: Any, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
        self.cluster.gateway.edit(kind, change, namespace=KEY.namespace, name=name)

    def edit_spec(self, **parts: Any) -> None:
        self.cluster.edit_spec(lambda spec: spec.update(parts))

    @action(dimensions=st.sampled_from([None, 4, 6]))
    def dimensions_change(self, dimensions: int | None) -> None:
        self.edit_spec(embedding={} if dimensions is None else {"dimensions": dimensions})

    @action(failing=st.lists(st.sampled_from([4, 5, 6]), min_size=2, max_size=3, unique=True))
    def spaces_fail_one_after_another(self, failing: Sequence[int]) -> None:
        """Then the one that a user settles for passes."""
        settled = 7
        for dimensions in [*failing, settled]:
            self.cluster.wrong = set(CASES) if dimensions != settled else set()
            self.edit_spec(embedding={"dimensions": dimensions})
            self.write_cases("paris", policy="Block")
            for _ in range(6):
                self.go_on()

    @action(revision=st.sampled_from(["main", OTHER_REVISION]))
    def the_revision_changes(self, revision: str) -> None:
        self.edit_spec(model={"huggingFace": {"repo": REPO, "revision": revision}})

    @action(replicas=st.integers(0, 3))
    def replicas_change(self, replicas: int) -> None:
        self.edit_spec(replicas=replicas)

    @action(cpu=st.sampled_from(["1", "2"]))
    def resources_change(self, cpu: str) -> None:
        self.edit_spec(resources={"requests": {"cpu": cpu}})

    @action(
        case=st.sampled_from([None, *CASES]),
        policy=st.sampled_from(["Block", "Block", "Warn"]),
    )
    def golden_cases_change(self, case: str | None, policy: str) -> None:
        self.write_cases(*([case] if case else []), policy=policy)

    def write_cases(self, *cases: str, policy: str) -> None:
        dimensions = self.operator.spec.get("embedding", {}).get("dimensions") or DIMENSIONS
        goldens = [golden(case, dimensions=dimensions) for case in cases]
        self.edit_spec(verification=verified_by(*goldens, failurePolicy=policy))

    @action(strategy=st.sampled_from(["Surge", "Replace"]))
    def the_strategy_changes(self, strategy: str) -> None:
        self.edit_spec(rollout={"strategy": strategy})

    @action(approve=st.booleans())
    def the_space_is_pinned_or_freed(self, approve: bool) -> None:
        space = self.cluster.status().get("space", {})
        known = space.get("pending") or space.get("fingerprint")
        if approve and known:
            self.edit_spec(space=known)
        else:
            self.cluster.edit_spec(lambda spec: spec.pop("space", None))

    @action(suspend=st.booleans())
    def it_is_suspended_or_resumed(self, suspend: bool) -> None:
        self.edit_spec(suspend=suspend)

    @action()
    def it_is_deleted_and_made_again(self) -> None:
        spec = copy.deepcopy(self.operator.spec)
        self.cluster.gateway.remove(EMBEDDING_MODEL, namespace=KEY.namespace, name=KEY.name)
        self.cluster.create_model(spec)

    # What always holds, and what it comes to.

    @invariant()
    def every_service_selects_one_space(self) -> None:
        for service in self.cluster.all(SERVICE):
            assert service["spec"]["selector"].get(names.LABEL_SPACE), "a Service that would select every space"

    @invariant()
    def behind_the_service_every_pod_is_verified_under_block(self) -> None:
        excused = self.operator.list_warned()
        for pod in self.operator.ready_pods_of(self.operator.service_space()):
            report = self.cluster.facts.reports.get(pod["metadata"]["uid"])
            is_verified = report is None or report.state is GateState.PASSED
            assert is_verified or pod["metadata"]["name"] in excused, "a pod serves though it answers wrongly"

    def converges(self) -> None:
        """When faults stop and nothing is held back any more, the model becomes Ready, and then nothing is written."""
        if self.ends_wrong:
            self.cluster.wrong = set(CASES)
            for _ in range(4):
                self.go_on()
        self.refusal = None
        self.cluster.answers_audits = True
        self.cluster.ill.clear()
        self.cluster.wrong.clear()
        self.cluster.trouble = lambda pod: None
        self.pass_time(4000)
        self.operator.settle()
        self.release()
        self.becomes_ready()
        if self.operator.spec["replicas"] == 0:
            self.edit_spec(replicas=1)
            self.becomes_ready()

    def release(self) -> None:
        """Take back what a user holds the model with."""
        spec = self.operator.spec
        if spec.get("suspend"):
            self.edit_spec(suspend=False)
        if "space" in spec:
            self.cluster.edit_spec(lambda spec: spec.pop("space"))

    def becomes_ready(self) -> None:
        for _ in range(HEALING_ROUNDS):
            self.pass_time(4000)
            self.operator.settle()
            if self.cluster.says("Stalled") == ("True", "InvalidGolden"):
                self.write_cases_anew()
            elif self.is_ready():
                break
        self.operator.check_status()
        assert self.is_ready(), self.cluster.status()["conditions"]

    def is_ready(self) -> bool:
        ready = self.cluster.says("Ready")
        return ready is not None and ready[0] == "True"

    def write_cases_anew(self) -> None:
        """The number of dimensions was changed after the golden vector had been written."""
        verification = self.operator.spec["verification"]
        cases = [case["name"] for case in verification["goldens"]]
        self.write_cases(*cases, policy=verification.get("failurePolicy", "Block"))


def list_uids(gateway: MemoryGateway, *kinds: Kind) -> set[str]:
    found = (item for kind in kinds for item in gateway.peek_all(kind, namespace=KEY.namespace))
    return {item["metadata"]["uid"] for item in found}


def walk(*, examples: int, steps: int, derandomize: bool) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        LifeOfAModel,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=derandomize,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_walk_breaks_what_must_hold() -> None:
    walk(examples=int(os.environ.get("EMBEDDING_WALKS", "60")), steps=40, derandomize=True)


@pytest.mark.soak
def test_no_long_walk_breaks_what_must_hold() -> None:
    walk(examples=500, steps=60, derandomize=False)
