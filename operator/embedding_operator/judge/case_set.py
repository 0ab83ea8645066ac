"""Which golden cases does the spec ask for? Inline ones and those of the user's ConfigMap, as one set."""

from dataclasses import dataclass
from typing import Final

from embedding_model.goldens.cases import CaseSet
from embedding_model.goldens.parse import merge_cases, parse_cases, parse_jsonl
from embedding_model.ports import GOLDENS_FILE
from embedding_model.refusal import Reason as RefusalReason
from embedding_model.refusal import Refusal
from embedding_model.resolved import Serving
from embedding_operator.api.reasons import Reason
from embedding_operator.api.spec import EmbeddingModelSpec
from embedding_operator.judge.verdict import RECHECK_SECONDS, Verdict, stalled
from embedding_operator.observe.snapshot import UserGoldens

# The API server caps a ConfigMap's data at 1 MiB; the rest is room for metadata.
MAX_DATA_BYTES: Final = 900 * 1024


@dataclass(frozen=True)
class CaseSetJudgement:
    """`problem` is set when the cases cannot be used; `case_set` is None then, and when there are none."""

    case_set: CaseSet | None = None
    problem: Verdict | None = None


def judge_case_set(spec: EmbeddingModelSpec, *, serving: Serving, user_goldens: UserGoldens | None) -> CaseSetJudgement:
    if user_goldens is not None and user_goldens.text is None:
        return CaseSetJudgement(problem=_describe_missing(user_goldens))
    try:
        cases = _parse(spec, serving=serving, user_goldens=user_goldens)
    except Refusal as refusal:
        return CaseSetJudgement(
            problem=stalled(refusal.reason, refusal.message, recheck_seconds=_recheck(user_goldens))
        )
    size = len(cases.to_jsonl())
    if size > MAX_DATA_BYTES:
        message = (
            f"the golden cases take {size // 1024} KiB, at most {MAX_DATA_BYTES // 1024} KiB fit into a ConfigMap: "
            "leave out some cases"
        )
        return CaseSetJudgement(problem=stalled(RefusalReason.INVALID_GOLDEN, message))
    return CaseSetJudgement(case_set=cases if cases.cases else None)


def _parse(spec: EmbeddingModelSpec, *, serving: Serving, user_goldens: UserGoldens | None) -> CaseSet:
    threshold, dimensions = spec.verification.min_cosine_similarity, serving.dimensions
    prompts = [prompt.name for prompt in serving.prompts]
    written = [item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in spec.verification.goldens]
    inline = parse_cases(
        written, task=serving.task, min_cosine_similarity=threshold, dimensions=dimensions, prompt_names=prompts
    )
    if user_goldens is None or user_goldens.text is None:
        return merge_cases(inline)
    more = parse_jsonl(
        user_goldens.text.encode(),
        task=serving.task,
        min_cosine_similarity=threshold,
        dimensions=dimensions,
        prompt_names=prompts,
    )
    return merge_cases(inline, more)


def _describe_missing(user_goldens: UserGoldens) -> Verdict:
    what = f'has no key "{GOLDENS_FILE}"' if user_goldens.exists else "does not exist"
    message = (
        f'ConfigMap "{user_goldens.name}" of spec.verification.goldensConfigMapRef {what}: create it with a key '
        f'"{GOLDENS_FILE}" that holds one golden case a line'
    )
    return stalled(Reason.GOLDENS_CONFIG_MAP_NOT_FOUND, message, recheck_seconds=RECHECK_SECONDS)


def _recheck(user_goldens: UserGoldens | None) -> float | None:
    """A ConfigMap of the user's is not watched."""
    return RECHECK_SECONDS if user_goldens else None
