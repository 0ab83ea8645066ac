"""updatePolicy Track: a branch that moved is followed within the vector space that is asked for, and no further.

what the branch's new commit gives          what happens
the space asked for, or spec.space if set   it becomes the stored model; its pods come through the gate
another space                               Stalled SpaceChangeNotApproved, naming both; nothing moves. With
                                            spec.space set it comes up behind a Service of its own
a refusal                                   Stalled with its reason; nothing moves
a Job that cannot read it, for now          Reconciling with the reason; nothing moves, and it is tried again
not known yet                               nothing; what the status said of it, and what runs of it, stands
"""

from dataclasses import replace
from typing import Final

from embedding_model.resolved import ResolvedModel
from embedding_operator.api.conditions import UNSTARTED, UNTAKEN
from embedding_operator.api.reasons import ConditionType, Reason
from embedding_operator.api.status import Condition
from embedding_operator.judge.model import ModelJudgement, approve, find_answer, judge_source, serve
from embedding_operator.judge.observed_job import PODLESS
from embedding_operator.judge.resolution_job import find_job
from embedding_operator.judge.verdict import State, Verdict, stalled
from embedding_operator.observe.facts import Head
from embedding_operator.observe.snapshot import Snapshot

_ASKING: Final = frozenset({Reason.RESOLVING, Reason.CONVERTING})  # of a Job that has no trouble


def judge_model(snapshot: Snapshot) -> ModelJudgement:
    judged = replace(judge_source(snapshot), is_answered=_is_branch_asked(snapshot))
    before = judged.resolved
    if snapshot.stored is None or not snapshot.tracks or before is None:
        return judged
    if snapshot.is_private:
        message = (
            "spec.model.huggingFace.updatePolicy is Track, but the operator cannot ask this mirror, which only the "
            "models' namespaces reach: write updatePolicy: Pin, or name another mirror"
        )
        return replace(judged, news=stalled(Reason.INVALID_SPEC, message))
    if snapshot.head is None:
        return _repeat_news(snapshot, judged=judged)
    if snapshot.request and snapshot.request.requested_at and judged.is_answered:
        judged = replace(judged, request=snapshot.request.token)
    if snapshot.head.refusal is not None:
        refusal = snapshot.head.refusal
        return replace(judged, news=_report(before, reason=refusal.reason, words=refusal.message))
    if snapshot.candidate is None:
        return judged
    return _judge_candidate(snapshot, judged=judged, before=before, head=snapshot.head)


def _is_branch_asked(snapshot: Snapshot) -> bool:
    """Whether the branch was asked since the user asked anew (the annotation requestedAt)."""
    if not snapshot.tracks or snapshot.is_private or snapshot.stored is None or snapshot.request is None:
        return True
    asked = snapshot.request.requested_at
    is_handled = asked == snapshot.before.last_handled_request
    return asked is None or is_handled or (snapshot.head is not None and snapshot.head.requested_at == asked)


def _judge_candidate(
    snapshot: Snapshot, *, judged: ModelJudgement, before: ResolvedModel, head: Head
) -> ModelJudgement:
    spec, candidate = snapshot.spec, snapshot.candidate
    if spec is None or candidate is None:
        raise AssertionError("a candidate belongs to a spec that was read")
    answer = find_answer(snapshot, request=candidate, resolution=snapshot.resolution)
    judged = replace(judged, job=answer.job)
    if answer.found is None:
        said = answer.verdict
        news = replace(said, message=_describe_unfollowed(before, words=f"commit {head.commit}: {said.message}"))
        if said.state is not State.WAITING and said.reason not in UNTAKEN:
            return replace(judged, news=news)
        judged = replace(judged, is_answered=False, recheck_seconds=said.recheck_seconds)
        has_job = find_job(snapshot, request=candidate) is not None
        judged = _repeat_news(snapshot, judged=judged, has_job=has_job)
        has_trouble = answer.job is not None and said.reason not in _ASKING
        is_silent = judged.pending is not None and judged.news is None
        return replace(judged, news=news) if has_trouble or is_silent else judged
    offered = serve(answer.found, spec=spec, request=judged.request or "")
    if offered.resolved is None:
        words = f"commit {head.commit}: {offered.verdict.message}"
        return replace(judged, news=_report(before, reason=offered.verdict.reason, words=words))
    if offered.resolved.space == (spec.space or before.space):
        followed = head.seen_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        judged = replace(offered, followed=followed, job=answer.job, is_answered=judged.is_answered)
        return approve(judged, space=spec.space)
    if judged.held is not None:
        return judged
    news = _name_spaces(before, offered=offered.resolved, head=head, approved=spec.space)
    # Stored without a request: it answers nothing that was asked for until it is approved.
    beside = replace(offered, request=None) if spec.space else None
    return replace(judged, news=news, offered=beside, pending=offered.resolved.space)


def _name_spaces(before: ResolvedModel, *, offered: ResolvedModel, head: Head, approved: str | None) -> Verdict:
    bound = f"spec.space approves {approved}" if approved else f"commit {before.origin.revision} gives {before.space}"
    message = (
        f"{_name_branch(before)} moved to commit {head.commit}, which gives vector space {offered.space}, "
        f"and {bound}: nothing moves. Write {offered.space} into spec.space to approve it; vectors of the space before "
        "do not compare with its own"
    )
    return stalled(Reason.SPACE_CHANGE_NOT_APPROVED, message)


def _report(before: ResolvedModel, *, reason: str, words: str) -> Verdict:
    return stalled(reason, _describe_unfollowed(before, words=words))


def _describe_unfollowed(before: ResolvedModel, *, words: str) -> str:
    return f"{_name_branch(before)} is not followed: {words}. Commit {before.origin.revision} is served on"


def _name_branch(before: ResolvedModel) -> str:
    """How every message about the branch begins, and no other: by it they are known again."""
    return f'branch "{before.origin.requested}"'


def _repeat_news(snapshot: Snapshot, *, judged: ModelJudgement, has_job: bool = False) -> ModelJudgement:
    """What the status says of the branch already: a restarted operator asks again without a word in between.
    `has_job`: one reads the branch's newest commit."""
    status = snapshot.before
    refused, delayed = status.condition(ConditionType.STALLED), status.condition(ConditionType.RECONCILING)
    condition = refused or delayed
    is_same = status.observed_generation == snapshot.generation and judged.held is None
    # Without spec.space nothing has pods that wait for approval.
    judged = replace(judged, is_settled=snapshot.spec is not None and snapshot.spec.space is None)
    if not is_same or condition is None or judged.resolved is None:
        return judged
    if not condition.message.startswith(f"{_name_branch(judged.resolved)} "):
        return judged
    judged = replace(judged, pending=status.space.pending if status.space else None)
    if has_job and _is_of_start(condition):
        return judged  # it has been made, or has started
    news = Verdict(State.STALLED if refused else State.WAITING, condition.reason, condition.message)
    return replace(judged, news=news)


def _is_of_start(condition: Condition) -> bool:
    """Whether it says that a Job could not be made, or that its pod could not start: not what became of one."""
    return condition.reason in (*UNTAKEN, *UNSTARTED) or PODLESS in condition.message
