"""Compare what a pod answered with what a golden case expects.

All arithmetic is float64 on the float32 values that came. A vector case passes when both hold:

- the cosine similarity to the golden vector is at least the case's threshold;
- the norms differ by at most NORM_TOLERANCE of the golden's. The cosine cannot see a missing normalisation; clients
  that compare by dot product can.

A similarity case passes when the cosine of its two vectors is within the case's tolerance of the expected value. Scores
and labels: `compare_scores`; terms of a sparse vector: `compare_terms`.

No message holds a text or a vector of the user's: golden cases may be confidential, messages end up in events.
"""

import base64
import binascii
import math
import operator
from array import array
from collections.abc import Iterable, Sequence
from decimal import Decimal
from sys import byteorder

from embedding_model.goldens.cases import GoldenCase, LabelCase, RankingCase, ScoreCase, SimilarityCase, VectorCase
from embedding_model.goldens.compare_scores import compare_label, compare_ranking, compare_score
from embedding_model.goldens.compare_terms import compare_terms
from embedding_model.goldens.questions import Answer, list_questions
from embedding_model.goldens.results import ROUNDING, fail, format_measured, format_value
from embedding_model.ports import CaseResult

NORM_TOLERANCE = 1e-2  # bfloat16 keeps norms within 0.4 %; a missing normalisation is off by far more than 1 %


def judge_case(case: GoldenCase, answers: Sequence[Answer]) -> CaseResult:
    """Judge the answers to `questions.list_questions(case)`, in their order. Raises nothing: they come from a pod.

    An answer that is an error, that is missing, or that answers something else than was asked fails its case.
    """
    asked = len(list_questions(case))
    if len(answers) != asked:
        return fail(case, f"{len(answers)} answers came to {asked} questions")
    error = next((answer.error for answer in answers if answer.error is not None), None)
    if error is not None:
        return fail(case, error)
    match case:
        case SimilarityCase():
            return _judge_pair(case, answers=answers)
        case RankingCase() | ScoreCase():
            scores = answers[0].scores
            if scores is None:
                return fail(case, "the answer holds no scores")
            return (
                compare_ranking(case, scores=scores)
                if isinstance(case, RankingCase)
                else compare_score(case, scores=scores)
            )
        case LabelCase():
            labels = answers[0].labels
            return fail(case, "the answer holds no labels") if labels is None else compare_label(case, labels=labels)
        case VectorCase():
            vector = _read_vector(answers[0])
            return fail(case, vector) if isinstance(vector, str) else _judge_vector(case, answered=vector)
        case _:
            terms = answers[0].terms
            return fail(case, "the answer holds no terms") if terms is None else compare_terms(case, terms=terms)


def decode_vector(text: str) -> list[float]:
    """The float32 values of a base64 string (little-endian, standard alphabet, padded).

    Raises ValueError, without the text in its message, when it is not base64 or not whole float32 values.
    """
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise ValueError("not base64 (standard alphabet, with padding)") from None
    if len(data) % 4:
        raise ValueError(f"{len(data)} bytes, which is not a multiple of the 4 bytes of a float32")
    values = array("f")
    values.frombytes(data)
    if byteorder == "big":
        values.byteswap()
    return values.tolist()


def encode_vector(values: Iterable[float]) -> str:
    """The opposite of decode_vector."""
    packed = array("f", values)
    if byteorder == "big":
        packed.byteswap()
    return base64.b64encode(packed.tobytes()).decode("ascii")


def compare_vector(case: VectorCase, *, vector: Iterable[float]) -> CaseResult:
    """Judge one answered vector. `measured` is the cosine similarity, `threshold` the least that passes."""
    return _judge_vector(case, answered=_to_float32(vector))


def compare_similarity(case: SimilarityCase, *, a: Iterable[float], b: Iterable[float]) -> CaseResult:
    """Judge the two vectors of a pair. `measured` is the distance from the expected cosine, `threshold` the tolerance.

    `detail` names the cosine itself.
    """
    return _judge_similarity(case, first=_to_float32(a), second=_to_float32(b))


