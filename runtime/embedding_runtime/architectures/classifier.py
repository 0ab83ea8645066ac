"""A classifier: a text, or two, to one logit for each label."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Inspection, Serving
from embedding_runtime.architectures.batch import collate
from embedding_runtime.architectures.cross_encoder import count_types
from embedding_runtime.architectures.network import Network
from embedding_runtime.core.jobs import Output, Tokens
from embedding_runtime.files import Files


class Classifier:
    """Thread-safe: weights are read only."""

    def __init__(self, network: Network) -> None:
        self.name = network.name
        self.count_computed = network.count_computed
        self._network = network
        self._has_types = count_types(network) > 1

    @torch.inference_mode()
    def compute(self, batch: Sequence[Tokens]) -> list[Output]:
        """`dense` is float32 [labels]: logits, before the activation, in the order of the head's outputs."""
        collated = collate(batch, pad_id=self._network.pad_id, device=self._network.device)
        if not self._has_types:
            collated = replace(collated, types=None)
        logits = self._network.forward(collated).float().cpu().numpy()
        return [Output(dense=row) for row in logits]


def load_classifier(files: Files, *, network: Network, inspection: Inspection, serving: Serving) -> Classifier:
    """Raises Refusal(CONTRADICTORY_EVIDENCE) for labels that are not as many as the outputs of the head."""
    outputs = getattr(getattr(network.module, "config", None), "num_labels", None)
    if inspection.labels and outputs is not None and outputs != len(inspection.labels):
        raise Refusal(
            Reason.CONTRADICTORY_EVIDENCE,
            f"The model has {len(inspection.labels)} labels, but its head has {outputs} outputs.",
        )
    return Classifier(network)
