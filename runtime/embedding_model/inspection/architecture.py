"""Which encoder the weights are: config.json names it, the tensors prove it.

Order of belief: tensors over config.json, config.json's model_type over its `architectures`. A tensor that the class
needs and the file does not hold would be filled with random numbers when it is loaded, so it is a refusal here.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.families import ACTIVATIONS, FAMILIES, HEADS, HIDDEN, Family, canonical_names
from embedding_model.inspection.quoting import escape, quote
from embedding_model.inspection.tensors import Tensor
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Evidence

POSITION_TENSOR = "embeddings.position_embeddings.weight"
WORD_TENSOR = "embeddings.word_embeddings.weight"

_MOST_LAYERS = 1000  # the deepest encoders have 48; the list of expected tensors must stay small

# Heads that turn token or sentence vectors into scores.
_SCORE_HEADS = ("classifier.", "pre_classifier.", "score.", "qa_outputs.", "multiple_choice.")

# Values of config.json that leave the vectors alone: names, versions, labels, training, and what generation uses.
_WITHOUT_EFFECT = frozenset(
    {
        "_attn_implementation",
        "_commit_hash",
        "_name_or_path",
        "architectures",
        "auto_map",
        "bos_token_id",
        "dtype",
        "eos_token_id",
        "finetuning_task",
        "gradient_checkpointing",
        "add_cross_attention",  # refused unless false
        "is_decoder",  # refused unless false
        "position_embedding_type",  # refused unless absolute
        "id2label",
        "initializer_factor",
        "initializer_range",
        "label2id",
        "matryoshka_dimensions",
        "num_labels",
        "output_attentions",
        "output_hidden_states",
        "output_past",
        "problem_type",
        "return_dict",
        "sentence_transformers",
        "task_specific_params",
        "tie_word_embeddings",
        "torch_dtype",
        "transformers_version",
        "use_cache",
    }
)


@dataclass(frozen=True)
class Encoder:
    """The encoder behind the vectors: `positions` is how many tokens it can number, special tokens included."""

    family: Family
    hidden_size: int
    positions: int
    position_note: str
    word_tensor: Tensor
    position_tensor: Tensor


def identify_family(config: JsonObject) -> Family:
    """The family that config.json names.

    Raises Refusal: REMOTE_CODE_REQUIRED when the model brings its own code, UNSUPPORTED_ARCHITECTURE for what is not
    in FAMILIES, for decoders, and for unknown activations and position embeddings, UNSUPPORTED_FORMAT for quantised
    weights.
    """
    model_type = config.text("model_type")
    own_code = sorted(name for name in config.mapping("auto_map") if name.startswith("AutoModel"))
    if own_code:
        raise Refusal(
            Reason.REMOTE_CODE_REQUIRED,
            f"{config.path}: auto_map.{own_code[0]} says that the model brings its own Python code, which is never "
            "run: choose a revision or a sibling model without auto_map",
        )
    family = FAMILIES.get(model_type or "")
    if family is None:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{config.path}: model_type is {quote(model_type)}; served are {', '.join(FAMILIES)}",
        )
    if config.flag("is_decoder") or config.flag("add_cross_attention"):
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{config.path}: is_decoder or add_cross_attention is true; only encoders with full attention are served",
        )
    position_type = config.text("position_embedding_type")
    if position_type not in (None, "absolute"):
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{config.path}: position_embedding_type is {quote(position_type)}; only absolute is served",
        )
    activation = config.text(family.activation)
    if activation is not None and activation not in ACTIVATIONS:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{config.path}: {family.activation} is {quote(activation)}; known are {', '.join(sorted(ACTIVATIONS))}",
        )
    if config.mapping("quantization_config"):
        raise Refusal(
            Reason.UNSUPPORTED_FORMAT,
            f"{config.path}: quantization_config says that the weights are quantised; use the plain float weights",
        )
    return family


def verify_tensors(tensors: Mapping[str, Tensor], *, config: JsonObject, family: Family) -> Encoder:
    """Check that the tensors are exactly those of the family, in the shapes that config.json says.

    Raises Refusal: INCOMPLETE_WEIGHTS for missing tensors, UNEXPECTED_WEIGHTS for unknown ones,
    CONTRADICTORY_EVIDENCE for a head that scores or for shapes that differ from config.json.
    """
    stored = _rename(tensors, family=family)
    sizes = {symbol: _read_size(config, family=family, symbol=symbol) for symbol in family.sizes}
    if sizes[HIDDEN] % sizes[HEADS]:
        raise Refusal(
            Reason.CONTRADICTORY_EVIDENCE,
            f"{config.path}: {family.sizes[HIDDEN]} {sizes[HIDDEN]} cannot be divided among "
            f"{family.sizes[HEADS]} {sizes[HEADS]}",
        )
    expected = family.expected_tensors(layer_count=_read_layer_count(config, family=family))
    _check_names(stored, expected=expected, family=family, config=config)
    for name, symbols in expected.items():
        shape = tuple(sizes[symbol] for symbol in symbols)
        if stored[name].shape != shape:
            keys = ", ".join(dict.fromkeys(family.sizes[symbol] for symbol in symbols))
            raise Refusal(
                Reason.CONTRADICTORY_EVIDENCE,
                f"{stored[name].file}: {stored[name].name} has the shape {list(stored[name].shape)}, but {config.path} "
                f"({keys}) says {list(shape)}: the two files belong to different models",
            )
        if not stored[name].is_floating:
            raise Refusal(
                Reason.UNSUPPORTED_FORMAT,
                f"{stored[name].file}: {stored[name].name} is stored as {stored[name].dtype}; expected plain floats",
            )
    first, note = _first_position(config, family=family)
    return Encoder(
        family=family,
        hidden_size=stored[WORD_TENSOR].shape[1],
        positions=stored[POSITION_TENSOR].shape[0] - first,
        position_note=f"{stored[POSITION_TENSOR].shape[0]} positions{note}",
        word_tensor=stored[WORD_TENSOR],
        position_tensor=stored[POSITION_TENSOR],
    )


def find_score_head(names: Iterable[str]) -> str | None:
    """The name of a tensor of a classification, reranking or question-answering head, if there is one."""
    return next((name for name in sorted(names) if name.startswith(_SCORE_HEADS)), None)


def describe_architecture(config: JsonObject, *, encoder: Encoder) -> Evidence:
    """The class that is loaded, and the names in `architectures` that lost."""
    family = encoder.family
    declared = config.texts("architectures")
    return Evidence(
        field="architecture",
        value=family.architecture,
        file=config.path,
        key="model_type",
        note=f"{family.model_type}; every tensor of {family.architecture} is there with its shape",
        overruled=tuple(
            f"{escape(name[:80])} ({config.path} architectures)" for name in declared[:4] if name != family.architecture
        ),
    )


def hash_configuration(config: JsonObject) -> str:
    """sha256 (64 hex digits) of the values of config.json that change the vectors.

    Unknown keys count: a new key may matter, and a space named anew is safer than two spaces under one name.
    Dropout is for training only.
    """
    effective = {
        key: value
        for key, value in config.values.items()
        if key not in _WITHOUT_EFFECT and "dropout" not in key and value is not None
    }
    return hashlib.sha256(json.dumps(effective, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _rename(tensors: Mapping[str, Tensor], *, family: Family) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for name, canonical in canonical_names(tensors, family=family).items():
        if canonical in renamed:
            raise Refusal(
                Reason.CONTRADICTORY_EVIDENCE,
                f"the weights hold {_list([renamed[canonical].name, name])}, which are the same tensor: keep one",
            )
        renamed[canonical] = tensors[name]
    return renamed


def _check_names(
    stored: Mapping[str, Tensor], *, expected: Mapping[str, object], family: Family, config: JsonObject
) -> None:
    missing = [name for name in expected if name not in stored]
    if missing:
        raise Refusal(
            Reason.INCOMPLETE_WEIGHTS,
            f"the weights lack {_list(missing)} of {family.architecture} as {config.path} describes it; loading "
            "would fill them with random numbers. Use the complete weights, or the config.json that belongs to them",
        )
    head = find_score_head(stored)
    if head is not None:
        raise Refusal(
            Reason.CONTRADICTORY_EVIDENCE,
            f"modules.json describes an embedding model, but {stored[head].file} holds {escape(head[:120])}, a head "
            "that scores or classifies: save the embedder without that head; rerankers are not served yet",
        )
    unexpected = [name for name in stored if name not in expected and not name.startswith(family.unused)]
    if unexpected:
        raise Refusal(
            Reason.UNEXPECTED_WEIGHTS,
            f"the weights hold {_list(unexpected)}, which {family.architecture} with "
            f"{config.values[family.layer_count]} layers does not have: it is another architecture, or config.json "
            "belongs to another model",
        )


def _read_layer_count(config: JsonObject, *, family: Family) -> int:
    count = config.required_integer(family.layer_count)
    if count > _MOST_LAYERS:
        raise Refusal(
            Reason.INVALID_FILE, f"{config.path}: {family.layer_count} is {count}; expected at most {_MOST_LAYERS}"
        )
    return count


def _read_size(config: JsonObject, *, family: Family, symbol: str) -> int:
    key = family.sizes[symbol]
    default = family.size_defaults.get(symbol)
    return default if default is not None and key not in config.values else config.required_integer(key)


def _first_position(config: JsonObject, *, family: Family) -> tuple[int, str]:
    first = family.first_position
    if first.after_padding_token:
        padding = config.integer("pad_token_id")
        if padding is not None and padding < 0:
            raise Refusal(Reason.INVALID_FILE, f"{config.path}: expected pad_token_id to be 0 or more, found {padding}")
        index = (first.default_padding_token if padding is None else padding) + 1
    else:
        index = first.constant
    return index, f", the first {index} reserved for padding" if index else ""


def _list(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(escape(name[:120]) for name in names[:3]) + more
