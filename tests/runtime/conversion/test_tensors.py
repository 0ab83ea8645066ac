"""Which tensors a conversion keeps, and in which bytes."""

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile_pickles import Runs, saved
from safetensors.torch import load_file, save

from embedding_runtime.conversion.checkpoint import Checkpoint, Unusable, read_checkpoint, write_safetensors
from embedding_runtime.conversion.layout import WIDTHS
from embedding_runtime.conversion.report import Problem

PLENTY = 1 << 30


def write(checkpoint: Checkpoint, path: Path, *, limit: int = PLENTY) -> bytes:
    with path.open("wb") as file:
        write_safetensors(checkpoint, descriptor=file.fileno(), limit=limit)
    return path.read_bytes()


def convert(value: Any, path: Path, *, is_zip: bool = True) -> dict[str, torch.Tensor]:
    write(read_checkpoint(saved(value, is_zip=is_zip)), path)
    loaded: dict[str, torch.Tensor] = load_file(path)
    return loaded


def problem_of(value: Any) -> Problem:
    with pytest.raises(Unusable) as raised:
        read_checkpoint(saved(value))
    return raised.value.problem


@pytest.mark.parametrize("is_zip", [True, False])
def test_every_tensor_keeps_its_name_shape_dtype_and_values(tmp_path: Path, is_zip: bool) -> None:
    dtypes = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16)
    tensors = {f"{dtype}": torch.arange(12).reshape(3, 4).to(dtype) for dtype in (*dtypes, torch.int8, torch.uint8)}
    tensors |= {"flag": torch.tensor(True), "none": torch.empty(0, 3), "Größe": torch.randn(2, 2)}
    found = convert(OrderedDict(tensors), tmp_path / "x", is_zip=is_zip)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype is tensor.dtype
        assert torch.equal(found[name], tensor)


def test_a_transposed_and_a_sliced_tensor_are_stored_whole(tmp_path: Path) -> None:
    base = torch.arange(20.0).reshape(4, 5)
    found = convert(
        {"turned": base.t(), "part": base[1:3, 2:], "parameter": torch.nn.Parameter(base + 1)}, tmp_path / "x"
    )
    assert torch.equal(found["turned"], base.t())
    assert torch.equal(found["part"], base[1:3, 2:])
    assert torch.equal(found["parameter"], base + 1)


