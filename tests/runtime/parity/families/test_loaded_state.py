"""What a loaded model is made of: nothing without memory, nothing random, rotary frequencies in full precision."""

import warnings
from pathlib import Path

import pytest
import seeded_models
import torch

from embedding_model.inspection.families import FAMILIES
from embedding_model.served import SERVED
from embedding_runtime.architectures.families import ARCHITECTURES
from embedding_runtime.architectures.network import load_network
from embedding_runtime.files import read_files
from embedding_runtime.served_model import resolve_folder


def read_module(folder: Path, *, dtype: torch.dtype) -> torch.nn.Module:
    resolved = resolve_folder(folder)
    files = read_files(folder, manifest=resolved.manifest, threads=1)
    device = torch.device("cpu")
    return load_network(files, inspection=resolved.inspection, head=None, device=device, dtype=dtype).module


@pytest.mark.parametrize("family", seeded_models.RECIPES)
def test_parameters_and_buffers_are_those_of_transformers_own_loading(family: str, tmp_path: Path) -> None:
    """Buffers are in no checkpoint: a class computes them, some in a way of its own after it was built."""
    import transformers

    folder = seeded_models.build(tmp_path, family=family)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' own deprecations
        name = FAMILIES[family].classes[None]
        reference = getattr(transformers, name).from_pretrained(folder, dtype=torch.bfloat16)
    module = read_module(folder, dtype=torch.bfloat16)

    expected = dict([*reference.named_parameters(remove_duplicate=False), *reference.named_buffers()])
    for key, tensor in [*module.named_parameters(remove_duplicate=False), *module.named_buffers()]:
        wanted = expected[key]
        if wanted.is_floating_point():
            assert torch.finfo(tensor.dtype).bits >= torch.finfo(wanted.dtype).bits, key
        torch.testing.assert_close(tensor.to(wanted.dtype), wanted, rtol=0, atol=0, msg=key)


def test_the_families_that_inspection_says_are_served_are_those_that_the_runtime_computes() -> None:
    assert set(SERVED) == set(ARCHITECTURES)


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_a_family_is_named_as_inspection_names_it_and_says_where_it_comes_from(family: str) -> None:
    architecture = ARCHITECTURES[family]

    assert architecture.name == family
    assert family in FAMILIES
    assert architecture.source
    assert architecture.honours
    assert (architecture.package is None) == (architecture.config is None)
    assert architecture.package or architecture.native, "something must compute it"


@pytest.mark.parametrize("family", [name for name, entry in ARCHITECTURES.items() if entry.package])
def test_transformers_has_every_class_that_a_served_task_needs(family: str) -> None:
    from embedding_model.inspection.families.heads import Head
    from embedding_model.resolved import Task

    needed = {
        Task.EMBEDDING: (None,),
        Task.RERANKING: (Head.SEQUENCE_CLASSIFICATION,),
        Task.CLASSIFICATION: (Head.SEQUENCE_CLASSIFICATION,),
        Task.SPARSE: (Head.MASKED_LANGUAGE_MODEL,),
    }
    for task in SERVED[family]:
        for head in needed[task]:
            assert ARCHITECTURES[family].import_class(FAMILIES[family].classes[head])
