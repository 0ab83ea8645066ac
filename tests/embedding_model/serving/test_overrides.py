"""What the spec may change about a model, and what each change leaves as evidence."""

from typing import Any

import pytest

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import (
    Activation,
    Evidence,
    Inspection,
    Pooling,
    Prompt,
    Quantization,
    ScoreRule,
    Scoring,
    Side,
    Task,
    Weights,
)
from embedding_model.serving import Overrides, apply_overrides, overrule_pooling

QUERY, DOCUMENT = Prompt(name="query", text="query: "), Prompt(name="document", text="")
MODEL = Inspection(
    task=Task.EMBEDDING,
    architecture="BertModel",
    family="bert",
    pooling=Pooling.MEAN,
    include_prompt=False,
    normalize=True,
    dimensions=384,
    max_input_tokens=256,
    positions=512,
    truncation_side=Side.LEFT,
    lowercase=True,
    prompts=(QUERY, DOCUMENT),
    default_prompt="query",
    weights=Weights(bytes=100, files=1, parameters=25),
    evidence=(
        Evidence(field="pooling", value="Mean", file="1_Pooling/config.json", key="pooling_mode_mean_tokens"),
        Evidence(field="dimensions", value="384", file="model.safetensors"),
    ),
)


def test_without_overrides_the_model_is_served_as_its_files_say() -> None:
    serving, evidence = apply_overrides(MODEL, overrides=Overrides())
    assert evidence == ()
    assert (serving.dimensions, serving.model_dimensions, serving.max_input_tokens) == (384, 384, 256)
    assert (serving.pooling, serving.normalize, serving.include_prompt) == (Pooling.MEAN, True, False)
    assert (serving.lowercase, serving.truncation_side) == (True, Side.LEFT)
    assert (serving.prompts, serving.default_prompt) == ((QUERY, DOCUMENT), "query")


def test_an_override_says_what_it_overruled() -> None:
    serving, (evidence,) = apply_overrides(MODEL, overrides=Overrides(pooling=Pooling.CLS))
    assert serving.pooling is Pooling.CLS
    assert evidence == Evidence(
        field="pooling",
        value="Cls",
        file="spec",
        key="embedding.pooling",
        overruled=("Mean (1_Pooling/config.json pooling_mode_mean_tokens)",),
    )


@pytest.mark.parametrize("pooling", [Pooling.MEAN, Pooling.CLS])
def test_one_pooling_cannot_take_the_place_of_several(pooling: Pooling) -> None:
    model = MODEL.model_copy(update={"further_poolings": (Pooling.CLS,), "dimensions": 768})
    assert apply_overrides(model, overrides=Overrides())[0].poolings == (Pooling.MEAN, Pooling.CLS)
    for change in (
        lambda: apply_overrides(model, overrides=Overrides(pooling=pooling)),
        lambda: overrule_pooling(model, pooling=pooling),
    ):
        with pytest.raises(Refusal, match="puts Mean, Cls side by side") as refused:
            change()
        assert (refused.value.reason, refused.value.field) == (Reason.INVALID_OVERRIDE, "embedding.pooling")


def test_an_override_that_agrees_overrules_nothing() -> None:
    _, (evidence,) = apply_overrides(MODEL, overrides=Overrides(normalize=True))
    assert (evidence.value, evidence.overruled) == ("true", ())


@pytest.mark.parametrize("dimensions", [1, 256, 384])
def test_dimensions_may_be_any_number_up_to_the_models(dimensions: int) -> None:
    serving, _ = apply_overrides(MODEL, overrides=Overrides(dimensions=dimensions))
    assert (serving.dimensions, serving.model_dimensions) == (dimensions, 384)


@pytest.mark.parametrize(
    ("declared", "dimensions", "note"),
    [
        ((), 256, "the model declares no Matryoshka sizes: how good its cut vectors are is not known"),
        ((128, 256), 256, "a Matryoshka size that the model declares"),
        ((128, 256), 200, "not among the Matryoshka sizes that the model declares (128, 256)"),
        ((128, 256), 384, None),
    ],
)
def test_a_cut_says_what_the_model_declares_about_it(declared: Any, dimensions: int, note: str | None) -> None:
    model = MODEL.model_copy(update={"matryoshka_dimensions": declared})
    _, (evidence,) = apply_overrides(model, overrides=Overrides(dimensions=dimensions))
    assert evidence.note == note


def test_prompts_replace_those_of_the_model() -> None:
    passage = Prompt(name="passage", text="passage: ")
    serving, evidence = apply_overrides(MODEL, overrides=Overrides(prompts=(passage,), default_prompt="passage"))
    assert (serving.prompts, serving.default_prompt) == ((passage,), "passage")
    assert [(item.key, item.value, item.overruled) for item in evidence] == [
        ("embedding.prompts", "passage", ("query, document",)),
        ("embedding.defaultPrompt", "passage", ("query",)),
    ]


def test_a_model_without_prompts_has_no_default_prompt_either() -> None:
    serving, evidence = apply_overrides(MODEL, overrides=Overrides(prompts=()))
    assert (serving.prompts, serving.default_prompt) == ((), None)
    assert [(item.field, item.value, item.overruled) for item in evidence] == [
        ("prompts", "none", ("query, document",)),
        ("defaultPrompt", "none", ("query",)),
    ]


