"""Whether this version's runtime serves a model that inspection has understood."""

from collections.abc import Mapping

from embedding_model.inspection.families import FAMILIES
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Inspection, Quantization, Task

_EVERY_TASK = frozenset(Task)
_PAIRS = frozenset({Task.EMBEDDING, Task.RERANKING, Task.CLASSIFICATION})
_TEXTS = frozenset({Task.EMBEDDING, Task.CLASSIFICATION})  # no prompt is known with which one of them reranks

# What the runtime has a forward pass for, by the family's name in `inspection.families`. A test holds it to the
# runtime's own table.
SERVED: Mapping[str, frozenset[Task]] = {
    "bert": _EVERY_TASK,
    "roberta": _EVERY_TASK,
    "xlm-roberta": _EVERY_TASK,
    "camembert": _EVERY_TASK,
    "mpnet": _PAIRS,
    "distilbert": _EVERY_TASK,
    "electra": _EVERY_TASK,
    "albert": _EVERY_TASK,
    "deberta-v2": _EVERY_TASK,
    "modernbert": _EVERY_TASK,
    "eurobert": _EVERY_TASK,
    "nomic_bert": _EVERY_TASK,
    "gte": _EVERY_TASK,
    "jina_embeddings_v3": _EVERY_TASK,
    "t5": frozenset({Task.EMBEDDING}),
    "llama": _TEXTS,
    "mistral": _TEXTS,
    "qwen2": _PAIRS,
    "qwen3": _PAIRS,
    "gemma": _PAIRS,
    "gemma2": _TEXTS,
    "gemma3_text": _TEXTS,
    "jina_bert": _PAIRS,
    "jina_bert_code": _PAIRS,
}

_NAMES = {
    Task.EMBEDDING: "an embedding model",
    Task.RERANKING: "a reranker",
    Task.CLASSIFICATION: "a classifier",
    Task.SPARSE: "a sparse model",
}


def require_served(inspection: Inspection) -> None:
    """Raises Refusal(UNSUPPORTED_ARCHITECTURE) for what is understood but not served by this version."""
    if inspection.task in SERVED.get(inspection.family, frozenset()):
        return
    what = f"this is {_NAMES[inspection.task]} ({inspection.architecture})"
    families = sorted(family for family, tasks in SERVED.items() if inspection.task in tasks)
    raise Refusal(
        Reason.UNSUPPORTED_ARCHITECTURE,
        f"{what}; of this task this version serves the families {', '.join(families)}",
    )


def require_quantized(inspection: Inspection, *, quantization: Quantization) -> None:
    """Raises Refusal(INVALID_OVERRIDE) where the runtime does not quantise: only language models as embedders are."""
    if quantization is Quantization.NONE:
        return
    if inspection.task is not Task.EMBEDDING or not FAMILIES[inspection.family].is_decoder:
        raise Refusal(
            Reason.INVALID_OVERRIDE,
            f"runtime.quantization is {quantization}, which is for embedding models made of a language model (Qwen3, "
            f"Llama, Mistral, Gemma ...); this is {_NAMES[inspection.task]} ({inspection.architecture}): leave it out",
            field="runtime.quantization",
        )
