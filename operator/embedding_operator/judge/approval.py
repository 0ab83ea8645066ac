"""A vector space that spec.space does not approve: verified behind a Service of its own, and nothing moves to it."""

from dataclasses import replace

from embedding_operator.api import names
from embedding_operator.api.reasons import Reason
from embedding_operator.judge.judgement import Judgement
from embedding_operator.judge.model import ModelJudgement
from embedding_operator.judge.verdict import State, Verdict
from embedding_operator.observe.facts import Key


def find_offered(model: ModelJudgement, *, selected: str | None) -> ModelJudgement | None:
    """What gives a space that waits for approval: the spec itself, or the commit that a tracked branch moved to.

    None where the Service serves that space already: it goes on, and there is nothing to bring up beside it.
    """
    offered = replace(model, held=None, job=None) if model.held is not None else model.offered
    if offered is None or offered.resolved is None or offered.resolved.space == selected:
        return None
    return offered


def describe_pending(judged: Judgement, *, key: Key) -> Judgement:
    """`judged`, with words about the pending generation where it says that something waits for approval."""
    pending = judged.pending
    if pending is None or pending.target is None:
        return judged
    service = names.pending_service_name(key.name, fingerprint=pending.target.space)
    url = names.service_url(service, namespace=key.namespace)
    cause = _find_cause(pending)
    state = cause.message if cause else _describe_state(pending)
    words = f"For re-indexing, {pending.target.space} is served by a Service of its own, {url}: {state}"
    model, again = judged.model, cause.recheck_seconds if cause else None
    held, news = _extend(model.held, words=words, again=again), _extend(model.news, words=words, again=again)
    return replace(judged, model=replace(model, held=held, news=news))


def _describe_state(pending: Judgement) -> str:
    """Of one that nothing keeps from being there as it was asked for."""
    if pending.rollout is not None and pending.rollout.reason == Reason.SCALED_TO_ZERO:
        return pending.rollout.message
    verdict = pending.gate.verdict if pending.gate else None
    if verdict is None or verdict.reason == Reason.GOLDENS_PASSED:
        return "verified, and every pod is ready"
    return f"every pod is ready; {verdict.message}"


def _extend(verdict: Verdict | None, *, words: str, again: float | None) -> Verdict | None:
    if verdict is None:
        return None
    looks = [seconds for seconds in (verdict.recheck_seconds, again) if seconds is not None]
    return replace(verdict, message=f"{verdict.message}. {words}", recheck_seconds=min(looks, default=None))


def _find_cause(pending: Judgement) -> Verdict | None:
    """The first of what keeps its pods from being verified and ready."""
    gate, cases = pending.gate, pending.cases
    verdicts = [
        pending.collision,
        cases.problem if cases else None,
        gate.verdict if gate and gate.blocks and (gate.verdict.state is State.STALLED or not gate.adopted) else None,
        pending.rollout,
        gate.verdict if gate and gate.blocks else None,
    ]
    return next((item for item in verdicts if item is not None and not item.is_good), None)
