"""A number format that gives wrong numbers with a family is refused before anything is loaded."""

import pytest

from embedding_model.dtypes import require_dtype
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Inspection, Pooling, Task, Weights

GEMMA = Inspection(
    task=Task.EMBEDDING,
    architecture="Gemma3TextModel",
    family="gemma3_text",
    pooling=Pooling.MEAN,
    normalize=True,
    dimensions=768,
    max_input_tokens=2048,
    positions=2048,
    avoid_dtypes=("float16",),
    weights=Weights(bytes=100, files=1, parameters=25),
)


def test_the_refusal_names_the_family_and_what_to_write_instead() -> None:
    with pytest.raises(Refusal) as refusal:
        require_dtype(GEMMA, dtype="float16")
    assert (refusal.value.reason, refusal.value.field) == (Reason.INVALID_OVERRIDE, "runtime.dtype")
    assert refusal.value.message == (
        "runtime.dtype is Float16, which is known to give wrong numbers with the family gemma3_text: write Float32 or "
        "BFloat16, or leave it out"
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_any_other_format_is_let_through(dtype: str) -> None:
    require_dtype(GEMMA, dtype=dtype)


def test_a_family_without_trouble_takes_every_format() -> None:
    require_dtype(GEMMA.model_copy(update={"avoid_dtypes": ()}), dtype="float16")
