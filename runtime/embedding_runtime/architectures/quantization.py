"""Weights of linear layers in 8 or 4 bits, by torchao. Activations, norms and embeddings stay as they are.

Int8 has one scale for each row of a weight: half the bytes of bfloat16. Int4 has a scale and a zero for 32 values
of a row: 5 bits a weight, for kernels that compute in bfloat16 (on CUDA in nothing else; on a CPU those for float32 and
float16 take 20 to 80 times as long for a batch). A Qwen3-Embedding-4B has 3.63e9 weights in linear
layers and 0.39e9 in its embeddings, so that it takes 3.63 * 5/8 + 0.39 * 2 = 3.05 GB as Int4, 4.4 GB as Int8 and 8 GB
in bfloat16.

torchao is imported here and only when it is needed: it takes a second and 30 MB.
"""

from collections import Counter

import torch
from torch import nn

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Quantization

GROUP = 32  # values with a scale of their own; groups of 64 save 0.2 GB of the 3 and err by a third more (1 - cosine)
_ROWS = 16  # torch's 4-bit kernel for CPUs takes whole blocks of so many


class Quantizer:
    """Rounds one linear layer after the other, in place, and counts them."""

    def __init__(self, kind: Quantization, *, device: torch.device) -> None:
        self._kind = kind
        self._device = device
        self._counts: Counter[Quantization] = Counter()

    def __call__(self, linear: nn.Linear) -> None:
        """The layer's weight, [out, in] in a floating dtype on the device, is replaced by a rounded one.

        Raises Refusal(UNSUPPORTED_ARCHITECTURE) for a shape that no rounded weight can have.
        """
        if linear.in_features == 1:
            raise Refusal(
                Reason.UNSUPPORTED_ARCHITECTURE,
                f"A linear layer from one value to {linear.out_features} cannot be quantised: serve the model without "
                "runtime.quantization.",
                field="runtime.quantization",
            )
        kind = self._kind
        if kind is Quantization.INT4 and (linear.in_features % GROUP or linear.out_features % _ROWS):
            kind = Quantization.INT8  # no 4-bit kernel has that shape
        if kind is Quantization.INT4:
            _round_to_int4(linear, device=self._device)
        else:
            _round_to_int8(linear)
        self._counts[kind] += 1

    def describe(self) -> str:
        """How many layers are what, for /info and the log."""
        return ", ".join(f"{count} linear layers {kind}" for kind, count in sorted(self._counts.items()))


def make_quantizer(kind: Quantization, *, device: torch.device, dtype: torch.dtype) -> Quantizer | None:
    """None for no quantisation. Raises Refusal(INVALID_OVERRIDE) for Int4 in another dtype than bfloat16."""
    if kind is Quantization.NONE:
        return None
    if kind is Quantization.INT4 and dtype is not torch.bfloat16:
        name = str(dtype).removeprefix("torch.")
        raise Refusal(
            Reason.INVALID_OVERRIDE,
            f"runtime.quantization Int4 computes in bfloat16, and runtime.dtype asks for {name}: set runtime.dtype to "
            "Auto or BFloat16, or runtime.quantization to Int8.",
            field="runtime.dtype",
        )
    return Quantizer(kind, device=device)


def _round_to_int8(linear: nn.Linear) -> None:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    quantize_(linear, Int8WeightOnlyConfig(set_inductor_config=False))


def _round_to_int4(linear: nn.Linear, *, device: torch.device) -> None:
    """torchao has one packing for each device: torch's tinygemm kernels on CUDA, and their like for CPUs."""
    from torchao.quantization import Int4WeightOnlyConfig, quantize_

    if device.type == "cuda":
        packing = "tile_packed_to_4d"
        config = Int4WeightOnlyConfig(group_size=GROUP, int4_packing_format=packing, set_inductor_config=False)
    else:
        from torchao.prototype.quantization.int4 import PrototypeInt4WeightOnlyConfig

        config = PrototypeInt4WeightOnlyConfig(group_size=GROUP, set_inductor_config=False)
    quantize_(linear, config)