@pytest.mark.parametrize(
    ("kept", "tied"),
    [
        ("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
        ("roberta.embeddings.word_embeddings.weight", "lm_head.decoder.weight"),
        ("distilbert.embeddings.word_embeddings.weight", "vocab_projector.weight"),
        ("model.embeddings.tok_embeddings.weight", "decoder.weight"),
        ("model.embed_tokens.weight", "lm_head.weight"),
        ("transformer.wte.weight", "lm_head.weight"),
        ("shared.weight", "encoder.embed_tokens.weight"),
        ("gpt_neox.embed_in.weight", "gpt_neox_head.embed_out.weight"),
        ("cls.predictions.bias", "cls.predictions.decoder.bias"),
        ("lm_head.bias", "lm_head.decoder.bias"),
    ],
)
@pytest.mark.parametrize("backwards", [False, True])
def test_of_tied_tensors_the_one_that_save_pretrained_keeps_is_kept(kept: str, tied: str, backwards: bool) -> None:
    tensor = torch.randn(8, 4)
    names = (tied, kept) if backwards else (kept, tied)
    checkpoint = read_checkpoint(saved(dict.fromkeys(names, tensor)))
    assert list(checkpoint.tensors) == [kept]
    assert checkpoint.tied == (tied,)


def test_equal_tensors_that_are_not_one_memory_are_all_kept() -> None:
    checkpoint = read_checkpoint(saved({"a": torch.ones(3), "b": torch.ones(3)}))
    assert set(checkpoint.tensors) == {"a", "b"}
    assert checkpoint.tied == ()


def test_different_views_of_one_memory_are_all_kept(tmp_path: Path) -> None:
    base = torch.arange(9.0)
    found = convert({"whole": base, "start": base[:3], "square": base.reshape(3, 3)}, tmp_path / "x")
    assert torch.equal(found["start"], base[:3])
    assert torch.equal(found["square"], base.reshape(3, 3))


def test_the_bytes_are_those_of_the_safetensors_library_where_it_has_no_choice(tmp_path: Path) -> None:
    tensors = {"b.weight": torch.randn(3, 5), "a.weight": torch.randn(7), "a.bias": torch.randn(1, 1)}
    assert write(read_checkpoint(saved(tensors)), tmp_path / "x") == save(tensors, metadata={"format": "pt"})


def test_the_order_in_the_pickle_does_not_show_in_the_bytes(tmp_path: Path) -> None:
    tensors: dict[str, torch.Tensor] = {
        "a": torch.tensor(True),
        "b": torch.ones(2, dtype=torch.float16),
        "c": torch.ones(2, dtype=torch.bfloat16),
        "d": torch.ones(3, dtype=torch.float64),
        "e": torch.ones(1, dtype=torch.int64),
    }
    one = write(read_checkpoint(saved(tensors)), tmp_path / "one")
    other = write(read_checkpoint(saved(dict(reversed(tensors.items())))), tmp_path / "other")
    assert one == other


def test_every_width_is_that_of_the_dtype() -> None:
    from embedding_runtime.conversion.checkpoint import _DTYPES

    assert {name: torch.empty(0, dtype=dtype).element_size() for dtype, name in _DTYPES.items()} == WIDTHS


def test_what_is_no_tensor_is_dropped_and_named(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(saved({"weight": torch.ones(1), "epoch": 7, "args": {"lr": 0.1}}))
    assert checkpoint.dropped == ("args", "epoch")
    assert list(checkpoint.tensors) == ["weight"]


def test_a_state_dict_beside_a_trainers_own_values_is_unwrapped() -> None:
    checkpoint = read_checkpoint(saved({"state_dict": {"weight": torch.ones(1)}, "epoch": 7}))
    assert checkpoint.unwrapped == "state_dict"
    assert list(checkpoint.tensors) == ["weight"]


@pytest.mark.parametrize(
    "value",
    [torch.ones(3), [torch.ones(3)], {}, {"epoch": 1}, {"model": {"weight": torch.ones(1)}}, {"state_dict": [1]}, None],
)
def test_anything_but_names_and_tensors_is_refused(value: Any) -> None:
    assert problem_of(value) is Problem.NO_STATE_DICT


def test_code_is_refused_and_named() -> None:
    with pytest.raises(Unusable) as raised:
        read_checkpoint(saved({"weight": torch.ones(1), "more": Runs("raise SystemExit(7)")}))
    assert raised.value.problem is Problem.NOT_ONLY_TENSORS
    assert raised.value.detail == "exec"


@pytest.mark.parametrize(
    "tensor",
    [torch.ones(2, dtype=torch.complex64), torch.eye(3).to_sparse(), torch.ones(2, device="meta")],
)
def test_a_tensor_that_the_format_does_not_hold_is_refused(tmp_path: Path, tensor: torch.Tensor) -> None:
    with pytest.raises(Unusable) as raised:
        write(read_checkpoint(saved({"weight": tensor})), tmp_path / "x")
    assert raised.value.problem is Problem.UNSUPPORTED_TENSOR


def test_a_small_pickle_that_describes_a_huge_tensor_is_refused_before_it_is_made(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(saved({"weight": torch.ones(1).expand(1 << 40)}))
    with pytest.raises(Unusable) as raised:
        write(checkpoint, tmp_path / "x")
    assert raised.value.problem is Problem.TOO_LARGE


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"not a pickle", b"\x80\x02", b"version https://git-lfs"])
def test_a_file_that_is_no_checkpoint_is_refused(data: bytes) -> None:
    import io

    with pytest.raises(Unusable) as raised:
        read_checkpoint(io.BytesIO(data))
    assert raised.value.problem in (Problem.DAMAGED, Problem.NOT_ONLY_TENSORS)


def test_a_truncated_checkpoint_is_refused() -> None:
    import io

    data = saved({"weight": torch.ones(1000)}).getvalue()
    with pytest.raises(Unusable) as raised:
        read_checkpoint(io.BytesIO(data[: len(data) // 2]))
    assert raised.value.problem is Problem.DAMAGED


def test_the_bytes_are_these_for_good(tmp_path: Path) -> None:
    """Recorded hashes live in the status of models: who changes this makes pods refuse what was resolved before."""
    shared = torch.arange(8, dtype=torch.float32).reshape(2, 4)
    tensors = {
        "embeddings.word_embeddings.weight": shared,
        "cls.decoder.weight": shared,
        "half": torch.arange(3, dtype=torch.float16),
        "brain": torch.arange(3, dtype=torch.bfloat16),
        "ids": torch.arange(2, dtype=torch.int64),
        "mask": torch.tensor([True, False]),
        "Größe": shared.t(),
    }
    data = write(read_checkpoint(saved(tensors)), tmp_path / "x")
    assert hashlib.sha256(data).hexdigest() == "13c7b9ab46d035ec464d562b10d14238916442d1b4a03536a87705e497e4da4b"
