"""When audits come, and what they may cost."""

from audited_pods import SERVING, SPACE, AuditedPods
from auditor_under_test import GOLDENS, HOLDOUT, KEY, ORDER, auditor_of, auditor_of_one, pod, serving_pod
from manual_clock import ManualClock, settle

from embedding_model.ports import GateState
from embedding_operator.audit.auditor import REFRESH_SECONDS
from embedding_operator.audit.budget import AUDIT_SHARE
from embedding_operator.audit.lanes import PARALLEL_AUDITS_IN_NAMESPACE
from embedding_operator.observe.facts import AuditOrder, Key


async def test_a_pod_that_is_overloaded_is_asked_again(clock: ManualClock, told: list[Key]) -> None:
    one = serving_pod(refuses=3)
    async with auditor_of_one(one, clock=clock, told=told) as auditor:
        await settle()
        assert auditor.audit(pod()) is None
        await clock.advance(7)
        report = auditor.audit(pod())
    assert report is not None
    assert report.state is GateState.PASSED


async def test_audits_repeat_on_the_interval_and_tell_nobody_when_nothing_changes(
    clock: ManualClock, told: list[Key]
) -> None:
    one = serving_pod()
    async with auditor_of_one(one, clock=clock, told=told):
        await clock.advance(600)
    assert len(one.verdicts) == 11
    assert told == [KEY]


async def test_an_audit_takes_at_most_one_per_cent_of_a_pods_time(clock: ManualClock, told: list[Key]) -> None:
    one = serving_pod(before_answer=lambda: clock.sleep(2.0))
    async with auditor_of_one(one, clock=clock, told=told):
        await clock.advance(4.0 + 60.0 + 4.0)
        assert len(one.verdicts) == 2, "the first audit was of a pod that may have been cold"
        await clock.advance(AUDIT_SHARE * 4.0 - 1)
        assert len(one.verdicts) == 2
        await clock.advance(1 + 4.0)
        assert len(one.verdicts) == 3


async def test_what_ran_beside_an_audit_does_not_make_the_next_one_late(clock: ManualClock, told: list[Key]) -> None:
    one = serving_pod()
    one.before_answer = lambda: clock.sleep(10.0 if len(one.verdicts) == 2 else 0.1)
    async with auditor_of_one(one, clock=clock, told=told):
        await clock.advance(600)
    assert len(one.verdicts) >= 9


async def test_a_pod_that_closed_itself_and_passes_again_has_its_verdict_before_it_opens_alone(
    clock: ManualClock, told: list[Key]
) -> None:
    one = serving_pod()
    async with auditor_of_one(one, clock=clock, told=told) as auditor:
        auditor.goldens(pod(is_ready=True))
        await clock.advance(30)
        before = len(one.verdicts)
        one.holds_verdict = False  # as behind a failure of its own
        one.wall_one = GateState.FAILED
        auditor.goldens(pod())
        await clock.advance(15)
        assert len(one.verdicts) == before, "it is shut, and its failure is its own"
        one.wall_one = GateState.PASSED
        await clock.advance(4)
        assert len(one.verdicts) == before + 1


async def test_a_pod_that_serves_while_its_own_checks_come_and_go_is_audited_within_its_share(
    clock: ManualClock, told: list[Key]
) -> None:
    """As under failurePolicy Warn: it would not open alone, since it is open."""
    one = serving_pod(before_answer=lambda: clock.sleep(2.0))
    async with auditor_of(AuditedPods(**{pod().ip: one}), clock=clock, told=told) as auditor:
        auditor.goldens(pod(is_ready=True))
        auditor.request_audit(pod(is_ready=True), order=ORDER)
        await clock.advance(4 + 60 + 4)
        before = len(one.verdicts)
        for _ in range(60):
            one.holds_verdict = False
            await clock.advance(REFRESH_SECONDS)
        assert before + 1 < len(one.verdicts) <= before + 1 + 60 * REFRESH_SECONDS / (AUDIT_SHARE * 4)


