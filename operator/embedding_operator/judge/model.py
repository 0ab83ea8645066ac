"""Is the model resolved, and what is served of it?

stored in one of our ConfigMaps     taken from there, whatever the hub says today; but for a tracked branch
hub                                 the resolver's answer
claim, image, private hub           the answer of a Job's pod
pickle only, conversion: Isolated   the same, once the resolver has found that out
"""

from dataclasses import dataclass, replace
from typing import Final

from embedding_model.dtypes import require_dtype
from embedding_model.refusal import Reason as RefusalReason
from embedding_model.refusal import Refusal, RefusalDocument
from embedding_model.resolved import Activation, Evidence, Pooling, Prompt, ResolvedModel, Side, SourceKind
from embedding_model.serving import Overrides, apply_overrides
from embedding_model.space import fingerprint
from embedding_operator.api.reasons import ConditionType, Reason
from embedding_operator.api.spec import (
    ConversionPolicy,
    DtypeChoice,
    EmbeddingModelSpec,
    Normalization,
    PoolingMode,
    ScoreActivation,
    Truncation,
)
from embedding_operator.judge.changed_files import refuse_change
from embedding_operator.judge.resolution_job import JobWish, ask_job, find_job
from embedding_operator.judge.verdict import State, Verdict, good, stalled, waiting
from embedding_operator.observe.facts import Refused, Resolution, ResolutionRequest, Resolved, Retrying
from embedding_operator.observe.snapshot import Snapshot

# The status says these of a source that has to be asked again after a restart; what Jobs' pods say is read at once.
_REPEATED: Final = frozenset({Reason.HUB_UNAVAILABLE})


@dataclass(frozen=True)
class ModelJudgement:
    """`verdict` becomes the condition Resolved. `resolved` and `request` are set once it is good; `followed` as well
    where a tracked branch led to it. `job`: a Job that must answer, or whose answer is not stored yet.

    `held`: `resolved` gives a vector space that spec.space does not approve, so that nothing moves to it.
    `news`: the branch moved to a commit that is not followed; `resolved` is the one before, and stays.
    `offered`: what that commit gives, where spec.space may approve it. `pending`: the fingerprint of either.
    `is_settled`: whether it is known, as far as the source was asked, what waits for approval.
    `recheck_seconds`: ask again after so long what is known of the branch's commit, because nothing tells us.
    `is_answered`: what the user asks (requestedAt) is found out, wherever a tracked branch stands now included.
    """

    verdict: Verdict
    resolved: ResolvedModel | None = None
    request: str | None = None
    followed: str = ""
    evidence: tuple[Evidence, ...] = ()
    job: JobWish | None = None
    held: Verdict | None = None
    news: Verdict | None = None
    offered: "ModelJudgement | None" = None
    pending: str | None = None
    is_settled: bool = True
    is_answered: bool = True
    recheck_seconds: float | None = None


@dataclass(frozen=True)
class Answer:
    """What a source says; `found` when it can be served as far as its files go."""

    verdict: Verdict
    found: Resolved | None = None
    job: JobWish | None = None


def judge_source(snapshot: Snapshot) -> ModelJudgement:
    """Without a look at where a tracked branch stands now: see `judge.tracking`."""
    spec, request = snapshot.spec, snapshot.request
    if spec is None or request is None:
        message = snapshot.spec_error or "spec cannot be read"
        return ModelJudgement(verdict=stalled(Reason.INVALID_SPEC, message))
    if snapshot.stored is not None:
        stored = snapshot.stored
        found = Resolved(stored.resolved.origin, stored.resolved.manifest, stored.resolved.inspection)
        judged = serve(found, spec=spec, request=stored.request)
        return approve(replace(judged, followed=stored.followed), space=spec.space)
    answer = find_answer(snapshot, request=request, resolution=snapshot.resolution)
    if answer.found is None:
        return ModelJudgement(verdict=answer.verdict, job=answer.job)
    judged = serve(answer.found, spec=spec, request=request.token)
    # Until it is stored, the answer may exist only in a Job's pod: the Job stays.
    return approve(replace(judged, job=answer.job), space=spec.space)


def serve(found: Resolved, *, spec: EmbeddingModelSpec, request: str) -> ModelJudgement:
    """The model with the spec's overrides applied."""
    try:
        serving, evidence = apply_overrides(found.inspection, overrides=_read_overrides(spec))
        if spec.runtime.dtype is not DtypeChoice.AUTO:
            require_dtype(found.inspection, dtype=spec.runtime.dtype.lower())
        space = fingerprint(manifest=found.manifest, inspection=found.inspection, serving=serving)
    except Refusal as refusal:
        return ModelJudgement(verdict=_refuse(refusal.document()))
    resolved = ResolvedModel(
        origin=found.origin, manifest=found.manifest, inspection=found.inspection, serving=serving, space=space
    )
    verdict = good(Reason.RESOLVED, _describe(resolved))
    return ModelJudgement(verdict=verdict, resolved=resolved, request=request, evidence=evidence)


