"""Wall two: the operator asks every pod, judges for itself, and says what it found."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from audited_pods import DIMENSIONS, SERVING, SPACE, AuditedPods, answer_rightly, case, cases
from auditor_under_test import (
    GOLDENS,
    HOLDOUT,
    KEY,
    NOW,
    ORDER,
    auditor_of,
    auditor_of_one,
    failed_cases,
    pod,
    serving_pod,
    wrong_for,
)
from manual_clock import ManualClock, settle

from embedding_model.goldens.cases import CaseSet, GoldenCase, LabelCase, ScoreCase, SparseCase, Term
from embedding_model.goldens.compare import encode_vector
from embedding_model.goldens.questions import (
    Answer,
    AnswerSheet,
    LabelScore,
    Question,
    QuestionKind,
    QuestionSheet,
    TermWeight,
)
from embedding_model.ports import GateState
from embedding_model.resolved import Task
from embedding_operator.audit.audit import Audit, audit_pod
from embedding_operator.audit.checks import TEXTS
from embedding_operator.audit.pursuit import SILENT_SECONDS
from embedding_operator.audit.sheets import HOLDOUT_CASES
from embedding_operator.observe.facts import AuditOrder, Key


async def test_a_pod_that_answers_everything_rightly_is_told_so_with_its_boot_id_and_case_set(
    clock: ManualClock, told: list[Key]
) -> None:
    one = serving_pod()
    async with auditor_of_one(one, clock=clock, told=told) as auditor:
        assert auditor.audit(pod()) is None
        await settle()
        report = auditor.audit(pod())
    assert report is not None
    assert (report.state, report.boot_id, report.case_set, report.at) == (
        GateState.PASSED,
        "boot-1",
        GOLDENS.name,
        NOW,
    )
    [verdict] = one.verdicts
    assert (verdict.boot_id, verdict.case_set, verdict.passed, verdict.reason) == ("boot-1", GOLDENS.name, True, "")
    assert told == [KEY]


async def test_every_mounted_case_a_random_part_of_the_holdout_and_the_checks_are_asked(
    clock: ManualClock, told: list[Key]
) -> None:
    one = serving_pod()
    async with auditor_of_one(one, clock=clock, told=told):
        await settle()
        first = set(one.asked)
        one.asked.clear()
        await clock.advance(60)
        second = set(one.asked)
    mounted = {f"the text of {name}" for name in ("reference.one", "mine")}
    for asked in (first, second):
        assert mounted | set(TEXTS) <= asked
        assert len(asked) == len(mounted) + len(TEXTS) + HOLDOUT_CASES
    assert first != second, "a pod must not know which cases come"


async def test_a_pod_that_answers_only_its_own_cases_rightly_fails_by_the_holdout(
    clock: ManualClock, told: list[Key]
) -> None:
    one = serving_pod(answer=wrong_for("held."))
    async with auditor_of_one(one, clock=clock, told=told) as auditor:
        await settle()
        report = auditor.audit(pod())
        names = failed_cases(report)
    assert len(names) == HOLDOUT_CASES
    assert all(name.startswith("held.") for name in names)
    [verdict] = one.verdicts
    assert not verdict.passed
    assert verdict.reason == f"{names[0]}: not as expected"


def _answer(question: Question) -> Answer:
    """Of any task, and wrong for each of `HELD`."""
    match question.kind:
        case QuestionKind.RERANK:
            return Answer(scores=(0.5,) * len(question.documents))
        case QuestionKind.CLASSIFY:
            return Answer(labels=(LabelScore(label="bad", score=0.5), LabelScore(label="good", score=0.5)))
        case QuestionKind.SPARSE:
            return Answer(terms=(TermWeight(term="x", weight=0.5),))
        case _:
            return Answer(vector=encode_vector([0.0] * (DIMENSIONS - 1) + [1.0]))


HELD: dict[Task, GoldenCase] = {
    Task.EMBEDDING: case("held.0"),
    Task.RERANKING: ScoreCase(name="held.0", query="q", document="d", expected="0.993215", tolerance="0.002"),
    Task.CLASSIFICATION: LabelCase(name="held.0", input="x", label="good", expected="0.993215", tolerance="0.002"),
    Task.SPARSE: SparseCase(name="held.0", input="x", terms=(Term(term="good", weight="0.993215"),), tolerance="0.002"),
}


async def _audit(task: Task, *, mounted: Sequence[GoldenCase] = (), drawn: Sequence[GoldenCase] = ()) -> Audit:
    serving = SERVING.model_copy(update={"task": task, "dimensions": DIMENSIONS if task is Task.EMBEDDING else None})
    order = AuditOrder(case_set=CaseSet(cases=tuple(mounted)), holdout=HOLDOUT, serving=serving, space=SPACE)

    async def ask(sheet: QuestionSheet) -> AnswerSheet:
        answers = tuple(_answer(question) for question in sheet.questions)
        return AnswerSheet(boot_id="boot-1", space=SPACE, answers=answers)

    return await audit_pod(
        ask, order=order, drawn=drawn, compare=lambda answers: None, monotonic=lambda: 0.0, now=lambda: NOW
    )


@pytest.mark.parametrize("task", HELD)
async def test_a_pod_is_told_which_case_of_the_holdout_it_failed_and_not_what_was_expected(task: Task) -> None:
    audit = await _audit(task, drawn=[HELD[task]])
    [failed] = [result for result in audit.report.results if not result.passed]
    assert failed.name == "held.0"
    assert any(value in failed.detail for value in ("0.999", "0.993215", "good")), "the status has the values"
    assert (audit.verdict.passed, audit.verdict.reason) == (False, "held.0: not as expected")


@pytest.mark.parametrize("task", HELD)
async def test_a_pod_is_told_the_values_of_a_case_that_it_has_mounted(task: Task) -> None:
    audit = await _audit(task, mounted=[HELD[task]])
    [failed] = [result for result in audit.report.results if not result.passed]
    assert audit.verdict.reason == f"held.0: {failed.detail}"


async def test_a_pod_is_told_what_a_built_in_check_found(clock: ManualClock, told: list[Key]) -> None:
    one = serving_pod(space=f"sp1-{'b' * 32}")
    async with auditor_of_one(one, clock=clock, told=told):
        await settle()
    [verdict] = one.verdicts
    assert verdict.reason == f"check.space: it serves the vector space {one.space}, and {SPACE} was expected"


async def test_a_case_that_failed_is_asked_until_it_passes_whatever_chance_draws(
    clock: ManualClock, told: list[Key]
) -> None:
    one = serving_pod(answer=wrong_for("held."))
    async with auditor_of_one(one, clock=clock, told=told) as auditor:
        await settle()
        [bad, *_] = failed_cases(auditor.audit(pod()))
        one.answer = wrong_for(f"the text of {bad}")
        for _ in range(10):
            await clock.advance(60)
            assert bad in failed_cases(auditor.audit(pod()))
        one.answer = answer_rightly
        await clock.advance(60)
        report = auditor.audit(pod())
    assert report is not None
    assert report.state is GateState.PASSED


@pytest.mark.parametrize("case", [f"held.{number}" for number in range(10, 20)])
async def test_another_leader_asks_a_pod_that_is_shut_all_that_it_may_have_failed(
    clock: ManualClock, told: list[Key], case: str
) -> None:
    """Only the leader that shut it knew for what; a draw by chance would let it pass more often than not."""
    one = serving_pod(answer=wrong_for(f"the text of {case}"))
    for minutes in (40, 3):
        before = len(one.verdicts)
        async with auditor_of(AuditedPods(**{pod().ip: one}), clock=clock, told=told) as auditor:
            auditor.goldens(pod())
            auditor.request_audit(pod(), order=ORDER)
            await clock.advance(60 * minutes)
            assert failed_cases(auditor.audit(pod())) == [case]
    assert not any(verdict.passed for verdict in one.verdicts[before:])


async def test_pods_that_passed_are_asked_at_once_what_another_one_failed(clock: ManualClock, told: list[Key]) -> None:
    good, bad = serving_pod(), serving_pod()
    async with auditor_of(AuditedPods(**{"10.0.0.1": good, "10.0.0.2": bad}), clock=clock, told=told) as auditor:
        for ip in ("10.0.0.1", "10.0.0.2"):
            auditor.request_audit(pod(ip), order=ORDER)
        await clock.advance(30)
        bad.answer = wrong_for("held.")
        auditor.request_audit(pod("10.0.0.2"), order=AuditOrder(GOLDENS, cases("held.x"), SERVING, SPACE))
        good.asked.clear()
        auditor.request_audit(pod("10.0.0.1"), order=AuditOrder(GOLDENS, cases("held.x"), SERVING, SPACE))
        await settle()
        assert failed_cases(auditor.audit(pod("10.0.0.2"))) == ["held.x"]
        report = auditor.audit(pod("10.0.0.1"))
    assert report is not None
    assert any(result.name == "held.x" and result.passed for result in report.results)
    assert good.asked.count("the text of held.x") == 2, "once by its own order, once because the other one failed"


async def test_a_pod_is_asked_again_what_it_failed_itself_while_another_fails_everything(
    clock: ManualClock, told: list[Key]
) -> None:
    """It would serve wrong vectors again."""
    wrong = serving_pod(answer=wrong_for("the text of held.19"))
    pods = AuditedPods(**{"10.0.0.1": wrong, "10.0.0.2": serving_pod(answer=wrong_for("held."))})
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.request_audit(pod("10.0.0.2"), order=ORDER)
        await clock.advance(60)
        auditor.request_audit(pod(), order=replace(ORDER, holdout=cases("held.19")))
        await settle()
        auditor.request_audit(pod(), order=ORDER)
        for _ in range(20):
            await clock.advance(60)
            assert failed_cases(auditor.audit(pod())) == ["held.19"]
    assert not any(verdict.passed for verdict in wrong.verdicts)


async def test_pods_that_passed_are_asked_the_very_case_that_another_one_failed_and_the_model_is_told(
    clock: ManualClock, told: list[Key]
) -> None:
    """Quarantine needs one that passes it, and reads what they answered after the failure."""
    good, bad = serving_pod(before_answer=lambda: clock.sleep(0.01)), serving_pod()
    stuck = {f"10.0.1.{number}": serving_pod(answer=wrong_for("held.")) for number in range(40)}
    pods = AuditedPods(**{"10.0.0.1": good, "10.0.0.2": bad, **stuck})
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        for ip in pods.by_ip:
            auditor.request_audit(pod(ip), order=ORDER)
            await clock.advance(1)
        await clock.advance(180)
        bad.answer = wrong_for("held.")
        for late in [case.name for case in HOLDOUT.cases]:
            auditor.request_audit(pod("10.0.0.2"), order=replace(ORDER, holdout=cases(late)))
            await settle()
            assert failed_cases(auditor.audit(pod("10.0.0.2"))) == [late]
            told.clear()
            await clock.advance(1)
            report = auditor.audit(pod())
            assert report is not None
            assert any(result.name == late and result.passed for result in report.results)
            assert told == [KEY]
            await clock.advance(5)


async def test_a_server_without_the_route_is_left_to_wall_one_and_asked_no_more(
    clock: ManualClock, told: list[Key]
) -> None:
    pods, seen = AuditedPods(**{"10.0.0.1": serving_pod(is_old=True)}), []  # type: ignore[var-annotated]
    async with auditor_of(pods, clock=clock, told=told, seen=seen) as auditor:
        auditor.request_audit(pod(), order=ORDER)
        await settle()
        report = auditor.audit(pod())
        auditor.request_audit(pod(), order=ORDER)
        await clock.advance(600)
        assert pods.calls["answers 10.0.0.1"] == 1
        assert auditor.unreachable(pod()) is None
    assert report is not None
    assert (report.state, report.results) == (GateState.PENDING, ())
    assert (seen, told) == (["Unsupported"], [KEY])


async def test_not_reaching_a_pod_is_never_a_failed_audit_and_keeps_the_last_one(
    clock: ManualClock, told: list[Key]
) -> None:
    pods, seen = AuditedPods(**{"10.0.0.1": serving_pod()}), []  # type: ignore[var-annotated]
    async with auditor_of(pods, clock=clock, told=told, seen=seen) as auditor:
        auditor.request_audit(pod(), order=ORDER)
        await settle()
        gone = pods.by_ip.pop("10.0.0.1")
        await clock.advance(60 + SILENT_SECONDS + 15)
        report = auditor.audit(pod())
        assert report is not None
        assert report.state is GateState.PASSED
        assert auditor.unreachable(pod()) == "no answer"
        pods.by_ip["10.0.0.1"] = gone
        await clock.advance(15)
        assert auditor.unreachable(pod()) is None
    assert set(seen) == {"Passed", "Unreachable"}


async def test_one_answer_that_is_missing_once_fails_nothing_and_one_that_stays_missing_fails(
    clock: ManualClock, told: list[Key]
) -> None:
    missing = iter([True])

    def answer(question: Question) -> Answer:
        is_mine = question.text == "the text of mine"
        return (
            Answer(error="answered with status 500") if is_mine and next(missing, False) else answer_rightly(question)
        )

    one = serving_pod(answer=answer)
    async with auditor_of_one(one, clock=clock, told=told) as auditor:
        await settle()
        assert failed_cases(auditor.audit(pod())) == []
        one.answer = lambda question: Answer(error="NaN") if "mine" in question.text else answer_rightly(question)
        await clock.advance(60)
        assert failed_cases(auditor.audit(pod())) == ["mine"]


async def test_a_pod_that_started_anew_between_answers_and_verdict_is_asked_again(
    clock: ManualClock, told: list[Key]
) -> None:
    one = serving_pod(answer=wrong_for("mine"))
    pods = AuditedPods(**{"10.0.0.1": one})
    deliver = pods.deliver

    async def restart_first(ip: str, **verdict: Any) -> None:
        if one.boot_id == "boot-1":
            one.boot_id, one.answer = "boot-2", answer_rightly
        await deliver(ip, **verdict)

    pods.deliver = restart_first  # type: ignore[method-assign, assignment]
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.request_audit(pod(), order=ORDER)
        await settle()
        assert auditor.audit(pod()) is None, "what a process that is gone answered says nothing of this one"
        await clock.advance(1)
        report = auditor.audit(pod())
    assert report is not None
    assert (report.state, report.boot_id) == (GateState.PASSED, "boot-2")
    assert [verdict.boot_id for verdict in one.verdicts] == ["boot-2"]


async def test_a_pod_that_failed_between_answers_and_verdict_is_asked_again(
    clock: ManualClock, told: list[Key]
) -> None:
    """By itself, or by the word of another leader."""
    one = serving_pod()

    def fail_while_asked() -> None:
        one.epoch = min(one.sheets, 2)  # the audit's second sheet is of the second epoch already

    one.on_sheet = fail_while_asked
    async with auditor_of_one(one, clock=clock, told=told) as auditor:
        await settle()
        assert (auditor.audit(pod()), one.verdicts) == (None, []), "part of it was asked before"
        await clock.advance(1)
        report = auditor.audit(pod())
    assert report is not None
    assert report.state is GateState.PASSED
    assert [verdict.epoch for verdict in one.verdicts] == [2]


async def test_sheets_of_two_processes_are_no_audit(clock: ManualClock, told: list[Key]) -> None:
    one = serving_pod()

    def restart() -> None:
        one.boot_id = "boot-1" if one.sheets == 1 else "boot-2"

    one.on_sheet = restart
    async with auditor_of_one(one, clock=clock, told=told) as auditor:
        await settle()
        assert auditor.audit(pod()) is None
        assert one.verdicts == []


async def test_wrong_answers_count_also_when_the_verdict_does_not_get_through(
    clock: ManualClock, told: list[Key]
) -> None:
    one = serving_pod(answer=wrong_for("mine"))
    pods = AuditedPods(**{"10.0.0.1": one})
    one.on_sheet = lambda: pods.by_ip.pop("10.0.0.1") and None if one.sheets == 2 else None
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.request_audit(pod(), order=ORDER)
        await settle()
        assert failed_cases(auditor.audit(pod())) == ["mine"]
        assert one.verdicts == []
        one.on_sheet = lambda: None
        pods.by_ip["10.0.0.1"] = one
        await clock.advance(2)
        assert [verdict.passed for verdict in one.verdicts] == [False]


async def test_another_start_of_the_container_is_another_process(clock: ManualClock, told: list[Key]) -> None:
    one = serving_pod()
    async with auditor_of_one(one, clock=clock, told=told) as auditor:
        await settle()
        assert auditor.audit(pod(starts=1)) is None


async def test_a_pod_that_serves_another_space_fails(clock: ManualClock, told: list[Key]) -> None:
    one = serving_pod(space=f"sp1-{'b' * 32}")
    async with auditor_of_one(one, clock=clock, told=told) as auditor:
        await settle()
        assert failed_cases(auditor.audit(pod())) == ["check.space"]
