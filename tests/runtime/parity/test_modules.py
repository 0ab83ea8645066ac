"""Dense and LayerNorm behind the pooling, and poolings side by side, against sentence-transformers."""

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loaded_model import Loaded
from parity import CLOSE, TEXTS, assert_embedder_equals, load_reference
from seeded_models import build
from sentence_modules import save_with_modules, vary
from torch import nn

from embedding_model.inspection.head_modules import ACTIVATIONS
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import HeadModule, ModuleKind, Pooling
from embedding_runtime.architectures import modules
from embedding_runtime.architectures.modules import load_modules
from embedding_runtime.settings import Dtype

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("body") / "model", family="bert")


def everything(library: Any, width: int) -> Sequence[Any]:
    """Each kind of module once, in an order in which none can be left out or moved without another result."""
    return [
        library.Pooling(width, pooling_mode="mean"),
        library.Dense(width, 48),
        library.LayerNorm(48),
        library.Dense(48, 48, bias=False, activation_function=nn.GELU(), use_residual=True),
        library.Dense(48, 24, activation_function=nn.Identity(), use_residual=True),
    ]


def then_normalize(library: Any, width: int) -> Sequence[Any]:
    return [*everything(library, width), library.Normalize()]


@pytest.mark.parametrize("make", [everything, then_normalize])
def test_modules_behind_the_pooling_equal_the_reference(make: Any, body: Path, tmp_path: Path) -> None:
    model = assert_embedder_equals(save_with_modules(tmp_path / "model", body=body, build=make))
    assert [head.kind for head in model.resolved.inspection.modules] == ["Dense", "LayerNorm", "Dense", "Dense"]
    assert model.serving.model_dimensions == 24


def embeddinggemma(library: Any, width: int) -> Sequence[Any]:
    wide = {"bias": False, "activation_function": nn.Identity()}
    return [
        library.Pooling(width),
        library.Dense(width, 4 * width, **wide),
        library.Dense(4 * width, width, **wide),
        library.Normalize(),
    ]


def instructor(library: Any, width: int) -> Sequence[Any]:
    into = library.Dense(width, 48, bias=False, activation_function=nn.Identity())
    return [library.Pooling(width, include_prompt=False), into, library.Normalize()]


@pytest.mark.parametrize(("family", "make"), [("gemma3_text", embeddinggemma), ("t5", instructor)])
def test_published_shapes_equal_the_reference_with_their_prompts(family: str, make: Any, tmp_path: Path) -> None:
    own = build(tmp_path / "body", family=family)
    prompts = {"query": "task: search result | query: ", "document": "title: none | text: "}
    folder = save_with_modules(tmp_path / "model", body=own, build=make, prompts=prompts)
    reference = load_reference(folder)
    for prompt in (None, *prompts):
        assert_embedder_equals(folder, reference=reference, prompt=prompt)


def test_modules_in_half_precision_stay_close_to_the_reference(body: Path, tmp_path: Path) -> None:
    folder = save_with_modules(tmp_path / "model", body=body, build=then_normalize)
    assert_embedder_equals(folder, minimum=CLOSE, dtype=Dtype.BFLOAT16)


def test_the_older_form_of_the_files_is_the_same_model(body: Path, tmp_path: Path) -> None:
    """As versions before 5.4 wrote them: classes under sentence_transformers.models, no names of inputs."""

    def two(library: Any, width: int) -> Sequence[Any]:
        return [library.Pooling(width, pooling_mode="cls"), library.Dense(width, 16), library.Normalize()]

    saved = save_with_modules(tmp_path / "new", body=body, build=two)
    names = ["Transformer", "Pooling", "Dense", "Normalize"]
    dense = {
        "in_features": 64,
        "out_features": 16,
        "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh",
    }
    (saved / "2_Dense" / "config.json").write_text(json.dumps(dense))
    old = vary(
        tmp_path / "old",
        body=saved,
        changes={
            "modules.json": [
                {
                    "idx": number,
                    "name": str(number),
                    "path": f"{number}_{name}" if number else "",
                    "type": f"sentence_transformers.models.{name}",
                }
                for number, name in enumerate(names)
            ]
        },
    )
    model = assert_embedder_equals(old)
    np.testing.assert_array_equal(model.encode(TEXTS), Loaded(saved).encode(TEXTS))


SIDE_BY_SIDE = {
    "two": ("mean", "cls"),
    "every mode": ("lasttoken", "cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean"),
    "one of them twice": ("max", "max"),
}


@pytest.mark.parametrize("modes", SIDE_BY_SIDE.values(), ids=SIDE_BY_SIDE)
@pytest.mark.parametrize("include_prompt", [True, False], ids=["with the prompt", "without the prompt"])
def test_poolings_side_by_side_equal_the_reference(
    modes: tuple[str, ...], include_prompt: bool, body: Path, tmp_path: Path
) -> None:
    def wide(library: Any, width: int) -> Sequence[Any]:
        return [library.Pooling(width, pooling_mode=modes, include_prompt=include_prompt), library.Normalize()]

    folder = save_with_modules(tmp_path / "model", body=body, build=wide, prompts={"query": "find the answer : "})
    model = assert_embedder_equals(folder, prompt="query")
    assert len(model.serving.poolings) == len(modes)
    assert model.serving.model_dimensions == 64 * len(modes)


