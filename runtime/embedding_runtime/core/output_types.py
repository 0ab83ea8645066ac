"""Vectors in fewer bits, as clients ask for them.

Everything but float is of another space: numbers of different types cannot be compared.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from embedding_runtime.core.jobs import Vectors
from embedding_runtime.errors import InvalidRequest

INT8_STEPS = 127  # of the unit interval; a vector of length 1 has no value beyond it


class OutputType(StrEnum):
    FLOAT = "float"
    INT8 = "int8"  # value * 127, rounded
    UINT8 = "uint8"  # the same plus 128
    BINARY = "binary"  # the signs, eight to an int8: ubinary minus 128
    UBINARY = "ubinary"  # the signs, eight to a uint8, the first value highest; 1 where the value is above 0


def convert(vectors: Vectors, *, output: OutputType) -> npt.NDArray[Any]:
    """[texts, dimensions], or [texts, dimensions / 8] for signs, in the type's own dtype.

    As sentence-transformers' quantize_embeddings packs signs; int8 over the fixed range of vectors of length 1, where
    the library takes ranges from a corpus that a server does not have. Raises InvalidRequest for vectors that do not
    fit.
    """
    return _CONVERSIONS[output](vectors)


def _to_int8(vectors: Vectors) -> npt.NDArray[Any]:
    _require_unit(vectors)
    return np.rint(vectors * INT8_STEPS).astype(np.int8)


def _to_uint8(vectors: Vectors) -> npt.NDArray[Any]:
    _require_unit(vectors)
    return (np.rint(vectors * INT8_STEPS) + 128).astype(np.uint8)


def _to_ubinary(vectors: Vectors) -> npt.NDArray[Any]:
    if vectors.shape[1] % 8:
        raise InvalidRequest(
            f"Signs are packed eight to a byte, and the vectors have {vectors.shape[1]} values: ask for dimensions "
            "that are a multiple of 8."
        )
    return np.packbits(vectors > 0, axis=1)


def _to_binary(vectors: Vectors) -> npt.NDArray[Any]:
    return (_to_ubinary(vectors).astype(np.int16) - 128).astype(np.int8)


def _require_unit(vectors: Vectors) -> None:
    if vectors.size and float(np.abs(vectors).max()) > 1 + 1e-3:
        raise InvalidRequest(
            "8-bit integers hold vectors of length 1, and these are not normalised: ask for float, or for normalised "
            "ones."
        )


_CONVERSIONS: Mapping[OutputType, Callable[[Vectors], npt.NDArray[Any]]] = {
    OutputType.FLOAT: lambda vectors: vectors,
    OutputType.INT8: _to_int8,
    OutputType.UINT8: _to_uint8,
    OutputType.BINARY: _to_binary,
    OutputType.UBINARY: _to_ubinary,
}