def _judge_vector(case: VectorCase, *, answered: list[float]) -> CaseResult:
    """`answered` are float32 values."""
    try:
        golden = decode_vector(case.vector)
    except ValueError as error:
        return fail(case, f"the golden vector is {error}")
    if len(answered) != len(golden):
        return fail(case, f"the golden vector has {len(golden)} dimensions, the answered one {len(answered)}")
    golden_norm, norm = math.hypot(*golden), math.hypot(*answered)
    defect = _find_defect(golden, norm=golden_norm, whose="golden")
    defect = defect or _find_defect(answered, norm=norm, whose="answered")
    if defect is not None:
        return fail(case, defect)
    cosine = _multiply(golden, answered) / (golden_norm * norm)
    threshold = Decimal(case.min_cosine_similarity)
    alike = cosine >= float(threshold) - ROUNDING
    as_long = abs(norm - golden_norm) <= NORM_TOLERANCE * golden_norm
    measured = format_measured(cosine, says=lambda shown: shown >= threshold, verdict=alike)
    if not alike:
        detail = f"cosine similarity {measured} is below {case.min_cosine_similarity}"
    elif not as_long:
        detail = (
            f"cosine similarity {measured}, but the vector's norm is {norm:.6g} and the golden's {golden_norm:.6g}: "
            "one of the two is normalised and the other is not, or they are scaled"
        )
    else:
        detail = f"cosine similarity {measured}, at least {case.min_cosine_similarity} expected"
    return CaseResult(
        name=case.name,
        kind=case.kind,
        passed=alike and as_long,
        measured=measured,
        threshold=case.min_cosine_similarity,
        detail=detail,
    )


def _judge_similarity(case: SimilarityCase, *, first: list[float], second: list[float]) -> CaseResult:
    """Float32 values both."""
    if len(first) != len(second):
        return fail(case, f"the two answered vectors have {len(first)} and {len(second)} dimensions")
    first_norm, second_norm = math.hypot(*first), math.hypot(*second)
    defect = _find_defect(first, norm=first_norm, whose="answered")
    defect = defect or _find_defect(second, norm=second_norm, whose="answered")
    if defect is not None:
        return fail(case, defect)
    cosine = _multiply(first, second) / (first_norm * second_norm)
    tolerance = Decimal(case.tolerance)
    distance = abs(cosine - float(Decimal(case.expected)))
    passed = distance <= float(tolerance) + ROUNDING
    return CaseResult(
        name=case.name,
        kind=case.kind,
        passed=passed,
        measured=format_measured(distance, says=lambda shown: shown <= tolerance, verdict=passed),
        threshold=case.tolerance,
        detail=f"similarity {format_value(cosine)}, expected {case.expected} within {case.tolerance}",
    )


def _judge_pair(case: SimilarityCase, *, answers: Sequence[Answer]) -> CaseResult:
    a, b = (_read_vector(answer) for answer in answers)
    if isinstance(a, str):
        return fail(case, a)
    return fail(case, b) if isinstance(b, str) else _judge_similarity(case, first=a, second=b)


def _read_vector(answer: Answer) -> list[float] | str:
    """The vector, or in words why there is none."""
    if answer.vector is None:
        return "the answer holds no vector"
    try:
        return decode_vector(answer.vector)
    except ValueError as error:
        return f"the answered vector is {error}"


def _to_float32(values: Iterable[float]) -> list[float]:
    """Each as the nearest float32, infinity where there is none."""
    return array("f", values).tolist()


def _find_defect(values: list[float], *, norm: float, whose: str) -> str | None:
    """The norm says at once whether there is one: it is finite and above 0 exactly where no value is NaN or infinite,
    and not all are 0."""
    if not values:
        return f"the {whose} vector is empty"
    if not math.isfinite(norm):
        bad = sum(not math.isfinite(value) for value in values)
        return f"{bad} of the {len(values)} values of the {whose} vector are NaN or infinite"
    if not norm:
        return f"the {whose} vector is zero"
    return None


def _multiply(a: list[float], b: list[float]) -> float:
    """Of float32 values: no product and no sum of them leaves the range of float64, and a plain sum of thousands is off
    by less than ROUNDING. An operator judges thousands of vectors a minute, so the loop is the interpreter's own.
    """
    product: float = sum(map(operator.mul, a, b))
    return product