def test_poolings_written_as_booleans_stand_in_the_librarys_order(body: Path, tmp_path: Path) -> None:
    flags = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True, "pooling_mode_lasttoken": True}
    folder = vary(tmp_path / "model", body=body, changes={"1_Pooling/config.json": flags})
    model = assert_embedder_equals(folder)
    assert model.serving.poolings == (Pooling.CLS, Pooling.MEAN, Pooling.LAST_TOKEN)


def test_a_module_behind_two_poolings_takes_them_both(body: Path, tmp_path: Path) -> None:
    def wide(library: Any, width: int) -> Sequence[Any]:
        return [library.Pooling(width, pooling_mode=["cls", "mean"]), library.Dense(2 * width, 12)]

    assert_embedder_equals(save_with_modules(tmp_path / "model", body=body, build=wide))


def write_module(folder: Path, module: Any) -> Mapping[str, bytearray]:
    """The module's files as the library saves them, by their path in the model."""
    module.save(str(folder))
    return {f"2_Dense/{path.name}": bytearray(path.read_bytes()) for path in folder.iterdir()}


def dense(**changes: Any) -> HeadModule:
    values = {"input_dimensions": 6, "output_dimensions": 4, "activation": "Tanh", **changes}
    return HeadModule(kind=ModuleKind.DENSE, folder="2_Dense", **values)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_every_activation_that_inspection_lets_through_is_torchs_own(activation: str, tmp_path: Path) -> None:
    library = importlib.import_module("sentence_transformers.sentence_transformer.modules")
    torch.manual_seed(3)
    reference = library.Dense(6, 4, activation_function=getattr(nn, activation)()).eval()
    files = write_module(tmp_path, reference)
    vectors = torch.randn(50, 6) * 4

    loaded = load_modules(files, heads=[dense(activation=activation)], device=CPU)

    with torch.inference_mode():
        expected = reference({"sentence_embedding": vectors})["sentence_embedding"]
        torch.testing.assert_close(loaded(vectors), expected, rtol=1e-5, atol=1e-6)


def test_weights_in_half_precision_are_computed_with_in_float32(tmp_path: Path) -> None:
    library = importlib.import_module("sentence_transformers.sentence_transformer.modules")
    torch.manual_seed(3)
    reference = library.Dense(6, 4).to(torch.bfloat16)
    loaded = load_modules(write_module(tmp_path, reference), heads=[dense()], device=CPU)
    vectors = torch.randn(50, 6)

    with torch.inference_mode():
        expected = reference.float()({"sentence_embedding": vectors})["sentence_embedding"]
        torch.testing.assert_close(loaded(vectors), expected)
    assert loaded(vectors).dtype is torch.float32


@pytest.mark.parametrize(
    ("head", "reason", "says"),
    [
        (dense(residual=True), Reason.INCOMPLETE_WEIGHTS, "2_Dense lack residual.weight"),
        (dense(bias=False), Reason.UNEXPECTED_WEIGHTS, "hold 1 tensors that Dense does not have"),
        (dense(output_dimensions=5), Reason.INVALID_FILE, "should have the shape [5"),
        (dense().model_copy(update={"folder": "3_Dense"}), Reason.MISSING_FILE, "no safetensors weights"),
    ],
)
def test_a_module_never_computes_with_a_tensor_too_few_or_too_many(
    head: HeadModule, reason: Reason, says: str, tmp_path: Path
) -> None:
    library = importlib.import_module("sentence_transformers.sentence_transformer.modules")
    with pytest.raises(Refusal) as refused:
        load_modules(write_module(tmp_path, library.Dense(6, 4)), heads=[head], device=CPU)
    assert refused.value.reason is reason
    assert says in refused.value.message


@pytest.mark.parametrize("mistake", ["no activation", "modules in another order", "one module fewer"])
def test_a_mistake_in_the_modules_does_not_pass(
    mistake: str, body: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two(library: Any, width: int) -> Sequence[Any]:
        return [library.Pooling(width), library.Dense(width, width), library.LayerNorm(width)]

    folder = save_with_modules(tmp_path / "model", body=body, build=two)
    wrong: dict[str, Callable[[nn.Sequential], nn.Sequential]] = {
        "modules in another order": lambda right: nn.Sequential(right[1], right[0]),
        "one module fewer": lambda right: right[:1],
        "no activation": lambda right: nn.Sequential(right[0].linear, right[1]),
    }
    load = modules.load_modules

    def load_wrongly(*arguments: Any, **options: Any) -> nn.Sequential:
        return wrong[mistake](load(*arguments, **options))

    monkeypatch.setattr("embedding_runtime.architectures.embedder.load_modules", load_wrongly)
    with pytest.raises(AssertionError, match="cosine"):
        assert_embedder_equals(folder, reference=load_reference(folder))