def approve(judged: ModelJudgement, *, space: str | None) -> ModelJudgement:
    """With spec.space set, no other space is served, nor moved to."""
    if judged.resolved is None or space is None or judged.resolved.space == space:
        return judged
    found = judged.resolved.space
    message = (
        f"what is asked for gives vector space {found}, and spec.space approves {space} alone: nothing moves. Write "
        f"{found} into spec.space to approve it, or take the change back (of the spec, or the annotation requestedAt)"
    )
    return replace(judged, held=stalled(Reason.SPACE_CHANGE_NOT_APPROVED, message), pending=found)


def find_answer(snapshot: Snapshot, *, request: ResolutionRequest, resolution: Resolution | None) -> Answer:
    """`resolution` is the resolver's answer to `request`, where the resolver is asked at all."""
    if request.origin.kind is not SourceKind.HUGGING_FACE or snapshot.is_private:
        return _ask_job(snapshot, request=request, converts=False)
    if request.conversion is ConversionPolicy.ISOLATED:
        is_unanswered = not isinstance(resolution, Resolved | Refused)
        # A restarted operator asks the hub again: the Job that it had made meanwhile goes on.
        if _is_pickle_only(resolution) or (is_unanswered and find_job(snapshot, request=request)):
            return _ask_job(snapshot, request=request, converts=True)
    return _read_resolution(snapshot, request=request, resolution=resolution)


def _is_pickle_only(resolution: Resolution | None) -> bool:
    return isinstance(resolution, Refused) and resolution.refusal.reason is RefusalReason.PICKLE_ONLY


def _ask_job(snapshot: Snapshot, *, request: ResolutionRequest, converts: bool) -> Answer:
    answer = ask_job(snapshot, request=request, converts=converts)
    verdict = (_repeat_refusal(snapshot) if answer.is_silent else None) or answer.verdict
    return Answer(verdict, found=answer.found, job=answer.wish)


def _read_resolution(snapshot: Snapshot, *, request: ResolutionRequest, resolution: Resolution | None) -> Answer:
    match resolution:
        case Resolved() as found:
            change = refuse_change(snapshot, request=request, found=found)
            return Answer(_refuse(change)) if change else Answer(good(Reason.RESOLVED), found=found)
        case Refused(refusal=document):
            return Answer(_refuse(document))
        case Retrying(message=message):
            return Answer(waiting(Reason.HUB_UNAVAILABLE, message))
        case _:
            asking = waiting(Reason.RESOLVING, "asking the hub for the commit, its files and what they say")
            return Answer(_repeat_refusal(snapshot) or asking)


def _read_overrides(spec: EmbeddingModelSpec) -> Overrides:
    embedding, reranking = spec.embedding, spec.reranking
    prompts = embedding.prompts
    return Overrides(
        pooling=None if embedding.pooling is PoolingMode.AUTO else Pooling(embedding.pooling.value),
        normalize=None if embedding.normalize is Normalization.AUTO else embedding.normalize is Normalization.ENABLED,
        dimensions=embedding.dimensions,
        max_input_tokens=embedding.max_input_tokens,
        truncation=None if embedding.truncation is Truncation.AUTO else Side(embedding.truncation.value),
        prompts=None if prompts is None else tuple(Prompt(name=item.name, text=item.text) for item in prompts),
        default_prompt=embedding.default_prompt,
        instruction=reranking.instruction,
        activation=None if reranking.activation is ScoreActivation.AUTO else Activation(reranking.activation.value),
        quantization=spec.runtime.quantization,
    )


def _describe(resolved: ResolvedModel) -> str:
    origin, files = resolved.origin, len(resolved.manifest.files)
    match origin.kind:
        case SourceKind.HUGGING_FACE:
            return f"{origin.repo}@{origin.requested} is commit {origin.revision}"
        case SourceKind.IMAGE:
            return f"image {origin.image}, path {origin.path}: {files} files hashed"
        case _:
            return f"claim {origin.claim}, path {origin.path}: {files} files hashed"


def _refuse(document: RefusalDocument) -> Verdict:
    return stalled(document.reason, document.message)


def _repeat_refusal(snapshot: Snapshot) -> Verdict | None:
    """What the status says already of this very request: a restarted operator asks again without a word in between."""
    status = snapshot.before
    requested_at = snapshot.request.requested_at if snapshot.request else None
    if status.observed_generation != snapshot.generation or status.last_handled_request != requested_at:
        return None
    condition, is_stalled = status.condition(ConditionType.RESOLVED), status.condition(ConditionType.STALLED)
    if condition is None or condition.status != "False":
        return None
    if is_stalled is None:
        return waiting(condition.reason, condition.message) if condition.reason in _REPEATED else None
    if condition.reason not in set(RefusalReason):
        return None  # not the source's word: what the settings lack is known at once
    return Verdict(State.STALLED, condition.reason, condition.message)
