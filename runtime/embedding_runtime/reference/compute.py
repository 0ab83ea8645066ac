"""From a resolved model and its files to the reference set of its space."""

import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from embedding_model.goldens.cases import GoldenCase
from embedding_model.goldens.parse import DEFAULT_MIN_COSINE_SIMILARITY
from embedding_model.ports import ReferenceSet
from embedding_model.resolved import Quantization, ResolvedModel, Task
from embedding_runtime.reference.pinned_files import find_place, link_files
from embedding_runtime.settings import Device

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

# Weights of 8 or 4 bits are rounded by the runtime, and the reference is not. SmolLM2 keeps a cosine of 0.9994 and more
# (docs/quantization.md); a missing prompt may leave 0.992.
QUANTIZED_MIN_COSINE_SIMILARITY = "0.995"


@dataclass(frozen=True, kw_only=True)
class ReferenceSettings:
    """Exactly one of `model` (a folder) and `cache` is given. `min_cosine_similarity`: threshold of vector cases."""

    resolved: ResolvedModel
    model: Path | None = None
    cache: Path | None = None
    device: Device = Device.AUTO
    min_cosine_similarity: str = DEFAULT_MIN_COSINE_SIMILARITY


def compute_reference(settings: ReferenceSettings) -> ReferenceSet:
    """Both halves of the set. Links to the files lie in a folder below TMPDIR while it is computed.

    Raises Refusal for files that are not the manifest's and for what the libraries cannot load, Unavailable for what
    may heal.
    """
    resolved = settings.resolved
    started = time.monotonic()
    place = find_place(model=settings.model, cache=settings.cache)
    with tempfile.TemporaryDirectory(prefix="reference-") as name:
        folder = Path(name)
        link_files(resolved.manifest, place=place, folder=folder)
        logger.info("%d files are those of the manifest", len(resolved.manifest.files))
        found = _compute(folder, settings=settings)
    count = len(found.goldens) + len(found.holdout)
    logger.info("%d cases by %s in %.1f s", count, found.implementation, time.monotonic() - started)
    return found


def _compute(folder: Path, *, settings: ReferenceSettings) -> ReferenceSet:
    # Importing the libraries takes seconds: files that are not there are refused before.
    from embedding_runtime.reference.libraries import describe_implementation, pick_device

    goldens, holdout = _compute_halves(folder, settings=settings, device=pick_device(settings.device))
    return ReferenceSet(
        space=settings.resolved.space,
        implementation=describe_implementation(),
        goldens=tuple(goldens),
        holdout=tuple(holdout),
    )


def _compute_halves(
    folder: Path, *, settings: ReferenceSettings, device: "torch.device"
) -> tuple[Sequence[GoldenCase], Sequence[GoldenCase]]:
    resolved = settings.resolved
    match resolved.serving.task:
        case Task.EMBEDDING:
            from embedding_runtime.reference.vector_cases import compute_vector_cases

            threshold = choose_threshold(settings.min_cosine_similarity, quantization=resolved.serving.quantization)
            return compute_vector_cases(folder, resolved=resolved, device=device, threshold=threshold)
        case Task.RERANKING:
            from embedding_runtime.reference.score_cases import compute_score_cases

            return compute_score_cases(folder, resolved=resolved, device=device)
        case Task.CLASSIFICATION:
            from embedding_runtime.reference.label_cases import compute_label_cases

            return compute_label_cases(folder, resolved=resolved, device=device)
        case Task.SPARSE:
            from embedding_runtime.reference.sparse_cases import compute_sparse_cases

            return compute_sparse_cases(folder, resolved=resolved, device=device)


def choose_threshold(asked: str, *, quantization: Quantization) -> str:
    """The smallest cosine of a vector case: as asked, and no more than weights of fewer bits can keep."""
    if quantization is Quantization.NONE:
        return asked
    return min(asked, QUANTIZED_MIN_COSINE_SIMILARITY, key=Decimal)
