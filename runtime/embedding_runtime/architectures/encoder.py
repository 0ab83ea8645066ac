"""An encoder with its pooling head: token ids in, pooled vectors out."""

from collections.abc import Sequence

import orjson
import torch

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Inspection, Serving
from embedding_runtime.architectures.families import find_family, import_classes
from embedding_runtime.architectures.pooling import pool
from embedding_runtime.architectures.weights import assign, parameters_without_memory, read_tensors
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.files import Files

CONFIG = "config.json"


class Encoder:
    """A transformers model in evaluation mode and the pooling that belongs to it."""

    def __init__(self, model: torch.nn.Module, *, serving: Serving, pad_id: int, device: torch.device) -> None:
        self._model = model
        self._serving = serving
        self._pad_id = pad_id
        self._device = device

    @property
    def name(self) -> str:
        return f"transformers {type(self._model).__name__}"

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
        output = self._model(input_ids=ids, attention_mask=attention)
        return pool(output.last_hidden_state, mask=counted, lengths=lengths, mode=self._serving.pooling)


def load_encoder(
    files: Files, *, inspection: Inspection, serving: Serving, device: torch.device, dtype: torch.dtype
) -> Encoder:
    """Raises Refusal: UNSUPPORTED_ARCHITECTURE, MISSING_FILE, INVALID_FILE, INCOMPLETE_WEIGHTS, UNEXPECTED_WEIGHTS."""
    family = find_family(inspection.family)
    config_class, model_class = import_classes(family)
    if CONFIG not in files:
        raise Refusal(Reason.MISSING_FILE, f"The model has no {CONFIG}.")
    try:
        config = config_class.from_dict(orjson.loads(files[CONFIG]))
    except (ValueError, TypeError) as error:
        raise Refusal(
            Reason.INVALID_FILE, f"{CONFIG} does not describe a {inspection.family} model: {error}"
        ) from error
    if config.hidden_size != serving.model_dimensions:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"The model's vectors have {serving.model_dimensions} dimensions but its encoder is {config.hidden_size} "
            "wide: it has layers after pooling, which this runtime does not serve.",
        )
    with parameters_without_memory():
        model = model_class(config, **family.arguments)
    assign(model, tensors=read_tensors(files), prefix=family.prefix, unused=family.unused)
    model.eval()
    model.to(device=device, dtype=dtype)
    return Encoder(model, serving=serving, pad_id=config.pad_token_id or 0, device=device)


def _without_prompt(attention: torch.Tensor, *, batch: Sequence[Tokens]) -> torch.Tensor:
    counted = attention.clone()
    for row, text in enumerate(batch):
        counted[row, : text.prompt_length] = 0
    return counted
