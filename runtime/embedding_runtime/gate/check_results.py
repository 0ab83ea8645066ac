"""How a built-in check is reported, beside golden cases."""

from embedding_model.ports import CaseResult
from embedding_runtime.lifecycle import BUILT_IN


def describe_check(
    what: str, *, passed: bool, detail: str, measured: str | None = None, threshold: str | None = None
) -> CaseResult:
    """`what` names the check; the other values are CaseResult's."""
    return CaseResult(
        name=f"{BUILT_IN}.{what}", kind=BUILT_IN, passed=passed, measured=measured, threshold=threshold, detail=detail
    )
