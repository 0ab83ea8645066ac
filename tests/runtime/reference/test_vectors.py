"""Vector cases: a pod of the same model passes them, and one that is wrong in one thing does not."""

import json
from pathlib import Path

import pytest
import seeded_models
from reference_under_test import Resolved, assert_passed, compute, every_case, failed_names, resolve
from sentence_modules import save_with_modules, vary

from embedding_model.goldens.cases import CaseSet, VectorCase
from embedding_model.goldens.compare import decode_vector
from embedding_model.ports import ReferenceSet
from embedding_model.resolved import Declared, Pooling, Prompt, Quantization, Side, Task
from embedding_model.serving import Overrides
from embedding_runtime.reference.compute import QUANTIZED_MIN_COSINE_SIMILARITY, choose_threshold
from embedding_runtime.settings import Dtype

PROMPTS = {"query": "find the answer to this question : ", "document": "a passage : "}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("bert") / "model"
    return seeded_models.build(place, family="bert", prompts=PROMPTS, max_length=40)


@pytest.fixture(scope="module")
def right(folder: Path) -> Resolved:
    return resolve(folder)


@pytest.fixture(scope="module")
def found(right: Resolved) -> ReferenceSet:
    return compute(right)


def test_a_pod_of_the_same_model_passes_both_halves(right: Resolved, found: ReferenceSet) -> None:
    assert (len(found.goldens), len(found.holdout)) == (12, 28)
    assert found.space == right.model.space
    assert "sentence-transformers 6" in found.implementation
    assert_passed(right, found)


def test_the_same_model_gives_the_same_set(right: Resolved, found: ReferenceSet) -> None:
    assert compute(right) == found


def test_half_precision_passes(tmp_path: Path) -> None:
    """Random matrices as large as those of the other tests are noise to bfloat16; these are like trained ones."""
    model = resolve(seeded_models.build(tmp_path / "model", family="bert", spread=0.1, max_length=40))
    assert_passed(model, compute(model), dtype=Dtype.BFLOAT16)


@pytest.mark.parametrize(
    "overrides",
    [
        Overrides(pooling=Pooling.CLS),
        Overrides(normalize=False),
        Overrides(dimensions=16),
        Overrides(truncation=Side.LEFT),
        Overrides(max_input_tokens=20),
        Overrides(prompts=(Prompt(name="query", text="other words for it : "), Prompt(name="document", text=""))),
        Overrides(default_prompt="query"),
    ],
    ids=["pooling", "normalisation", "dimensions", "truncation side", "length", "prompts", "default prompt"],
)
def test_a_pod_that_is_wrong_in_one_thing_fails_and_the_spec_that_asks_for_it_passes(
    overrides: Overrides, folder: Path, right: Resolved, found: ReferenceSet
) -> None:
    other = resolve(folder, overrides=overrides)
    assert other.model.space != right.model.space
    asked = compute(other)
    assert_passed(other, asked)

    assert failed_names(other, found) & {case.name for case in found.goldens}
    assert failed_names(right, asked) & {case.name for case in asked.holdout}


def test_other_weights_fail_every_case(tmp_path: Path, found: ReferenceSet) -> None:
    moved = seeded_models.build(tmp_path / "model", family="bert", prompts=PROMPTS, max_length=40, seed=8)
    assert failed_names(resolve(moved), found) == {case.name for case in every_case(found)}


def test_a_prompt_that_is_left_out_fails_the_cases_that_name_it(folder: Path, found: ReferenceSet) -> None:
    without = resolve(folder, overrides=Overrides(prompts=tuple(Prompt(name=name, text="") for name in PROMPTS)))
    assert failed_names(without, found) == {
        case.name for case in every_case(found) if isinstance(case, VectorCase) and case.prompt
    }


def test_texts_that_are_cut_tell_which_side_is_kept(folder: Path, found: ReferenceSet) -> None:
    failed = failed_names(resolve(folder, overrides=Overrides(truncation=Side.LEFT)), found)
    assert {"reference.cut", "holdout.cut"} <= failed
    assert "reference.nearly-empty-stop" not in failed


