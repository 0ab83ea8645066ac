"""sentence-transformers as the reference, and texts of every length."""

import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

WORDS = (
    "the weather is lovely today and nobody in Kubernetes knows why pods restart; naïve café, über-größe, "
    "Москва, 東京 の天気, emoji 🚀, numbers 3.14159 1,000,000, CamelCaseIdentifier snake_case_name "
    "http://example.com/path?x=1 [SEP] [MASK] <tag> antidisestablishmentarianism"
).split()


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """As the runtime's workers have. Small products gain nothing from more, and on a busy machine their threads wait
    for one another: with it the tests of a family take a seventh of the time.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """200 texts of 1 to about 500 tokens, with what tokenizers stumble over."""
    source = random.Random(20)
    odd = ["", " ", "a", "  leading and trailing  ", "line\nbreak\ttab", "\u200bzero\u00a0width", "x" * 300, "é" * 120]
    return odd + [" ".join(source.choices(WORDS, k=1 + (index * 350) // 191)) for index in range(192)]


@pytest.fixture(scope="session")
def reference() -> Callable[[Path], Any]:
    def load(folder: Path) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the reference implementation's own deprecations
            from sentence_transformers import SentenceTransformer

            return SentenceTransformer(str(folder), device="cpu", local_files_only=True)

    return load
