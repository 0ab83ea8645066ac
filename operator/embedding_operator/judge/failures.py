"""Failed cases in words: the name, what was measured, and the threshold. Never a text of the user's."""

from collections.abc import Collection, Sequence

from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import CaseResult

_MEASURES = {"vector": "cosine similarity ", "similarity": "distance "}


def describe_results(results: Collection[CaseResult], *, case_set: CaseSet) -> str:
    """The first failing case: of the set, in its order, else of what is asked beside it."""
    places = {case.name: number for number, case in enumerate(case_set.cases)}
    failed = sorted((item for item in results if not item.passed), key=lambda item: places.get(item.name, len(places)))
    if not failed:
        return "the golden cases failed, without a word why"
    more = f" ({len(failed)} of {len(results)} cases failed)" if len(failed) > 1 else ""
    return f"{describe_case(failed[0])}{more}"


def describe_case(result: CaseResult) -> str:
    what = "built-in check" if result.kind == "check" else "golden case"
    measure = _MEASURES.get(result.kind, "")
    measured = f"measured {measure}{result.measured}" if result.measured is not None else "nothing could be measured"
    threshold = f", threshold {result.threshold}" if result.threshold is not None else ""
    detail = f" ({result.detail})" if result.detail else ""
    return f'{what} "{result.name}" failed: {measured}{threshold}{detail}'


def list_failed(results: Sequence[CaseResult]) -> Sequence[CaseResult]:
    return [item for item in results if not item.passed]
