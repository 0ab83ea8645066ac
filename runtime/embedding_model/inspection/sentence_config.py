"""sentence_bert_config.json: the settings of sentence-transformers' Transformer module."""

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

# What each of the module's tasks takes from the transformer (Transformer's TRANSFORMER_TASK_DEFAULTS).
_OUTPUTS = {
    "feature-extraction": "last_hidden_state",
    "sequence-classification": "logits",
    "text-generation": "logits",
    "fill-mask": "logits",
}
_READ = frozenset({"max_seq_length", "do_lower_case", "transformer_task", "modality_config"})
_WITHOUT_EFFECT = frozenset({"unpad_inputs", "module_output_name", "tokenizer_name_or_path"})
# Arguments of from_pretrained that choose a kernel, a memory layout or a download, never a number.
_ARGUMENTS = frozenset(
    {"model_args", "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args", "config_kwargs"}
)
_HARMLESS_ARGUMENTS = frozenset(
    {"attn_implementation", "low_cpu_mem_usage", "torch_dtype", "dtype", "use_fast", "use_safetensors", "device_map"}
)


@dataclass(frozen=True)
class SentenceConfig:
    """`lowercase`: whether the text is lowercased before the tokenizer sees it.

    `transformer_task` is the pipeline of transformers that the module runs, such as fill-mask; None where no file says.
    """

    document: JsonObject
    lowercase: bool
    transformer_task: str | None
    evidence: Evidence


def read_sentence_config(source: Source, *, folder: str) -> SentenceConfig:
    """The Transformer module's own settings.

    Raises Refusal(UNSUPPORTED_ARCHITECTURE) for settings that change the numbers in ways that are not understood.
    """
    document = _find(source, folder=folder)
    task = document.text("transformer_task")
    if task is not None and task not in _OUTPUTS:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{document.path}: transformer_task is {quote(task)}; understood are {', '.join(_OUTPUTS)}",
        )
    _check_modality(document, output=_OUTPUTS[task or "feature-extraction"])
    for key, value in document.values.items():
        if key in _READ or key in _WITHOUT_EFFECT or _is_empty(value):
            continue
        if key in _ARGUMENTS and isinstance(value, dict) and set(value) <= _HARMLESS_ARGUMENTS:
            continue
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{document.path}: {quote(key)} is set, which is not understood; ignoring it could change every number",
        )
    lowercase = document.flag("do_lower_case") or False
    return SentenceConfig(
        document=document,
        lowercase=lowercase,
        transformer_task=task,
        evidence=Evidence(
            field="lowercase",
            value="true" if lowercase else "false",
            file=document.path,
            key="do_lower_case",
            note=None if document.exists else "the file is not there; the tokenizer's own normaliser still applies",
        ),
    )


def _find(source: Source, *, folder: str) -> JsonObject:
    listed = {file.path for file in source.files()}
    paths = [join(folder, name) for name in FILE_NAMES]
    path = next((path for path in paths if path in listed), None)
    return JsonObject(path=paths[0], exists=False) if path is None else read_object(source, path=path)


def _check_modality(document: JsonObject, *, output: str) -> None:
    modality = document.mapping("modality_config")
    if not modality:
        return
    text = modality.get("text")
    found = (text.get("method"), text.get("method_output_name")) if isinstance(text, dict) else None
    if found != ("forward", output):
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"{document.path}: modality_config does not take {output} of forward for text; only that is understood",
        )


def _is_empty(value: Any) -> bool:
    return value is None or value is False or value == {} or value == []
