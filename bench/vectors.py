"""Vectors against those of the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


def worst_cosine(found: Path, *, expected: Path) -> float:
    """Of two files of numpy, float32 [texts, dimensions], the smallest cosine of any row."""
    return float(cosines(np.load(found), expected=np.load(expected)).min())


def cosines(found: Vectors, *, expected: Vectors) -> npt.NDArray[np.float64]:
    """Row by row, [texts]; NaN where a vector is none."""
    one, other = found.astype(np.float64), expected.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / lengths)
