"""Which model the weights are: config.json names it, the tensors prove it.

Order of belief: tensors over config.json, config.json's model_type over its `architectures`. A tensor that the class
needs and the file does not hold would be filled with random numbers when it is loaded, so it is a refusal here.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping

from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.families import ACTIVATIONS, Blueprint, Family, canonical_names
from embedding_model.inspection.families.choice import choose_family, own_code
from embedding_model.inspection.families.fit import Fit, fit, list_names
from embedding_model.inspection.families.heads import CLASSIFICATION
from embedding_model.inspection.families.settings import Settings
from embedding_model.inspection.families.table import has_prefix
from embedding_model.inspection.identified import Head, Identified
from embedding_model.inspection.quoting import escape, quote
from embedding_model.inspection.tensors import Tensor
from embedding_model.refusal import Reason, Refusal

# Ends of the names that quantisers give their tensors (GPTQ, AWQ, bitsandbytes, compressed-tensors, FP8).
_QUANTISED = (
    ".qweight",
    ".qzeros",
    ".g_idx",
    ".weight_scale",
    ".weight_scale_inv",
    ".weight_packed",
    ".SCB",
    ".absmax",
)

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
        "position_embedding_type",  # refused unless it is the family's own
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
        "tie_word_embeddings",  # counts where a language head is used
        "torch_dtype",
        "transformers_version",
        "use_cache",
    }
)
_LANGUAGE_HEADS = frozenset(set(Head) - set(CLASSIFICATION))


def identify(config: JsonObject, tensors: Mapping[str, Tensor]) -> Identified:
    """What config.json and the tensors say together.

    Raises Refusal: UNSUPPORTED_ARCHITECTURE for families, activations and position embeddings that are not known,
    REMOTE_CODE_REQUIRED for what only the model's own code computes, UNSUPPORTED_FORMAT for quantised weights,
    INVALID_FILE for sizes that are not numbers, INCOMPLETE_WEIGHTS, UNEXPECTED_WEIGHTS, CONTRADICTORY_EVIDENCE for
    tensors that are not those of the family.
    """
    _refuse_quantised(config, names=tensors)
    family = choose_family(config, names=tensors)
    code = own_code(config)
    if code is not None and family.is_decoder:
        raise Refusal(
            Reason.REMOTE_CODE_REQUIRED,
            f"{config.path}: the model brings its own Python code (auto_map.{code}), which is never run. It may read "
            f"in both directions where {family.architecture} reads from left to right, and no tensor shows that: use a "
            "repository without auto_map",
        )
    _refuse_switches(config, family=family)
    _check_activation(config, family=family)
    stored = _rename(tensors, family=family)
    blueprint = family.describe(Settings(config, names=stored))
    with_prefix = _saved_with_head(tensors, stored=stored, blueprint=blueprint, family=family)
    try:
        found = fit(stored, blueprint=blueprint, family=family, config=config, with_prefix=with_prefix)
    except Refusal as refusal:
        raise _blame_own_code(refusal, stored=stored, blueprint=blueprint, code=code) from None
    return _assemble(config, stored=stored, family=family, blueprint=blueprint, found=found, code=code)


def _assemble(
    config: JsonObject,
    *,
    stored: Mapping[str, Tensor],
    family: Family,
    blueprint: Blueprint,
    found: Fit,
    code: str | None,
) -> Identified:
    words = stored.get(blueprint.words) or stored[blueprint.tied[blueprint.words]]
    positions = blueprint.positions
    if positions.count < 1:
        raise Refusal(
            Reason.INVALID_FILE, f"{config.path}: no position is left for a token ({positions.note}); expected some"
        )
    return Identified(
        family=family.name,
        is_decoder=family.is_decoder,
        architectures=family.classes,
        heads=found.heads,
        missing_heads=found.missing_heads,
        label_count=found.label_count,
        hidden_size=blueprint.width,
        vocabulary_size=words.shape[0],
        positions=positions.count,
        position_note=positions.note,
        word_tensor=words,
        position_tensor=stored.get(positions.tensor) if positions.tensor else None,
        head_tensor=found.head_tensor,
        overruled=_list_overruled(config, family=family, found=found, code=code),
        avoid_dtypes=family.avoid_dtypes,
    )


def _list_overruled(config: JsonObject, *, family: Family, found: Fit, code: str | None) -> tuple[str, ...]:
    """Classes that config.json names and the tensors are not, and code that is not needed."""
    true = {family.classes[head] for head in found.heads} or {family.architecture}
    classes = [name for name in config.texts("architectures")[:4] if name not in true]
    return (
        *(f"{escape(name[:80])} ({config.path} architectures)" for name in classes),
        *((f"own code, auto_map.{code} ({config.path})",) if code is not None else ()),
    )


def _refuse_quantised(config: JsonObject, *, names: Iterable[str]) -> None:
    quantised = next((name for name in names if name.endswith(_QUANTISED)), None)
    if config.mapping("quantization_config"):
        raise Refusal(
            Reason.UNSUPPORTED_FORMAT,
            f"{config.path}: quantization_config says that the weights are quantised; use the plain float weights",
        )
    if quantised is not None:
        raise Refusal(
            Reason.UNSUPPORTED_FORMAT,
            f"the weights hold {quote(quantised)}, which quantisers write (GPTQ, AWQ, bitsandbytes ...): use the plain "
            "float weights",
        )


def _refuse_switches(config: JsonObject, *, family: Family) -> None:
    """What transformers takes from any configuration and would compute another network with than the family's."""
    if config.values.get("per_layer_config") is not None:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{config.path}: per_layer_config gives layers sizes of their own, which is not served",
        )
    if config.flag("is_causal") and not family.is_decoder:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{config.path}: is_causal is true, but {family.name} is known as reading in both directions only",
        )


