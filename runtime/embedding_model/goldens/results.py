"""How the result of a comparison is written: six digits that agree with the verdict, and words without user text."""

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

from embedding_model.goldens.cases import GoldenCase, RankingCase, VectorCase
from embedding_model.ports import CaseResult

ROUNDING = 1e-9  # equal values may come out one float64 step apart: the arithmetic must not fail them
_MAX_FLOAT32 = (2 - 2**-23) * 2.0**127
_SIX_DIGITS = Decimal("0.000001")
_EVERY_FLOAT = Context(prec=320)  # the default's 28 digits do not hold a broken model's 1e30


def is_finite(score: float) -> bool:
    """Whether it is a finite float32: JSON may bring more, whose differences would no longer be finite."""
    return abs(score) <= _MAX_FLOAT32


def fail(case: GoldenCase, detail: str) -> CaseResult:
    """The result of a case that could not be compared: nothing was measured."""
    match case:
        case VectorCase():
            threshold: str | None = case.min_cosine_similarity
        case RankingCase():
            threshold = case.min_gap
        case _:
            threshold = case.tolerance
    return CaseResult(name=case.name, kind=case.kind, passed=False, threshold=threshold, detail=detail)


def format_measured(value: float, *, says: Callable[[Decimal], bool], verdict: bool) -> str:
    """Six digits that do not contradict the verdict: a report must not read "0.999000 is below 0.999"."""
    for rounding in (ROUND_HALF_EVEN, ROUND_FLOOR, ROUND_CEILING):
        shown = _quantize(value, rounding=rounding)
        if says(shown) == verdict:
            return f"{shown:f}"
    return format_value(value)


def format_value(value: float) -> str:
    """Six digits after the point, rounded to the nearest."""
    return f"{_quantize(value, rounding=ROUND_HALF_EVEN):f}"


def _quantize(value: float, *, rounding: str) -> Decimal:
    shown = Decimal(value).quantize(_SIX_DIGITS, rounding=rounding, context=_EVERY_FLOAT)
    return abs(shown) if shown.is_zero() else shown  # not -0.000000
