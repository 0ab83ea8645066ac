"""Weights in 8 and 4 bits give the numbers of the rounding formula, and say what they are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import seeded_models
import torch
from loaded_model import Loaded
from parity import EXACT, TEXTS, assert_embedder_equals, cosines
from safetensors.torch import load_file, save_file

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Quantization
from embedding_model.serving import Overrides
from embedding_runtime.architectures.quantization import GROUP, make_quantizer
from embedding_runtime.settings import Dtype

CPU = torch.device("cpu")
FAMILIES = ("qwen3", "llama", "gemma3_text")
# Rounding adds to itself from layer to layer. What is lost here is only what bfloat16 loses on the way, which the
# same weights in float32 do not.
INT4_LEAST = 0.998
Round = Callable[[torch.Tensor], torch.Tensor]


def round_to_int8(weight: torch.Tensor) -> torch.Tensor:
    """Symmetric, one scale a row: 127.5 steps to the largest magnitude."""
    scale = weight.abs().amax(dim=1, keepdim=True) / 127.5
    return (weight * (1 / scale)).round().clamp(-128, 127) * scale


def round_to_int4(weight: torch.Tensor) -> torch.Tensor:
    """Asymmetric, 15 steps from the least to the largest of each group, with scale and middle in bfloat16."""
    groups = weight.bfloat16().reshape(-1, GROUP)
    least, most = groups.amin(dim=1, keepdim=True), groups.amax(dim=1, keepdim=True)
    scale = (most - least) / 15
    steps = ((groups - least) / scale).round().clamp(0, 15)
    middle = least + scale * 8
    return ((steps - 8).float() * scale.float() + middle.float()).reshape(weight.shape)


def rounded(folder: Path, *, rounding: Round) -> Path:
    """The model with every linear layer's weight rounded and written back as float32."""
    target = folder.with_name(f"{folder.name}-{rounding.__name__}")
    for path in folder.rglob("*"):
        if path.is_file():
            copy = target / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    linear = {name for name in tensors if name.endswith("_proj.weight")}
    assert linear
    save_file(
        {name: rounding(tensor) if name in linear else tensor for name, tensor in tensors.items()},
        target / "model.safetensors",
        metadata={"format": "pt"},
    )
    return target


@pytest.mark.parametrize("family", FAMILIES)
def test_int8_gives_the_numbers_of_rounded_weights_in_every_arrangement_of_a_batch(family: str, tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path / "model", family=family, pooling="lasttoken")
    expected = Loaded(rounded(folder, rounding=round_to_int8)).encode(TEXTS)
    plain = Loaded(folder).encode(TEXTS)

    model = assert_embedder_equals(folder, expected=expected, overrides=Overrides(quantization=Quantization.INT8))

    assert "14 linear layers Int8" in model.backend.path
    assert model.backend.dtype == "float32"
    assert not np.array_equal(plain, expected), "rounding must have changed something"


@pytest.mark.parametrize("family", FAMILIES)
def test_int4_gives_the_numbers_of_rounded_weights(family: str, tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path / "model", family=family, pooling="lasttoken", spread=0.1)
    expected = Loaded(rounded(folder, rounding=round_to_int4)).encode(TEXTS)

    model = Loaded(folder, dtype=Dtype.AUTO, overrides=Overrides(quantization=Quantization.INT4))

    assert cosines(model.encode(TEXTS), expected).min() >= INT4_LEAST
    assert "14 linear layers Int4" in model.backend.path
    assert model.backend.dtype == "bfloat16"
    wrong = Loaded(rounded(folder, rounding=round_to_int8)).encode(TEXTS)
    assert cosines(model.encode(TEXTS), wrong).min() < INT4_LEAST, "the threshold must tell the two formulas apart"


def test_a_layer_of_a_shape_without_a_4_bit_kernel_is_rounded_to_8_bits(tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path / "model", family="qwen3", pooling="lasttoken", intermediate_size=72)
    model = Loaded(folder, dtype=Dtype.AUTO, overrides=Overrides(quantization=Quantization.INT4))
    assert "8 linear layers Int4, 6 linear layers Int8" in model.backend.path
    assert np.isfinite(model.encode(TEXTS)).all()


@pytest.mark.parametrize("kind", [Quantization.INT8, Quantization.INT4])
def test_a_rounded_weight_takes_the_bytes_that_are_promised(kind: Quantization) -> None:
    linear = torch.nn.Linear(1024, 512, bias=False, dtype=torch.bfloat16)
    quantize = make_quantizer(kind, device=CPU, dtype=torch.bfloat16)
    assert quantize is not None

    quantize(linear)

    names, _ = linear.weight.__tensor_flatten__()  # type: ignore[operator, misc]
    stored = sum(getattr(linear.weight, name).nbytes for name in names)
    bits = {Quantization.INT8: 8.1, Quantization.INT4: 5}[kind]
    assert stored <= 1024 * 512 * bits / 8


@pytest.mark.parametrize("dtype", [Dtype.FLOAT32, Dtype.FLOAT16])
def test_int4_in_another_dtype_than_bfloat16_is_refused_with_what_to_write(dtype: Dtype, tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path / "model", family="qwen3", pooling="lasttoken")
    with pytest.raises(Refusal, match="BFloat16") as refused:
        Loaded(folder, dtype=dtype, overrides=Overrides(quantization=Quantization.INT4))
    assert refused.value.reason is Reason.INVALID_OVERRIDE
    assert refused.value.field == "runtime.dtype"


def test_an_encoder_is_not_quantised(tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path / "model", family="bert")
    with pytest.raises(Refusal, match="leave it out") as refused:
        Loaded(folder, overrides=Overrides(quantization=Quantization.INT8))
    assert refused.value.field == "runtime.quantization"


def test_half_precision_on_a_cpu_stays_close_where_the_family_allows_it(tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path / "model", family="qwen3", pooling="lasttoken")
    found = Loaded(folder, dtype=Dtype.FLOAT16).encode(TEXTS)
    assert cosines(found, Loaded(folder).encode(TEXTS)).min() >= EXACT


def test_float16_is_refused_for_a_family_that_overflows_in_it(tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path / "model", family="gemma3_text")
    with pytest.raises(Refusal) as refused:
        Loaded(folder, dtype=Dtype.FLOAT16)
    assert refused.value.field == "runtime.dtype"
