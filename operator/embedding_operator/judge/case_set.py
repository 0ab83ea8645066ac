"""Which golden cases do pods answer? Those of the reference, then those of the spec and of the user's ConfigMap."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from embedding_model.goldens.cases import CaseSet, GoldenCase
from embedding_model.goldens.parse import merge_cases, parse_cases, parse_jsonl
from embedding_model.ports import GOLDENS_FILE
from embedding_model.refusal import Reason as RefusalReason
from embedding_model.refusal import Refusal
from embedding_model.resolved import Serving, Task, TokenHeadKind
from embedding_operator.api import names
from embedding_operator.api.reasons import Reason
from embedding_operator.api.spec import EmbeddingModelSpec
from embedding_operator.judge.verdict import RECHECK_SECONDS, Verdict, stalled
from embedding_operator.observe.snapshot import UserGoldens
from embedding_operator.observe.stored_reference import Reference, identify_cases, is_computed

# The API server caps a ConfigMap's data at 1 MiB; the rest is room for metadata.
MAX_DATA_BYTES: Final = 900 * 1024
# The prompt by which a pod is asked for a query, also of a model that has none of this name (TEI's POST /embed_sparse).
QUERY: Final = "query"


@dataclass(frozen=True)
class CaseSetJudgement:
    """`problem` is set when the cases cannot be used; `case_set` is None then, and when there are none.

    `reference`: whose goldens the set begins with.
    """

    case_set: CaseSet | None = None
    problem: Verdict | None = None
    reference: Reference | None = None


def judge_case_set(
    spec: EmbeddingModelSpec,
    *,
    serving: Serving,
    user_goldens: UserGoldens | None,
    labels: Collection[str] = (),
    heads: Collection[TokenHeadKind] = (),
    has_query_weights: bool = False,
    reference: Reference | None = None,
) -> CaseSetJudgement:
    """`labels`: a classifier's; none where they are not known. `heads`: the further ones of an embedder.
    `has_query_weights`: of a sparse model, whether a table weights the tokens of queries in its place. `reference`: of
    the space served, where there is one."""
    if user_goldens is not None and not (user_goldens.text or "").encode().strip():
        return CaseSetJudgement(problem=_describe_missing(user_goldens))
    prompts = [prompt.name for prompt in serving.prompts]
    if has_query_weights and serving.task is Task.SPARSE and QUERY not in prompts:
        prompts.append(QUERY)
    try:
        own = _check(
            _parse(
                spec,
                serving=serving,
                prompts=prompts,
                labels=labels or None,
                heads=heads,
                user_goldens=user_goldens,
            )
        )
    except Refusal as refusal:
        return CaseSetJudgement(
            problem=stalled(refusal.reason, refusal.message, recheck_seconds=_recheck(user_goldens))
        )
    whole = CaseSet(cases=(*(reference.goldens.cases if reference else ()), *own.cases))
    return CaseSetJudgement(case_set=whole if whole.cases else None, reference=reference)


def split_case_set(case_set: CaseSet) -> Sequence[CaseSet]:
    """The set as it is stored, one ConfigMap for each part: the reference's cases, then the user's, in as many parts
    as they need."""
    computed = [case for case in case_set.cases if is_computed(case)]
    own = [case for case in case_set.cases if not is_computed(case)]
    return [*([CaseSet(cases=tuple(computed))] if computed else []), *_split(own)]


def name_parts(case_set: CaseSet, *, model: str, space: str) -> Sequence[str]:
    """Names of the ConfigMaps that hold the set, in the order of `split_case_set`. `space`: of which the reference's
    cases are."""
    parts = split_case_set(case_set)
    spaces = [space if is_computed(part.cases[0]) else None for part in parts]
    contents = [identify_cases(part.to_jsonl(), space=of) for part, of in zip(parts, spaces, strict=True)]
    return [names.goldens_configmap_name(model, content=content) for content in contents]


def _parse(
    spec: EmbeddingModelSpec,
    *,
    serving: Serving,
    prompts: Collection[str],
    labels: Collection[str] | None,
    heads: Collection[TokenHeadKind],
    user_goldens: UserGoldens | None,
) -> CaseSet:
    threshold, dimensions = spec.verification.min_cosine_similarity, serving.dimensions
    written = [item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in spec.verification.goldens]
    inline = parse_cases(
        written,
        task=serving.task,
        min_cosine_similarity=threshold,
        dimensions=dimensions,
        prompt_names=prompts,
        labels=labels,
        activation=serving.activation,
        heads=heads,
    )
    if user_goldens is None or user_goldens.text is None:
        return merge_cases(inline)
    more = parse_jsonl(
        user_goldens.text.encode(),
        task=serving.task,
        min_cosine_similarity=threshold,
        dimensions=dimensions,
        prompt_names=prompts,
        labels=labels,
        activation=serving.activation,
        heads=heads,
    )
    return merge_cases(inline, more)


def _check(own: CaseSet) -> CaseSet:
    """The user's cases as they are. Raises Refusal(INVALID_GOLDEN)."""
    for case in own.cases:
        if _measure(case) > MAX_DATA_BYTES:
            message = (
                f'golden case "{case.name}" takes {_measure(case) // 1024} KiB, and at most {MAX_DATA_BYTES // 1024} '
                "KiB fit into a ConfigMap: shorten its texts"
            )
            raise Refusal(RefusalReason.INVALID_GOLDEN, message)
    return own


def _split(cases: Iterable[GoldenCase]) -> Iterator[CaseSet]:
    part: list[GoldenCase] = []
    size = 0
    for case in cases:
        if part and size + _measure(case) > MAX_DATA_BYTES:
            yield CaseSet(cases=tuple(part))
            part, size = [], 0
        part.append(case)
        size += _measure(case)
    if part:
        yield CaseSet(cases=tuple(part))


def _measure(case: GoldenCase) -> int:
    """Bytes of its line."""
    return len(case.to_json()) + 1


def _describe_missing(user_goldens: UserGoldens) -> Verdict:
    key = f'the key "{GOLDENS_FILE}"'
    if user_goldens.text is not None:
        what = f"holds no case under {key}: write one JSON object on each line, or take goldensConfigMapRef out"
    elif user_goldens.is_binary:
        what = (
            f"has {key} under binaryData, where kubectl puts a file that is not UTF-8: save the file as UTF-8, and "
            "create the ConfigMap from it anew"
        )
    else:
        missing = f'has no key "{GOLDENS_FILE}"' if user_goldens.exists else "does not exist"
        what = f'{missing}: create it with a key "{GOLDENS_FILE}" that holds one golden case a line'
    message = f'ConfigMap "{user_goldens.name}" of spec.verification.goldensConfigMapRef {what}'
    return stalled(Reason.GOLDENS_CONFIG_MAP_NOT_FOUND, message, recheck_seconds=RECHECK_SECONDS)


def _recheck(user_goldens: UserGoldens | None) -> float | None:
    """A ConfigMap of the user's is not watched."""
    return RECHECK_SECONDS if user_goldens else None