async def test_a_pod_that_is_shut_is_audited_each_time_that_its_own_checks_pass_again(
    clock: ManualClock, told: list[Key]
) -> None:
    """It would open alone."""
    one = serving_pod(before_answer=lambda: clock.sleep(2.0))
    async with auditor_of_one(one, clock=clock, told=told) as auditor:
        auditor.goldens(pod())
        await clock.advance(4 + 60 + 4)
        before = len(one.verdicts)
        for again in range(1, 5):
            one.holds_verdict = False
            await clock.advance(REFRESH_SECONDS + 4)
            assert len(one.verdicts) == before + again


async def test_a_slow_pod_that_passes_again_is_audited_to_the_end(clock: ManualClock, told: list[Key]) -> None:
    one = serving_pod(before_answer=lambda: clock.sleep(70.0))
    async with auditor_of_one(one, clock=clock, told=told) as auditor:
        auditor.goldens(pod(is_ready=True))
        await clock.advance(90)
        before = len(one.verdicts)
        one.holds_verdict = False  # as after a failure of its own, which has passed
        auditor.goldens(pod())
        await clock.advance(3 * REFRESH_SECONDS)
        assert len(one.verdicts) == before + 1


async def test_a_verdict_that_a_pod_has_taken_is_known_before_the_pod_is_asked_again(
    clock: ManualClock, told: list[Key]
) -> None:
    pods = AuditedPods(**{"10.0.0.1": serving_pod()})
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.goldens(pod())
        await settle()
        auditor.request_audit(pod(), order=ORDER)
        await settle()
        report = auditor.goldens(pod())
    assert report is not None
    assert report.verdict is GateState.PASSED
    assert pods.calls["goldens 10.0.0.1"] == 1


async def test_another_order_is_carried_out_at_once(clock: ManualClock, told: list[Key]) -> None:
    one = serving_pod()
    async with auditor_of_one(one, clock=clock, told=told) as auditor:
        await settle()
        auditor.request_audit(
            pod(), order=AuditOrder(GOLDENS, HOLDOUT, SERVING, SPACE, objection="no reference could be computed")
        )
        await settle()
        report = auditor.audit(pod())
    assert [verdict.passed for verdict in one.verdicts] == [True, False]
    assert one.verdicts[1].reason == "no reference could be computed"
    assert report is not None
    assert report.state is GateState.PASSED, "nothing is wrong with what it answers"


async def test_audits_end_when_reconciles_request_them_no_more(clock: ManualClock, told: list[Key]) -> None:
    one = serving_pod()
    async with auditor_of(AuditedPods(**{"10.0.0.1": one}), clock=clock, told=told) as auditor:
        with auditor.round_of(KEY):
            auditor.request_audit(pod(), order=ORDER)
        await settle()
        with auditor.round_of(KEY):
            auditor.audit(pod())
        await clock.advance(600)
        assert len(one.verdicts) == 1


async def test_the_first_audits_of_new_pods_do_not_queue_behind_those_of_pods_that_hang(
    clock: ManualClock, told: list[Key]
) -> None:
    pods = AuditedPods()
    ips = [f"10.1.0.{number}" for number in range(2 * PARALLEL_AUDITS_IN_NAMESPACE)]
    pods.by_ip |= {ip: serving_pod() for ip in [*ips, "10.0.0.1"]}
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        for ip in ips:
            auditor.request_audit(pod(ip), order=ORDER)
        for _ in range(10):
            await settle()
        assert all(len(pods.by_ip[ip].verdicts) == 1 for ip in ips)
        for ip in ips:
            pods.by_ip[ip].before_answer = lambda: clock.sleep(10_000)
        await clock.advance(60)
        auditor.request_audit(pod(), order=ORDER)
        await settle()
        assert auditor.audit(pod()) is not None
