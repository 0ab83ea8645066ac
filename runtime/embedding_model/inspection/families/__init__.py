"""The architecture families that inspection knows: which tensors they need, and of which shape.

One file per family or close group; `table` says what an entry is made of. docs/adding-a-family.md shows how to add one.
"""

from collections.abc import Mapping

from embedding_model.inspection.families.activations import ACTIVATIONS
from embedding_model.inspection.families.bert import BERT, ELECTRA, ROBERTAS
from embedding_model.inspection.families.deberta import DEBERTA_V2
from embedding_model.inspection.families.decoders import DECODERS
from embedding_model.inspection.families.jina_bert import JINA_BERT, JINA_BERT_CODE
from embedding_model.inspection.families.modernbert import EUROBERT, MODERNBERT
from embedding_model.inspection.families.rotary_encoders import GTE, JINA_EMBEDDINGS_V3, NOMIC_BERT, NOMIC_BERT_MOE
from embedding_model.inspection.families.small_encoders import ALBERT, DISTILBERT, MPNET
from embedding_model.inspection.families.t5 import T5
from embedding_model.inspection.families.table import Blueprint, Family, canonical_names

__all__ = ["ACTIVATIONS", "FAMILIES", "Blueprint", "Family", "canonical_names"]

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        BERT,
        *ROBERTAS,
        MPNET,
        DISTILBERT,
        ELECTRA,
        ALBERT,
        DEBERTA_V2,
        MODERNBERT,
        EUROBERT,
        NOMIC_BERT,
        NOMIC_BERT_MOE,
        GTE,
        JINA_EMBEDDINGS_V3,
        JINA_BERT,
        JINA_BERT_CODE,
        T5,
        *DECODERS,
    )
}
