"""Which task a folder has: the head in the weights, then the files, and a doubt that somebody has to settle."""

import json
from typing import Any

import pytest
from model_fixtures.catalogue import CATALOGUE
from tiny_heads import MASKED_LANGUAGE_HEAD, body, card, classification_head, tiny_classifier, tiny_sparse
from tiny_models import json_file, modules, tiny_embedder

from embedding_model.inspection import inspect
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Activation, Declared, Evidence, Inspection, Pooling, ScoreRule, Task
from embedding_model.sources.memory import MemorySource

Files = dict[str, bytes]

RANKING = card(pipeline_tag="text-ranking")
IDENTITY = "torch.nn.modules.linear.Identity"


def look(files: Files, *, task: Task | None = None, pooling: Pooling | None = None) -> Inspection:
    return inspect(MemorySource(files), declared=Declared(task=task, pooling=pooling))


def refuse(files: Files, *, task: Task | None = None, pooling: Pooling | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        look(files, task=task, pooling=pooling)
    return caught.value


def evidence(inspection: Inspection, *, field: str) -> Evidence:
    (found,) = [item for item in inspection.evidence if item.field == field]
    return found


def bare(**changes: bytes | None) -> Files:
    return tiny_embedder(**{"modules.json": None, "config_sentence_transformers.json": None, **changes})


def catalogue(name: str) -> Files:
    return dict(CATALOGUE[name].files)


def test_one_output_is_a_reranker_and_the_weights_say_so() -> None:
    found = look(tiny_classifier(1))
    assert (found.task, found.architecture) == (Task.RERANKING, "BertForSequenceClassification")
    assert found.scoring is not None
    assert (found.scoring.rule, found.scoring.label) == (ScoreRule.CLASSIFICATION_HEAD, None)
    assert (found.pooling, found.normalize, found.dimensions, found.labels) == (None, None, None, ())
    source = evidence(found, field="task")
    assert (source.file, source.key) == ("model.safetensors", "classifier.weight")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (tiny_classifier(1, problem_type="regression"), "problem_type regression"),
        (tiny_classifier(1, names=["toxicity"]), 'id2label "toxicity"'),
        (tiny_classifier(1) | card(tags=["reward-model", "bert"]), "README.md tag reward-model"),
        (tiny_classifier(1) | card(tags="[trl, RLHF]"), "README.md tag RLHF"),
        (tiny_classifier(1) | card(pipeline_tag="token-classification"), "pipeline_tag token-classification"),
        (tiny_classifier(1, architectures=["BertRewardModel"]), 'architectures "BertRewardModel"'),
    ],
)
def test_one_output_that_may_be_something_else_is_a_doubt_until_the_spec_settles_it(files: Files, says: str) -> None:
    refusal = refuse(files)
    assert (refusal.reason, refusal.field) == (Reason.AMBIGUOUS_TASK, "task")
    assert says in refusal.message
    assert "Reranking" in refusal.message
    assert "Classification" in refusal.message
    settled = look(files, task=Task.RERANKING)
    assert settled.task is Task.RERANKING
    assert any(says.split()[-1] in loser for loser in evidence(settled, field="task").overruled)
    assert look(files, task=Task.CLASSIFICATION).task is Task.CLASSIFICATION


@pytest.mark.parametrize(
    "changes",
    [
        card(pipeline_tag="text-ranking"),
        card(pipeline_tag="text-classification", tags=["transformers"]),
        card(license="mit"),
        {"config_sentence_transformers.json": json_file({"model_type": "CrossEncoder"})},
    ],
)
def test_what_says_nothing_else_leaves_one_output_a_reranker(changes: Files) -> None:
    assert look(tiny_classifier(1) | changes).task is Task.RERANKING


@pytest.mark.parametrize("name", ["relevance", "SCORE", "relevance_score"])
def test_the_one_output_may_be_called_what_it_is(name: str) -> None:
    assert look(tiny_classifier(1, names=[name])).task is Task.RERANKING


