"""The classes of the families that are served: transformers' own, by the model_type of config.json.

Which tensors a family has, and under which names, is in embedding_model.inspection.families alone.

A table rather than AutoModel: importing one modelling module is quicker than the automatic machinery, and what is not
listed has not been held against sentence-transformers.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from embedding_model.refusal import Reason, Refusal


@dataclass(frozen=True)
class ModelClass:
    """Where transformers has a family's configuration and model; `arguments` are the model's, beside the first."""

    module: str
    config: str
    model: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


_NO_POOLER: Mapping[str, Any] = {"add_pooling_layer": False}


def _bert_like(*, package: str, name: str) -> ModelClass:
    return ModelClass(
        module=f"transformers.models.{package}",
        config=f"configuration_{package}.{name}Config",
        model=f"modeling_{package}.{name}Model",
        arguments=_NO_POOLER,
    )


CLASSES: Mapping[str, ModelClass] = {
    "bert": _bert_like(package="bert", name="Bert"),
    "roberta": _bert_like(package="roberta", name="Roberta"),
    "xlm-roberta": _bert_like(package="xlm_roberta", name="XLMRoberta"),
    "camembert": _bert_like(package="camembert", name="Camembert"),
    "mpnet": _bert_like(package="mpnet", name="MPNet"),
    "distilbert": ModelClass(
        module="transformers.models.distilbert",
        config="configuration_distilbert.DistilBertConfig",
        model="modeling_distilbert.DistilBertModel",
    ),
}


def find_class(name: str) -> ModelClass:
    """Raises Refusal(UNSUPPORTED_ARCHITECTURE) naming the families that are served."""
    found = CLASSES.get(name)
    if found is None:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"This runtime serves embedders of the families {', '.join(sorted(CLASSES))}; the model is {name}.",
        )
    return found


def import_classes(described: ModelClass) -> tuple[Any, Any]:
    """Configuration class and model class. Slow (seconds): called in a thread of its own at start."""
    return _import(described, name=described.config), _import(described, name=described.model)


def _import(described: ModelClass, *, name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(f"{described.module}.{module}"), attribute)
