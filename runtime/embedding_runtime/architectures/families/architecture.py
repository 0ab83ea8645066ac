"""What an entry of a family says: where its forward pass comes from."""

import importlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from embedding_model.inspection.families.heads import Head
from embedding_runtime.architectures.batch import count_padded

Config = Mapping[str, Any]  # config.json


@dataclass(frozen=True, kw_only=True)
class Native:
    """Our own implementation of a body, and of the classes with a head that are in `heads`.

    `fits` says whether it knows everything that a configuration says; what it does not is left to transformers' class.
    `build` gives a module that takes a Batch and gives hidden states [batch, length, width]; those of `heads` are built
    with a number of labels and give logits [batch, labels]. Parameters are named as
    embedding_model.inspection.families names them. `complete` adds to config.json what is left to defaults and to the
    names of the tensors; the others see what it gives. `count_computed`: how many tokens are computed on a device for a
    batch of texts with such lengths.
    """

    fits: Callable[[Config], bool]
    build: Callable[[Config], nn.Module]
    heads: Mapping[Head, Callable[[Config, int], nn.Module]] = field(default_factory=dict)
    complete: Callable[[Config, Collection[str]], Config] = lambda config, names: config
    count_computed: Callable[[torch.device], Callable[[Sequence[int]], int]] = lambda device: count_padded


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """How one family is computed.

    name       of the family in embedding_model.inspection.families, which has the names of its classes and tensors
    source     paper and reference implementation
    honours    keys of config.json that change the numbers and are honoured, beside the sizes
    package    of transformers.models; None where transformers has no such family
    config     class of its configuration
    arguments  of the constructor of the body's class
    adapt      config.json as transformers has to see it, where older saves say the same in other words
    convert    tensors as inspection names them to those of transformers' class, where saves have another layout
    types      whether the embeddings tell the two texts of a pair apart (token_type_ids)
    is_causal  whether a body of this configuration lets no token see those behind it: padding there needs no mask
    native     our own implementation
    """

    name: str
    source: str
    honours: tuple[str, ...] = ()
    package: str | None
    config: str | None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    adapt: Callable[[Config], Config] = dict
    convert: Callable[[Mapping[str, torch.Tensor]], dict[str, torch.Tensor]] = dict
    types: bool = False
    is_causal: Callable[[Config], bool] = lambda config: False
    native: Native | None = None

    def import_config(self) -> Any:
        """transformers' configuration class. Slow (seconds)."""
        return getattr(self._import("configuration"), self._require(self.config))

    def import_class(self, name: str) -> Any:
        """One of transformers' model classes. Slow (seconds): called in a thread of its own at start."""
        return getattr(self._import("modeling"), name)

    def _import(self, kind: str) -> Any:
        package = self._require(self.package)
        return importlib.import_module(f"transformers.models.{package}.{kind}_{package}")

    def _require(self, value: str | None) -> str:
        if value is None:
            raise ValueError(f"transformers has no class for {self.name}: its own implementation must fit")
        return value
