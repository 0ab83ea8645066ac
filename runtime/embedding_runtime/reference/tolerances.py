"""How far a served score, probability or weight may be from the reference's.

For vectors the spec has a threshold; for these it has none, and no constant fits all models: what half precision
loses depends on their depth and on the size of their logits. So it is measured. The reference implementation computes
the same texts a second time with its weights in bfloat16, the coarsest dtype that is served, and the tolerance of all
cases of a set is SAFETY times the largest difference that this makes. The bounds keep a measurement that is small by
luck from failing another rounding of the same dtype, and one that is large from letting everything pass.
"""

import math

import numpy as np
import numpy.typing as npt

from embedding_model.refusal import Reason
from embedding_runtime.reference.libraries import refuse

Values = npt.NDArray[np.float32]

BFLOAT16 = "bfloat16"
SAFETY = 3.0  # another order of additions, as fused kernels have it, rounds otherwise but not worse by orders
LEAST = 0.002  # of the scale: the unit of bfloat16 is 0.004 of a value
MOST = 0.05  # of the scale: a wrong activation, template or head is off by more
# Of a sparse weight. SPLADE-tiny's in bfloat16 are off by up to 0.07; a logarithm too many is off by 0.3 and more.
MOST_SHARE = 0.2
_DIGITS = 6
_TOO_LARGE = 1000


def measure_tolerance(exact: Values, *, rounded: Values | None, scale: float, most: float = MOST) -> float:
    """For scores of any shape; `scale` is the size of the range that they use: 1 for probabilities.

    `rounded` None: bfloat16 is not served. `most` is the largest tolerance, as a part of the scale.
    """
    lost = 0.0 if rounded is None else float(np.abs(exact - rounded).max(initial=0.0))
    if not math.isfinite(lost):
        lost = math.inf
    return min(max(SAFETY * lost, LEAST * scale), most * scale)


def measure_share(exact: Values, *, rounded: Values | None) -> float:
    """The same for weights above 0 that are compared relatively, each with its own size for a scale."""
    shares = None if rounded is None else np.asarray(rounded / exact, dtype=np.float32)
    return measure_tolerance(np.ones_like(exact), rounded=shares, scale=1, most=MOST_SHARE)


def write_decimal(value: float) -> str:
    """The decimal text of a golden case, rounded to 6 digits. Raises Refusal(INVALID_FILE) for what it cannot hold."""
    written = f"{value:.{_DIGITS}f}"
    if not abs(float(written)) < _TOO_LARGE:
        raise refuse(
            Reason.INVALID_FILE,
            f"The reference implementation gives scores of {_TOO_LARGE} and more, which no golden case can hold: the "
            "model's weights are broken.",
        )
    return written


def write_decimal_down(value: float) -> str:
    """The same of a value from 0 on, never above it."""
    return write_decimal(math.floor(value * 10**_DIGITS) / 10**_DIGITS)
