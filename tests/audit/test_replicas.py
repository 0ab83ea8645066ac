"""Pods of a space are compared with each other: most of them are right, and of two that differ nobody knows."""

from collections.abc import Callable
from itertools import permutations

import pytest
from audited_pods import AuditedPod, AuditedPods, answer_rightly, embed
from auditor_under_test import GOLDENS, ORDER, auditor_of, failed_cases, pod, serving_pod, wrong_for
from compared_pods import WITHOUT_CASES, A, B, C, D, drift, failures, is_said_to_agree, order, serve, turn
from manual_clock import ManualClock, settle

from embedding_model.goldens.cases import CaseSet
from embedding_model.goldens.questions import Answer, Question
from embedding_operator.audit import peers
from embedding_operator.audit.checks import TEXTS
from embedding_operator.observe.facts import Key


async def test_what_pods_answered_is_kept_once_of_all_that_answer_the_same_and_small(
    clock: ManualClock, told: list[Key]
) -> None:
    """With thousands of pods of long vectors it was hundreds of megabytes."""
    ips = [f"10.0.0.{number}" for number in range(1, 7)]
    pods = AuditedPods(**{ip: serving_pod() for ip in ips})
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        for _ in range(3):
            for ip in ips:
                auditor.goldens(pod(ip))
                auditor.request_audit(pod(ip), order=ORDER)
            await clock.advance(60)
        kept = [record.voice.answers for record in auditor._pods_of(pod().key) if record.voice]
        assert len(kept) == len(ips)
        assert len({id(answers) for answers in kept}) == 1
        assert len(kept[0]) == len(TEXTS)
        assert all(len(answer.halves) == 2 * len(embed("a text")) for answer in kept[0])


async def test_what_pods_answered_is_kept_of_few_when_each_answers_otherwise(
    clock: ManualClock, told: list[Key], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "MAX_GROUPS", 3)
    pods = AuditedPods(**{f"10.0.0.{number}": AuditedPod(answer=turn(number)) for number in range(8)})
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, *pods.by_ip)
        await clock.advance(120)
        kept = {id(record.voice.answers) for record in auditor._pods_of(pod().key) if record.voice}
        assert len(kept) == 3


@pytest.mark.parametrize("ips", list(permutations((A, B, C))), ids="-".join)
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "one after the other"])
async def test_of_three_pods_the_one_that_differs_is_wrong_whichever_is_asked_first(
    clock: ManualClock, told: list[Key], ips: tuple[str, ...], at_once: bool
) -> None:
    pods = serve(B, C, wrong=(A,))
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        for ip in ips:
            auditor.goldens(pod(ip))
        await settle()
        for ip in ips:
            auditor.request_audit(pod(ip), order=WITHOUT_CASES)
            if not at_once:
                await settle()
        await settle()
        for _ in range(5):
            assert ["check.replicas"] not in [failures(auditor, *pods.by_ip).get(ip) for ip in (B, C)], (
                "it would be deleted"
            )
            await clock.advance(60)
        assert failures(auditor, *pods.by_ip) == {A: ["check.replicas"]}
        assert [is_said_to_agree(auditor, ip) for ip in (B, C)] == [True, True]


async def test_of_two_pods_that_differ_the_one_that_came_later_is_held_back_and_none_can_be_deleted(
    clock: ManualClock, told: list[Key]
) -> None:
    pods = serve(B, wrong=(A,))
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, A, B)
        for _ in range(5):
            assert failures(auditor, *pods.by_ip) == {B: ["check.tie"]}
            assert not is_said_to_agree(auditor, A)
            await clock.advance(60)
        report = auditor.audit(pod(B))
    assert report is not None
    [result] = [result for result in report.results if not result.passed]
    assert all(words in result.detail for words in (f"pod-{A}", "a golden case or one more replica has to tell"))
    assert result.threshold == "0.999"


@pytest.mark.parametrize(("third", "wrong"), [(answer_rightly, A), (drift, B)])
async def test_a_third_pod_tells_which_of_two_that_differ_is_wrong(
    clock: ManualClock, told: list[Key], third: Callable[[Question], Answer], wrong: str
) -> None:
    pods = serve(B, wrong=(A,))
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, A, B)
        pods.by_ip[C] = AuditedPod(answer=third)
        await order(auditor, C)
        await clock.advance(60)
        assert failures(auditor, *pods.by_ip) == {wrong: ["check.replicas"]}