@pytest.mark.parametrize(
    ("count", "names", "config", "labels", "activation"),
    [
        (2, ["no", "yes"], {}, ("no", "yes"), Activation.SOFTMAX),
        (2, [], {}, (), Activation.SOFTMAX),
        (3, ["contradiction", "entailment", "neutral"], {}, ("contradiction", "entailment", "neutral"), "Softmax"),
        (3, ["a", "b", "c"], {"problem_type": "multi_label_classification"}, ("a", "b", "c"), Activation.SIGMOID),
        (3, ["a", "b", "c"], {"problem_type": "single_label_classification"}, ("a", "b", "c"), Activation.SOFTMAX),
        (3, ["x", "y", "z"], {"problem_type": "regression"}, ("x", "y", "z"), Activation.IDENTITY),
    ],
)
def test_more_outputs_are_a_classifier(
    count: int, names: list[str], config: dict[str, Any], labels: tuple[str, ...], activation: str
) -> None:
    found = look(tiny_classifier(count, names=names, **config))
    assert found.task is Task.CLASSIFICATION
    assert (found.labels, found.activation, found.scoring) == (labels, activation, None)


def test_the_raw_logits_of_a_cross_encoder_with_three_labels_are_named_as_what_lost() -> None:
    found = look(tiny_classifier(3, sentence_transformers={"activation_fn": IDENTITY}))
    assert found.activation is Activation.SOFTMAX
    assert "Identity" in evidence(found, field="activation").overruled[0]


@pytest.mark.parametrize(
    ("names", "label"),
    [(["no", "yes"], "yes"), (["True", "False"], "True"), (["not_relevant", "relevant"], "relevant")],
)
def test_two_labels_that_mean_yes_and_no_are_a_reranker_where_the_spec_says_so(names: list[str], label: str) -> None:
    found = look(tiny_classifier(2, names=names), task=Task.RERANKING)
    assert found.scoring is not None
    assert (found.task, found.scoring.label, found.activation) == (Task.RERANKING, label, Activation.SOFTMAX)
    assert found.labels == tuple(names)


@pytest.mark.parametrize(
    "files",
    [
        tiny_classifier(2),
        tiny_classifier(2, names=["negative", "positive"]),
        tiny_classifier(2, names=["yes", "perhaps"]),
        tiny_classifier(3, names=["contradiction", "entailment", "neutral"]),
    ],
)
def test_other_labels_are_no_reranker_whatever_the_spec_says(files: Files) -> None:
    refusal = refuse(files, task=Task.RERANKING)
    assert (refusal.reason, refusal.field) == (Reason.TASK_MISMATCH, "task")


@pytest.mark.parametrize("task", [Task.EMBEDDING, Task.SPARSE])
def test_a_head_that_scores_contradicts_vectors(task: Task) -> None:
    refusal = refuse(tiny_classifier(1), task=task, pooling=Pooling.CLS)
    assert (refusal.reason, refusal.field) == (Reason.TASK_MISMATCH, "task")
    assert "classifier.weight" in refusal.message


@pytest.mark.parametrize("task", [Task.RERANKING, Task.CLASSIFICATION])
@pytest.mark.parametrize("files", [tiny_embedder(), bare()], ids=["an embedder", "a bare encoder"])
def test_an_encoder_without_a_head_never_scores(files: Files, task: Task) -> None:
    refusal = refuse(files, task=task)
    assert (refusal.reason, refusal.field) == (Reason.TASK_MISMATCH, "task")
    assert "newly initialised" in refusal.message


def test_a_name_that_says_reranker_proves_nothing() -> None:
    named = tiny_embedder(
        **{"config.json": json_file(json.loads(tiny_embedder()["config.json"]) | {"_name_or_path": "x/bge-reranker"})}
    )
    assert look(named).task is Task.EMBEDDING


def test_an_embedders_modules_over_a_trained_head_are_a_contradiction_that_the_spec_settles() -> None:
    files = tiny_embedder(**{"model.safetensors": body(classification_head(1))})
    refusal = refuse(files)
    assert (refusal.reason, refusal.field) == (Reason.CONTRADICTORY_EVIDENCE, "task")
    assert "modules.json" in refusal.message
    assert "classifier.weight" in refusal.message
    assert look(files, task=Task.EMBEDDING).pooling is Pooling.MEAN
    assert look(files, task=Task.RERANKING).scoring is not None


