"""Compare the terms of a sparse vector with the heaviest ones that a golden case expects.

Weights are compared relatively: the same number format is off by the same share of a heavy weight and of a light one.
A case of terms with the weights w, and a tolerance r, passes when both hold:

- each expected term is answered, with a weight within r * w of its own;
- no other term is answered with more than the lightest expected weight and r of it.

So terms whose expected weights lie within the tolerance of each other may change places, also with one that the case
leaves out, and nothing else may. A term that is not answered weighs 0: it is off by all of its weight.

No message names a term: it is a piece of the user's text.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from embedding_model.goldens.cases import SparseCase
from embedding_model.goldens.questions import TermWeight
from embedding_model.goldens.results import ROUNDING, fail, format_measured, format_value, is_finite
from embedding_model.ports import CaseResult


def compare_terms(case: SparseCase, *, terms: Sequence[TermWeight]) -> CaseResult:
    """Judge the answered terms, in any order.

    `measured` is the largest relative distance, `threshold` the tolerance.
    """
    expected = {item.term: float(Decimal(item.weight)) for item in case.terms}
    if not expected or len(expected) != len(case.terms) or min(expected.values()) <= 0:
        return fail(case, "the expected terms are not distinct terms with weights above 0")
    bad = sum(not is_finite(item.weight) for item in terms)
    if bad:
        return fail(case, f"{bad} of the {len(terms)} answered weights are NaN or infinite")
    answered = [item for item in terms if item.term in expected]
    if len({item.term for item in answered}) != len(answered):
        return fail(case, "an expected term is answered more than once")
    others = [item.weight for item in terms if item.term not in expected]
    tolerance = Decimal(case.tolerance)
    off, detail = _find_worst(expected, answered={item.term: item.weight for item in answered}, others=others)
    passed = off <= float(tolerance) + ROUNDING
    measured = format_measured(off, says=lambda shown: shown <= tolerance, verdict=passed)
    if passed:
        detail = f"the {len(expected)} heaviest terms are as expected, off by at most {measured} of their weight"
    else:
        detail = f"{detail}: off by {measured} of it, at most {case.tolerance} expected"
    return CaseResult(
        name=case.name, kind=case.kind, passed=passed, measured=measured, threshold=case.tolerance, detail=detail
    )


def _find_worst(
    expected: Mapping[str, float], *, answered: Mapping[str, float], others: Sequence[float]
) -> tuple[float, str]:
    """The largest relative distance, and where it is."""
    distances: list[tuple[float, str]] = []
    for number, (term, weight) in enumerate(expected.items(), start=1):
        found = answered.get(term)
        says = "is not among the answered ones" if found is None else f"weighs {format_value(found)}"
        where = f"term {number} of the {len(expected)} expected ones {says}, expected {format_value(weight)}"
        distances.append((abs((found or 0.0) - weight) / weight, where))
    lightest = min(expected.values())
    if others and max(others) > lightest:
        where = (
            f"a term that is none of the {len(expected)} expected ones weighs {format_value(max(others))}, "
            f"more than the lightest of them with {format_value(lightest)}"
        )
        distances.append(((max(others) - lightest) / lightest, where))
    return max(distances, key=lambda item: item[0])
