"""Which family a model belongs to: config.json's model_type, unless the tensors tell it apart from its namesakes."""

from collections.abc import Collection
from typing import NoReturn

from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.families import FAMILIES
from embedding_model.inspection.families.table import Family
from embedding_model.inspection.quoting import escape, quote
from embedding_model.refusal import Reason, Refusal

# config.json's word -> name of the family, where they differ.
_MODEL_TYPES = {"new": "gte"}
# Families whose tensors have the same names and shapes, though they number positions differently: only config.json
# tells them apart, so it must not contradict itself.
_LOOK_ALIKES = ("bert", "roberta", "xlm-roberta", "camembert")
_SAME_NUMBERS = frozenset({"roberta", "xlm-roberta", "camembert"})
_NOT_MODEL_TYPES = ("jina_bert", "jina_bert_code", "nomic_bert_moe")  # told apart by their tensors

# What other models are, so that the refusal can say it.
_FOREIGN = {
    "blip": "a model of images and text",
    "chinese_clip": "a model of images and text (CLIP)",
    "clap": "a model of sound and text (CLAP)",
    "clip": "a model of images and text (CLIP)",
    "colpali": "a multi-vector model of page images (ColPali)",
    "colqwen2": "a multi-vector model of page images (ColQwen)",
    "cost_wise_gemma": "a layerwise reranker (bge-reranker-v2.5-gemma2-lightweight)",
    "gemma3": "a model of images and text (its text part alone is gemma3_text)",
    "llama_bidirec": "a Llama that reads in both directions",
    "llava": "a model of images and text",
    "minicpm": "a layerwise reranker or a chat model (MiniCPM)",
    "nvembed": "NV-Embed, with a pooling of its own",
    "qwen2_vl": "a model of images and text (Qwen2-VL)",
    "qwen2_5_vl": "a model of images and text (Qwen2.5-VL)",
    "qwen3_vl": "a model of images and text (Qwen3-VL)",
    "siglip": "a model of images and text (SigLIP)",
    "whisper": "a speech model",
}
_SIGHT_AND_SOUND = ("vision_config", "audio_config", "vision_tower")
# Classes that use a body in a way of their own, by the end of their name.
_FOREIGN_CLASSES = {
    "ForRanking": "a listwise reranker, which scores all documents in one input and cannot score a pair",
    "ForMultipleChoice": "a multiple-choice model",
    "ForNextSentencePrediction": "a next-sentence model",
    "ForImageClassification": "a model of images",
    "ForRetrieval": "a multi-vector model",
}


def choose_family(config: JsonObject, *, names: Collection[str]) -> Family:
    """The family of the model.

    Raises Refusal: REMOTE_CODE_REQUIRED for what only the model's own code computes, UNSUPPORTED_ARCHITECTURE for what
    is not in FAMILIES.
    """
    _refuse_foreign(config)
    model_type = config.text("model_type") or ""
    name = _tell_apart(config, name=_MODEL_TYPES.get(model_type, model_type), names=names)
    if name not in FAMILIES or model_type in _NOT_MODEL_TYPES:
        _refuse_unknown(config)
    _check_classes(config, name=name)
    return FAMILIES[name]


def own_code(config: JsonObject) -> str | None:
    """The auto_map entry that names a Python class for the model, which transformers would download and run."""
    entries = config.mapping("auto_map")
    keys = sorted(key for key in entries if key.startswith("AutoModel"))
    return f"{escape(keys[0][:80])} = {quote(str(entries[keys[0]]))}" if keys else None


def _tell_apart(config: JsonObject, *, name: str, names: Collection[str]) -> str:
    if name == "bert":
        if any(".mlp.up_gated_layer." in tensor for tensor in names):
            return "jina_bert_code"
        table = any(tensor.endswith("embeddings.position_embeddings.weight") for tensor in names)
        alibi = config.text("position_embedding_type") == "alibi" and not table
        if alibi or any(".mlp.gated_layers." in tensor for tensor in names):
            return "jina_bert"
    if name == "nomic_bert" and any(".experts." in tensor for tensor in names):
        return "nomic_bert_moe"
    if name in ("xlm-roberta", "jina_embeddings_v3"):
        _refuse_flash_layout(config, name=name, names=names)
    return name


def _check_classes(config: JsonObject, *, name: str) -> None:
    """Raises Refusal(CONTRADICTORY_EVIDENCE) where model_type and architectures name two families that look alike."""
    if name not in _LOOK_ALIKES:
        return
    for written in config.texts("architectures"):
        other = next((known for known in _LOOK_ALIKES if written in FAMILIES[known].classes.values()), name)
        if other != name and not {other, name} <= _SAME_NUMBERS:
            raise Refusal(
                Reason.CONTRADICTORY_EVIDENCE,
                f"{config.path}: model_type is {name}, but architectures names {quote(written)}, which is {other}: "
                "their tensors look alike, but positions begin at another place. Use the config.json that belongs to "
                "the weights",
            )


def _refuse_flash_layout(config: JsonObject, *, name: str, names: Collection[str]) -> None:
    """jinaai/xlm-roberta-flash-implementation: packed matrices, and LoRA adapters that are chosen by task."""
    if any(".lora_A" in tensor for tensor in names) or config.values.get("lora_adaptations"):
        raise Refusal(
            Reason.REMOTE_CODE_REQUIRED,
            f"{config.path} and the weights hold LoRA adapters that the model's own Python code chooses by task (as "
            "jina-embeddings-v3 does). Own code is never run: use weights that one adapter was merged into, saved for "
            "transformers' class JinaEmbeddingsV3Model",
        )
    if name == "xlm-roberta" and any(".mixer.Wqkv." in tensor for tensor in names):
        raise Refusal(
            Reason.REMOTE_CODE_REQUIRED,
            f"{config.path}: model_type is xlm-roberta, but the tensors (mixer.Wqkv ...) are those of "
            "jinaai/xlm-roberta-flash-implementation, Python code that is never run: use a repository whose weights "
            "are those of transformers' XLMRobertaModel",
        )


def _refuse_foreign(config: JsonObject) -> None:
    for name in config.texts("architectures"):
        what = next((what for end, what in _FOREIGN_CLASSES.items() if name.endswith(end)), None)
        if what is not None:
            _refuse(config, f"{config.path}: architectures names {quote(name)}: {what}")
    if any(key in config.values for key in _SIGHT_AND_SOUND) and config.text("model_type") not in _FOREIGN:
        _refuse(config, f"{config.path} describes a part for images or sound: the model is not one of text alone")


def _refuse_unknown(config: JsonObject) -> NoReturn:
    model_type = config.text("model_type")
    what = _FOREIGN.get(model_type or "")
    _refuse(config, f"{config.path}: model_type is {quote(model_type)}" + (f", {what}" if what else ""))


def _refuse(config: JsonObject, what: str) -> NoReturn:
    known = ", ".join(name for name in FAMILIES if name not in _NOT_MODEL_TYPES)
    code = own_code(config)
    if code is not None:
        raise Refusal(
            Reason.REMOTE_CODE_REQUIRED,
            f"{what}; it brings its own Python code (auto_map.{code}), which is never run, and there is no class of "
            f"its kind without it: choose a model of one of the families {known}",
        )
    raise Refusal(Reason.UNSUPPORTED_ARCHITECTURE, f"{what}; the families that are known are {known}")
