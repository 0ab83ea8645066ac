"""Sparse cases of an embedder's head: a pod of the same model passes them, and one with a wrong head does not."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from multi_head_models import build_multi_head, compute_by_rule, make_layers
from reference_under_test import Resolved, assert_passed, compute, every_case, failed_names, resolve
from safetensors.torch import save_file

from embedding_model.goldens.cases import SparseCase, VectorCase
from embedding_model.ports import ReferenceSet
from embedding_model.refusal import Reason, Refusal
from embedding_runtime.settings import Dtype

GOLDENS = ["short-english", "short-chinese", "long", "prompted-1"]
HOLDOUT = ["short-english", "short-french", "short-japanese", "numbers", "long", "prompted-1"]
WITHOUT_WEIGHT = {"short-chinese", "short-japanese"}  # its vocabulary knows none of their words


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Resolved:
    return resolve(build_multi_head(tmp_path_factory.mktemp("heads") / "model"))


@pytest.fixture(scope="module")
def found(right: Resolved) -> ReferenceSet:
    return compute(right)


def test_a_handful_stands_behind_the_cases_of_vectors(found: ReferenceSet) -> None:
    for half, count, expected in ((found.goldens, 12, GOLDENS), (found.holdout, 28, HOLDOUT)):
        assert all(isinstance(case, VectorCase) for case in half[:count])
        assert all(isinstance(case, SparseCase) for case in half[count:])
        names = [case.name.partition(".sparse-")[2] for case in half[count:]]
        assert names == [name for name in expected if name in names]
        assert set(expected) - set(names) <= WITHOUT_WEIGHT
    assert len({case.name for case in every_case(found)}) == len(every_case(found))


def test_a_pod_of_the_same_model_passes_also_in_half_precision(right: Resolved, found: ReferenceSet) -> None:
    assert_passed(right, found)
    sparse = [case for case in every_case(found) if isinstance(case, SparseCase)]
    halved = ReferenceSet(space=found.space, implementation="", goldens=tuple(sparse), holdout=())
    assert_passed(right, halved, dtype=Dtype.BFLOAT16)


def test_the_weights_are_those_of_the_rule(right: Resolved, found: ReferenceSet) -> None:
    for case in every_case(found):
        if isinstance(case, SparseCase):
            [rule] = compute_by_rule(right.folder, [case.input])
            heaviest = sorted(rule.weights.values(), reverse=True)[: len(case.terms)]
            assert [float(term.weight) for term in case.terms] == pytest.approx(heaviest, abs=1e-4)


def turn(layer: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**layer, "weight": layer["weight"].flip(1).contiguous()}


def lift(layer: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**layer, "bias": layer["bias"] + 4}


@pytest.mark.parametrize("change", [turn, lift])
def test_other_weights_of_the_head_fail_sparse_cases_alone(
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], found: ReferenceSet, tmp_path: Path
) -> None:
    folder = build_multi_head(tmp_path / "model")
    save_file(change(make_layers()["sparse_linear"]), folder / "sparse_linear.safetensors")
    failed = failed_names(resolve(folder), found)
    assert all(".sparse-" in name for name in failed)
    assert failed & {case.name for case in found.goldens}
    assert failed & {case.name for case in found.holdout}


def test_a_head_that_weighs_nothing_is_refused(tmp_path: Path) -> None:
    folder = build_multi_head(tmp_path / "model")
    layer = {name: tensor * 0 for name, tensor in make_layers()["sparse_linear"].items()}
    save_file(layer, folder / "sparse_linear.safetensors")
    with pytest.raises(Refusal, match="no text of the set any weight") as refused:
        compute(resolve(folder))
    assert refused.value.reason is Reason.INVALID_FILE


def test_without_a_sparse_head_the_set_is_what_it_was(found: ReferenceSet, tmp_path: Path) -> None:
    for name, layers in {"plain": (), "other": ("colbert_linear",)}.items():
        half = compute(resolve(build_multi_head(tmp_path / name, layers=layers)))
        assert half.goldens == found.goldens[:12]
        assert half.holdout == found.holdout[:28]
