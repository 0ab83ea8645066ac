"""Number formats that give wrong numbers with a family: known before anything is loaded."""

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Inspection

_CHOICES = {"float32": "Float32", "bfloat16": "BFloat16", "float16": "Float16"}  # as spec.runtime.dtype has them


def require_dtype(inspection: Inspection, *, dtype: str) -> None:
    """`dtype` as torch names it. Raises Refusal(INVALID_OVERRIDE) for one that the family must not be computed in."""
    if dtype not in inspection.avoid_dtypes:
        return
    fit = [choice for name, choice in _CHOICES.items() if name not in inspection.avoid_dtypes]
    raise Refusal(
        Reason.INVALID_OVERRIDE,
        f"runtime.dtype is {_CHOICES.get(dtype, dtype)}, which is known to give wrong numbers with the family "
        f"{inspection.family}: write {' or '.join(fit)}, or leave it out",
        field="runtime.dtype",
    )
