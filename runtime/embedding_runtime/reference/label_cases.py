"""Label cases of a classifier, by transformers' text-classification pipeline: its labels, and its activation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers

from embedding_model.goldens.cases import LabelCase
from embedding_model.refusal import Reason
from embedding_model.resolved import Activation, ResolvedModel
from embedding_runtime.reference.checked_network import load_network, load_tokenizer
from embedding_runtime.reference.libraries import computing, loading, refuse, require_finite
from embedding_runtime.reference.texts import AskedText, choose_texts
from embedding_runtime.reference.tolerances import BFLOAT16, measure_tolerance, write_decimal

Cases = tuple[LabelCase, ...]
Scores = npt.NDArray[np.float32]


class Classifier:
    """One model, loaded in float32."""

    def __init__(self, folder: Path, *, resolved: ResolvedModel, device: torch.device) -> None:
        """Raises Refusal, Unavailable."""
        serving, inspection = resolved.serving, resolved.inspection
        with loading(inspection):
            place = folder / (inspection.folder or "")
            network = load_network(place, kind="AutoModelForSequenceClassification", device=device)
            tokenizer = load_tokenizer(place)
            if serving.truncation_side is not inspection.truncation_side:
                tokenizer.truncation_side = serving.truncation_side.value.lower()
            self._pipeline = transformers.pipeline(
                "text-classification", model=network, tokenizer=tokenizer, device=device, top_k=None
            )
        self.labels = [str(network.config.id2label[index]) for index in range(network.config.num_labels)]
        self._options = {"truncation": True, "max_length": serving.max_input_tokens}

    def classify(self, texts: Sequence[AskedText]) -> Scores:
        """Float32 [texts, labels], after the activation; each text alone."""
        with computing():
            return np.array([self._read(self._ask(text.text)) for text in texts], dtype=np.float32)

    def round_weights(self) -> None:
        """From now on its weights are bfloat16."""
        self._pipeline.model.to(torch.bfloat16)

    def _ask(self, text: str) -> Sequence[Mapping[str, Any]]:
        [found] = self._pipeline([text], **self._options)
        answered: Sequence[Mapping[str, Any]] = found
        return answered

    def _read(self, found: Sequence[Mapping[str, Any]]) -> list[float]:
        """Labels of one name all get the highest of their scores: then none of them leads, and none is asked for."""
        by_label: dict[str, float] = {}
        for entry in found:  # best first
            by_label.setdefault(entry["label"], float(entry["score"]))
        return [by_label[label] for label in self.labels]


def compute_label_cases(folder: Path, *, resolved: ResolvedModel, device: torch.device) -> tuple[Cases, Cases]:
    """The goldens and the holdout: at most 12 and 28 texts with their best label and its score.

    A text is left out where half precision could make another label the best one. Raises Refusal, also where that
    leaves none, Unavailable.
    """
    halves = choose_texts(max_input_tokens=resolved.serving.max_input_tokens)
    classifier = Classifier(folder, resolved=resolved, device=device)
    exact = [classifier.classify(half) for half in halves]
    everything = np.concatenate(exact)
    require_finite(everything)
    rounded = None
    if BFLOAT16 not in resolved.inspection.avoid_dtypes:
        classifier.round_weights()
        rounded = np.concatenate([classifier.classify(half) for half in halves])
    is_logit = resolved.serving.activation is Activation.IDENTITY
    scale = max(1.0, float(np.ptp(everything))) if is_logit else 1.0
    tolerance = measure_tolerance(everything, rounded=rounded, scale=scale)
    goldens, holdout = (
        _write(half, scores=scores, labels=classifier.labels, tolerance=tolerance)
        for half, scores in zip(halves, exact, strict=True)
    )
    if not goldens or not holdout:
        raise refuse(
            Reason.INVALID_FILE,
            "For every text of the set the reference implementation finds two labels of this classifier equally "
            "likely, or the likeliest has the name of another, so that no answer tells a right pod from a wrong one.",
        )
    return goldens, holdout


def _write(texts: Sequence[AskedText], *, scores: Scores, labels: Sequence[str], tolerance: float) -> Cases:
    return tuple(
        LabelCase(
            name=text.name,
            input=text.text,
            label=labels[int(row.argmax())],
            expected=write_decimal(float(row.max())),
            tolerance=write_decimal(tolerance),
        )
        for text, row in zip(texts, scores, strict=True)
        if _leads(row, distance=2 * tolerance)
    )


def _leads(row: Scores, *, distance: float) -> bool:
    """Whether the best label is so far ahead of the second one."""
    ordered = np.sort(row)
    return len(row) == 1 or bool(ordered[-1] - ordered[-2] > distance)
