"""Linear layers whose weights are laid out once, at load, as the CPU's matrix products read them.

A plain product copies its weight into that layout for every batch, or reads it as it lies: of MiniLM's layers this
takes a tenth of the time of 100 to 1000 tokens, and a third of that of 16. A product with the layout made before can
also apply an activation, or add a residual, before it writes: each saves a pass over memory and, in half precision, a
rounding. oneDNN makes the layout and computes (its inner_product with blocked weights); torch reaches it by the
operators that its own compiler emits for CPUs.

Where oneDNN does not compute, on a GPU and with quantised weights, the layers are torch's own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

import torch
from torch import nn
from torch.nn import functional

# oneDNN chooses the layout for a number of rows. That for so many is within a few hundredths of the best from 16 on.
_ROWS = 128


@dataclass(frozen=True)
class Activation:
    """One function, as torch has it and by the names that the fused product has for it."""

    compute: Callable[[torch.Tensor], torch.Tensor]
    fused: str
    variant: str = ""


# transformers' names (activations.py) of functions that torch has itself.
ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": Activation(functional.gelu, "gelu", "none"),
    "gelu_new": Activation(lambda hidden: functional.gelu(hidden, approximate="tanh"), "gelu", "tanh"),
    "gelu_pytorch_tanh": Activation(lambda hidden: functional.gelu(hidden, approximate="tanh"), "gelu", "tanh"),
    "relu": Activation(functional.relu, "relu"),
}


@dataclass(frozen=True)
class _Packed:
    """A weight in oneDNN's layout, and a bias [out] or None."""

    weight: torch.Tensor
    bias: torch.Tensor | None

    @classmethod
    def make(cls, weight: torch.Tensor, *, bias: torch.Tensor | None) -> "_Packed":
        # A bias that is a view on a file in memory would keep all of it.
        own = None if bias is None else bias.clone()
        return cls(torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS), own)

    def multiply(self, rows: torch.Tensor, *, activation: Activation | None = None) -> torch.Tensor:
        fused, variant = ("none", "") if activation is None else (activation.fused, activation.variant)
        product = torch.ops.mkldnn._linear_pointwise.default(rows, self.weight, self.bias, fused, [], variant)
        return cast(torch.Tensor, product)

    def multiply_and_add(self, rows: torch.Tensor, *, residual: torch.Tensor) -> torch.Tensor:
        product = torch.ops.mkldnn._linear_pointwise.binary(rows, residual, self.weight, self.bias, "add")
        return cast(torch.Tensor, product)


@runtime_checkable
class Packable(Protocol):
    """A layer that has something to lay out."""

    def pack(self) -> None: ...


class Linear(nn.Linear):
    """[rows, in] to [rows, out]: with `activation` applied to what comes out, or `residual` [rows, out] added to it."""

    _packed: _Packed | None = None

    def forward(
        self, rows: torch.Tensor, *, activation: Activation | None = None, residual: torch.Tensor | None = None
    ) -> torch.Tensor:
        if self._packed is None:
            product = functional.linear(rows, self.weight, self.bias)
            product = product if activation is None else activation.compute(product)
            return product if residual is None else product + residual
        if residual is None:
            return self._packed.multiply(rows, activation=activation)
        product = self._packed.multiply_and_add(rows, residual=residual)
        return product if activation is None else activation.compute(product)

    def pack(self) -> None:
        self._packed = _Packed.make(self.weight, bias=self.bias)
        del self.weight, self.bias


class JointLinear(nn.ModuleDict):
    """Layers of one input, [rows, in] to one [rows, out] each, by their names: packed, they are one product."""

    def __init__(self, names: Sequence[str], *, inputs: int, outputs: int) -> None:
        super().__init__({name: nn.Linear(inputs, outputs) for name in names})
        self._outputs = outputs
        self._packed: _Packed | None = None

    def forward(self, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self._packed is None:
            return tuple(layer(rows) for layer in self.values())
        return torch.split(self._packed.multiply(rows), self._outputs, dim=-1)

    def pack(self) -> None:
        layers = [cast(nn.Linear, layer) for layer in self.values()]
        weight = torch.cat([layer.weight for layer in layers])
        self._packed = _Packed.make(weight, bias=torch.cat([layer.bias for layer in layers]))
        self.clear()


def can_pack(*, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether oneDNN computes in `dtype` on `device` at its full speed, and this build of torch has the operators."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if not hasattr(torch.ops.mkldnn, "_reorder_linear_weight") or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    if dtype is torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype is torch.float32


@torch.inference_mode()
def pack_weights(model: nn.Module, *, held: bool) -> None:
    """Lay out the weights of every layer that can be, one after the other; the weights as they were are given up.

    `held`: tensors are views on files in memory. Those that stay get memory of their own: one would keep a whole file.
    """
    for layer in list(model.modules()):
        if isinstance(layer, Packable):
            layer.pack()
    for parameter in model.parameters() if held else ():
        parameter.data = parameter.data.clone()
