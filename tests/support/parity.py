"""Whether a model behind the product's tokenizer and backend gives the numbers of its reference implementation.

Each assertion holds for every input by itself, for all of them in one batch, in another order, among other neighbours,
in small batches and a large one, and with the padding on either side. They raise AssertionError, which names the
arrangement that failed.
"""

import contextlib
import functools
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from loaded_model import Loaded

from embedding_model.inspection.families import FAMILIES
from embedding_model.resolved import Declared, Prompt, Side, Task
from embedding_model.serving import Overrides
from embedding_runtime.architectures.batch import collate
from embedding_runtime.core.inputs import Input, Pair, Text
from embedding_runtime.core.jobs import Output
from embedding_runtime.core.vectors import finish
from embedding_runtime.settings import Dtype

Array = npt.NDArray[np.float32]

EXACT = 0.9999  # cosine, float32
CLOSE = 0.999  # cosine, bfloat16 and float16
SCORE_TOLERANCE = 1e-4
# Of each value in float32, as a part of the vector's length. A cosine alone would not see tanh in place of exact gelu,
# which moves values by 4e-5; the order of additions moves them by less than 1e-6.
_VALUE_TOLERANCE = 5e-6

# Positions are columns of the batch in these, in transformers too: padding before the text moves the text.
COUNT_COLUMNS = frozenset({"bert", "distilbert", "electra", "albert"})

_SHORTEST = 1e-3  # length of a vector; of a shorter one, values are compared as they are

_SMALL, _LARGE = 3, 24  # inputs

TEXTS = (
    "The weather is lovely today.",
    "",
    "It's so sunny outside!",
    "What is the capital of France?",
    "a man is eating food while someone is having a meal " * 12,
    "Kubernetes restarts the pod on another node, naïve café",
    "x",
    "the quick brown fox jumps over the lazy dog near the river",
)


