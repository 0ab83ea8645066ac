"""Pods are compared with each other after operator, pod or container started anew, when not all are heard yet."""

from itertools import permutations

import pytest
from audited_pods import answer_rightly
from auditor_under_test import auditor_of, failed_cases, pod
from compared_pods import WITHOUT_CASES, A, B, C, D, E, begin_round, drift, failures, is_said_to_agree, order, serve
from manual_clock import ManualClock, settle

from embedding_operator.audit.auditor import Auditor
from embedding_operator.observe.facts import Key


async def test_another_leader_leaves_shut_what_had_failed_until_the_pod_that_serves_has_answered(
    clock: ManualClock, told: list[Key]
) -> None:
    pods = serve(A, wrong=(B,))
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, A, B)
        assert failures(auditor, *pods.by_ip) == {B: ["check.tie"]}
    pods.by_ip[A].before_answer = lambda: clock.sleep(5)
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await begin_round(auditor, pod(B), pod(A, is_ready=True))
        report = auditor.audit(pod(B))
        assert report is not None
        [result] = [result for result in report.results if not result.passed]
        assert result.name == "check.tie"
        assert f"pod-{A}" in result.detail
        for _ in range(3):
            await clock.advance(60)
            assert failures(auditor, *pods.by_ip) == {B: ["check.tie"]}


async def test_a_pod_that_failed_a_tie_stays_shut_while_the_other_one_starts_anew(
    clock: ManualClock, told: list[Key]
) -> None:
    pods = serve(A, wrong=(B,))
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, A, B)
        pods.by_ip[A].before_answer = lambda: clock.sleep(90)
        await begin_round(auditor, pod(A, starts=1), pod(B))
        await clock.advance(61)
        assert failed_cases(auditor.audit(pod(B))) == ["check.tie"]
        await clock.advance(400)
        assert failed_cases(auditor.audit(pod(A, starts=1))) == []
        assert failed_cases(auditor.audit(pod(B))) == ["check.tie"]


async def test_a_pod_that_can_neither_be_asked_nor_serves_keeps_none_shut(clock: ManualClock, told: list[Key]) -> None:
    pods = serve(A, wrong=(B,))
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, A, B)
        del pods.by_ip[A]
        await begin_round(auditor, pod(A), pod(B))
        await clock.advance(180)
        assert failed_cases(auditor.audit(pod(B))) == []


async def test_an_answer_that_is_lost_after_a_restart_opens_no_other_pod(clock: ManualClock, told: list[Key]) -> None:
    pods = serve(A, wrong=(B,))
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, A, B)
        assert failures(auditor, A, B) == {B: ["check.tie"]}
    pods.by_ip[A].refuses = 1
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await begin_round(auditor, pod(A, is_ready=True), pod(B))
        for _ in range(3):
            await clock.advance(60)
        assert failures(auditor, A, B) == {B: ["check.tie"]}


@pytest.mark.parametrize("differs", ["from the start", "later"])
async def test_a_pod_that_failed_a_comparison_stays_shut_while_the_other_one_loads_anew(
    clock: ManualClock, told: list[Key], differs: str
) -> None:
    pods = serve(A, B)
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        if differs == "from the start":
            pods.by_ip[B].answer = drift
        await order(auditor, A, B)
        pods.by_ip[B].answer = drift
        await clock.advance(60)
        await _load_anew(auditor, starts=1)
        await clock.advance(61)
        assert failed_cases(auditor.audit(pod(B))) == ["check.tie"]
        await begin_round(auditor, pod(A, starts=1), pod(B))
        await clock.advance(61)
        assert failed_cases(auditor.audit(pod(A, starts=1))) == []
        assert failed_cases(auditor.audit(pod(B)))


async def test_a_pod_that_loads_again_and_again_keeps_none_shut(clock: ManualClock, told: list[Key]) -> None:
    pods = serve(A, wrong=(B,))
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, A, B)
        for starts in (1, 2):
            await _load_anew(auditor, starts=starts)
            await clock.advance(61)
        assert failed_cases(auditor.audit(pod(B))) == []


async def _load_anew(auditor: Auditor, *, starts: int) -> None:
    """The container of A: until its startup probe succeeds it is known, and is not audited."""
    with auditor.round_of(pod().key):
        auditor.goldens(pod(A, starts=starts))
        auditor.goldens(pod(B))
        auditor.request_audit(pod(B), order=WITHOUT_CASES)
    await settle()


@pytest.mark.parametrize("ips", list(permutations((A, B, C, D))), ids="-".join)
async def test_another_leader_shuts_no_pod_that_serves_whichever_it_asks_first(
    clock: ManualClock, told: list[Key], ips: tuple[str, ...]
) -> None:
    pods = serve(A, B, wrong=(C, D))
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, A, C, B, D)
        await clock.advance(180)
        assert failures(auditor, A, B, C, D) == {C: ["check.tie"], D: ["check.tie"]}
    before = {ip: len(served.verdicts) for ip, served in pods.by_ip.items()}
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await begin_round(auditor, *(pod(ip, is_ready=ip in (A, B)) for ip in ips))
        await clock.advance(180)
        since = {ip: [verdict.passed for verdict in served.verdicts[before[ip] :]] for ip, served in pods.by_ip.items()}
        assert all(all(since[ip]) for ip in (A, B))
        assert not any(any(since[ip]) for ip in (C, D))


@pytest.mark.parametrize("ips", [(C, D, A, B, E), (A, B, E, C, D), (A, C, D, B, E)], ids="-".join)
async def test_another_leader_has_no_pod_that_serves_deleted_on_the_word_of_those_that_are_shut(
    clock: ManualClock, told: list[Key], ips: tuple[str, ...]
) -> None:
    """Three serve; two that came later failed, as the first pods of a new template may."""
    pods = serve(A, B, E, wrong=(C, D))
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, A, B, E, C, D)
        await clock.advance(60)
        assert set(failures(auditor, *pods.by_ip)) == {C, D}
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await begin_round(auditor, *(pod(ip, is_ready=ip in (A, B, E)) for ip in ips))
        condemned = [ip for ip, cases in failures(auditor, A, B, E).items() if cases == ["check.replicas"]]
        assert not condemned or not any(is_said_to_agree(auditor, ip) for ip in (A, B, E))
        await clock.advance(60)
        assert set(failures(auditor, *pods.by_ip)) == {C, D}


async def test_a_pod_that_answers_like_most_again_waits_for_no_pod_that_is_new(
    clock: ManualClock, told: list[Key]
) -> None:
    """An autoscaler may add one after another."""
    pods = serve(A, B, D, wrong=(C,))
    pods.by_ip[D].before_answer = lambda: clock.sleep(300)
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        await order(auditor, A, B, C)
        assert failures(auditor, A, B, C) == {C: ["check.replicas"]}
        pods.by_ip[C].answer = answer_rightly
        await begin_round(auditor, pod(A, is_ready=True), pod(B, is_ready=True), pod(C), pod(D))
        await clock.advance(90)
        assert failures(auditor, A, B, C) == {}
