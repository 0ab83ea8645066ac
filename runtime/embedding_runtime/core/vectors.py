"""From the model's pooled vectors to the vectors that are answered."""

import numpy as np

from embedding_runtime.core.jobs import Vectors
from embedding_runtime.errors import NonFiniteOutput

SMALLEST_NORM = 1e-12  # torch.nn.functional.normalize's eps: a zero vector stays zero


def finish(pooled: Vectors, *, dimensions: int, normalize: bool) -> Vectors:
    """Cut to the first `dimensions` columns, then normalise (Matryoshka's order). float32 [n, dimensions].

    Normalising the full vector first would change nothing: the cut vector is normalised again anyway.
    Raises NonFiniteOutput for NaN or infinity anywhere in the pooled vectors.
    """
    if not np.isfinite(pooled).all():
        raise NonFiniteOutput(
            "The model answered with NaN or infinity for one of the inputs. Nothing wrong is returned instead; "
            "if it happens with half precision, serve with dtype float32."
        )
    cut = pooled[:, :dimensions]
    if not normalize:
        return np.ascontiguousarray(cut)
    norms = np.linalg.norm(cut, axis=1, keepdims=True)
    return np.asarray(cut / np.maximum(norms, SMALLEST_NORM), dtype=np.float32)