def load_reference(folder: Path, **options: Any) -> Any:
    """sentence-transformers' SentenceTransformer of the folder, on the CPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reference implementation's own deprecations
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(folder), device="cpu", local_files_only=True, **options)


def cosines(found: Array, expected: Array) -> Array:
    """Of each row with the same row, float32 [rows]; 1 where both are zero."""
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    both_zero = ~found.any(axis=1) & ~expected.any(axis=1)
    similarity: Array = np.where(both_zero, 1, (found * expected).sum(axis=1) / np.where(lengths == 0, 1, lengths))
    return similarity


def assert_embedder_equals(
    folder: Path,
    texts: Sequence[str] = TEXTS,
    *,
    reference: Any = None,
    expected: Array | None = None,
    minimum: float = EXACT,
    dtype: Dtype = Dtype.FLOAT32,
    prompt: str | None = None,
    dimensions: int | None = None,
    overrides: Overrides | None = None,
    declared: Declared | None = None,
    left_padding: bool = True,
) -> Loaded:
    """Vectors as they are answered equal those of `reference`, a SentenceTransformer of the same folder.

    `expected` float32 [texts, dimensions] takes its place where something else is the reference. `minimum` is the
    smallest cosine; in float32, unless something coarser is allowed, every value is compared as well. `prompt` is the
    name of one. `left_padding` False: the configuration numbers columns. Returns the model, loaded.
    """
    model = Loaded(folder, dtype=dtype, overrides=overrides, declared=declared)
    if expected is None:
        library = load_reference(folder) if reference is None else reference
        options = {"truncate_dim": dimensions} if dimensions else {}
        expected = library.encode(list(texts), prompt_name=prompt, show_progress_bar=False, **options)
    chosen = _find_prompt(model, name=prompt)
    inputs = [Text(text, prompt=chosen) for text in texts]

    def to_vectors(outputs: Sequence[Output]) -> Array:
        pooled = np.stack([output.dense for output in outputs if output.dense is not None])
        return finish(pooled, serving=model.serving, dimensions=dimensions)

    for arrangement, found in arranged(model, inputs, finish=to_vectors, left_padding=left_padding):
        assert found.shape == expected.shape, f"{arrangement}: shape {found.shape}, expected {expected.shape}"
        worst = int(cosines(found, expected).argmin())
        cosine = float(cosines(found, expected)[worst])
        assert cosine >= minimum, f"{arrangement}: cosine {cosine:.6f} of input {worst}, expected at least {minimum}"
        if dtype is Dtype.FLOAT32 and minimum >= EXACT:
            lengths = np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), _SHORTEST)
            differences = np.abs(found - expected) / lengths
            assert differences.max() <= _VALUE_TOLERANCE, (
                f"{arrangement}: values differ by {differences.max():.1e} of their vectors' lengths"
            )
    return model


def assert_scores_equal(
    folder: Path,
    pairs: Sequence[tuple[str, str]],
    *,
    expected: Array,
    score: Callable[[Loaded, Sequence[Output]], Array] | None = None,
    tolerance: float = SCORE_TOLERANCE,
    dtype: Dtype = Dtype.FLOAT32,
    instruction: str | None = None,
    overrides: Overrides | None = None,
    declared: Declared | None = None,
) -> Loaded:
    """Scores equal `expected`, float32 [pairs] or [pairs, labels], within `tolerance`. Returns the model, loaded.

    `score` turns the outputs into scores; None: they are the logits, before any activation.
    """
    model = Loaded(folder, dtype=dtype, overrides=overrides, declared=declared)
    inputs = [Pair(query, document, instruction=instruction) for query, document in pairs]
    assert_outputs_equal(model, inputs, expected=expected, score=score, tolerance=tolerance)
    return model


def assert_outputs_equal(
    model: Loaded,
    inputs: Sequence[Input],
    *,
    expected: Array,
    score: Callable[[Loaded, Sequence[Output]], Array] | None = None,
    tolerance: float = SCORE_TOLERANCE,
) -> None:
    """What `score` makes of the outputs equals `expected`, one row an input, in every arrangement."""
    wanted = np.asarray(expected, dtype=np.float32)

    def to_scores(outputs: Sequence[Output]) -> Array:
        found = _stack_logits(outputs) if score is None else score(model, outputs)
        return found.reshape(wanted.shape) if found.size == wanted.size else found

    for arrangement, found in arranged(model, inputs, finish=to_scores):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance, err_msg=arrangement)


def arranged(
    model: Loaded,
    inputs: Sequence[Input],
    *,
    finish: Callable[[Sequence[Output]], Array],
    left_padding: bool = True,
) -> Iterator[tuple[str, Array]]:
    """The answers to the inputs, in their order, from batches put together in different ways; and what way it was."""

    def compute(indices: Sequence[int], *, size: int) -> Array:
        """The inputs of these numbers in batches of `size`, and back in the order of the inputs."""
        outputs: dict[int, Output] = {}
        for start in range(0, len(indices), size):
            batch = indices[start : start + size]
            outputs.update(zip(batch, model.compute([inputs[index] for index in batch]), strict=True))
        return finish([outputs[index] for index in range(len(inputs))])

    count = len(inputs)
    in_order = list(range(count))
    shuffled = [int(index) for index in np.random.default_rng(1).permutation(count)]
    yield "all in one batch", compute(in_order, size=count)
    yield "alone", compute(in_order, size=1)
    yield "in the reverse order", compute(in_order[::-1], size=count)
    yield "in small batches with other neighbours", compute(shuffled, size=_SMALL)
    yield "in a large batch", compute(in_order + shuffled * (1 + _LARGE // count), size=count + _LARGE)
    if left_padding and _reads_either_side(model):
        with padding_on_the_left():
            yield "padded on the left", compute(in_order, size=count)


def _reads_either_side(model: Loaded) -> bool:
    """A classification head behind an encoder reads the first column of the batch, in transformers too."""
    inspection = model.resolved.inspection
    if inspection.family in COUNT_COLUMNS:
        return False
    has_head = inspection.task in (Task.RERANKING, Task.CLASSIFICATION)
    return not has_head or FAMILIES[inspection.family].is_decoder


@contextlib.contextmanager
def padding_on_the_left() -> Iterator[None]:
    """Batches are filled up on the left, which serving never does and no number may depend on."""
    swapped = functools.partial(collate, padding=Side.LEFT)
    with contextlib.ExitStack() as stack:
        for name, module in sorted(sys.modules.items()):
            if name.startswith("embedding_runtime.architectures.") and getattr(module, "collate", None) is collate:
                stack.callback(setattr, module, "collate", collate)
                module.collate = swapped  # type: ignore[attr-defined]
        yield


def _find_prompt(model: Loaded, *, name: str | None) -> str:
    found: Prompt | None = model.serving.prompt(name or model.serving.default_prompt or "")
    assert found is not None or name is None, f"the model has no prompt {name}"
    return found.text if found else ""


def _stack_logits(outputs: Sequence[Output]) -> Array:
    return np.stack([output.dense for output in outputs if output.dense is not None])
