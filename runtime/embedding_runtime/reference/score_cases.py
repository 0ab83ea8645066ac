"""Ranking and score cases of a reranker."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from embedding_model.goldens.cases import RankingCase, ScoreCase
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Activation, ResolvedModel
from embedding_runtime.reference.libraries import refuse, require_finite
from embedding_runtime.reference.rerank_texts import RerankTexts, choose_rerank_texts
from embedding_runtime.reference.reranker import Reranker, Scores, load_reranker
from embedding_runtime.reference.tolerances import BFLOAT16, measure_tolerance, write_decimal, write_decimal_down

Cases = tuple[RankingCase | ScoreCase, ...]

SCORED = 3  # documents of each query whose scores are cases of their own: the right one, the long one and another


def compute_score_cases(folder: Path, *, resolved: ResolvedModel, device: torch.device) -> tuple[Cases, Cases]:
    """The goldens and the holdout: of each of 3 and of 7 queries one order and three scores.

    A document is left out where the libraries keep other parts of a pair that is too long than this runtime does
    (docs/decisions/0009), and left out of an order where half precision could move it past its neighbour. Raises
    Refusal, also where that leaves nothing or nothing that fails a pod of one score for everything, Unavailable.
    """
    serving = resolved.serving
    reranker = load_reranker(folder, resolved=resolved, device=device)
    chosen = choose_rerank_texts(max_input_tokens=serving.max_input_tokens)
    halves = [[_keep_comparable(texts, reranker=reranker) for texts in half] for half in chosen]
    if not all(any(texts.documents for texts in half) for half in halves):
        raise refuse(
            Reason.INVALID_OVERRIDE,
            f"{serving.max_input_tokens} tokens are too few for a query and a document of the fixed text set.",
        )
    exact = [_score(half, reranker=reranker) for half in halves]
    everything = np.concatenate([scores for half in exact for scores in half])
    require_finite(everything)
    rounded = None
    if BFLOAT16 not in resolved.inspection.avoid_dtypes:
        reranker.round_weights()
        rounded = np.concatenate([scores for half in halves for scores in _score(half, reranker=reranker)])
    is_logit = serving.activation is Activation.IDENTITY
    scale = max(1.0, float(np.ptp(everything))) if is_logit else 1.0
    tolerance = measure_tolerance(everything, rounded=rounded, scale=scale)
    goldens, holdout = (
        _write(half, scores=scores, tolerance=tolerance) for half, scores in zip(halves, exact, strict=True)
    )
    for cases, scores in zip((goldens, holdout), exact, strict=True):
        if not refutes_constant(cases):
            raise _refuse_constant(np.concatenate(scores), tolerance=tolerance, is_logit=is_logit)
    return goldens, holdout


def refutes_constant(cases: Cases) -> bool:
    """Whether no answer of one score for every pair passes all the cases: equal scores are no order."""
    if any(isinstance(case, RankingCase) for case in cases):
        return True
    scored = [case for case in cases if isinstance(case, ScoreCase)]
    lowest = max(Decimal(case.expected) - Decimal(case.tolerance) for case in scored)
    highest = min(Decimal(case.expected) + Decimal(case.tolerance) for case in scored)
    return lowest > highest


def _refuse_constant(scores: Scores, *, tolerance: float, is_logit: bool) -> Refusal:
    # A reranker of one field or language may find nothing relevant here: its activation is saturated, not its logits.
    instead = (
        "" if is_logit else " With reranking.activation: Identity the logits are compared, which lie further apart."
    )
    return refuse(
        Reason.INVALID_FILE,
        "For every pair of the set the reference implementation gives nearly the same score, from "
        f"{scores.min():.6f} to {scores.max():.6f} with a tolerance of {tolerance:.6f}, so that no answer tells a "
        f"right pod from one that answers a single number to everything.{instead}",
    )


def _keep_comparable(texts: RerankTexts, *, reranker: Reranker) -> RerankTexts:
    kept = [document for document in texts.documents if reranker.is_comparable(texts.query, document)]
    return replace(texts, documents=kept)


def _score(half: Sequence[RerankTexts], *, reranker: Reranker) -> list[Scores]:
    return [reranker.score(texts.query, texts.documents) for texts in half]


def _write(half: Sequence[RerankTexts], *, scores: Sequence[Scores], tolerance: float) -> Cases:
    cases: list[RankingCase | ScoreCase] = []
    for texts, found in zip(half, scores, strict=True):
        order = order_apart(found, distance=2 * tolerance)
        if len(order) > 1:
            gap = min(float(found[better] - found[worse]) for better, worse in pairwise(order))
            kept = sorted(order)
            cases.append(
                RankingCase(
                    name=f"{texts.name}-order",
                    query=texts.query,
                    documents=tuple(texts.documents[number] for number in kept),
                    order=tuple(kept.index(number) for number in order),
                    min_gap=write_decimal_down(gap - 2 * tolerance),
                )
            )
        cases += [
            ScoreCase(
                name=f"{texts.name}-score-{number + 1}",
                query=texts.query,
                document=texts.documents[number],
                expected=write_decimal(float(found[number])),
                tolerance=write_decimal(tolerance),
            )
            for number in range(min(SCORED, len(texts.documents)))
        ]
    return tuple(cases)


def order_apart(scores: Scores, *, distance: float) -> list[int]:
    """Numbers of documents, best first, without those that are not `distance` below the one before them."""
    chosen: list[int] = []
    for number in np.argsort(-scores, kind="stable").tolist():
        if not chosen or scores[chosen[-1]] - scores[number] > distance:
            chosen.append(number)
    return chosen
