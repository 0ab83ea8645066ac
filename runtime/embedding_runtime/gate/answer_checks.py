"""Built-in checks of answers: what holds for every healthy model, whatever it says, so that no golden case is needed.

    check.finite      every value is a number
    check.dimensions  a vector has as many values as are served, a classifier answers each of its labels
    check.norm        a vector has norm 1 where vectors are normalised
    check.batch       a text is answered alone as it is among others of mixed lengths
    check.neighbours  whichever texts those are

A run computes twelve short texts: TEXTS one by one, TEXTS together, and the first of them beside NEIGHBOURS. A text of
which the model's tokenizer makes no token is left out. Each further head of an embedder is asked twelve more, for
checks of its own, such as check.batch.sparse: all but dimensions and norm.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from embedding_model.goldens.compare import NORM_TOLERANCE, decode_vector
from embedding_model.goldens.questions import Answer, Question, QuestionKind
from embedding_model.goldens.results import format_measured
from embedding_model.ports import CaseResult
from embedding_model.resolved import ResolvedModel, Task, TokenHeadKind
from embedding_runtime.core.inputs import Pair, Text
from embedding_runtime.errors import InvalidRequest, RequestError
from embedding_runtime.gate.asking import ask_app_together, ask_twice
from embedding_runtime.gate.check_results import describe_check
from embedding_runtime.http.app import App
from embedding_runtime.http.dialect import Loaded

# Of mixed lengths, so that a batch of them is padded, and of few tokens, so that they are one batch.
TEXTS = (
    "rain",
    "The train to the coast leaves at 7:45.",
    "Bread needs flour, water, salt and patience; it rises over night.",
    "Which of the two bridges is the older one?",
)
NEIGHBOURS = ("one two three four five six seven eight nine ten", "Nobody knows.", "snow")
QUERY = "When does the train leave?"  # asked of a reranker, for which the texts are documents

FULL_PRECISION = "float32"
# Batches of other shapes add up in another order: some 1e-6 in float32; with the 8 or 11 bits of half precision every
# layer rounds otherwise.
MIN_COSINE, MIN_COSINE_HALF = 0.9999, 0.999
# A text's vector is made of all its tokens, and little of what half precision does to one of them is left in it. The
# answers of a further head are the tokens' own; those of other texts, or of padding that counts, are much farther off.
MIN_COSINE_TOKENS_HALF = 0.99
SCORE_TOLERANCE, SCORE_TOLERANCE_HALF = 1e-3, 0.1  # of a score above 1: of its size
NEGLIGIBLE = 1e-6  # values that differ by no more are alike: a cosine of vectors that are nearly zero says nothing

_KINDS: Mapping[Task, QuestionKind] = {
    Task.EMBEDDING: QuestionKind.EMBED,
    Task.RERANKING: QuestionKind.RERANK,
    Task.CLASSIFICATION: QuestionKind.CLASSIFY,
    Task.SPARSE: QuestionKind.SPARSE,
}


@dataclass(frozen=True)
class _Head:
    """What is asked of a further head, and the end of its checks' names. `of_tokens`: see ask_app_together."""

    kind: QuestionKind
    name: str
    of_tokens: bool = False


_HEADS: Mapping[TokenHeadKind, _Head] = {
    TokenHeadKind.SPARSE: _Head(kind=QuestionKind.SPARSE, name="sparse"),
    TokenHeadKind.MULTI_VECTOR: _Head(kind=QuestionKind.EMBED, name="multi-vector", of_tokens=True),
}


async def check_answers(app: App) -> list[CaseResult]:
    """One result for each check that the model's task has, and its further heads have, also while the gate is shut.

    What has an error for an answer twice fails check.finite, and is all that is reported then of this output of the
    model. Raises NotAsked.
    """
    loaded = app.loaded
    assert loaded is not None
    texts = await _find_usable(TEXTS, loaded=loaded)
    others = await _find_usable(NEIGHBOURS, loaded=loaded)
    if not texts:
        return []
    resolved = loaded.model.resolved
    results = await _check_output(app, texts, others=others, head=None)
    for head in resolved.inspection.token_heads if resolved.serving.task is Task.EMBEDDING else ():
        results += await _check_output(app, texts, others=others, head=_HEADS[head.kind])
    return results


