"""Trials of a case set that a pod does not mount: asked until one has passed, and kept by the set's name."""

from aiohttp import web
from auditor_under_test import KEY, auditor_of, pod
from canned_pods import CASES, CannedPods, report
from hypothesis import given
from hypothesis import strategies as st
from manual_clock import ManualClock, settle
from pod_client_under_test import client_served_by
from private_under_test import RIGHT, WRONG, PrivateUnderTest, vector_case
from runtime_under_test import app_under_test, until

from embedding_model.goldens.cases import CaseSet, SimilarityCase
from embedding_model.goldens.questions import list_questions
from embedding_model.ports import CaseResult, GateState, GoldensReport
from embedding_operator.audit.auditor import REFRESH_SECONDS, Auditor
from embedding_operator.audit.client import TRIAL_SECONDS, PodUnreachable
from embedding_operator.audit.pursuit import FAILED_TRIAL_SECONDS
from embedding_operator.audit.sheets import SHEET_QUESTION_BYTES, SHEET_QUESTIONS, split_cases
from embedding_operator.observe.facts import Key, PodRef

MANY = CaseSet(
    cases=tuple(
        SimilarityCase(name=f"case.{number}", a=f"It rains {number}.", b="It pours.", expected="0.7", tolerance="0.1")
        for number in range(200)
    )
)
NAMES = [case.name for case in MANY.cases]


class TryingPods(CannedPods):
    """One pod, which takes a second for each case and fails those in `wrong`; `boot_id` is its process.

    `answered` are the cases that each process has answered, in order; `failing` how many of its next answers get lost.
    """

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.clock = clock
        self.boot_id = "boot-1"
        self.wrong: set[str] = set()
        self.failing = 0
        self.answered: dict[str, list[str]] = {"boot-1": [], "boot-2": []}
        self.under_way = 0

    async def trial(self, pod: PodRef, *, case_set: CaseSet) -> GoldensReport:
        assert self.under_way == 0, "parts are asked one after another"
        self.under_way += 1
        try:
            await self.clock.sleep(min(len(case_set.cases), TRIAL_SECONDS))
        finally:
            self.under_way -= 1
        if self.failing or len(case_set.cases) > TRIAL_SECONDS:
            self.failing = max(0, self.failing - 1)
            raise PodUnreachable("no answer")
        names = [case.name for case in case_set.cases]
        self.answered[self.boot_id] += names
        results = tuple(CaseResult(name=name, kind="similarity", passed=name not in self.wrong) for name in names)
        state = GateState.FAILED if self.wrong.intersection(names) else GateState.PASSED
        update = {"boot_id": self.boot_id, "results": results}
        return report(state, case_set=case_set.name).model_copy(update=update)


def failed_names(answer: GoldensReport) -> list[str]:
    return [result.name for result in answer.results if not result.passed]


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


async def test_a_set_that_takes_longer_than_a_request_may_is_answered_in_parts(clock: ManualClock) -> None:
    pods, told = TryingPods(clock), list[Key]()
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.request_trial(pod(), case_set=MANY)
        await clock.advance(len(NAMES) - 1)
        assert auditor.trials(pod()) == {}, "what some of it says is not told of the set"
        await clock.advance(1)
        answer = auditor.trials(pod())[MANY.name]
        await clock.advance(FAILED_TRIAL_SECONDS * 2)
    assert (answer.case_set, answer.state) == (MANY.name, GateState.PASSED)
    assert [result.name for result in answer.results] == NAMES
    assert pods.answered["boot-1"] == NAMES
    assert told == [KEY]


async def test_failures_of_several_parts_are_all_named(clock: ManualClock) -> None:
    pods = TryingPods(clock)
    pods.wrong = {NAMES[3], NAMES[-2]}
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        auditor.request_trial(pod(), case_set=MANY)
        await clock.advance(len(NAMES))
        answer = auditor.trials(pod())[MANY.name]
    assert answer.state is GateState.FAILED
    assert failed_names(answer) == [NAMES[3], NAMES[-2]]
    assert len(answer.results) == len(NAMES)


