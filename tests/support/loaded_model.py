"""A model behind the product's own tokenizer and backend, one batch at a time, without a server."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from embedding_model.resolved import Declared, Prompt, ResolvedModel
from embedding_model.serving import Overrides
from embedding_runtime.backends.torch_backend import TorchBackend, load_backend
from embedding_runtime.core.input_tokenizers import load_tokenizer
from embedding_runtime.core.inputs import Input, Text
from embedding_runtime.core.jobs import Output, Tokens
from embedding_runtime.core.tokenizing import Tokenizer
from embedding_runtime.core.vectors import finish
from embedding_runtime.files import files_in, read_files
from embedding_runtime.gguf_files import show_gguf
from embedding_runtime.served_model import resolve_folder
from embedding_runtime.settings import Dtype


class Loaded:
    """A folder, loaded as `serve` loads it."""

    def __init__(
        self,
        folder: Path,
        *,
        dtype: Dtype = Dtype.FLOAT32,
        declared: Declared | None = None,
        overrides: Overrides | None = None,
    ) -> None:
        self.resolved: ResolvedModel = resolve_folder(folder, declared=declared, overrides=overrides)
        files = show_gguf(read_files(folder, manifest=self.resolved.manifest, threads=2))
        self.serving = self.resolved.serving
        inspection = self.resolved.inspection
        self.tokenizer: Tokenizer = load_tokenizer(
            files_in(files, folder=inspection.folder), inspection=inspection, serving=self.serving
        )
        self.backend: TorchBackend = load_backend(
            files, inspection=inspection, serving=self.serving, device=torch.device("cpu"), dtype=dtype
        )

    def tokens(self, *texts: str) -> list[Tokens]:
        return self.tokenizer.encode([Text(text) for text in texts])

    def compute(self, inputs: Sequence[Input]) -> Sequence[Output]:
        """What the model says of each input, all in one batch."""
        return self.backend.compute(self.tokenizer.encode(inputs))

    def encode(
        self, texts: Sequence[str], *, prompt: Prompt | None = None, dimensions: int | None = None
    ) -> np.ndarray:
        """Embeddings as they are answered, float32 [texts, dimensions]."""
        outputs = self.compute([Text(text, prompt=prompt.text if prompt else "") for text in texts])
        pooled = np.stack([output.dense for output in outputs if output.dense is not None])
        return finish(pooled, serving=self.serving, dimensions=dimensions)