async def _check_output(
    app: App, texts: Sequence[str], *, others: Sequence[str], head: _Head | None
) -> list[CaseResult]:
    """Of what the task answers, or of a further head."""
    loaded = app.loaded
    assert loaded is not None
    task = loaded.model.serving.task
    questions, neighbours = (
        [_ask_about(text, task=task, kind=head.kind if head else _KINDS[task]) for text in asked]
        for asked in (texts, others)
    )
    ask = ask_twice(ask_app_together(app, of_tokens=head is not None and head.of_tokens))
    alone = [answer for question in questions for answer in await ask([question])]
    together = await ask(questions)
    *_, beside = await ask([*neighbours, questions[0]])
    judge = partial(judge_answers, resolved=loaded.model.resolved) if head is None else partial(_judge_head, head=head)
    # Long vectors take tens of milliseconds, for which requests would wait.
    return await asyncio.to_thread(judge, alone, together=together, beside=beside, dtype=loaded.dtype)


def judge_answers(
    alone: Sequence[Answer], *, together: Sequence[Answer], beside: Answer, resolved: ResolvedModel, dtype: str
) -> list[CaseResult]:
    """`alone` and `together` answer the same questions, `beside` the first of them once more."""
    answers = [*alone, *together, beside]
    finite = judge_finite(answers)
    if not finite.passed:
        return [finite]
    checks = [finite, *judge_dimensions(answers, resolved=resolved)]
    if resolved.serving.task is Task.EMBEDDING and resolved.serving.normalize:
        checks.append(judge_norm(answers))
    is_half = dtype != FULL_PRECISION
    checks.append(judge_alike("batch", zip(alone, together, strict=True), is_half=is_half))
    checks.append(judge_alike("neighbours", [(together[0], beside)], is_half=is_half))
    return checks


def _judge_head(
    alone: Sequence[Answer], *, together: Sequence[Answer], beside: Answer, dtype: str, head: _Head
) -> list[CaseResult]:
    """The same of a further head, which has neither dimensions nor a norm that hold for a whole text."""
    checks = [judge_finite([*alone, *together, beside])]
    if checks[0].passed:
        least = MIN_COSINE if dtype == FULL_PRECISION else MIN_COSINE_TOKENS_HALF
        checks.append(_judge_cosine("batch", zip(alone, together, strict=True), least=least))
        checks.append(_judge_cosine("neighbours", [(together[0], beside)], least=least))
    return [
        check.model_copy(
            update={"name": f"{check.name}.{head.name}", "detail": f"of the {head.name} head: {check.detail}"}
        )
        for check in checks
    ]


def judge_finite(answers: Sequence[Answer]) -> CaseResult:
    """`measured`: how many values are NaN or infinite."""
    error = next((answer.error for answer in answers if answer.error is not None), None)
    if error is not None:
        return describe_check("finite", passed=False, detail=f"a check text was not answered: {error}")
    values = [value for answer in answers for value in _values(answer).values()]
    bad = sum(not math.isfinite(value) for value in values)
    return describe_check(
        "finite",
        passed=not bad,
        measured=str(bad),
        threshold="0",
        detail=f"{bad} of {len(values)} values are NaN or infinite",
    )


def judge_dimensions(answers: Sequence[Answer], *, resolved: ResolvedModel) -> list[CaseResult]:
    """`measured`: values of an answer. Nothing for a model that does not say how many it has."""
    task, expected = resolved.serving.task, None
    if task is Task.EMBEDDING:
        expected = resolved.serving.dimensions
    elif task is Task.CLASSIFICATION:
        expected = len(resolved.inspection.labels) or None
    elif task is Task.RERANKING:
        expected = 1  # a score for each document
    if expected is None:
        return []
    counts = {len(_values(answer)) for answer in answers}
    wrong = next((count for count in counts if count != expected), expected)
    return [
        describe_check(
            "dimensions",
            passed=wrong == expected,
            measured=str(wrong),
            threshold=str(expected),
            detail=f"an answer has {wrong} values, {expected} expected",
        )
    ]


