"""What turns logits into scores, float32 in and out, of any shape unless said otherwise."""

from collections.abc import Callable, Mapping

import numpy as np

from embedding_model.resolved import Activation
from embedding_runtime.core.jobs import Vectors


def identity(logits: Vectors) -> Vectors:
    return logits


def sigmoid(logits: Vectors) -> Vectors:
    """1 / (1 + exp(-x)), written so that exp overflows nowhere and small scores keep their digits."""
    small = np.exp(-np.abs(logits))
    scores: Vectors = np.where(logits >= 0, np.float32(1), small) / (1 + small)
    return scores


def softmax(logits: Vectors) -> Vectors:
    """[inputs, labels], over the labels; the largest logit is taken off first, so that exp overflows nowhere."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores: Vectors = powers / powers.sum(axis=1, keepdims=True)
    return scores


def tanh(logits: Vectors) -> Vectors:
    return np.tanh(logits)


ACTIVATIONS: Mapping[Activation, Callable[[Vectors], Vectors]] = {
    Activation.IDENTITY: identity,
    Activation.SIGMOID: sigmoid,
    Activation.SOFTMAX: softmax,
    Activation.TANH: tanh,
}
