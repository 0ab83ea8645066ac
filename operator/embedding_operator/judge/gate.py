"""Do the answers match the golden cases, and may a changed set of cases become the template's?

A changed set is first tried on running pods, without effect on their readiness: a wrong golden must close no pod that
serves. Where nothing serves, the new pods try it themselves behind their own gate.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import CaseResult, GateState, GoldensReport
from embedding_operator.api.conditions import WRONG_ANSWERS
from embedding_operator.api.reasons import Reason
from embedding_operator.api.spec import FailurePolicy
from embedding_operator.api.status import Condition
from embedding_operator.judge.audits import NO_CASES, is_unaudited, is_verified, list_audit_failures
from embedding_operator.judge.case_set import name_parts
from embedding_operator.judge.failures import describe_results
from embedding_operator.judge.generations import Generation, is_started
from embedding_operator.judge.silence import describe_silence
from embedding_operator.judge.verdict import Verdict, good, stalled, waiting
from embedding_operator.observe.snapshot import ObservedPod


@dataclass(frozen=True)
class Gate:
    """`verdict` becomes the condition Verified; `blocks` is whether it keeps Ready from being True.

    `adopted`: the template may be rendered with the set that the spec asks for. `trial` are pods to be asked now.
    `results` are the answers that the verdict rests on: what pods found of themselves, and what failed audits found.

        what is known of the wanted set      verdict                    adopted  blocks  trial
        no cases at all                      Good NoGoldens             yes      no      -
        no cases, a pod failed its checks    as "a pod failed" below    yes      Block   -
        changed, under Warn                  Waiting Verifying          yes      no      -
        changed, nobody to try it            Waiting Verifying          yes      yes     -
        changed, being tried                 Waiting Verifying          no       yes     pods
        changed, a trial failed              Stalled GoldenMismatch     no       yes     pods
        changed, a trial passed              Waiting Verifying          yes      yes     -
        mounted, not answered                Waiting Verifying          yes      Block   -
        mounted, not answered, 0 replicas    Waiting ScaledToZero       yes      no      -
        mounted, a pod failed by itself      Stalled GoldenMismatch     yes      Block   -
        mounted, a pod failed its audit      Stalled AuditFailed        yes      Block   -
        as those two, all being replaced     Waiting, the same reason   yes      Block   -
        a new space, ready and not audited   Waiting Verifying          yes      Block   -
        mounted, one passed, none failed     Good GoldensPassed         yes      Block   -

    "Block": only under failurePolicy Block. A pod has passed when both walls say so (`audits.is_verified`). "Being
    replaced": by the quarantine, see there. "A new space": one that the Service has not served; a pod of it that opened
    by itself, while no operator was there, must not bring the Service over before it is audited.
    `repeat_mismatch` puts what the status says in the place of Verifying and GoldensPassed, without results, and leaves
    the rest of the row as it is.
    """

    verdict: Verdict
    adopted: bool = True
    blocks: bool = True
    trial: Sequence[ObservedPod] = ()
    results: Sequence[CaseResult] = ()


def judge_gate(
    target: Generation,
    *,
    model: str,
    case_set: CaseSet | None,
    inputs: str,
    policy: FailurePolicy,
    replicas: int,
    replaced: Collection[str] = (),
) -> Gate:
    """`inputs` is the hash that pods of the wanted template carry, with `case_set` as their set. `replaced`: names of
    pods that the quarantine replaces."""
    if case_set is None:
        pods = target.updated_pods(inputs)
        failure = _find_failure(pods, case_set=NO_CASES, policy=policy, replaced=replaced)
        silence = describe_silence(pod for pod in pods if is_started(pod))
        message = f"there are no golden cases: outputs are not compared with anything{silence}"
        unjudged = failure or _find_unaudited(target, pods=pods, policy=policy)
        return unjudged or Gate(verdict=good(Reason.NO_GOLDENS, message), blocks=False)
    wanted = name_parts(case_set, model=model, space=target.space)
    if target.deployment is None or list(target.goldens_config_maps) == wanted:
        return _judge_pods(
            target, case_set=case_set, inputs=inputs, policy=policy, replicas=replicas, replaced=replaced
        )
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
        message = describe_results(failed[0].results, case_set=case_set)
        serving = f"; {len(target.ready_pods)} ready pods go on with the cases before" if target.ready_pods else ""
        advice = "Correct the golden case or the spec; a change that is to make it pass has to come before the case"
        verdict = stalled(Reason.GOLDEN_MISMATCH, f"{message}{serving}. {advice}")
        return Gate(verdict=verdict, adopted=False, trial=pods, results=_list_results(failed))
    if any(report.state is GateState.PASSED for report in reports):
        verdict = _verifying("a running pod passed the changed golden cases; pods with these cases replace it")
        return Gate(verdict=verdict, results=_list_results(reports))
    message = f"running pods are asked the changed golden cases{describe_silence(pods)}"
    return Gate(verdict=_verifying(message), adopted=False, trial=pods)


def _judge_pods(
    target: Generation,
    *,
    case_set: CaseSet,
    inputs: str,
    policy: FailurePolicy,
    replicas: int,
    replaced: Collection[str],
) -> Gate:
    blocks = policy is FailurePolicy.BLOCK
    pods = target.updated_pods(inputs)
    failure = _find_failure(pods, case_set=case_set, policy=policy, replaced=replaced)
    unjudged = failure or _find_unaudited(target, pods=pods, policy=policy)
    if unjudged is not None:
        return unjudged
    passed = [pod.report for pod in pods if pod.report is not None and is_verified(pod, case_set=case_set)]
    # Under Block a pod is ready only after it passed the set that it has mounted: that needs no report.
    if passed or (blocks and any(pod.is_ready for pod in pods)):
        # Then wall one alone says so: nobody audits a pod that cannot be asked.
        silence = describe_silence(pod for pod in pods if is_started(pod))
        message = f"all {len(case_set.cases)} golden cases passed{silence}"
        return Gate(verdict=good(Reason.GOLDENS_PASSED, message), blocks=blocks, results=_list_results(passed))
    if replicas == 0:
        return Gate(verdict=waiting(Reason.SCALED_TO_ZERO, "there is no pod to ask"), blocks=False)
    message = f"pods have not answered the golden cases yet{describe_silence(pod for pod in pods if is_started(pod))}"
    return Gate(verdict=_verifying(message), blocks=blocks)


def _find_failure(
    pods: Sequence[ObservedPod], *, case_set: CaseSet, policy: FailurePolicy, replaced: Collection[str]
) -> Gate | None:
    """What a pod fails by itself before what it fails of its audit: the user has the cases of the first."""
    blocks = policy is FailurePolicy.BLOCK
    closed = [pod for pod in pods if pod.report is not None and _has_failed(pod.report, case_set=case_set)]
    audits = {pod.name: list_audit_failures(pod, case_set=case_set) for pod in pods}
    failed = [*closed, *(pod for pod in pods if audits[pod.name])]
    if not failed:
        return None
    # One that nobody replaces is what the user has to know of.
    told = next((pod for pod in failed if pod.name not in replaced), failed[0])
    own = told.report.results if told in closed and told.report is not None else None
    reason = Reason.AUDIT_FAILED if own is None else Reason.GOLDEN_MISMATCH
    words = describe_results(audits[told.name] if own is None else own, case_set=case_set)
    message = f"pod {told.name}: {words}" if own is None else words
    reports = [pod.report for pod in failed if pod.report is not None]
    results = [*_list_results(reports), *chain.from_iterable(audits.values())]
    if not blocks:
        verdict = stalled(reason, f"{message}. It serves all the same: failurePolicy is Warn")
    elif told.name in replaced:
        verdict = waiting(reason, f"{message}. It is out of the Service, and another pod takes its place")
    else:
        verdict = stalled(reason, f"{message}. {_advise(reason)}")
    return Gate(verdict=verdict, blocks=blocks, results=results)


def _find_unaudited(target: Generation, *, pods: Sequence[ObservedPod], policy: FailurePolicy) -> Gate | None:
    """Of a space that the Service has not served: pods that opened by themselves, while no operator was there."""
    if policy is FailurePolicy.WARN or target.was_served:
        return None
    if not any(pod.is_ready and is_unaudited(pod) for pod in pods):
        return None
    return Gate(verdict=_verifying("pods have opened by themselves, and are being audited"))


def _advise(reason: Reason) -> str:
    if reason is Reason.GOLDEN_MISMATCH:
        return "Correct the golden case or the spec"
    return (
        "No other pod of its template is known to answer rightly, so none is deleted: correct the spec, or delete the "
        "pod to try another"
    )


def _has_failed(report: GoldensReport, *, case_set: CaseSet) -> bool:
    return report.state is GateState.FAILED and report.case_set == case_set.name


def _list_results(reports: Iterable[GoldensReport]) -> Sequence[CaseResult]:
    return [result for report in reports for result in report.results]


def repeat_mismatch(gate: Gate, *, target: Generation, before: Condition | None, is_healing: bool) -> Gate:
    """`gate`, or what the status says of these cases already (`before`, the condition Verified of this generation).

    A restarted operator asks again; until the answer comes nothing has changed. `is_healing`: the status says that the
    pod is being replaced.
    """
    if before is None or before.reason not in WRONG_ANSWERS or not _may_still_fail(gate, target=target, before=before):
        return gate
    say = waiting if is_healing else stalled
    return replace(gate, verdict=say(before.reason, before.message), results=())


def _may_still_fail(gate: Gate, *, target: Generation, before: Condition) -> bool:
    """Whether a pod that may be the one that failed has not told its answers yet."""
    started = [pod for pod in target.pods if is_started(pod)]
    unaudited = [pod for pod in started if is_unaudited(pod)]
    if gate.verdict.reason == Reason.GOLDENS_PASSED:
        # What others pass does not speak for one that nobody has heard, or that was told that it fails.
        return any(pod.report is None or pod.report.verdict is GateState.FAILED for pod in unaudited)
    if gate.verdict.reason != Reason.VERIFYING:
        return False
    if before.reason == Reason.AUDIT_FAILED:
        return bool(unaudited)
    return bool(gate.trial) or any(pod.report is None for pod in started)


def count_passed(results: Iterable[CaseResult], *, case_set: CaseSet) -> int:
    """Cases that passed on every pod that answered, and in every audit."""
    failed = {item.name for item in results if not item.passed}
    return sum(case.name not in failed for case in case_set.cases)


def _verifying(message: str) -> Verdict:
    return waiting(Reason.VERIFYING, message)
