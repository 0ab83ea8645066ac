"""Vectors in fewer bits, as clients ask for them.

Everything but float is of another space: numbers of different types cannot be compared.
"""

from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from embedding_model.resolved import Serving
from embedding_runtime.core.jobs import Vectors
from embedding_runtime.errors import InvalidRequest

INT8_STEPS = 127  # of the unit interval; a vector of length 1 has no value beyond it


class OutputType(StrEnum):
    FLOAT = "float"
    INT8 = "int8"  # value * 127, rounded
    UINT8 = "uint8"  # the same plus 128
    BINARY = "binary"  # the signs, eight to an int8: ubinary minus 128
    UBINARY = "ubinary"  # the signs, eight to a uint8, the first value highest; 1 where the value is above 0


def require_types(
    outputs: Collection[OutputType], *, serving: Serving, dimensions: int | None, normalize: bool | None
) -> None:
    """Before anything is computed: raises InvalidRequest for types that the vectors of a request do not fit.

    `dimensions` and `normalize` are the request's; None: as served.
    """
    values = dimensions or serving.dimensions or 0
    if values % 8 and not {OutputType.BINARY, OutputType.UBINARY}.isdisjoint(outputs):
        raise InvalidRequest(
            f"Signs are packed eight to a byte, and the vectors have {values} values: ask for dimensions that are a "
            "multiple of 8."
        )
    is_unit = serving.normalize if normalize is None else normalize
    if not is_unit and not {OutputType.INT8, OutputType.UINT8}.isdisjoint(outputs):
        raise InvalidRequest(
            "8-bit integers hold vectors of length 1, and these are not normalised: ask for float, or for normalised "
            "ones."
        )


def convert(vectors: Vectors, *, output: OutputType) -> npt.NDArray[Any]:
    """[texts, dimensions], or [texts, dimensions / 8] for signs, in the type's own dtype; see `require_types`.

    As sentence-transformers' quantize_embeddings packs signs; int8 over the fixed range of vectors of length 1, where
    the library takes ranges from a corpus that a server does not have.
    """
    return _CONVERSIONS[output](vectors)


def _to_int8(vectors: Vectors) -> npt.NDArray[Any]:
    return np.rint(vectors * INT8_STEPS).astype(np.int8)


def _to_uint8(vectors: Vectors) -> npt.NDArray[Any]:
    return (np.rint(vectors * INT8_STEPS) + 128).astype(np.uint8)


def _to_ubinary(vectors: Vectors) -> npt.NDArray[Any]:
    return np.packbits(vectors > 0, axis=1)


def _to_binary(vectors: Vectors) -> npt.NDArray[Any]:
    return (_to_ubinary(vectors).astype(np.int16) - 128).astype(np.int8)


_CONVERSIONS: Mapping[OutputType, Callable[[Vectors], npt.NDArray[Any]]] = {
    OutputType.FLOAT: lambda vectors: vectors,
    OutputType.INT8: _to_int8,
    OutputType.UINT8: _to_uint8,
    OutputType.BINARY: _to_binary,
    OutputType.UBINARY: _to_ubinary,
}
