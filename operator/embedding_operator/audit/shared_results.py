"""Results of cases that passed, one object for all that are equal: thousands of pods have some dozen each, at 1 KiB."""

from typing import Final
from weakref import WeakValueDictionary

from embedding_model.ports import CaseResult, GoldensReport

_Fields = tuple[str, str, str | None, str | None]

_shared: Final[WeakValueDictionary[_Fields, CaseResult]] = WeakValueDictionary()


def share_passed(result: CaseResult, *, measured: str | None = None) -> CaseResult:
    """With `measured` and without words, which are of use only where something failed; what failed, as it is."""
    if not result.passed:
        return result
    fields = (result.name, result.kind, measured, result.threshold)
    found = _shared.get(fields)
    if found is None:
        update = {"measured": measured, "detail": ""}
        found = _shared[fields] = result.model_copy(update=update)
    return found


def share_results(report: GoldensReport) -> GoldensReport:
    """The report, with every value and without the words of what passed."""
    results = tuple(share_passed(result, measured=result.measured) for result in report.results)
    return report.model_copy(update={"results": results})
