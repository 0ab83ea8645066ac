"""sentence-transformers' own files: sentence_bert_config.json (the Transformer module) and the library's model type."""

from dataclasses import dataclass
from typing import Any

from embedding_model.inspection.documents import JsonObject, join, read_object
from embedding_model.inspection.quoting import quote
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Evidence
from embedding_model.sources.source import Source

# The name depended on the model before it was settled (Transformer.load_config); the first that exists counts.
FILE_NAMES = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)

_READ = frozenset({"max_seq_length", "do_lower_case", "transformer_task", "modality_config"})
_WITHOUT_EFFECT = frozenset({"unpad_inputs", "module_output_name", "tokenizer_name_or_path"})
# Arguments of from_pretrained that choose a kernel, a memory layout or a download, never a number.
_ARGUMENTS = frozenset(
    {"model_args", "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args", "config_kwargs"}
)
_HARMLESS_ARGUMENTS = frozenset(
    {"attn_implementation", "low_cpu_mem_usage", "torch_dtype", "dtype", "use_fast", "use_safetensors", "device_map"}
)
_OTHER_LIBRARY_MODELS = {
    "SparseEncoder": "a sparse model",
    "CrossEncoder": "a reranker",
    "MultiVectorEncoder": "a multi-vector model (ColBERT)",
}


@dataclass(frozen=True)
class SentenceConfig:
    """`lowercase`: whether the text is lowercased before the tokenizer sees it."""

    document: JsonObject
    lowercase: bool
    evidence: Evidence


def read_sentence_config(source: Source, *, folder: str) -> SentenceConfig:
    """The Transformer module's own settings.

    Raises Refusal(UNSUPPORTED_ARCHITECTURE) for settings that change the vectors in ways that are not served.
    """
    document = _find(source, folder=folder)
    task = document.text("transformer_task")
    if task is not None and task != "feature-extraction":
        raise Refusal(
            Reason.NOT_AN_EMBEDDING_MODEL,
            f"{document.path}: transformer_task is {quote(task)}; only feature-extraction gives embeddings",
        )
    _check_modality(document)
    for key, value in document.values.items():
        if key in _READ or key in _WITHOUT_EFFECT or _is_empty(value):
            continue
        if key in _ARGUMENTS and isinstance(value, dict) and set(value) <= _HARMLESS_ARGUMENTS:
            continue
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{document.path}: {quote(key)} is set, which is not served; ignoring it could change every vector",
        )
    lowercase = document.flag("do_lower_case") or False
    return SentenceConfig(
        document=document,
        lowercase=lowercase,
        evidence=Evidence(
            field="lowercase",
            value="true" if lowercase else "false",
            file=document.path,
            key="do_lower_case",
            note=None if document.exists else "the file is not there; the tokenizer's own normaliser still applies",
        ),
    )


def check_library_config(config: JsonObject) -> None:
    """Raises Refusal(NOT_AN_EMBEDDING_MODEL) where config_sentence_transformers.json names another kind of model."""
    kind = config.text("model_type")
    if kind in _OTHER_LIBRARY_MODELS:
        raise Refusal(
            Reason.NOT_AN_EMBEDDING_MODEL,
            f"{config.path}: model_type is {kind}, {_OTHER_LIBRARY_MODELS[kind]}; only dense text embedding models are "
            "served so far",
        )
    if kind is not None and kind != "SentenceTransformer":
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{config.path}: model_type is {quote(kind)}; expected SentenceTransformer",
        )


def _find(source: Source, *, folder: str) -> JsonObject:
    listed = {file.path for file in source.files()}
    paths = [join(folder, name) for name in FILE_NAMES]
    path = next((path for path in paths if path in listed), None)
    return JsonObject(path=paths[0], exists=False) if path is None else read_object(source, path=path)


def _check_modality(document: JsonObject) -> None:
    modality = document.mapping("modality_config")
    if not modality:
        return
    text = modality.get("text")
    output = text.get("method_output_name") if isinstance(text, dict) else None
    method = text.get("method") if isinstance(text, dict) else None
    if (method, output) != ("forward", "last_hidden_state"):
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{document.path}: modality_config does not take last_hidden_state of forward for text; only "
            "that is served",
        )


def _is_empty(value: Any) -> bool:
    return value is None or value is False or value == {} or value == []
