"""Linear layers with packed weights give what the plain ones give, and keep no weight twice."""

import weakref
from collections.abc import Sequence
from pathlib import Path

import pytest
import seeded_models
import torch
from torch import nn
from torch.nn import functional

from embedding_model.resolved import Quantization
from embedding_runtime.architectures.native.linear import ACTIVATIONS, JointLinear, Linear, can_pack, pack_weights
from embedding_runtime.architectures.network import Network, load_network
from embedding_runtime.files import read_files
from embedding_runtime.served_model import resolve_folder

CPU = torch.device("cpu")
DTYPES = (torch.float32, torch.bfloat16)
# Of one product: float32 adds in another order; bfloat16 is rounded once where the plain layers round twice.
TOLERANCES = {torch.float32: 2e-6, torch.bfloat16: 2e-2}

pytestmark = pytest.mark.skipif(
    not can_pack(device=CPU, dtype=torch.bfloat16), reason="oneDNN does not compute bfloat16 on this CPU"
)


def make_rows(rows: int, *, dtype: torch.dtype, width: int = 48) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(rows)).to(dtype)


def make_layer(*, dtype: torch.dtype, outputs: int = 80) -> Linear:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Linear(48, outputs).to(dtype).requires_grad_(False)


@pytest.mark.parametrize("rows", [1, 8, 200])
@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_packed_layer_gives_what_the_plain_one_gives(dtype: torch.dtype, activation: str | None, rows: int) -> None:
    layer = make_layer(dtype=dtype)
    given, function = make_rows(rows, dtype=dtype), ACTIVATIONS[activation] if activation else None
    plain = layer(given, activation=function)
    exact = functional.linear(given.double(), layer.weight.double(), layer.bias.double())

    layer.pack()

    tolerance = TOLERANCES[dtype]
    torch.testing.assert_close(layer(given, activation=function), plain, atol=tolerance, rtol=tolerance)
    expected = exact if function is None else function.compute(exact)
    torch.testing.assert_close(plain.double(), expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_residual_is_added_behind_the_product_and_left_as_it_was(dtype: torch.dtype) -> None:
    layer, given, residual = make_layer(dtype=dtype), make_rows(20, dtype=dtype), make_rows(20, dtype=dtype, width=80)
    plain, before = layer(given, residual=residual), residual.clone()
    torch.testing.assert_close(plain, layer(given) + residual)

    layer.pack()

    tolerance = TOLERANCES[dtype]
    torch.testing.assert_close(layer(given, residual=residual), plain, atol=tolerance, rtol=tolerance)
    assert torch.equal(residual, before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_layers_of_one_input_give_the_same_as_one_product(dtype: torch.dtype) -> None:
    names, given = ("query", "key", "value"), make_rows(30, dtype=dtype)
    joint = JointLinear(names, inputs=48, outputs=16).to(dtype).requires_grad_(False)
    plain = joint(given)
    assert not torch.equal(plain[0], plain[1])

    joint.pack()

    tolerance = TOLERANCES[dtype]
    for found, expected in zip(joint(given), plain, strict=True):
        torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)


def load(folder: Path, *, dtype: torch.dtype = torch.float32, quantization: Quantization) -> Network:
    resolved = resolve_folder(folder)
    files = read_files(folder, manifest=resolved.manifest, threads=1)
    return load_network(
        files, inspection=resolved.inspection, head=None, device=CPU, dtype=dtype, quantization=quantization
    )


def list_packed(network: Network) -> Sequence[str]:
    return [name for name, layer in network.module.named_modules() if getattr(layer, "_packed", None) is not None]


def test_a_loaded_encoder_has_every_weight_packed_and_none_of_them_twice(tmp_path: Path) -> None:
    network = load(seeded_models.build(tmp_path, family="bert"), quantization=Quantization.NONE)

    parameters = {name for name, _ in network.module.named_parameters()}
    layers = [name for name, layer in network.module.named_modules() if isinstance(layer, Linear | JointLinear)]
    assert len(layers) == 4 * network.config["num_hidden_layers"]
    assert list_packed(network) == layers
    assert all("embeddings" in name or "LayerNorm" in name for name in parameters)


def test_quantised_weights_are_left_to_their_own_kernels(tmp_path: Path) -> None:
    network = load(seeded_models.build(tmp_path, family="bert"), quantization=Quantization.INT8)

    assert list_packed(network) == []


class _File(bytearray):
    """One that can be watched: nothing refers to it any more once its weak reference is empty."""


def test_a_file_in_memory_is_let_go_once_its_weights_are_packed() -> None:
    """A view on it, be it of one bias, would keep all of it, and every weight would be in memory twice."""
    file = _File(torch.ones(16 + 4 * 16).numpy().tobytes())
    values = torch.frombuffer(file, dtype=torch.float32)
    layer, joint = Linear(4, 16), JointLinear(("query", "key"), inputs=4, outputs=16)
    model = nn.ModuleDict({"words": nn.Embedding(16, 4), "norm": nn.LayerNorm(16), "layer": layer, "joint": joint})
    for name, parameter in model.named_parameters():
        part = values[16:] if name.endswith("weight") and parameter.dim() == 2 else values[:16]
        parameter.data = part.view(parameter.shape)
    watched = weakref.ref(file)
    del file, values, part, parameter

    assert watched() is not None
    pack_weights(model, held=True)

    assert watched() is None
    assert torch.equal(layer(torch.ones(8, 4)), torch.full((8, 16), 5.0))


@pytest.mark.parametrize(("device", "dtype"), [("cuda", torch.float32), ("cpu", torch.float16)])
def test_weights_are_not_packed_where_the_cpu_does_not_compute(device: str, dtype: torch.dtype) -> None:
    assert not can_pack(device=torch.device(device), dtype=dtype)
