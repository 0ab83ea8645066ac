"""Rows of weights over a vocabulary, on a device, to sparse vectors in memory."""

import numpy as np
import torch

from embedding_runtime.core.jobs import SparseVector


def read_rows(weights: torch.Tensor) -> list[SparseVector]:
    """What is not 0 in each row of float32 [rows, vocabulary]; NaN is not 0. Only that leaves the device."""
    rows, columns = (weights != 0).nonzero(as_tuple=True)
    counts = torch.bincount(rows, minlength=len(weights)).cpu().numpy()
    indices = columns.to(torch.int32).cpu().numpy()
    values = weights[rows, columns].cpu().numpy()
    ends = np.cumsum(counts)[:-1]
    return [
        SparseVector(indices=of_row, values=weight)
        for of_row, weight in zip(np.split(indices, ends), np.split(values, ends), strict=True)
    ]
