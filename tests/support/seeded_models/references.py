"""What the libraries answer for a saved model with a head: scores of documents and probabilities of labels."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def rerank(folder: Path, query: str, *, documents: Sequence[str]) -> Array:
    """sentence-transformers' CrossEncoder, with its own activation: float32 [documents]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reference implementation's own deprecations
        from sentence_transformers import CrossEncoder

        model = CrossEncoder(str(folder), device="cpu", local_files_only=True)
        scores: Array = model.predict([(query, document) for document in documents], show_progress_bar=False)
    return scores


def classify(folder: Path, texts: Sequence[str]) -> Array:
    """transformers' class for sequence classification, and softmax: float32 [texts, labels], each text alone."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # transformers' own deprecations
        model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        logits = [model(**tokenizer(text, truncation=True, return_tensors="pt")).logits[0] for text in texts]
        scores: Array = torch.stack(logits).softmax(-1).numpy()
    return scores
