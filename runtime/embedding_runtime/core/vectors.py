"""From the model's pooled vectors to the vectors that are answered."""

import numpy as np

from embedding_model.resolved import Serving
from embedding_runtime.core.jobs import Vectors
from embedding_runtime.errors import NonFiniteOutput

SMALLEST_NORM = 1e-12  # torch.nn.functional.normalize's eps: a zero vector stays zero
LAYER_NORM_EPSILON = 1e-5  # torch.nn.functional.layer_norm's default


def finish(
    pooled: Vectors, *, serving: Serving, dimensions: int | None = None, normalize: bool | None = None
) -> Vectors:
    """Cut to the first `dimensions` columns, then normalise: Matryoshka's order. float32 [n, d].

    `dimensions` and `normalize` None: as served. Normalising the whole vector first would change nothing: the cut
    vector is normalised again anyway. A model that was trained with a layer norm before the cut gets it where there is
    a cut (without weights, over the whole vector); its whole vectors are those of sentence-transformers, which knows
    none. Raises NonFiniteOutput for NaN or infinity anywhere in the pooled vectors.
    """
    if not np.isfinite(pooled).all():
        raise NonFiniteOutput(
            "The model answered with NaN or infinity for one of the inputs. Nothing wrong is returned instead; "
            "if it happens with half precision, serve with dtype float32."
        )
    wanted = dimensions or serving.dimensions
    if serving.layer_norm_before_cut and wanted is not None and wanted < pooled.shape[1]:
        pooled = _layer_norm(pooled)
    cut = pooled[:, :wanted]
    if not (serving.normalize if normalize is None else normalize):
        return np.ascontiguousarray(cut)
    return _normalize(cut)


def _normalize(vectors: Vectors) -> Vectors:
    """Vectors of length 1. In float64: the squares of large values overflow float32."""
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))[:, np.newaxis]
    unit: Vectors = np.empty(vectors.shape, dtype=np.float32)
    np.divide(vectors, np.maximum(norms, SMALLEST_NORM), out=unit, dtype=np.float64, casting="same_kind")
    return unit


def _layer_norm(vectors: Vectors) -> Vectors:
    """In float64: where all values are nearly the same, what float32 rounds away would be scaled up."""
    wide = vectors.astype(np.float64)
    centred = wide - wide.mean(axis=1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=1, keepdims=True) + LAYER_NORM_EPSILON)
    return np.asarray(centred / deviation, dtype=np.float32)