def test_a_pooling_without_modules_json_is_named_but_not_believed() -> None:
    files = bare() | {"1_Pooling/config.json": tiny_embedder()["1_Pooling/config.json"]}
    assert "copy it as well" in refuse(files).message
    found = look(files, task=Task.EMBEDDING, pooling=Pooling.CLS)
    assert found.pooling is Pooling.CLS
    assert evidence(found, field="pooling").overruled == ("Mean (1_Pooling/config.json, which no modules.json names)",)


def test_a_bare_encoder_is_a_doubt_until_task_and_pooling_are_declared() -> None:
    assert (refuse(bare()).reason, refuse(bare()).field) == (Reason.AMBIGUOUS_TASK, "task")
    assert refuse(bare(), pooling=Pooling.CLS).field == "task"
    half = refuse(bare(), task=Task.EMBEDDING)
    assert (half.reason, half.field) == (Reason.AMBIGUOUS_TASK, "embedding.pooling")
    found = look(bare(), task=Task.EMBEDDING, pooling=Pooling.CLS)
    assert (found.pooling, found.normalize, found.dimensions) == (Pooling.CLS, False, 8)
    assert evidence(found, field="pooling").file == "spec"
    assert "does not normalise" in (evidence(found, field="normalize").note or "")


def test_a_masked_language_model_may_be_sparse_or_an_embedder() -> None:
    files = bare(**{"model.safetensors": body(MASKED_LANGUAGE_HEAD)})
    assert "sparse" in refuse(files).message
    assert look(files, task=Task.SPARSE).task is Task.SPARSE
    assert look(files, task=Task.EMBEDDING, pooling=Pooling.MEAN).architecture == "BertModel"


def test_a_folder_that_lost_its_modules_is_a_copy_that_is_not_whole() -> None:
    files = bare(**{"config_sentence_transformers.json": json_file({"model_type": "SentenceTransformer"})})
    refusal = refuse(files)
    assert refusal.reason is Reason.AMBIGUOUS_TASK
    assert "Copy the whole repository" in refusal.message


def test_a_head_that_config_names_and_the_weights_lack_would_be_random() -> None:
    config = json.loads(tiny_classifier(1)["config.json"])
    refusal = refuse(bare(**{"config.json": json_file(config)}))
    assert refusal.reason is Reason.INCOMPLETE_WEIGHTS
    assert "newly initialised" in refusal.message


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-0.5B-Instruct", "mistralai/Mistral-7B-Instruct-v0.3"])
def test_a_chat_model_is_nothing_else_without_a_word(name: str) -> None:
    refusal = refuse(catalogue(name))
    assert (refusal.reason, refusal.field) == (Reason.NOT_AN_EMBEDDING_MODEL, "task")
    assert "chat model" in refusal.message
    tagged = catalogue(name) | card(pipeline_tag="feature-extraction")
    assert refuse(tagged).reason is Reason.NOT_AN_EMBEDDING_MODEL
    settled = look(catalogue(name), task=Task.EMBEDDING, pooling=Pooling.LAST_TOKEN)
    assert settled.pooling is Pooling.LAST_TOKEN


def test_a_language_model_with_one_logit_is_a_reward_model_as_often_as_a_reranker() -> None:
    files = catalogue("tomaarsen/Qwen3-Reranker-0.6B-seq-cls")
    refusal = refuse(files | card(license="mit"))
    assert (refusal.reason, refusal.field) == (Reason.AMBIGUOUS_TASK, "task")
    found = look(files)
    assert found.scoring is not None
    assert found.scoring.template == "qwen3-reranker"


