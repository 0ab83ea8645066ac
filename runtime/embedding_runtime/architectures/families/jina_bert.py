"""Jina BERT (v2): jina-embeddings-v2, its code model, and jina-reranker-v1, in our own code.

Günther et al. 2023, arXiv 2310.19923; slopes of ALiBi as in Press et al. 2021, arXiv 2108.12409. The tests hold it to
the formula in float64; no published weights were tried. For rerankers whose number of heads is no power of two
(jina-reranker-v1 has 12) one account of the published code has other slopes for the heads beyond the power of two than
the paper and the embedders have: golden cases of the user settle it.
"""

from functools import partial

from embedding_model.inspection.families.heads import Head
from embedding_runtime.architectures.families.architecture import Architecture, Native
from embedding_runtime.architectures.native import jina_bert


def _jina_bert(name: str, *, reference: str, is_code: bool) -> Architecture:
    return Architecture(
        name=name,
        source=f"arXiv 2310.19923; jinaai/{reference}",
        honours=("feed_forward_type", "hidden_act", "layer_norm_eps", "num_attention_heads", "position_embedding_type"),
        package=None,
        config=None,
        types=True,
        native=Native(
            fits=jina_bert.fits,
            build=partial(jina_bert.JinaBert, is_code=is_code),
            heads={Head.SEQUENCE_CLASSIFICATION: partial(jina_bert.JinaBertForSequenceClassification, is_code=is_code)},
            complete=jina_bert.complete,
        ),
    )


JINA_BERT = _jina_bert("jina_bert", reference="jina-bert-implementation", is_code=False)
JINA_BERT_CODE = _jina_bert("jina_bert_code", reference="jina-bert-v2-qk-post-norm", is_code=True)
