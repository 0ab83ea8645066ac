"""Scores of rerankers: sentence-transformers' CrossEncoder, or for language models the formula of their authors.

A cross-encoder is loaded and activated as the library reads its files; the activation is replaced where the spec
overrides it. A language model that reranks by a prompt is computed with transformers alone, as the model card of
Qwen3-Reranker, FlagEmbedding and mxbai-rerank do: the pieces of the prompt tokenised one by one, one pair at a time,
the logits of the last position. The prompts themselves are data that both sides share
(embedding_model.rerank_templates).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import CrossEncoder

from embedding_model.rerank_templates import RERANK_TEMPLATES, Segment, Slot
from embedding_model.resolved import Activation, ResolvedModel, ScoreRule, Scoring, Side
from embedding_runtime.reference.checked_modules import has_modules, load_saved, load_transformer
from embedding_runtime.reference.checked_network import load_network, load_tokenizer
from embedding_runtime.reference.lengths import apply_lengths
from embedding_runtime.reference.libraries import computing, loading

Scores = npt.NDArray[np.float32]

# Of one logit. Softmax is that of two labels: the sigmoid of the difference of their logits.
ACTIVATIONS: Mapping[Activation, Callable[[torch.Tensor], torch.Tensor]] = {
    Activation.IDENTITY: lambda logit: logit,
    Activation.SIGMOID: torch.sigmoid,
    Activation.SOFTMAX: torch.sigmoid,
    Activation.TANH: torch.tanh,
}


class Reranker(Protocol):
    """One model, loaded in float32."""

    def is_comparable(self, query: str, document: str) -> bool:
        """Whether the reference and this runtime keep the same of a pair that is too long."""

    def score(self, query: str, documents: Sequence[str]) -> Scores:
        """Float32 [documents], after the served activation; each pair alone."""

    def round_weights(self) -> None:
        """From now on its weights are bfloat16."""


def load_reranker(folder: Path, *, resolved: ResolvedModel, device: torch.device) -> Reranker:
    """Raises Refusal, Unavailable."""
    scoring = resolved.inspection.scoring
    if scoring is None:
        raise ValueError("a reranker says how it scores")
    with loading(resolved.inspection):
        if scoring.template is not None:
            return TemplateReranker(folder, resolved=resolved, scoring=scoring, device=device)
        return PairReranker(folder, resolved=resolved, scoring=scoring, device=device)


class PairReranker:
    """A cross-encoder: query and document as the two texts of the tokenizer's pair."""

    def __init__(self, folder: Path, *, resolved: ResolvedModel, scoring: Scoring, device: torch.device) -> None:
        serving, inspection = resolved.serving, resolved.inspection
        self._label = scoring.label
        if has_modules(folder):
            self._model = load_saved(CrossEncoder, folder=folder, device=str(device))
        else:
            # Some configurations do not say how many outputs there are, and transformers would take two.
            labels = {} if scoring.label is not None else {"num_labels": 1}
            transformer = load_transformer(folder, task="sequence-classification", **labels)
            self._model = CrossEncoder(modules=[transformer], device=str(device))
        apply_lengths(self._model, serving=serving, inspection=inspection, is_saved=True)
        is_own = self._label is None and serving.activation is inspection.activation
        assert serving.activation is not None
        self._activate = None if is_own else ACTIVATIONS[serving.activation]

    def is_comparable(self, query: str, document: str) -> bool:
        """The library cuts the longer text until both are equally long; a query that is the longer one is kept here."""
        whole, alone = self._model.tokenizer(query, document), self._model.tokenizer(query, add_special_tokens=False)
        room = self._model.max_seq_length - self._model.tokenizer.num_special_tokens_to_add(pair=True)
        return bool(len(whole["input_ids"]) <= self._model.max_seq_length or len(alone["input_ids"]) <= room // 2)

    def score(self, query: str, documents: Sequence[str]) -> Scores:
        with computing():
            return np.array([self._score(query, document) for document in documents], dtype=np.float32)

    def _score(self, query: str, document: str) -> float:
        identity = {} if self._activate is None else {"activation_fn": torch.nn.Identity()}
        found = self._model.predict([(query, document)], convert_to_tensor=True, show_progress_bar=False, **identity)
        values = found[0].float()
        if self._label is not None:
            relevant = self._find_label()
            values = values[relevant] - values[1 - relevant]
        return float(values if self._activate is None else self._activate(values))

    def round_weights(self) -> None:
        self._model.to(torch.bfloat16)

    def _find_label(self) -> int:
        names: Mapping[int, str] = self._model.config.id2label
        return next(int(index) for index, name in names.items() if name == self._label)


class TemplateReranker:
    """A language model that sees query and document in the prompt that it was trained with."""

    def __init__(self, folder: Path, *, resolved: ResolvedModel, scoring: Scoring, device: torch.device) -> None:
        assert scoring.template is not None
        assert resolved.serving.activation is not None
        place = folder / (resolved.inspection.folder or "")
        self._template = RERANK_TEMPLATES[scoring.template]
        self._instruction = resolved.serving.instruction or self._template.instruction
        self._max_tokens = resolved.serving.max_input_tokens
        self._keeps_beginning = resolved.serving.truncation_side is Side.RIGHT
        self._activate = ACTIVATIONS[resolved.serving.activation]
        self._tokenizer = load_tokenizer(place)
        self._reads_tokens = scoring.rule is ScoreRule.TOKEN_LOGITS
        self._true = self._find_token(scoring.true_token, token_id=scoring.true_token_id)
        self._false = self._find_token(scoring.false_token, token_id=scoring.false_token_id)
        kind = "AutoModelForCausalLM" if self._reads_tokens else "AutoModelForSequenceClassification"
        self._network = load_network(place, kind=kind, device=device)

    def is_comparable(self, query: str, document: str) -> bool:
        """The formulas keep the beginning of a document, however little of it the query leaves room for."""
        if len(self._tokenize(query, document, is_whole=True)) <= self._max_tokens:
            return True
        room = self._max_tokens - len(self._tokenize("", "", is_whole=True))
        taken = self._max_tokens - len(self._tokenize(query, "", is_whole=True))
        return self._keeps_beginning and taken > room // 2

    def score(self, query: str, documents: Sequence[str]) -> Scores:
        with computing(), torch.inference_mode():
            return np.array([self._score(query, document) for document in documents], dtype=np.float32)

    def _score(self, query: str, document: str) -> float:
        ids = torch.tensor([self._tokenize(query, document)], device=self._network.device)
        options = {"logits_to_keep": 1} if self._reads_tokens else {}
        logits = self._network(input_ids=ids, attention_mask=torch.ones_like(ids), **options).logits[0].float()
        if not self._reads_tokens:
            return float(self._activate(logits.reshape(-1)[0]))
        last = logits[-1]
        value = last[self._true] if self._false is None else last[self._true] - last[self._false]
        return float(self._activate(value))

    def round_weights(self) -> None:
        self._network.to(torch.bfloat16)

    def _tokenize(self, query: str, document: str, *, is_whole: bool = False) -> list[int]:
        """What is too long is cut off the end of the segment that holds the document, unless `is_whole`."""
        segments = self._template.choose(self._instruction)
        written = [self._write(segment, query=query, document=document) for segment in segments]
        pieces = [list(self._tokenizer(text, add_special_tokens=False)["input_ids"]) for text in written]
        room = self._max_tokens - sum(
            len(piece) for piece, segment in zip(pieces, segments, strict=True) if Slot.DOCUMENT not in segment
        )
        return [
            id_
            for piece, segment in zip(pieces, segments, strict=True)
            for id_ in (piece[:room] if Slot.DOCUMENT in segment and not is_whole else piece)
        ]

    def _write(self, segment: Segment, *, query: str, document: str) -> str:
        values = {Slot.INSTRUCTION: self._instruction or "", Slot.QUERY: query, Slot.DOCUMENT: document}
        return "".join(values[part] if isinstance(part, Slot) else part for part in segment)

    def _find_token(self, token: str | None, *, token_id: int | None) -> int | None:
        if token is None:
            return token_id
        found: int = self._tokenizer.convert_tokens_to_ids(token)
        return found