@pytest.mark.parametrize(
    ("types", "reason", "says"),
    [
        (("Transformer", "MultiVectorMask"), Reason.NOT_AN_EMBEDDING_MODEL, "multi-vector model (ColBERT)"),
        (("CLIPModel",), Reason.NOT_AN_EMBEDDING_MODEL, "an image and text model"),
        (("Transformer", "Pooling", "SparseAutoEncoder"), Reason.NOT_AN_EMBEDDING_MODEL, "(CSR)"),
        (("StaticEmbedding",), Reason.UNSUPPORTED_ARCHITECTURE, "without a transformer"),
        (("Transformer", "SpladePooling"), Reason.CONTRADICTORY_EVIDENCE, "transformer for fill-mask"),
        (("Transformer", "LogitScore"), Reason.CONTRADICTORY_EVIDENCE, "transformer for text-generation"),
        (("MLMTransformer", "SpladePooling"), Reason.INCOMPLETE_WEIGHTS, "newly initialised"),
        (("MLMTransformer", "Pooling"), Reason.UNSUPPORTED_ARCHITECTURE, "lists MLMTransformer, Pooling; understood"),
        (("Transformer", "Pooling", "WordWeights"), Reason.UNSUPPORTED_ARCHITECTURE, "WordWeights"),
    ],
)
def test_modules_of_other_kinds_are_named(types: tuple[str, ...], reason: Reason, says: str) -> None:
    refusal = refuse(tiny_embedder(**{"modules.json": json_file(modules(*types))}))
    assert refusal.reason is reason, refusal.message
    assert says in refusal.message


def test_a_cross_encoder_with_modules_is_read_like_one_without() -> None:
    files = tiny_classifier(1) | {
        "modules.json": json_file(modules("Transformer", library="sentence_transformers.base.modules.transformer")),
        "sentence_bert_config.json": json_file({"transformer_task": "sequence-classification"}),
        "config_sentence_transformers.json": json_file({"model_type": "CrossEncoder", "activation_fn": IDENTITY}),
    }
    found = look(files)
    assert (found.task, found.activation) == (Task.RERANKING, Activation.IDENTITY)
    assert refuse(files | {"sentence_bert_config.json": b"{}", "config_sentence_transformers.json": b"{}"}).reason is (
        Reason.UNSUPPORTED_ARCHITECTURE
    )


def test_two_files_that_name_different_kinds_contradict_each_other() -> None:
    for kind in ("CrossEncoder", "SparseEncoder"):
        library = {"config_sentence_transformers.json": json_file({"model_type": kind})}
        assert refuse(tiny_embedder(**library)).reason is Reason.CONTRADICTORY_EVIDENCE
    assert refuse(
        tiny_sparse() | {"config_sentence_transformers.json": json_file({"model_type": "CrossEncoder"})}
    ).reason is (Reason.CONTRADICTORY_EVIDENCE)


def test_a_card_that_disagrees_is_shown_as_what_lost() -> None:
    found = look(tiny_embedder() | card(pipeline_tag="text-generation"))
    assert evidence(found, field="task").overruled == ("text-generation (README.md pipeline_tag, weak)",)


def test_the_licence_is_what_the_card_says() -> None:
    assert look(tiny_embedder() | card(license="apache-2.0")).licence == "apache-2.0"
    assert look(tiny_embedder() | card(license="other", license_name="acme-community")).licence == "acme-community"
    assert look(tiny_embedder()).licence is None


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("onnx/model.onnx", "ONNX only"),
        ("tf_model.h5", "TensorFlow only"),
        ("flax_model.msgpack", "Flax only"),
        ("openvino/openvino_model.bin", "OpenVINO only"),
    ],
)
def test_weights_in_other_formats_alone_are_refused_by_name(path: str, says: str) -> None:
    files = {name: data for name, data in tiny_embedder().items() if not name.endswith(".safetensors")}
    refusal = refuse(files | {path: b"x"})
    assert refusal.reason is Reason.UNSUPPORTED_FORMAT
    assert says in refusal.message


def test_the_class_that_is_chosen_did_not_lose_to_a_head_that_is_left_unused() -> None:
    files = catalogue("cointegrated/rubert-tiny2")
    files["config.json"] = json_file({**json.loads(files["config.json"]), "architectures": ["BertModel"]})
    said = evidence(inspect(MemorySource(files)), field="architecture")
    assert (said.value, said.overruled) == ("BertModel", ())
