"""Cases of a sparse model, by sentence-transformers' SparseEncoder: the heaviest terms of each text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SparseEncoder
from sentence_transformers.sparse_encoder.modules import SpladePooling

from embedding_model.goldens.cases import SparseCase, Term
from embedding_model.refusal import Reason
from embedding_model.resolved import Quantization, ResolvedModel
from embedding_runtime.reference.checked_modules import has_modules, load_saved, load_transformer
from embedding_runtime.reference.lengths import apply_lengths
from embedding_runtime.reference.libraries import computing, loading, refuse, require_finite
from embedding_runtime.reference.prompts import PromptChoice
from embedding_runtime.reference.texts import AskedText, choose_texts
from embedding_runtime.reference.tolerances import BFLOAT16, MOST_SHARE, measure_share, write_decimal

Cases = tuple[SparseCase, ...]
Weights = npt.NDArray[np.float32]

MOST_TERMS = 24
# Of the heaviest weight: what half precision moves is a larger share of a light weight than of a heavy one.
_LIGHTEST = 0.4
_QUERY = "query"


class WeighingModel(Protocol):
    """What gives texts their weights, such as SparseModel."""

    def embed(self, texts: Sequence[AskedText]) -> Weights: ...

    def round_weights(self) -> None: ...

    def name_terms(self, ids: Sequence[int]) -> list[str]: ...


class SparseModel:
    """One model, loaded in float32."""

    def __init__(self, folder: Path, *, resolved: ResolvedModel, device: torch.device) -> None:
        """Raises Refusal, Unavailable."""
        head = resolved.inspection.sparse
        if head is None:
            raise ValueError("a sparse model has a head")
        self._has_table = head.query_weights is not None
        self._prompts = PromptChoice(folder, resolved=resolved)
        with loading(resolved.inspection):
            if has_modules(folder):
                self._model = load_saved(SparseEncoder, folder=folder, device=str(device))
            else:
                transformer = load_transformer(folder, task="fill-mask")
                pooling = SpladePooling(pooling_strategy="max", activation_function=head.activation)
                self._model = SparseEncoder(modules=[transformer, pooling], device=str(device))
            apply_lengths(self._model, serving=resolved.serving, inspection=resolved.inspection, is_saved=True)

    def embed(self, texts: Sequence[AskedText]) -> Weights:
        """Float32 [texts, vocabulary]; each text alone."""
        with computing():
            return np.stack([self._embed(text) for text in texts])

    def round_weights(self) -> None:
        """From now on its weights are bfloat16."""
        self._model.to(torch.bfloat16)

    def name_terms(self, ids: Sequence[int]) -> list[str]:
        """The tokens as the tokenizer writes them; `[id]` for a row of the weights that is none of its tokens."""
        found: list[str | None] = self._model.tokenizer.convert_ids_to_tokens(list(ids))
        return [token or f"[{id_}]" for id_, token in zip(ids, found, strict=True)]

    def _embed(self, text: AskedText) -> Weights:
        """Where a table weights the tokens of queries, the prompt of that name asks for it, as it does of a pod."""
        route: dict[str, Any] = {}
        if self._has_table:
            route = {"task": _QUERY if text.prompt == _QUERY else "document"}
        found = self._model.encode(
            [text.text],
            **self._prompts.choose(text.prompt),
            **route,
            convert_to_sparse_tensor=False,
            show_progress_bar=False,
        )
        weights: Weights = found[0].float().cpu().numpy()
        return weights


def compute_sparse_cases(folder: Path, *, resolved: ResolvedModel, device: torch.device) -> tuple[Cases, Cases]:
    """The goldens and the holdout: at most 12 and 28 texts. A text without any weight is left out.

    Raises Refusal, also where that leaves none, Unavailable.
    """
    serving = resolved.serving
    names = [prompt.name for prompt in serving.prompts]
    head = resolved.inspection.sparse
    if head is not None and head.query_weights is not None and _QUERY not in names:
        names.append(_QUERY)
    halves = choose_texts(max_input_tokens=serving.max_input_tokens, prompts=names)
    return write_sparse_cases(halves, model=SparseModel(folder, resolved=resolved, device=device), resolved=resolved)


def write_sparse_cases(
    halves: Sequence[Sequence[AskedText]], *, model: WeighingModel, resolved: ResolvedModel
) -> tuple[Cases, Cases]:
    """The heaviest terms of each text of both halves; the model's weights are rounded afterwards.

    A text without any weight is left out. Raises Refusal, also where that leaves none, Unavailable.
    """
    exact = [model.embed(half) for half in halves]
    for half in exact:
        require_finite(half)
    chosen = [[choose_terms(row) for row in half] for half in exact]
    tolerance = _measure(halves, model=model, exact=exact, chosen=chosen, resolved=resolved)
    goldens, holdout = (
        tuple(
            _write(text, row=row, ids=ids, model=model, tolerance=tolerance)
            for text, row, ids in zip(half, rows, terms, strict=True)
            if ids
        )
        for half, rows, terms in zip(halves, exact, chosen, strict=True)
    )
    if not goldens or not holdout:
        raise refuse(Reason.INVALID_FILE, "The reference implementation gives no text of the set any weight.")
    return goldens, holdout


def choose_terms(row: Weights) -> list[int]:
    """Numbers of the heaviest terms of a float32 [vocabulary], heaviest first."""
    heaviest = np.argsort(-row, kind="stable")[:MOST_TERMS]
    least = max(float(row.max()) * _LIGHTEST, np.finfo(np.float32).tiny)
    return [int(id_) for id_ in heaviest if row[id_] >= least]


def _measure(
    halves: Sequence[Sequence[AskedText]],
    *,
    model: WeighingModel,
    exact: Sequence[Weights],
    chosen: Sequence[Sequence[Sequence[int]]],
    resolved: ResolvedModel,
) -> float:
    def read(rows: Sequence[Weights]) -> Weights:
        found = zip(np.concatenate(rows), (ids for half in chosen for ids in half), strict=True)
        return np.concatenate([row[list(ids)] for row, ids in found])

    if resolved.serving.quantization is not Quantization.NONE:
        return MOST_SHARE  # of what the runtime rounds nothing is measured here
    rounded = None
    if BFLOAT16 not in resolved.inspection.avoid_dtypes:
        model.round_weights()
        rounded = read([model.embed(half) for half in halves])
    return measure_share(read(exact), rounded=rounded)


def _write(text: AskedText, *, row: Weights, ids: Sequence[int], model: WeighingModel, tolerance: float) -> SparseCase:
    terms = zip(model.name_terms(ids), ids, strict=True)
    return SparseCase(
        name=text.name,
        input=text.text,
        prompt=text.prompt,
        terms=tuple(Term(term=term, weight=write_decimal(float(row[id_]))) for term, id_ in terms),
        tolerance=write_decimal(tolerance),
    )