def judge_norm(answers: Sequence[Answer]) -> CaseResult:
    """`measured`: how far the norm that is farthest from 1 is from it."""
    norms = [math.hypot(*_values(answer).values()) for answer in answers]
    worst = max(norms, key=lambda norm: abs(norm - 1))
    off = abs(worst - 1)
    passed = off <= NORM_TOLERANCE
    return describe_check(
        "norm",
        passed=passed,
        measured=format_measured(off, says=lambda shown: float(shown) <= NORM_TOLERANCE, verdict=passed),
        threshold=str(NORM_TOLERANCE),
        detail=f"vectors are normalised, and the norm farthest from 1 is {worst:.6g}",
    )


def judge_alike(what: str, pairs: Iterable[tuple[Answer, Answer]], *, is_half: bool) -> CaseResult:
    """Answers to the same question. `measured`: the smallest cosine, or the largest difference of scores."""
    found = list(pairs)
    if found[0][0].scores is None and found[0][0].labels is None:
        return _judge_cosine(what, found, least=MIN_COSINE_HALF if is_half else MIN_COSINE)
    most = SCORE_TOLERANCE_HALF if is_half else SCORE_TOLERANCE
    worst = max(_distance(_values(one), _values(other)) for one, other in found)
    return describe_check(
        what,
        passed=worst <= most,
        measured=format_measured(worst, says=lambda shown: float(shown) <= most, verdict=worst <= most),
        threshold=str(most),
        detail=f"{_MEANINGS[what]}: scores differ by {worst:.6f}, at most {most} expected",
    )


def _judge_cosine(what: str, pairs: Iterable[tuple[Answer, Answer]], *, least: float) -> CaseResult:
    worst = min(_cosine(_values(one), _values(other)) for one, other in pairs)
    return describe_check(
        what,
        passed=worst >= least,
        measured=format_measured(worst, says=lambda shown: float(shown) >= least, verdict=worst >= least),
        threshold=str(least),
        detail=f"{_MEANINGS[what]}: cosine similarity {worst:.6f}, at least {least} expected",
    )


_MEANINGS: Mapping[str, str] = {
    "batch": "the same texts alone and in one batch",
    "neighbours": "the same text beside other texts",
}


async def _find_usable(texts: Sequence[str], *, loaded: Loaded) -> list[str]:
    """Those of the texts that have tokens."""
    task, found = loaded.model.serving.task, []
    for text in texts:
        try:
            await loaded.tokenizer.encode([Pair(QUERY, text) if task is Task.RERANKING else Text(text)])
        except InvalidRequest:
            continue
        except RequestError:
            pass  # it is reported when it is asked
        found.append(text)
    return found


def _ask_about(text: str, *, task: Task, kind: QuestionKind) -> Question:
    if task is Task.RERANKING:
        return Question(kind=QuestionKind.RERANK, text=QUERY, documents=(text,))
    return Question(kind=kind, text=text)


def _values(answer: Answer) -> dict[Hashable, float]:
    """Every value of an answer, by what it is the value of. Labels of one name are told apart by their order."""
    if answer.vector is not None:
        return dict(enumerate(decode_vector(answer.vector)))
    if answer.scores is not None:
        return dict(enumerate(answer.scores))
    if answer.labels is not None:
        seen: Counter[str] = Counter()
        found: dict[Hashable, float] = {}
        for entry in answer.labels:
            found[entry.label, seen[entry.label]] = entry.score
            seen[entry.label] += 1
        return found
    return {term.term: term.weight for term in answer.terms or ()}


def _cosine(one: Mapping[Hashable, float], other: Mapping[Hashable, float]) -> float:
    """1 for answers that are as good as equal, 0 where one of them is zero and the other is not."""
    keys = one.keys() | other.keys()
    if all(abs(one.get(key, 0.0) - other.get(key, 0.0)) <= NEGLIGIBLE for key in keys):
        return 1.0
    norms = math.hypot(*one.values()) * math.hypot(*other.values())
    return math.fsum(value * other.get(key, 0.0) for key, value in one.items()) / norms if norms else 0.0


def _distance(one: Mapping[Hashable, float], other: Mapping[Hashable, float]) -> float:
    if one.keys() != other.keys():
        return math.inf
    return max(abs(value - other[key]) / max(1.0, abs(value)) for key, value in one.items())