async def test_after_a_failed_trial_only_parts_that_failed_are_asked_again(clock: ManualClock) -> None:
    pods = TryingPods(clock)
    pods.wrong = {NAMES[3]}
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        auditor.request_trial(pod(), case_set=MANY)
        await clock.advance(len(NAMES))
        pods.answered["boot-1"].clear()
        pods.wrong.clear()
        await clock.advance(FAILED_TRIAL_SECONDS + len(NAMES))
        answer = auditor.trials(pod())[MANY.name]
    assert answer.state is GateState.PASSED
    assert [result.name for result in answer.results] == NAMES
    assert NAMES[3] in pods.answered["boot-1"]
    assert NAMES[-1] not in pods.answered["boot-1"]


async def test_parts_of_two_processes_are_not_mixed(clock: ManualClock) -> None:
    pods = TryingPods(clock)
    pods.wrong = {NAMES[0]}
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        auditor.request_trial(pod(), case_set=MANY)
        await clock.advance(len(NAMES) / 2)
        assert pods.answered["boot-1"]
        pods.boot_id = "boot-2"
        pods.wrong.clear()
        await clock.advance(len(NAMES) * 2)
        answer = auditor.trials(pod())[MANY.name]
    assert (answer.boot_id, answer.state) == ("boot-2", GateState.PASSED)
    assert [result.name for result in answer.results] == NAMES
    assert sorted(pods.answered["boot-2"]) == sorted(NAMES)


async def test_a_part_without_an_answer_is_asked_again_and_those_before_it_are_not(clock: ManualClock) -> None:
    pods = TryingPods(clock)
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        auditor.request_trial(pod(), case_set=MANY)
        await clock.advance(len(NAMES) / 2)
        assert pods.answered["boot-1"]
        pods.failing = 2
        await clock.advance(len(NAMES) * 2)
        assert auditor.trials(pod())[MANY.name].state is GateState.PASSED
    assert pods.answered["boot-1"] == NAMES


@given(st.lists(st.integers(0, 20_000), max_size=60))
def test_parts_hold_every_case_once_in_order_and_ask_no_more_than_a_sheet(sizes: list[int]) -> None:
    cases = tuple(CASES.cases[0].model_copy(update={"name": str(n), "a": "x" * size}) for n, size in enumerate(sizes))
    parts = list(split_cases(CaseSet(cases=cases)))
    assert tuple(case for part in parts for case in part.cases) == cases
    for part in parts:
        asked = [question for case in part.cases for question in list_questions(case)]
        assert 0 < len(asked) <= SHEET_QUESTIONS
        assert sum(len(question.text) for question in asked) <= SHEET_QUESTION_BYTES or len(part.cases) == 1


async def test_the_runtime_answers_a_set_in_parts() -> None:
    right = [vector_case(f"right.{number}", text=f"a text {number}") for number in range(100)]
    whole = CaseSet(cases=(WRONG, *right, RIGHT))
    posted: list[int] = []
    async with app_under_test() as runtime:
        private = PrivateUnderTest(runtime, cases=[RIGHT])

        async def respond(request: web.BaseRequest) -> web.StreamResponse:
            content = await request.read()
            posted.append(len(content))
            answer = await private.client.request(request.method, request.path, content=content)
            return web.Response(status=answer.status_code, body=answer.content)

        async with client_served_by(respond) as client:
            auditor = Auditor(client, on_change=lambda key: None, audit_seconds=60.0)
            auditor.request_trial(pod(), case_set=whole)
            await until(lambda: bool(auditor.trials(pod())))
            answer = auditor.trials(pod())[whole.name]
            await auditor.close()
    assert answer.state is GateState.FAILED
    assert failed_names(answer) == [WRONG.name]
    assert [result.name for result in answer.results] == [case.name for case in whole.cases]
    assert max(posted) < len(whole.to_jsonl()) / 2