@pytest.mark.parametrize(
    ("overrides", "field", "says"),
    [
        (Overrides(dimensions=385), "embedding.dimensions", "385, but the model's vectors have 384"),
        (Overrides(dimensions=0), "embedding.dimensions", "write a number from 1 to 384"),
        (Overrides(dimensions=-1), "embedding.dimensions", "write a number from 1 to 384"),
        (Overrides(default_prompt="title"), "embedding.defaultPrompt", 'the prompts are "query", "document"'),
        (Overrides(prompts=(DOCUMENT,)), "embedding.defaultPrompt", 'applies its prompt "query" by default'),
        (Overrides(prompts=(), default_prompt="query"), "embedding.defaultPrompt", "there are no prompts"),
        (Overrides(prompts=(QUERY, QUERY)), "embedding.prompts", '"query" more than once'),
        (Overrides(prompts=(Prompt(name="", text="x"),)), "embedding.prompts", "a prompt without a name"),
    ],
)
def test_an_override_that_cannot_be_served_is_refused_with_its_field(
    overrides: Overrides, field: str, says: str
) -> None:
    with pytest.raises(Refusal) as caught:
        apply_overrides(MODEL, overrides=overrides)
    assert caught.value.reason is Reason.INVALID_OVERRIDE
    assert caught.value.field == field
    assert says in caught.value.message


RERANKER = Inspection(
    task=Task.RERANKING,
    architecture="BertForSequenceClassification",
    family="bert",
    max_input_tokens=512,
    positions=512,
    activation=Activation.SIGMOID,
    scoring=Scoring(rule=ScoreRule.CLASSIFICATION_HEAD),
    weights=Weights(bytes=100, files=1, parameters=25),
    evidence=(Evidence(field="activation", value="Sigmoid", file="config.json", key="sentence_transformers"),),
)
TEMPLATED = RERANKER.model_copy(
    update={"scoring": Scoring(rule=ScoreRule.CLASSIFICATION_HEAD, template="qwen3-reranker")}
)
CLASSIFIER = RERANKER.model_copy(update={"task": Task.CLASSIFICATION, "scoring": None, "labels": ("bad", "good")})
DECODER = MODEL.model_copy(update={"family": "qwen3", "architecture": "Qwen3Model", "pooling": Pooling.LAST_TOKEN})


def test_a_reranker_is_served_without_what_only_embedders_have() -> None:
    serving, evidence = apply_overrides(RERANKER, overrides=Overrides())
    assert (serving.activation, serving.instruction, evidence) == (Activation.SIGMOID, None, ())
    assert (serving.pooling, serving.normalize, serving.dimensions) == (None, None, None)


def test_an_activation_of_the_spec_says_what_it_overruled() -> None:
    serving, (evidence,) = apply_overrides(RERANKER, overrides=Overrides(activation=Activation.IDENTITY))
    assert serving.activation is Activation.IDENTITY
    assert (evidence.key, evidence.overruled) == (
        "reranking.activation",
        ("Sigmoid (config.json sentence_transformers)",),
    )


def test_an_instruction_is_kept_out_of_the_evidence_which_names_files_and_values_alone() -> None:
    serving, (evidence,) = apply_overrides(TEMPLATED, overrides=Overrides(instruction="Find answers."))
    assert serving.instruction == "Find answers."
    assert (evidence.key, evidence.value) == ("reranking.instruction", "set")
    assert evidence.overruled == ("the template's own",)


def test_an_instruction_of_the_spec_says_that_it_overruled_one_of_the_files() -> None:
    scoring = Scoring(rule=ScoreRule.CLASSIFICATION_HEAD, template="qwen3-reranker", instruction="Find runbooks.")
    model = TEMPLATED.model_copy(update={"scoring": scoring})
    serving, (evidence,) = apply_overrides(model, overrides=Overrides(instruction="Find answers."))
    assert serving.instruction == "Find answers."
    assert evidence.overruled == ("that of the files",)


def test_a_quantised_model_says_so_in_its_evidence() -> None:
    serving, (evidence,) = apply_overrides(DECODER, overrides=Overrides(quantization=Quantization.INT8))
    assert serving.quantization is Quantization.INT8
    assert (evidence.key, evidence.value) == ("runtime.quantization", "Int8")


@pytest.mark.parametrize(
    ("inspection", "overrides", "field"),
    [
        pytest.param(RERANKER, {"pooling": Pooling.CLS}, "embedding.pooling", id="pooling of a reranker"),
        pytest.param(RERANKER, {"normalize": False}, "embedding.normalize", id="normalisation of a reranker"),
        pytest.param(RERANKER, {"dimensions": 8}, "embedding.dimensions", id="dimensions of a reranker"),
        pytest.param(RERANKER, {"prompts": (QUERY,)}, "embedding.prompts", id="prompts of a reranker"),
        pytest.param(TEMPLATED, {"prompts": (QUERY,)}, "embedding.prompts", id="prompts where a template is"),
        pytest.param(CLASSIFIER, {"prompts": (QUERY,)}, "embedding.prompts", id="prompts of a classifier"),
        pytest.param(RERANKER, {"instruction": "x"}, "reranking.instruction", id="no place for an instruction"),
        pytest.param(MODEL, {"instruction": "x"}, "reranking.instruction", id="instruction of an embedder"),
        pytest.param(MODEL, {"activation": Activation.SIGMOID}, "reranking.activation", id="activation of an embedder"),
        pytest.param(MODEL, {"quantization": Quantization.INT8}, "runtime.quantization", id="quantised encoder"),
        pytest.param(RERANKER, {"quantization": Quantization.INT4}, "runtime.quantization", id="quantised reranker"),
    ],
)
def test_what_the_models_task_has_no_use_for_is_refused_with_its_field(
    inspection: Inspection, overrides: dict[str, Any], field: str
) -> None:
    with pytest.raises(Refusal) as refused:
        apply_overrides(inspection, overrides=Overrides(**overrides))
    assert (refused.value.reason, refused.value.field) == (Reason.INVALID_OVERRIDE, field)
