"""A model's own network with its weights: token ids in, hidden states or logits out."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
import torch

from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.families import FAMILIES, Blueprint, canonical_names
from embedding_model.inspection.families.heads import Head
from embedding_model.inspection.families.settings import Settings
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Inspection, Quantization, ScoreRule, Task
from embedding_model.sources.selection import CONFIG_FILE
from embedding_runtime.architectures.batch import Batch, count_padded
from embedding_runtime.architectures.configuration import build_configuration, cannot_build
from embedding_runtime.architectures.families import Architecture, Config, find_architecture
from embedding_runtime.architectures.native.linear import can_pack, pack_weights
from embedding_runtime.architectures.quantization import Quantizer, make_quantizer
from embedding_runtime.architectures.sequence_score import score_last_token
from embedding_runtime.architectures.stored import Weights, open_weights
from embedding_runtime.architectures.weights import assign, parameters_without_memory, place_buffers
from embedding_runtime.files import Files


@dataclass(frozen=True)
class Network:
    """`forward` gives hidden states [batch, length, width], or the logits of the class with a head. Of a causal
    language model it gives hidden states too: whoever wants logits wants those of few words at one position.

    `name` says which implementation it is, `module` holds the weights, `pad_id` fills up what is shorter, `width` is
    that of a hidden state. `count_computed`: how many tokens are computed for a batch of texts with such lengths.
    """

    forward: Callable[[Batch], torch.Tensor]
    module: torch.nn.Module
    name: str
    config: Config
    pad_id: int
    width: int
    device: torch.device
    dtype: torch.dtype
    count_computed: Callable[[Sequence[int]], int] = count_padded


def head_of(inspection: Inspection) -> Head | None:
    """What stands behind the body for the model's task."""
    match inspection.task:
        case Task.EMBEDDING:
            return None
        case Task.SPARSE:
            return Head.MASKED_LANGUAGE_MODEL
        case Task.RERANKING if inspection.scoring and inspection.scoring.rule is ScoreRule.TOKEN_LOGITS:
            return Head.CAUSAL_LANGUAGE_MODEL
        case _:
            return Head.SEQUENCE_CLASSIFICATION


def load_network(
    files: Files,
    *,
    inspection: Inspection,
    head: Head | None,
    device: torch.device,
    dtype: torch.dtype,
    quantization: Quantization = Quantization.NONE,
) -> Network:
    """The body (`head` None) or the class with that head. `files` are those of the transformer's own folder.

    Raises Refusal: UNSUPPORTED_ARCHITECTURE, MISSING_FILE, INVALID_FILE, INCOMPLETE_WEIGHTS, UNEXPECTED_WEIGHTS,
    HASH_MISMATCH, INVALID_OVERRIDE for a quantisation that the dtype does not allow.
    """
    architecture = find_architecture(inspection.family)
    config = read_config(files)
    quantizer = make_quantizer(quantization, device=device, dtype=dtype)
    with open_weights(files) as weights:
        blueprint, names = _describe(inspection.family, config=config, weights=weights)
        native = (
            architecture.native if is_native(architecture, config=config, head=head, names=names.values()) else None
        )
        labels = _count_labels(weights, names=names, blueprint=blueprint, head=head)
        with parameters_without_memory():
            if native is None:
                name = FAMILIES[inspection.family].classes[head]
                model = _build(architecture, name=name, config=config, head=head, labels=labels)
            elif head is None:
                model = native.build(native.complete(config, names.values()))
            else:
                model = native.heads[head](native.complete(config, names.values()), labels)
        assign(
            model,
            weights=weights,
            family=FAMILIES[inspection.family],
            blueprint=blueprint,
            head=head,
            device=device,
            dtype=dtype,
            convert=architecture.convert if native is None else dict,
            quantize=quantizer,
        )
    if native is not None and quantizer is None and can_pack(device=device, dtype=dtype):
        pack_weights(model, held=weights.in_memory)
    model.eval()
    place_buffers(model, device=device)
    return Network(
        forward=model
        if native is not None
        else _find_forward(model, head=head, architecture=architecture, config=config),
        module=model,
        name=_name(model, native=native is not None, quantizer=quantizer, stored=weights.types),
        config=config,
        pad_id=_pad_id(config, words=blueprint.body[blueprint.words][0].value),
        width=blueprint.width,
        device=device,
        dtype=dtype,
        count_computed=native.count_computed(device) if native is not None else count_padded,
    )


