"""Vectors by sentence-transformers' SentenceTransformer.

A model that the library saved (modules.json) is loaded as the library reads its files: its pooling, its modules, its
prompts, its length. Nothing of what our inspection read is put in their place, because that reading is what the cases
are to prove. Only what the spec overrides is applied on top: a value that is served and that inspection did not find,
or that it has from the spec. What no file of the library says comes from the resolved model: the whole pipeline of a
model without modules.json, and prompts that stand in a model card only.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

from embedding_model import resolved as served
from embedding_model.resolved import ResolvedModel
from embedding_runtime.reference.checked_modules import has_modules, load_saved, load_transformer
from embedding_runtime.reference.lengths import apply_lengths, is_overridden
from embedding_runtime.reference.libraries import computing, loading
from embedding_runtime.reference.prompts import PromptChoice
from embedding_runtime.reference.texts import AskedText

Vectors = npt.NDArray[np.float32]

_MODES: Mapping[served.Pooling, str] = {
    served.Pooling.CLS: "cls",
    served.Pooling.MEAN: "mean",
    served.Pooling.MAX: "max",
    served.Pooling.MEAN_SQRT_LENGTH: "mean_sqrt_len_tokens",
    served.Pooling.WEIGHTED_MEAN: "weightedmean",
    served.Pooling.LAST_TOKEN: "lasttoken",
}


class Embedder:
    """One model, loaded in float32."""

    def __init__(self, folder: Path, *, resolved: ResolvedModel, device: torch.device) -> None:
        """Raises Refusal, Unavailable."""
        self._serving, self._inspection = resolved.serving, resolved.inspection
        self._prompts = PromptChoice(folder, resolved=resolved)
        with loading(self._inspection):
            self._model = _load(folder, resolved=resolved, device=str(device))

    def embed(self, texts: Sequence[AskedText]) -> Vectors:
        """The vectors as they are to be served, float32 [texts, dimensions]; each text alone, so none is padded."""
        with computing():
            return np.stack([self._embed(text) for text in texts])

    @property
    def tokenizer(self) -> Any:
        """Of transformers."""
        return self._model.tokenizer

    def read_tokens(self, text: AskedText) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids, int64 [tokens], and hidden states, float32 [tokens, width], of a text under its prompt; on the CPU."""
        found = self._model.encode(
            text.text, **self._prompts.choose(text.prompt), output_value=None, show_progress_bar=False
        )
        return found["input_ids"].cpu(), found["token_embeddings"].float().cpu()

    def round_weights(self) -> None:
        """From now on its weights are bfloat16."""
        self._model.to(torch.bfloat16)

    def _embed(self, text: AskedText) -> Vectors:
        serving = self._serving
        is_cut = serving.dimensions is not None and serving.dimensions != serving.model_dimensions
        vector = self._model.encode(
            text.text,
            **self._prompts.choose(text.prompt),
            convert_to_numpy=False,
            convert_to_tensor=True,
            show_progress_bar=False,
        ).float()
        if is_cut:
            if serving.layer_norm_before_cut:
                vector = torch.nn.functional.layer_norm(vector, vector.shape)
            vector = vector[: serving.dimensions]
        if serving.normalize and (is_cut or serving.normalize != self._inspection.normalize):
            vector = torch.nn.functional.normalize(vector, dim=0)
        found: Vectors = vector.cpu().numpy()
        return found


def _load(folder: Path, *, resolved: ResolvedModel, device: str) -> Any:
    serving, inspection = resolved.serving, resolved.inspection
    if not has_modules(folder):
        transformer = load_transformer(folder, task="feature-extraction")
        modules = [transformer, _make_pooling(serving, width=transformer.get_embedding_dimension())]
        if serving.normalize:
            modules.append(Normalize())
        model = SentenceTransformer(modules=modules, device=device)
        apply_lengths(model, serving=serving, inspection=inspection, is_saved=False)
        return model
    model = load_saved(SentenceTransformer, folder=folder, device=device)
    if is_overridden("pooling", inspection=inspection) or serving.pooling != inspection.pooling:
        _replace_pooling(model, serving=serving)
    drops_normalize = serving.normalize is False and inspection.normalize
    is_cut = serving.dimensions != serving.model_dimensions
    if drops_normalize or (is_cut and serving.layer_norm_before_cut):
        _drop_normalize(model)
    apply_lengths(model, serving=serving, inspection=inspection, is_saved=True)
    return model


def _make_pooling(serving: served.Serving, *, width: int) -> Any:
    modes = tuple(_MODES[pooling] for pooling in serving.poolings)
    return Pooling(width, pooling_mode=modes, include_prompt=serving.include_prompt)


def _replace_pooling(model: Any, *, serving: served.Serving) -> None:
    """The width of a token's vector and whether prompts are pooled stay those of the file."""
    for name, module in model.named_children():
        if isinstance(module, Pooling):
            modes = tuple(_MODES[pooling] for pooling in serving.poolings)
            model._modules[name] = Pooling(
                module.embedding_dimension, pooling_mode=modes, include_prompt=module.include_prompt
            )


def _drop_normalize(model: Any) -> None:
    for name, module in list(model.named_children()):
        if isinstance(module, Normalize):
            del model._modules[name]
