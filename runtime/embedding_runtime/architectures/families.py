"""The model classes that are served: transformers' own, by the model_type of config.json.

A table rather than AutoModel: importing one modelling module is quicker than the automatic machinery, and what is not
listed has not been held against sentence-transformers.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from embedding_model.refusal import Reason, Refusal


@dataclass(frozen=True)
class Family:
    """`prefix` is what checkpoints of models with a head put before the encoder's keys.

    `unused` are heads and buffers that checkpoints carry and that pooled token embeddings do not need.
    """

    module: str
    config: str
    model: str
    prefix: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    unused: tuple[str, ...] = ()


_NO_POOLER: Mapping[str, Any] = {"add_pooling_layer": False}
_BERT_UNUSED = ("pooler.", "cls.", "lm_head.", "embeddings.position_ids", "embeddings.token_type_ids")


def _bert_like(*, package: str, name: str, prefix: str) -> Family:
    return Family(
        module=f"transformers.models.{package}",
        config=f"configuration_{package}.{name}Config",
        model=f"modeling_{package}.{name}Model",
        prefix=prefix,
        arguments=_NO_POOLER,
        unused=_BERT_UNUSED,
    )


FAMILIES: Mapping[str, Family] = {
    "bert": _bert_like(package="bert", name="Bert", prefix="bert."),
    "roberta": _bert_like(package="roberta", name="Roberta", prefix="roberta."),
    "xlm-roberta": _bert_like(package="xlm_roberta", name="XLMRoberta", prefix="roberta."),
    "camembert": _bert_like(package="camembert", name="Camembert", prefix="roberta."),
    "mpnet": _bert_like(package="mpnet", name="MPNet", prefix="mpnet."),
    "distilbert": Family(
        module="transformers.models.distilbert",
        config="configuration_distilbert.DistilBertConfig",
        model="modeling_distilbert.DistilBertModel",
        prefix="distilbert.",
        unused=("vocab_transform.", "vocab_layer_norm.", "vocab_projector.", "embeddings.position_ids"),
    ),
}


def find_family(name: str) -> Family:
    """Raises Refusal(UNSUPPORTED_ARCHITECTURE) naming the families that are served."""
    family = FAMILIES.get(name)
    if family is None:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"This runtime serves embedders of the families {', '.join(sorted(FAMILIES))}; the model is {name}.",
        )
    return family


def import_classes(family: Family) -> tuple[Any, Any]:
    """Configuration class and model class. Slow (seconds): called in a thread of its own at start."""
    return _import(family, name=family.config), _import(family, name=family.model)


def _import(family: Family, *, name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(f"{family.module}.{module}"), attribute)