def _describe(family: str, *, config: Config, weights: Weights) -> tuple[Blueprint, dict[str, str]]:
    """What the family needs with these weights, and the names that inspection has for what is stored."""
    names = canonical_names(weights.shapes, family=FAMILIES[family])
    settings = Settings(JsonObject(CONFIG_FILE, config), names=names.values())
    return FAMILIES[family].describe(settings), names


def _count_labels(weights: Weights, *, names: Mapping[str, str], blueprint: Blueprint, head: Head | None) -> int:
    """As many as the weights have, whether config.json counts them or not; 1 without such a head."""
    if head is not Head.SEQUENCE_CLASSIFICATION:
        return 1
    output = blueprint.heads[head].output
    return next((weights.shapes[name][0] for name, known in names.items() if known == output), 1)


def _name(model: torch.nn.Module, *, native: bool, quantizer: Quantizer | None, stored: str | None) -> str:
    name = f"{'native' if native else 'transformers'} {type(model).__name__}"
    if stored is not None:
        name += f" (GGUF: {stored})"
    return name if quantizer is None else f"{name} ({quantizer.describe()})"


def is_native(
    architecture: Architecture, *, config: Config, head: Head | None, names: Collection[str] | None = None
) -> bool:
    """Whether our own code computes this configuration with this head, so that no slow import is needed.

    `names` are those of the tensors, where they are known. Raises Refusal(UNSUPPORTED_ARCHITECTURE) where our own code
    is all there is and does not know the configuration.
    """
    native = architecture.native
    found = (
        native is not None
        and (head is None or head in native.heads)
        and native.fits(native.complete(config, names or ()))
    )
    if not found and architecture.package is None:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{CONFIG_FILE} says something that this runtime does not compute: {architecture.name} has no class in "
            f"transformers, and its implementation here ({architecture.source}) knows the usual values of "
            f"{', '.join(architecture.honours)} alone.",
        )
    return found


def read_config(files: Files) -> dict[str, Any]:
    """Raises Refusal: MISSING_FILE, INVALID_FILE."""
    if CONFIG_FILE not in files:
        raise Refusal(Reason.MISSING_FILE, f"The model has no {CONFIG_FILE}.")
    try:
        config = orjson.loads(files[CONFIG_FILE])
    except orjson.JSONDecodeError as error:
        raise Refusal(Reason.INVALID_FILE, f"{CONFIG_FILE} is not JSON: {error.msg}.") from error
    if not isinstance(config, dict):
        raise Refusal(Reason.INVALID_FILE, f"{CONFIG_FILE} is not a JSON object.")
    return config


def _pad_id(config: Mapping[str, Any], *, words: int) -> int:
    """Any of the `words` tokens with an embedding will do: attention skips it. One beyond them breaks a CUDA device."""
    own = config.get("pad_token_id")
    return own if isinstance(own, int) and 0 <= own < words else 0


def _build(architecture: Architecture, *, name: str, config: Config, head: Head | None, labels: int) -> torch.nn.Module:
    arguments = architecture.arguments if head is None else {}
    configuration = build_configuration(architecture, config=config, labels=labels)
    model_class = architecture.import_class(name)
    try:
        return cast(torch.nn.Module, model_class(configuration, **arguments))
    except Exception as error:  # transformers checks little; any line of it may fail
        raise cannot_build(error) from error


def _find_forward(
    model: torch.nn.Module, *, head: Head | None, architecture: Architecture, config: Config
) -> Callable[[Batch], torch.Tensor]:
    if head is None or not FAMILIES[architecture.name].is_decoder:
        return _call(model, head=head, architecture=architecture, config=config)
    body = model.get_submodule(str(model.base_model_prefix))
    hidden = _call(body, head=None, architecture=architecture, config=config)
    return hidden if head is Head.CAUSAL_LANGUAGE_MODEL else score_last_token(model, compute_body=hidden)


def _call(
    model: torch.nn.Module, *, head: Head | None, architecture: Architecture, config: Config
) -> Callable[[Batch], torch.Tensor]:
    is_causal = architecture.is_causal(config)

    def call(batch: Batch) -> torch.Tensor:
        more = {"token_type_ids": batch.types} if architecture.types and batch.types is not None else {}
        # Nothing sees padding that lies behind it: without a mask attention takes its quickest kernel.
        attention = None if is_causal and batch.starts_with_tokens else batch.attention
        answer = model(input_ids=batch.ids, attention_mask=attention, **more)
        return cast(torch.Tensor, answer.last_hidden_state if head is None else answer.logits)

    return call
