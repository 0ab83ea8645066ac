"""BERT, and the encoders that differ from it in how they count positions: RoBERTa, XLM-RoBERTa, CamemBERT.

Devlin et al. 2019, arXiv 1810.04805; Liu et al. 2019, arXiv 1907.11692; Conneau et al. 2020, arXiv 1911.02116; Martin
et al. 2020, arXiv 1911.03894. Reference: transformers models/bert, roberta, xlm_roberta, camembert.
"""

from embedding_runtime.architectures.families.architecture import Architecture, Native
from embedding_runtime.architectures.native import bert
from embedding_runtime.architectures.native.layout import find_count

_HONOURS = ("hidden_act", "layer_norm_eps", "num_attention_heads", "pad_token_id", "position_embedding_type")


def _bert_like(name: str, *, package: str, config: str, source: str, types: bool) -> Architecture:
    return Architecture(
        name=name,
        source=source,
        honours=_HONOURS,
        package=package,
        config=config,
        arguments={"add_pooling_layer": False},
        types=types,
        native=Native(fits=bert.fits, build=bert.BertEncoder, count_computed=find_count),
    )


BERT = _bert_like("bert", package="bert", config="BertConfig", source="arXiv 1810.04805; models/bert", types=True)
ROBERTA = _bert_like(
    "roberta", package="roberta", config="RobertaConfig", source="arXiv 1907.11692; models/roberta", types=False
)
XLM_ROBERTA = _bert_like(
    "xlm-roberta",
    package="xlm_roberta",
    config="XLMRobertaConfig",
    source="arXiv 1911.02116; models/xlm_roberta",
    types=False,
)
CAMEMBERT = _bert_like(
    "camembert", package="camembert", config="CamembertConfig", source="arXiv 1911.03894; models/camembert", types=False
)