def _check_activation(config: JsonObject, *, family: Family) -> None:
    activation = config.text(family.activation) if family.activation else None
    if activation is not None and activation not in ACTIVATIONS:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{config.path}: {family.activation} is {quote(activation)}; known are {', '.join(sorted(ACTIVATIONS))}",
        )


def _saved_with_head(
    tensors: Mapping[str, Tensor], *, stored: Mapping[str, Tensor], blueprint: Blueprint, family: Family
) -> bool:
    """Whether the body's names have a prefix: all of them or none, else transformers reads only a part."""
    body = [stored[name].name for name in blueprint.body if name in stored]
    prefixed = [name for name in body if has_prefix(name, family=family)]
    if prefixed and len(prefixed) < len(body):
        plain = next(name for name in body if not has_prefix(name, family=family))
        raise Refusal(
            Reason.CONTRADICTORY_EVIDENCE,
            f"the weights hold {list_names([prefixed[0], plain])}: some names begin with a prefix and some do not, "
            "so they come from two models; keep one",
        )
    return bool(prefixed)


def _blame_own_code(
    refusal: Refusal, *, stored: Mapping[str, Tensor], blueprint: Blueprint, code: str | None
) -> Refusal:
    """Tensors that the class does not have, in a model that brings its own code: it is the code that has them."""
    strange = any(name not in blueprint.body for name in stored)
    lacking = refusal.reason is Reason.UNEXPECTED_WEIGHTS or (refusal.reason is Reason.INCOMPLETE_WEIGHTS and strange)
    if code is None or not lacking or any(head in refusal.message for head in Head):
        return refusal
    return Refusal(
        Reason.REMOTE_CODE_REQUIRED,
        f"{refusal.message}. The model brings its own Python code (auto_map.{code}), which is never run: use a "
        "repository that was saved for transformers' own class",
    )


def _rename(tensors: Mapping[str, Tensor], *, family: Family) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for name, canonical in canonical_names(tensors, family=family).items():
        if canonical in renamed:
            raise Refusal(
                Reason.CONTRADICTORY_EVIDENCE,
                f"the weights hold {list_names([renamed[canonical].name, name])}, which are the same tensor: keep one",
            )
        renamed[canonical] = tensors[name]
    return renamed


def hash_configuration(config: JsonObject, *, heads: Iterable[Head] = ()) -> str:
    """sha256 (64 hex digits) of the values of config.json that change the numbers.

    Unknown keys count: a new key may matter, and a space named anew is safer than two spaces under one name.
    Dropout is for training only. `heads` are those that are used: whether words in and words out are one matrix
    matters to language heads alone.
    """
    ignored = _WITHOUT_EFFECT - {"tie_word_embeddings"} if _LANGUAGE_HEADS & set(heads) else _WITHOUT_EFFECT
    effective = {
        key: value
        for key, value in config.values.items()
        if key not in ignored and "dropout" not in key and value is not None
    }
    return hashlib.sha256(json.dumps(effective, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
