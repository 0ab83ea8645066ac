"""A reranker with a classification head: query and document as one input, one logit out."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Inspection, Serving
from embedding_runtime.architectures.batch import collate
from embedding_runtime.architectures.network import Network
from embedding_runtime.core.jobs import Output, Tokens
from embedding_runtime.files import Files


class CrossEncoder:
    """Thread-safe: weights are read only. `relevant` is the output that means so where there are two; else None."""

    def __init__(self, network: Network, *, relevant: int | None) -> None:
        self.name = network.name
        self.count_computed = network.count_computed
        self._network = network
        self._relevant = relevant
        self._has_types = count_types(network) > 1

    @torch.inference_mode()
    def compute(self, batch: Sequence[Tokens]) -> list[Output]:
        """`dense` is float32 [1]: the one logit, or that of "relevant" minus that of the other label.

        The sigmoid of the difference is the probability of "relevant" in the softmax over the two.
        """
        collated = collate(batch, pad_id=self._network.pad_id, device=self._network.device)
        if not self._has_types:
            collated = replace(collated, types=None)
        logits = self._network.forward(collated).float()
        if self._relevant is not None:
            logits = logits[:, self._relevant, None] - logits[:, 1 - self._relevant, None]
        if logits.shape[1] != 1:
            raise ValueError(f"a reranker has one logit; this head gave {logits.shape[1]}")
        return [Output(dense=row) for row in logits.cpu().numpy()]


def count_types(network: Network) -> int:
    """How many kinds of token the embeddings tell apart; where it is one, the second text of a pair has no number."""
    own = getattr(getattr(network.module, "config", None), "type_vocab_size", None)
    return own if isinstance(own, int) else 2


def load_cross_encoder(files: Files, *, network: Network, inspection: Inspection, serving: Serving) -> CrossEncoder:
    """Raises Refusal(INVALID_FILE) for labels without the one that means "relevant"."""
    scoring = inspection.scoring
    if scoring is None or scoring.label is None:
        return CrossEncoder(network, relevant=None)
    if len(inspection.labels) != 2 or scoring.label not in inspection.labels:
        raise Refusal(
            Reason.INVALID_FILE, f"The score is the label {scoring.label!r}, but the labels are {inspection.labels}."
        )
    return CrossEncoder(network, relevant=inspection.labels.index(scoring.label))
