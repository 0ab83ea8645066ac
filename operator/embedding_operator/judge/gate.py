"""Do the answers match the golden cases, and may a changed set of cases become the template's?

A changed set is first tried on running pods, without effect on their readiness: a wrong golden must close no pod that
serves. Where nothing serves, the new pods try it themselves behind their own gate.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import CaseResult, GateState, GoldensReport
from embedding_operator.api.reasons import Reason
from embedding_operator.api.spec import FailurePolicy
from embedding_operator.api.status import Condition
from embedding_operator.judge.case_set import name_parts
from embedding_operator.judge.generations import Generation, is_ready, is_started
from embedding_operator.judge.silence import describe_silence
from embedding_operator.judge.verdict import State, Verdict, good, stalled, waiting
from embedding_operator.observe.snapshot import ObservedPod


@dataclass(frozen=True)
class Gate:
    """`verdict` becomes the condition Verified; `blocks` is whether it keeps Ready from being True.

    `adopted`: the template may be rendered with the set that the spec asks for. `trial` are pods to be asked now.
    `reports` are the answers that the verdict rests on.

        what is known of the wanted set      verdict                    adopted  blocks  trial
        no cases at all                      Good NoGoldens             yes      no      -
        changed, under Warn                  Waiting Verifying          yes      no      -
        changed, nobody to try it            Waiting Verifying          yes      yes     -
        changed, being tried                 Waiting Verifying          no       yes     pods
        changed, a trial failed              Stalled GoldenMismatch     no       yes     pods
        changed, a trial passed              Waiting Verifying          yes      yes     -
        mounted, not answered                Waiting Verifying          yes      Block   -
        mounted, not answered, 0 replicas    Waiting ScaledToZero       yes      no      -
        mounted, a pod failed                Stalled GoldenMismatch     yes      Block   -
        mounted, passed and none failed      Good GoldensPassed         yes      Block   -

    "Block": only under failurePolicy Block. `repeat_mismatch` makes Stalled GoldenMismatch of Waiting and leaves the
    rest of the row as it is.
    """

    verdict: Verdict
    adopted: bool = True
    blocks: bool = True
    trial: Sequence[ObservedPod] = ()
    reports: Sequence[GoldensReport] = ()


def judge_gate(
    target: Generation, *, model: str, case_set: CaseSet | None, inputs: str, policy: FailurePolicy, replicas: int
) -> Gate:
    """`inputs` is the hash that pods of the wanted template carry, with `case_set` as their set."""
    if case_set is None:
        message = "there are no golden cases: outputs are not compared with anything"
        return Gate(verdict=good(Reason.NO_GOLDENS, message), blocks=False)
    if target.deployment is None or list(target.goldens_config_maps) == name_parts(case_set, model=model):
        return _judge_pods(target, case_set=case_set, inputs=inputs, policy=policy, replicas=replicas)
    if policy is FailurePolicy.WARN:
        return Gate(verdict=_verifying("pods are replaced by ones with the changed golden cases"), blocks=False)
    return _judge_trial(target, case_set=case_set)


def _judge_trial(target: Generation, *, case_set: CaseSet) -> Gate:
    # A started pod that has never answered cannot be asked; with none ready, nothing is lost by replacing it.
    pods = target.ready_pods or [pod for pod in target.pods if is_started(pod) and pod.report is not None]
    if not pods:
        return Gate(verdict=_verifying("new pods answer the changed golden cases before they take traffic"))
    reports = [pod.trials[case_set.name] for pod in pods if case_set.name in pod.trials]
    failed = [report for report in reports if report.state is GateState.FAILED]
    if failed:
        message = describe_failures(failed, case_set=case_set)
        serving = f"; {len(target.ready_pods)} ready pods go on with the cases before" if target.ready_pods else ""
        verdict = stalled(Reason.GOLDEN_MISMATCH, f"{message}{serving}. Correct the golden case or the spec")
        return Gate(verdict=verdict, adopted=False, trial=pods, reports=failed)
    if any(report.state is GateState.PASSED for report in reports):
        verdict = _verifying("a running pod passed the changed golden cases; pods with these cases replace it")
        return Gate(verdict=verdict, reports=reports)
    message = f"running pods are asked the changed golden cases{describe_silence(pods)}"
    return Gate(verdict=_verifying(message), adopted=False, trial=pods)


def _judge_pods(target: Generation, *, case_set: CaseSet, inputs: str, policy: FailurePolicy, replicas: int) -> Gate:
    blocks = policy is FailurePolicy.BLOCK
    pods = target.updated_pods(inputs)
    reports = [pod.report for pod in pods if pod.report is not None and pod.report.case_set == case_set.name]
    failed = [report for report in reports if report.state is GateState.FAILED]
    if failed:
        message = describe_failures(failed, case_set=case_set)
        how = "Correct the golden case or the spec" if blocks else "It serves all the same: failurePolicy is Warn"
        return Gate(verdict=stalled(Reason.GOLDEN_MISMATCH, f"{message}. {how}"), blocks=blocks, reports=failed)
    passed = [report for report in reports if report.state is GateState.PASSED]
    # Under Block a pod is ready only after it passed the set that it has mounted: that needs no report.
    proven = passed or (blocks and any(is_ready(pod) for pod in pods))
    if proven:
        message = f"all {len(case_set.cases)} golden cases passed"
        return Gate(verdict=good(Reason.GOLDENS_PASSED, message), blocks=blocks, reports=passed)
    if replicas == 0:
        return Gate(verdict=waiting(Reason.SCALED_TO_ZERO, "there is no pod to ask"), blocks=False)
    message = f"pods have not answered the golden cases yet{describe_silence(pod for pod in pods if is_started(pod))}"
    return Gate(verdict=_verifying(message), blocks=blocks)


def repeat_mismatch(gate: Gate, *, target: Generation, before: Condition | None) -> Gate:
    """`gate`, or what the status says of these cases already (`before`, the condition Verified of this generation).

    A restarted operator asks again; until the answer comes nothing has changed. Only for cases that are all in the
    spec: the generation says nothing of what a ConfigMap holds.
    """
    unanswered = bool(gate.trial) or any(is_started(pod) and pod.report is None for pod in target.pods)
    if (
        before is None
        or before.reason != Reason.GOLDEN_MISMATCH
        or not unanswered
        or gate.verdict.state is not State.WAITING
    ):
        return gate
    return replace(gate, verdict=stalled(Reason.GOLDEN_MISMATCH, before.message))


def describe_failures(failed: Sequence[GoldensReport], *, case_set: CaseSet) -> str:
    """The first failing case in the set's order: its name, what was measured, and the threshold."""
    results = {item.name: item for item in failed[0].results if not item.passed}
    ordered = [results[case.name] for case in case_set.cases if case.name in results]
    if not ordered:
        return "the golden cases failed, without a word why"
    more = f" ({len(ordered)} of {len(case_set.cases)} cases failed)" if len(ordered) > 1 else ""
    return f"{_describe_case(ordered[0])}{more}"


def count_passed(reports: Iterable[GoldensReport], *, case_set: CaseSet) -> int:
    """Cases that passed on every pod that answered."""
    failed = {item.name for report in reports for item in report.results if not item.passed}
    return sum(case.name not in failed for case in case_set.cases)


def _describe_case(result: CaseResult) -> str:
    kind = "distance" if result.kind == "similarity" else "cosine similarity"
    measured = f"measured {kind} {result.measured}" if result.measured is not None else "nothing could be measured"
    threshold = f", threshold {result.threshold}" if result.threshold is not None else ""
    detail = f" ({result.detail})" if result.detail else ""
    return f'golden case "{result.name}" failed: {measured}{threshold}{detail}'


def _verifying(message: str) -> Verdict:
    return waiting(Reason.VERIFYING, message)