async def test_where_as_many_pods_answer_one_way_as_the_other_those_that_came_first_serve(
    clock: ManualClock, told: list[Key]
) -> None:
    pods = serve(A, B, wrong=(C, D))
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, A, C, B, D)
        for _ in range(5):
            await clock.advance(60)
            assert failures(auditor, *pods.by_ip) == {C: ["check.tie"], D: ["check.tie"]}


@pytest.mark.parametrize(("changed", "other"), [(A, B), (B, A)])
async def test_of_two_pods_the_one_that_changes_is_wrong(
    clock: ManualClock, told: list[Key], changed: str, other: str
) -> None:
    pods = serve(A, B)
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, A, B)
        pods.by_ip[changed].answer = drift
        told.clear()
        for _ in range(3):
            await clock.advance(60)
            assert failures(auditor, *pods.by_ip) == {changed: ["check.replicas"]}
            assert is_said_to_agree(auditor, other)
        pods.by_ip[changed].answer = answer_rightly
        await clock.advance(60)
        assert failures(auditor, *pods.by_ip) == {}


async def test_the_model_is_told_that_a_pod_agrees_with_one_that_came_after_it(
    clock: ManualClock, told: list[Key]
) -> None:
    """On its word others are deleted."""
    pods = serve(A, B)
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, A)
        assert not is_said_to_agree(auditor, A)
        await order(auditor, B)
        told.clear()
        await clock.advance(60)
        assert is_said_to_agree(auditor, A)
        assert told == [pod().key]


async def test_a_pod_that_others_were_compared_with_is_compared_itself(clock: ManualClock, told: list[Key]) -> None:
    pods = serve(A, B, C)
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, A, B, C)
        pods.by_ip[A].answer = drift
        await clock.advance(60)
        assert failures(auditor, *pods.by_ip) == {A: ["check.replicas"]}


async def test_replicas_are_compared_on_the_same_hardware(clock: ManualClock, told: list[Key]) -> None:
    pods = serve(A, wrong=(B, C))
    pods.by_ip[C].dtype = "bfloat16"
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, A, B, C)
        assert failures(auditor, *pods.by_ip) == {B: ["check.tie"]}


async def test_a_pod_that_fails_a_golden_case_says_nothing_about_others(clock: ManualClock, told: list[Key]) -> None:
    pods = AuditedPods(**{A: serving_pod(answer=drift, mounted=CaseSet(cases=())), B: AuditedPod()})
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, A)
        pods.by_ip[A].mounted = GOLDENS
        pods.by_ip[A].answer = wrong_for("the text of")
        auditor.request_audit(pod(A), order=ORDER)
        await settle()
        assert "mine" in failed_cases(auditor.audit(pod(A)))
        await order(auditor, B)
        assert failed_cases(auditor.audit(pod(B))) == []


async def test_a_pod_that_is_audited_no_more_has_no_voice(clock: ManualClock, told: list[Key]) -> None:
    """It is ending, for example."""
    pods = serve(A, wrong=(B, C))
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, A, B)
        with auditor.round_of(pod().key):
            auditor.goldens(pod(B))
            for ip in (A, C):
                auditor.goldens(pod(ip))
                auditor.request_audit(pod(ip), order=WITHOUT_CASES)
        await settle()
        assert failed_cases(auditor.audit(pod(A))) == []
        assert failed_cases(auditor.audit(pod(C))) == ["check.tie"]


async def test_whoever_is_outnumbered_is_audited_at_once_and_so_is_who_was_held_back(
    clock: ManualClock, told: list[Key]
) -> None:
    """Though neither audit is paid for yet: wrong answers go out meanwhile."""
    pods = serve(A, B, wrong=(C,))
    for one in pods.by_ip.values():
        one.before_answer = lambda: clock.sleep(6)
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, C)
        await clock.advance(150)
        await order(auditor, A)
        await clock.advance(120)
        assert failures(auditor, C, A) == {A: ["check.tie"]}
        await order(auditor, B)
        await clock.advance(30)
        assert failures(auditor, *pods.by_ip) == {C: ["check.replicas"]}
