"""Golden cases of the tasks without vectors, written from what a reference implementation answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Case = Mapping[str, Any]

TOLERANCE = "0.001"  # ten times what two implementations differ by in float32


def score_goldens(query: str, *, documents: Sequence[str], scores: Array) -> list[Case]:
    """A score case for each document, and their order."""
    order = [int(number) for number in np.argsort(-scores, kind="stable")]
    gap = float(np.min(-np.diff(scores[order].astype(np.float64))))
    ranking = {"query": query, "documents": list(documents), "order": order, "minGap": f"{max(gap / 2, 1e-9):.9f}"}
    pairs = zip(documents, scores, strict=True)
    return [
        {"name": "order", "ranking": ranking},
        *(
            {
                "name": f"document-{number}",
                "score": {"query": query, "document": text, "expected": f"{score:.6f}", "tolerance": TOLERANCE},
            }
            for number, (text, score) in enumerate(pairs)
        ),
    ]


def label_goldens(texts: Sequence[str], *, labels: Sequence[str], scores: Array) -> list[Case]:
    """The best label of each text; `scores` is [texts, labels]."""
    return [
        {
            "name": f"text-{number}",
            "label": {
                "input": text,
                "label": labels[int(row.argmax())],
                "expected": f"{row.max():.6f}",
                "tolerance": TOLERANCE,
            },
        }
        for number, (text, row) in enumerate(zip(texts, scores, strict=True))
    ]


def sparse_goldens(texts: Sequence[str], *, weights: Array, folder: Path, count: int = 8) -> list[Case]:
    """The heaviest terms of each text; `weights` is [texts, vocabulary]."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    cases = []
    for number, (text, row) in enumerate(zip(texts, weights, strict=True)):
        heaviest = np.argsort(-row, kind="stable")[:count]
        names = tokenizer.convert_ids_to_tokens(heaviest.tolist())
        found = ((name, row[id_]) for name, id_ in zip(names, heaviest, strict=True) if row[id_] > 0)
        terms = [{"term": name, "weight": f"{weight:.6f}"} for name, weight in found]
        cases.append({"name": f"text-{number}", "sparse": {"input": text, "terms": terms, "tolerance": "0.01"}})
    return cases
