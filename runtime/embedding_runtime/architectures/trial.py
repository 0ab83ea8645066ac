"""A loaded model is tried out once, so that one that cannot compute is refused with a reason and not at a request."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from embedding_model.refusal import Reason, Refusal
from embedding_runtime.architectures.configuration import cannot_build
from embedding_runtime.core.jobs import DENSE, Output, Part, Tokens, Vectors

# Two inputs of unequal length, so that one is padded, of the token that every vocabulary has.
_LENGTHS = (2, 1)
_WANTS = DENSE | {Part.SPARSE}


def try_out(compute: Callable[[Sequence[Tokens]], Sequence[Output]], *, max_tokens: int) -> None:
    """`compute` is a model's. Raises Refusal(INVALID_FILE) where it fails or answers NaN or infinity.

    What is the device's fault, memory above all, is raised as it is.
    """
    batch = [Tokens(ids=[0] * min(length, max_tokens), wants=_WANTS) for length in _LENGTHS]
    try:
        outputs = compute(batch)
    except (MemoryError, torch.OutOfMemoryError, torch.AcceleratorError):
        raise
    except Exception as error:  # of whatever line of the model does not fit the configuration
        raise cannot_build(error) from error
    if not all(np.isfinite(values).all() for output in outputs for values in _list_values(output)):
        raise Refusal(
            Reason.INVALID_FILE,
            "The model answers a short text with NaN or infinity: its weights hold such values, its config.json has a "
            "number that makes some, or its numbers are too large for the dtype. Use a working revision, or, with half "
            "precision, runtime.dtype Float32.",
        )


def _list_values(output: Output) -> Iterator[Vectors]:
    if output.dense is not None:
        yield output.dense
    if output.sparse is not None:
        yield output.sparse.values
