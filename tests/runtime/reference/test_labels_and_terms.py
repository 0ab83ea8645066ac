"""Label cases of classifiers, and cases of sparse models."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seeded_models
import torch
from reference_under_test import Resolved, assert_passed, compute, every_case, failed_names, resolve
from safetensors.numpy import load_file, save_file
from sparse_models import build_inference_free, build_splade

from embedding_model.goldens.cases import LabelCase, SparseCase
from embedding_model.inspection.families.heads import Head
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Declared, Task
from embedding_runtime.folder_vocabulary import read_folder_vocabulary
from embedding_runtime.reference.sparse_cases import MOST_TERMS, SparseModel, choose_terms
from embedding_runtime.settings import Dtype

CLASSIFIES = Declared(task=Task.CLASSIFICATION)
LABELS: dict[str, Any] = {
    "id2label": {0: "anger", 1: "joy", 2: "sadness"},
    "label2id": {"anger": 0, "joy": 1, "sadness": 2},
}


def build_classifier(folder: Path, **config: Any) -> Path:
    settings = {"spread": 0.15, "max_length": 40, "labels": 3, **LABELS, **config}
    return seeded_models.build(folder, family="bert", head=Head.SEQUENCE_CLASSIFICATION, **settings)


def blank(folder: Path, *, part: str) -> Path:
    """The tensors whose names hold `part` become zeros."""
    path = folder / "model.safetensors"
    tensors = {name: tensor * (part not in name) for name, tensor in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    "config", [{}, {"problem_type": "multi_label_classification"}], ids=["one of the labels", "any of the labels"]
)
def test_a_classifier_passes_also_in_half_precision(config: dict[str, str], tmp_path: Path) -> None:
    model = resolve(build_classifier(tmp_path / "model", **config), declared=CLASSIFIES)
    found = compute(model)
    assert {case.label for case in every_case(found) if isinstance(case, LabelCase)} <= {"anger", "joy", "sadness"}
    assert_passed(model, found)
    assert_passed(model, found, dtype=Dtype.BFLOAT16)


def test_a_regression_passes(tmp_path: Path) -> None:
    folder = build_classifier(
        tmp_path / "model", labels=1, problem_type="regression", id2label={0: "toxic"}, label2id={"toxic": 0}
    )
    model = resolve(folder, declared=CLASSIFIES)
    assert_passed(model, compute(model))


def test_swapped_labels_and_other_weights_fail(tmp_path: Path) -> None:
    found = compute(resolve(build_classifier(tmp_path / "model"), declared=CLASSIFIES))
    swapped = {"id2label": {0: "joy", 1: "sadness", 2: "anger"}, "label2id": {"joy": 0, "sadness": 1, "anger": 2}}
    for name, config in {"swapped": swapped, "moved": {"seed": 8}}.items():
        failed = failed_names(resolve(build_classifier(tmp_path / name, **config), declared=CLASSIFIES), found)
        assert failed & {case.name for case in found.goldens}
        assert failed & {case.name for case in found.holdout}


def test_labels_of_one_name_are_not_asked_for(tmp_path: Path) -> None:
    plain = compute(resolve(build_classifier(tmp_path / "plain"), declared=CLASSIFIES))
    [best] = {case.label for case in every_case(plain) if isinstance(case, LabelCase)}
    others = [name for name in LABELS["label2id"] if name != best]

    def name_alike(folder: str, *, alike: Sequence[str]) -> Resolved:
        names = {index: "alike" if name in alike else name for index, name in LABELS["id2label"].items()}
        config = {"id2label": names, "label2id": {name: index for index, name in names.items()}}
        return resolve(build_classifier(tmp_path / folder, **config), declared=CLASSIFIES)

    model = name_alike("others", alike=others)
    assert_passed(model, compute(model))
    with pytest.raises(Refusal, match="the likeliest has the name of another"):
        compute(name_alike("best", alike=[best, others[0]]))


def test_a_classifier_that_tells_nothing_apart_is_refused(tmp_path: Path) -> None:
    folder = blank(build_classifier(tmp_path / "model"), part="classifier.")
    model = resolve(folder, declared=CLASSIFIES)
    with pytest.raises(Refusal, match="equally likely") as refused:
        compute(model)
    assert refused.value.field == "verification.reference"


def test_a_sparse_model_passes_also_in_half_precision(tmp_path: Path) -> None:
    model = resolve(build_splade(tmp_path / "model", prompts={"query": "find: "}, spread=0.15))
    found = compute(model)
    assert_passed(model, found)
    assert_passed(model, found, dtype=Dtype.BFLOAT16)
    assert any(isinstance(case, SparseCase) and case.prompt == "query" for case in found.goldens)


def test_another_activation_and_other_weights_fail_a_sparse_model(tmp_path: Path) -> None:
    found = compute(resolve(build_splade(tmp_path / "model")))
    for name, config in {"activation": {"activation": "log1p_relu"}, "moved": {"seed": 8}}.items():
        failed = failed_names(resolve(build_splade(tmp_path / name, **config)), found)
        assert failed & {case.name for case in found.goldens}
        assert failed & {case.name for case in found.holdout}


def test_a_sparse_model_without_the_librarys_files_passes(tmp_path: Path) -> None:
    folder = build_splade(tmp_path / "model")
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (folder / name).unlink()
    model = resolve(folder, declared=Declared(task=Task.SPARSE))
    assert_passed(model, compute(model))


def test_queries_by_a_table_pass_beside_documents_by_the_model(tmp_path: Path) -> None:
    model = resolve(build_inference_free(tmp_path / "model"))
    found = compute(model)
    assert_passed(model, found)
    asked = {case.prompt for case in every_case(found) if isinstance(case, SparseCase)}
    assert asked == {None, "query", "document"}


def test_the_heaviest_terms_are_asked_for() -> None:
    row = np.zeros(100, dtype=np.float32)
    row[[7, 3, 9, 50]] = [2.0, 1.0, 0.8, 0.7]
    assert choose_terms(row) == [7, 3, 9], "0.7 is less than four tenths of the heaviest"
    assert choose_terms(np.zeros(100, dtype=np.float32)) == []
    assert len(choose_terms(np.ones(100, dtype=np.float32))) == MOST_TERMS


def test_rows_of_the_weights_without_a_token_are_named_as_a_pod_names_them(tmp_path: Path) -> None:
    model = resolve(build_splade(tmp_path / "model"))
    sparse = SparseModel(model.folder, resolved=model.model, device=torch.device("cpu"))
    vocabulary = read_folder_vocabulary(model.folder, resolved=model.path, declared=Declared())
    ids = [3, 10**6]
    assert sparse.name_terms(ids) == vocabulary.name_ids(ids)
    assert sparse.name_terms(ids)[1] == "[1000000]"


def test_a_sparse_model_that_weighs_nothing_is_refused(tmp_path: Path) -> None:
    model = resolve(blank(build_splade(tmp_path / "model"), part="cls.predictions."))
    with pytest.raises(Refusal, match="no text of the set any weight") as refused:
        compute(model)
    assert refused.value.reason is Reason.INVALID_FILE
