"""The families that this runtime computes, one small file each.

A table rather than AutoModel: importing one modelling module is quicker than the automatic machinery, and what is not
listed has not been held against its reference. Which tensors a family has, and under which names, is in
embedding_model.inspection.families alone; for which tasks it is served, in embedding_model.served.
"""

from collections.abc import Mapping

from embedding_model.refusal import Reason, Refusal
from embedding_runtime.architectures.families.albert import ALBERT
from embedding_runtime.architectures.families.architecture import Architecture, Config, Native
from embedding_runtime.architectures.families.bert import BERT, CAMEMBERT, ROBERTA, XLM_ROBERTA
from embedding_runtime.architectures.families.deberta import DEBERTA_V2
from embedding_runtime.architectures.families.distilbert import DISTILBERT
from embedding_runtime.architectures.families.electra import ELECTRA
from embedding_runtime.architectures.families.eurobert import EUROBERT
from embedding_runtime.architectures.families.gemma import GEMMA
from embedding_runtime.architectures.families.gemma2 import GEMMA2
from embedding_runtime.architectures.families.gemma3 import GEMMA3
from embedding_runtime.architectures.families.gte import GTE
from embedding_runtime.architectures.families.jina_bert import JINA_BERT, JINA_BERT_CODE
from embedding_runtime.architectures.families.jina_embeddings_v3 import JINA_EMBEDDINGS_V3
from embedding_runtime.architectures.families.llama import LLAMA
from embedding_runtime.architectures.families.mistral import MISTRAL
from embedding_runtime.architectures.families.modernbert import MODERNBERT
from embedding_runtime.architectures.families.mpnet import MPNET
from embedding_runtime.architectures.families.nomic_bert import NOMIC_BERT
from embedding_runtime.architectures.families.qwen2 import QWEN2
from embedding_runtime.architectures.families.qwen3 import QWEN3
from embedding_runtime.architectures.families.t5 import T5

_ENCODERS = (
    BERT,
    ROBERTA,
    XLM_ROBERTA,
    CAMEMBERT,
    MPNET,
    DISTILBERT,
    ELECTRA,
    ALBERT,
    DEBERTA_V2,
    MODERNBERT,
    EUROBERT,
    NOMIC_BERT,
    GTE,
    JINA_EMBEDDINGS_V3,
    T5,
)
_DECODERS = (LLAMA, MISTRAL, QWEN2, QWEN3, GEMMA, GEMMA2, GEMMA3)
_JINA = (JINA_BERT, JINA_BERT_CODE)

__all__ = ["ARCHITECTURES", "Architecture", "Config", "Native", "find_architecture"]

ARCHITECTURES: Mapping[str, Architecture] = {
    architecture.name: architecture for architecture in (*_ENCODERS, *_DECODERS, *_JINA)
}


def find_architecture(name: str) -> Architecture:
    """Raises Refusal(UNSUPPORTED_ARCHITECTURE) naming the families that are served."""
    found = ARCHITECTURES.get(name)
    if found is None:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"This runtime serves the families {', '.join(sorted(ARCHITECTURES))}; the model is {name}.",
        )
    return found
