"""An encoder with its pooling head: token ids in, pooled vectors out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import orjson
import torch

from embedding_model.inspection.families import FAMILIES
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Inspection, Serving
from embedding_runtime.architectures import bert
from embedding_runtime.architectures.families import ModelClass, find_class, import_classes
from embedding_runtime.architectures.pooling import pool
from embedding_runtime.architectures.weights import assign, parameters_without_memory, read_tensors
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.files import Files

CONFIG = "config.json"

# ids and attention mask, int64 [batch, length], to hidden states [batch, length, width]
Forward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Encoder:
    """A model in evaluation mode and the pooling that belongs to it. `name` says which implementation it is."""

    def __init__(self, forward: Forward, *, name: str, serving: Serving, pad_id: int, device: torch.device) -> None:
        self.name = name
        self._forward = forward
        self._serving = serving
        self._pad_id = pad_id
        self._device = device

    @torch.inference_mode()
    def embed(self, batch: Sequence[Tokens]) -> torch.Tensor:
        """Pooled vectors, float32 [len(batch), width] on the model's device, neither cut nor normalised."""
        lengths = torch.tensor([len(text.ids) for text in batch])
        width = int(lengths.max())
        ids = torch.full((len(batch), width), self._pad_id)
        for row, text in enumerate(batch):
            ids[row, : len(text.ids)] = torch.tensor(text.ids)
        attention = (torch.arange(width).unsqueeze(0) < lengths.unsqueeze(1)).long()
        counted = attention if self._serving.include_prompt else _without_prompt(attention, batch=batch)
        ids, attention, counted, lengths = (
            tensor.to(self._device, non_blocking=True) for tensor in (ids, attention, counted, lengths)
        )
        hidden = self._forward(ids, attention)
        return pool(hidden, mask=counted, lengths=lengths, mode=self._serving.pooling)


def load_encoder(
    files: Files, *, inspection: Inspection, serving: Serving, device: torch.device, dtype: torch.dtype
) -> Encoder:
    """Raises Refusal: UNSUPPORTED_ARCHITECTURE, MISSING_FILE, INVALID_FILE, INCOMPLETE_WEIGHTS, UNEXPECTED_WEIGHTS."""
    described = find_class(inspection.family)
    config = _read_config(files)
    native = bert.fits(config)
    with parameters_without_memory():
        model = bert.BertEncoder(config) if native else _build_transformers(described, config=config)
    assign(model, tensors=read_tensors(files), family=FAMILIES[inspection.family])
    _check_width(model, serving=serving)
    model.eval()
    model.to(device=device, dtype=dtype)

    def call_transformers(ids: torch.Tensor, attention: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, model(input_ids=ids, attention_mask=attention).last_hidden_state)

    return Encoder(
        model if native else call_transformers,
        name=f"{'native' if native else 'transformers'} {type(model).__name__}",
        serving=serving,
        pad_id=config.get("pad_token_id") or 0,
        device=device,
    )


def needs_transformers(config: Mapping[str, Any]) -> bool:
    """Whether the model class must be imported, which takes seconds."""
    return not bert.fits(config)


def _read_config(files: Files) -> dict[str, Any]:
    if CONFIG not in files:
        raise Refusal(Reason.MISSING_FILE, f"The model has no {CONFIG}.")
    try:
        config = orjson.loads(files[CONFIG])
    except orjson.JSONDecodeError as error:
        raise Refusal(Reason.INVALID_FILE, f"{CONFIG} is not JSON: {error.msg}.") from error
    if not isinstance(config, dict):
        raise Refusal(Reason.INVALID_FILE, f"{CONFIG} is not a JSON object.")
    return config


def _build_transformers(described: ModelClass, *, config: Mapping[str, Any]) -> torch.nn.Module:
    config_class, model_class = import_classes(described)
    try:
        return cast(torch.nn.Module, model_class(config_class.from_dict(dict(config)), **described.arguments))
    except (ValueError, TypeError, KeyError) as error:
        raise Refusal(
            Reason.INVALID_FILE, f"{CONFIG} does not describe a model that transformers can build: {error}"
        ) from error


def _check_width(model: torch.nn.Module, *, serving: Serving) -> None:
    width = model.get_parameter("embeddings.LayerNorm.weight").shape[0]
    if width != serving.model_dimensions:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"The model's vectors have {serving.model_dimensions} dimensions but its encoder is {width} wide: "
            "it has layers after pooling, which this runtime does not serve.",
        )


def _without_prompt(attention: torch.Tensor, *, batch: Sequence[Tokens]) -> torch.Tensor:
    counted = attention.clone()
    for row, text in enumerate(batch):
        counted[row, : text.prompt_length] = 0
    return counted
