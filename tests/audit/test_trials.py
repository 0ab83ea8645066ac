"""Trials of a case set that a pod does not mount: asked until one has passed, and kept by the set's name."""

from auditor_under_test import KEY, auditor_of, pod
from canned_pods import CASES, CannedPods, report
from manual_clock import ManualClock, settle

from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import GateState
from embedding_operator.audit.auditor import REFRESH_SECONDS
from embedding_operator.audit.pursuit import FAILED_TRIAL_SECONDS
from embedding_operator.observe.facts import Key


async def test_a_trial_that_passed_is_asked_once_and_kept_by_the_name_of_its_case_set(
    clock: ManualClock, pods: CannedPods
) -> None:
    told: list[Key] = []
    answer = report(case_set=CASES.name)
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.request_trial(pod(), case_set=CASES)
        auditor.request_trial(pod(), case_set=CASES)
        await settle()
        assert auditor.trials(pod()) == {}
        pods.trials["10.0.0.1"] = answer
        await clock.advance(5)
        auditor.request_trial(pod(), case_set=CASES)
        await clock.advance(FAILED_TRIAL_SECONDS * 2)
        assert auditor.trials(pod()) == {CASES.name: answer}
    assert told == [KEY]
    assert pods.asked["trial 10.0.0.1"] == 2


async def test_a_trial_that_failed_is_asked_again_and_heals(clock: ManualClock, pods: CannedPods) -> None:
    told: list[Key] = []
    pods.trials["10.0.0.1"] = report(GateState.FAILED, case_set=CASES.name)
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.request_trial(pod(), case_set=CASES)
        await clock.advance(FAILED_TRIAL_SECONDS - 1)
        assert pods.asked["trial 10.0.0.1"] == 1
        pods.trials["10.0.0.1"] = report(case_set=CASES.name)
        await clock.advance(2)
        assert auditor.trials(pod())[CASES.name].state is GateState.PASSED
    assert told == [KEY, KEY]


async def test_a_trial_that_no_reconcile_requests_any_more_is_asked_no_more_and_keeps_its_answer(
    clock: ManualClock, pods: CannedPods
) -> None:
    answer = pods.trials["10.0.0.1"] = report(GateState.FAILED, case_set=CASES.name)
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        with auditor.round_of(KEY):
            auditor.request_trial(pod(), case_set=CASES)
        await settle()
        with auditor.round_of(KEY):
            auditor.goldens(pod())
        await clock.advance(FAILED_TRIAL_SECONDS * 3)
        assert pods.asked["trial 10.0.0.1"] == 1
        assert auditor.trials(pod()) == {CASES.name: answer}


async def test_only_the_case_set_that_is_wanted_now_is_tried_and_kept(clock: ManualClock, pods: CannedPods) -> None:
    pods.trials["10.0.0.1"] = report(GateState.FAILED, case_set=CASES.name)
    corrected = CaseSet(cases=(CASES.cases[0].model_copy(update={"name": "corrected"}),))
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        auditor.request_trial(pod(), case_set=CASES)
        await settle()
        pods.trials["10.0.0.1"] = report(case_set=corrected.name)
        auditor.request_trial(pod(), case_set=corrected)
        await clock.advance(FAILED_TRIAL_SECONDS * 2)
        assert list(auditor.trials(pod())) == [corrected.name]
        assert pods.asked["trial 10.0.0.1"] == 2


async def test_a_trial_of_a_process_that_is_gone_does_not_count(clock: ManualClock, pods: CannedPods) -> None:
    pods.trials["10.0.0.1"] = report(GateState.FAILED, case_set=CASES.name)
    pods.reports["10.0.0.1"] = report()
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        auditor.request_trial(pod(), case_set=CASES)
        auditor.goldens(pod())
        await settle()
        assert auditor.trials(pod())
        pods.reports["10.0.0.1"] = report().model_copy(update={"boot_id": "another"})
        await clock.advance(REFRESH_SECONDS)
        assert auditor.trials(pod()) == {}