def test_the_librarys_own_reading_wins_over_what_inspection_read(folder: Path) -> None:
    """A pod that misreads the pooling would else be compared with its own mistake."""
    right = resolve(folder)
    misread = right.model.model_copy(
        update={
            "inspection": right.model.inspection.model_copy(update={"pooling": Pooling.CLS}),
            "serving": right.model.serving.model_copy(update={"pooling": Pooling.CLS}),
        }
    )
    path = folder.with_name("misread.json")
    path.write_bytes(misread.to_json())
    wrong = Resolved(folder=folder, model=misread, path=path)
    assert_passed(right, compute(wrong))
    assert failed_names(wrong, compute(wrong))


@pytest.mark.parametrize(("family", "pooling"), [("qwen3", "lasttoken"), ("xlm-roberta", "cls"), ("t5", "mean")])
def test_other_families_pass(family: str, pooling: str, tmp_path: Path) -> None:
    model = resolve(seeded_models.build(tmp_path / "model", family=family, pooling=pooling, max_length=40))
    assert_passed(model, compute(model))


def test_a_folder_without_the_librarys_files_is_built_as_the_spec_says(tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path / "model", family="bert", max_length=40)
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (folder / name).unlink()
    (folder / "1_Pooling" / "config.json").unlink()
    model = resolve(
        folder,
        declared=Declared(task=Task.EMBEDDING, pooling=Pooling.MAX),
        overrides=Overrides(pooling=Pooling.MAX, normalize=True),
    )
    assert_passed(model, compute(model))


def test_modules_behind_the_pooling_are_the_librarys(tmp_path: Path, folder: Path) -> None:
    saved = save_with_modules(
        tmp_path / "model",
        body=folder,
        build=lambda library, width: [library.Pooling(width), library.Dense(width, 24), library.Normalize()],
        prompts=PROMPTS,
    )
    model = resolve(saved, overrides=Overrides(dimensions=10))
    found = compute(model)
    assert_passed(model, found)
    assert {len(decode_vector(case.vector)) for case in found.goldens if isinstance(case, VectorCase)} == {10}


def test_prompts_that_pooling_leaves_out_are_left_out(tmp_path: Path, folder: Path) -> None:
    changes = {"1_Pooling/config.json": {"include_prompt": False}}
    model = resolve(vary(tmp_path / "model", body=folder, changes=changes))
    found = compute(model)
    assert_passed(model, found)
    assert failed_names(resolve(folder), found)


def test_the_files_own_default_prompt_is_applied_by_the_library(tmp_path: Path, folder: Path) -> None:
    changes = {"config_sentence_transformers.json": {"default_prompt_name": "query"}}
    model = resolve(vary(tmp_path / "model", body=folder, changes=changes))
    assert model.model.serving.default_prompt == "query"
    found = compute(model)
    assert_passed(model, found)
    assert {"reference.short-english", "holdout.numbers"} <= failed_names(resolve(folder), found)


def test_prompts_that_only_the_models_card_holds_are_given_to_the_library(tmp_path: Path) -> None:
    """The library knows empty ones of the same names."""
    folder = seeded_models.build(tmp_path / "model", family="bert", max_length=40)
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "_name_or_path": "intfloat/e5-small-v2"}))
    model = resolve(folder)
    assert [prompt.text for prompt in model.model.serving.prompts] == ["query: ", "passage: "]
    found = compute(model)
    assert_passed(model, found)
    without = resolve(
        folder, overrides=Overrides(prompts=(Prompt(name="query", text=""), Prompt(name="document", text="")))
    )
    assert "reference.prompted-1" in failed_names(without, found)


def test_forty_vectors_of_the_widest_models_fit_two_config_maps(found: ReferenceSet) -> None:
    wide = "A" * (4 * 4096 * 4 // 3)
    for half in (found.goldens, found.holdout):
        cases = tuple(case.model_copy(update={"vector": wide}) for case in half)
        assert len(CaseSet(cases=cases).to_jsonl()) < 900 * 1024


def test_quantised_weights_lower_the_threshold_and_never_raise_it() -> None:
    for quantization in (Quantization.INT8, Quantization.INT4):
        assert choose_threshold("0.999", quantization=quantization) == QUANTIZED_MIN_COSINE_SIMILARITY
        assert choose_threshold("0.9", quantization=quantization) == "0.9"
    assert choose_threshold("0.9999", quantization=Quantization.NONE) == "0.9999"
