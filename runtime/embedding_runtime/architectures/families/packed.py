"""Weights that were saved with query, key and value in one matrix, as the tensors of transformers' classes.

Nomic BERT, GTE and Jina Embeddings v3 were published with modelling code of their own; transformers' classes store the
same numbers under other names and in matrices of their own, and save the first form to this day.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

Tensors = Mapping[str, torch.Tensor]

QUERY_KEY_VALUE = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")


@dataclass(frozen=True, kw_only=True)
class PackedLayout:
    """How the names of the first form turn into those of transformers' class.

    layers    what the names of a layer's tensors begin with
    outside   beginnings of other names, and what they are
    names     of a layer's modules, and what they are
    packed    modules whose rows belong to several, in this order
    """

    layers: str
    outside: Mapping[str, str]
    names: Mapping[str, str]
    packed: Mapping[str, tuple[str, ...]]

    def unpack(self, tensors: Tensors) -> dict[str, torch.Tensor]:
        """Every tensor under transformers' names; those that have them already stay. The parts are views."""
        unpacked: dict[str, torch.Tensor] = {}
        for name, tensor in tensors.items():
            if name.startswith(self.layers):
                unpacked |= self._unpack_of_layer(name.removeprefix(self.layers), tensor=tensor)
            else:
                unpacked[_replace_beginning(name, names=self.outside)] = tensor
        return unpacked

    def _unpack_of_layer(self, name: str, *, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
        number, _, rest = name.partition(".")
        module, _, kind = rest.rpartition(".")
        parts = self.packed.get(module, (self.names.get(module, module),))
        rows = tensor.chunk(len(parts)) if len(parts) > 1 else (tensor,)
        return {f"layers.{number}.{part}.{kind}": piece for part, piece in zip(parts, rows, strict=False)}


def _replace_beginning(name: str, *, names: Mapping[str, str]) -> str:
    for old, new in names.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
