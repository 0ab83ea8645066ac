"""Compare scores and labels with what a golden case expects of them.

Scores are what the model serves: after the activation, float32 values in float64. A score that is NaN or infinite
fails its case, whatever is expected.
"""

from collections.abc import Sequence
from decimal import Decimal

from embedding_model.goldens.cases import LabelCase, RankingCase, ScoreCase
from embedding_model.goldens.questions import LabelScore
from embedding_model.goldens.results import ROUNDING, fail, format_measured, format_value, is_finite
from embedding_model.ports import CaseResult


def compare_ranking(case: RankingCase, *, scores: Sequence[float]) -> CaseResult:
    """Judge the scores of a case's documents, in the order of the documents.

    `measured` is the smallest difference between a score and the next one in the expected order, `threshold` the least
    that passes. Equal scores are no order: they fail, however small the threshold.
    """
    if sorted(case.order) != list(range(len(case.documents))) or len(case.documents) < 2:
        return fail(case, "the expected order does not name each of two or more documents once")
    if len(scores) != len(case.documents):
        return fail(case, f"{len(case.documents)} documents have {len(scores)} scores")
    defect = _find_defect(scores)
    if defect is not None:
        return fail(case, defect)
    threshold = Decimal(case.min_gap)
    gaps = [scores[better] - scores[worse] for better, worse in zip(case.order, case.order[1:], strict=False)]
    smallest = min(gaps)
    position = gaps.index(smallest) + 1
    passed = smallest > 0 and smallest >= float(threshold) - ROUNDING
    measured = format_measured(smallest, says=lambda shown: shown >= threshold, verdict=passed)
    places = f"the documents expected at places {position} and {position + 1}"
    if passed:
        detail = f"every document scores at least {measured} above the next, at least {case.min_gap} expected"
    elif smallest < 0:
        detail = f"{places} are in the wrong order: their scores differ by {measured}"
    else:
        detail = f"the scores of {places} are {measured} apart, at least {case.min_gap} expected"
    return CaseResult(
        name=case.name, kind=case.kind, passed=passed, measured=measured, threshold=case.min_gap, detail=detail
    )


def compare_score(case: ScoreCase, *, scores: Sequence[float]) -> CaseResult:
    """Judge the score of a case's document. `measured` is its distance from the expected one."""
    if len(scores) != 1:
        return fail(case, f"one document has {len(scores)} scores")
    defect = _find_defect(scores)
    if defect is not None:
        return fail(case, defect)
    return _compare_distance(case, score=scores[0], expected=case.expected, tolerance=case.tolerance, what="score")


def compare_label(case: LabelCase, *, labels: Sequence[LabelScore]) -> CaseResult:
    """Judge the labels of a case's input, in any order.

    Where another label scores higher, `measured` is how much higher and `threshold` is 0. Where the label is the best
    one and its score is expected, `measured` is the distance from that and `threshold` the tolerance. Where no score is
    expected and another label has exactly the same, there is no best one: a head of zeros would pass for every label.
    """
    if not labels:
        return fail(case, "the answer holds no label")
    defect = _find_defect([item.score for item in labels])
    if defect is not None:
        return fail(case, defect)
    found = [item.score for item in labels if item.label == case.label]
    if len(found) != 1:
        # Not quoted: a label that the model does not have is the user's text.
        return fail(case, f"the answer holds the expected label {len(found)} times among its {len(labels)} labels")
    best = max(labels, key=lambda item: (item.score, item.label != case.label))
    ahead = best.score - found[0]
    if best.label != case.label and not ahead and case.expected is None:
        detail = (
            f'"{best.label}" and "{case.label}" score the same, {format_value(best.score)}: neither is the best label'
        )
        return fail(case, detail)
    if ahead > 0:
        return CaseResult(
            name=case.name,
            kind=case.kind,
            passed=False,
            measured=format_measured(ahead, says=lambda shown: shown <= 0, verdict=False),
            threshold="0",
            detail=f'the best label is "{best.label}" with {format_value(best.score)}, not "{case.label}" with '
            f"{format_value(found[0])}",
        )
    if case.expected is None or case.tolerance is None:
        detail = f'"{case.label}" is the best label, with {format_value(found[0])}, as expected'
        return CaseResult(
            name=case.name, kind=case.kind, passed=True, measured=format_value(0.0), threshold="0", detail=detail
        )
    return _compare_distance(
        case, score=found[0], expected=case.expected, tolerance=case.tolerance, what=f'score of "{case.label}"'
    )


def _compare_distance(
    case: ScoreCase | LabelCase, *, score: float, expected: str, tolerance: str, what: str
) -> CaseResult:
    limit = Decimal(tolerance)
    distance = abs(score - float(Decimal(expected)))
    passed = distance <= float(limit) + ROUNDING
    return CaseResult(
        name=case.name,
        kind=case.kind,
        passed=passed,
        measured=format_measured(distance, says=lambda shown: shown <= limit, verdict=passed),
        threshold=tolerance,
        detail=f"{what} {format_value(score)}, expected {expected} within {tolerance}",
    )


def _find_defect(scores: Sequence[float]) -> str | None:
    bad = sum(not is_finite(score) for score in scores)
    return f"{bad} of the {len(scores)} answered scores are NaN or infinite" if bad else None
