"""A language model that reranks: the logit of its "yes" behind a template, minus that of its "no".

As sentence-transformers' LogitScore (cross_encoder/modules/logit_score.py) reads it. Of the matrix from hidden states
to words two rows are needed, and of the hidden states the last: logits over 151,669 words would be most of the work.
"""

from collections.abc import Sequence

import torch

from embedding_model.resolved import Inspection, Serving
from embedding_runtime.architectures.batch import collate
from embedding_runtime.architectures.network import Network
from embedding_runtime.core.jobs import Output, Tokens
from embedding_runtime.files import Files


class LanguageModelReranker:
    """Thread-safe: weights are read only. `direction` float32 [width]: what a hidden state is multiplied with."""

    def __init__(self, network: Network, *, direction: torch.Tensor) -> None:
        self.name = network.name
        self.count_computed = network.count_computed
        self._network = network
        self._direction = direction

    @torch.inference_mode()
    def compute(self, batch: Sequence[Tokens]) -> list[Output]:
        """`dense` is float32 [1]: the logit of the true token, minus that of the false one where there is one."""
        collated = collate(batch, pad_id=self._network.pad_id, device=self._network.device)
        hidden = self._network.forward(collated)
        rows = torch.arange(hidden.shape[0], device=hidden.device)
        last = hidden[rows, collated.last_positions()]
        scores = last.float() @ self._direction
        return [Output(dense=row) for row in scores[:, None].cpu().numpy()]


def load_language_model_reranker(
    files: Files, *, network: Network, inspection: Inspection, serving: Serving
) -> LanguageModelReranker:
    """The difference of the two logits is one product: with the difference of their rows, in float32."""
    scoring = inspection.scoring
    if scoring is None or scoring.true_token_id is None:
        raise ValueError("a language model that reranks has a token for yes")
    words = network.module.get_submodule("lm_head").get_parameter("weight")
    direction = words[scoring.true_token_id].float()
    if scoring.false_token_id is not None:
        direction = direction - words[scoring.false_token_id].float()
    return LanguageModelReranker(network, direction=direction.contiguous())
