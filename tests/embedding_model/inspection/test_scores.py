"""Where a reranker's score comes from: activation, template, tokens, instruction."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from model_fixtures.catalogue import CATALOGUE
from tiny_heads import card, tiny_classifier
from tiny_models import json_file, modules

from embedding_model.inspection import inspect
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Activation, Declared, Evidence, Inspection, Origin, ScoreRule, SourceKind, Task
from embedding_model.sources.memory import MemorySource

PREFIX = "torch.nn.modules."
IDENTITY, SIGMOID = f"{PREFIX}linear.Identity", f"{PREFIX}activation.Sigmoid"
ORIGINAL = "Qwen/Qwen3-Reranker-0.6B"
SAVED = "Qwen/Qwen3-Reranker-0.6B (with sentence-transformers' files)"
LIBRARY = "config_sentence_transformers.json"


def look(files: Mapping[str, bytes], *, repo: str | None = None, task: Task | None = None) -> Inspection:
    folder = Origin(kind=SourceKind.FOLDER, path="/model")
    hub = Origin(kind=SourceKind.HUGGING_FACE, repo=repo, requested="main", revision="0" * 40)
    return inspect(MemorySource(files, origin=hub if repo else folder), declared=Declared(task=task))


def refuse(files: Mapping[str, bytes], *, repo: str | None = None, task: Task | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        look(files, repo=repo, task=task)
    return caught.value


def evidence(inspection: Inspection, *, field: str) -> Evidence:
    (found,) = [item for item in inspection.evidence if item.field == field]
    return found


def saved(**library: Any) -> dict[str, bytes]:
    """A cross-encoder with modules.json; `library` are keys of config_sentence_transformers.json."""
    return {
        "modules.json": json_file(modules("Transformer")),
        "sentence_bert_config.json": json_file({"transformer_task": "sequence-classification"}),
        "config_sentence_transformers.json": json_file({"model_type": "CrossEncoder", **library}),
    }


@pytest.mark.parametrize(
    ("config", "activation", "key"),
    [
        ({}, Activation.SIGMOID, "sentence_transformers.activation_fn"),
        ({"sentence_transformers": {"activation_fn": IDENTITY}}, "Identity", "sentence_transformers.activation_fn"),
        ({"sbert_ce_default_activation_function": IDENTITY}, "Identity", "sbert_ce_default_activation_function"),
        ({"sentence_transformers": {"activation_fn": f"{PREFIX}activation.Tanh"}}, "Tanh", None),
        ({"sentence_transformers": {"activation_fn": "torch.nn.Sigmoid"}}, "Sigmoid", None),
        ({"sentence_transformers": {"version": "5.0"}}, "Sigmoid", None),
    ],
)
def test_the_activation_is_the_one_that_the_files_declare(
    config: dict[str, Any], activation: str, key: str | None
) -> None:
    found = look(tiny_classifier(1, **config))
    assert found.activation == activation
    assert key is None or evidence(found, field="activation").key == key


def test_a_missing_activation_says_that_it_is_a_default() -> None:
    assert "none declared" in (evidence(look(tiny_classifier(1)), field="activation").note or "")


def test_of_two_activations_the_one_that_sentence_transformers_takes_wins() -> None:
    config = {"sentence_transformers": {"activation_fn": SIGMOID}, "sbert_ce_default_activation_function": IDENTITY}
    found = look(tiny_classifier(1, **config))
    assert found.activation is Activation.SIGMOID
    assert evidence(found, field="activation").overruled == (
        "Identity (config.json sbert_ce_default_activation_function)",
    )
    newer = look(tiny_classifier(1, **config) | saved(activation_fn=IDENTITY))
    assert newer.activation is Activation.IDENTITY
    assert evidence(newer, field="activation").file == "config_sentence_transformers.json"


@pytest.mark.parametrize(
    ("written", "reason", "says"),
    [
        (f"{PREFIX}activation.Softmax", Reason.CONTRADICTORY_EVIDENCE, "1 for every document"),
        (f"{PREFIX}activation.ReLU", Reason.UNSUPPORTED_ARCHITECTURE, '"ReLU"'),
        ("my_model.Activation", Reason.UNSUPPORTED_ARCHITECTURE, "classes of torch.nn only"),
        ("torch.nn.functional.sigmoid", Reason.UNSUPPORTED_ARCHITECTURE, "classes of torch.nn only"),
        ("torch.hub.load", Reason.UNSUPPORTED_ARCHITECTURE, "classes of torch.nn only"),
        (3, Reason.INVALID_FILE, "to be a string"),
    ],
)
def test_other_activations_are_refused(written: Any, reason: Reason, says: str) -> None:
    refusal = refuse(tiny_classifier(1, sentence_transformers={"activation_fn": written}))
    assert refusal.reason is reason
    assert says in refusal.message


def test_a_default_prompt_for_a_pair_of_texts_is_refused() -> None:
    prompts = {"prompts": {"query": "Find: "}, "default_prompt_name": "query"}
    refusal = refuse(tiny_classifier(1) | saved(**prompts))
    assert refusal.reason is Reason.UNSUPPORTED_ARCHITECTURE
    assert 'default_prompt_name is "query"' in refusal.message
    harmless = {"prompts": {"query": ""}, "default_prompt_name": "query"}
    assert look(tiny_classifier(1) | saved(**harmless)).task is Task.RERANKING


def test_a_language_model_scores_by_the_tokens_that_its_files_name() -> None:
    found = look(CATALOGUE[SAVED].files)
    assert found.scoring is not None
    assert (found.scoring.rule, found.scoring.template) == (ScoreRule.TOKEN_LOGITS, "qwen3-reranker")
    assert (found.scoring.true_token, found.scoring.false_token) == ("yes", "no")
    vocabulary = json.loads(CATALOGUE[SAVED].files["tokenizer.json"])["model"]["vocab"]
    ids = (found.scoring.true_token_id, found.scoring.false_token_id)
    assert ids == (vocabulary["yes"], vocabulary["no"])
    assert evidence(found, field="scoring.template").file == "1_LogitScore/config.json"
    assert "web search" in evidence(found, field="scoring.instruction").value
    assert found.scoring.instruction == json.loads(CATALOGUE[SAVED].files[LIBRARY])["prompts"]["query"]


def test_an_instruction_of_a_whole_book_is_refused() -> None:
    library = {"prompts": {"query": "relevant " * 1000}, "default_prompt_name": "query", "model_type": "CrossEncoder"}
    refusal = refuse(CATALOGUE[SAVED].files | {LIBRARY: json_file(library)})
    assert refusal.reason is Reason.TOO_LARGE
    assert "8192" in refusal.message


@pytest.mark.parametrize("tokens", [{"true_token_id": 3, "false_token_id": 4}, {"true_token_id": 3}, {}])
def test_tokens_of_no_known_prompt_are_refused(tokens: dict[str, int]) -> None:
    refusal = refuse(CATALOGUE[SAVED].files | {"1_LogitScore/config.json": json_file(tokens)})
    assert refusal.reason is (Reason.AMBIGUOUS_TASK if tokens else Reason.INVALID_FILE)


def test_a_template_is_known_by_the_repository_and_the_evidence_says_so() -> None:
    found = look(CATALOGUE[ORIGINAL].files, repo=ORIGINAL)
    source = evidence(found, field="scoring.template")
    assert (source.file, source.key) == ("origin", "repo")
    assert "model card" in (source.note or "")
    assert "weak" in (evidence(found, field="task").note or "")


def test_a_base_model_in_the_card_names_the_template_of_a_fine_tune() -> None:
    files = CATALOGUE[ORIGINAL].files | card(pipeline_tag="text-ranking", base_model=["Qwen/Qwen3-Reranker-4B"])
    found = look(files, repo="acme/legal-ranker")
    assert evidence(found, field="scoring.template").file == "README.md"


def test_another_repository_of_the_family_may_want_another_prompt() -> None:
    refusal = refuse(CATALOGUE[ORIGINAL].files, repo="acme/zrank")
    assert refusal.reason is Reason.AMBIGUOUS_TASK
    assert "with which prompt it was trained" in refusal.message


def test_a_folder_without_a_name_gets_the_one_prompt_of_its_family_as_weak_evidence() -> None:
    found = look(CATALOGUE[ORIGINAL].files)
    assert "weak" in (evidence(found, field="scoring.template").note or "")


def test_a_family_without_a_known_prompt_is_a_doubt() -> None:
    files = CATALOGUE["mistralai/Mistral-7B-Instruct-v0.3"].files
    refusal = refuse(files, task=Task.RERANKING)
    assert refusal.reason is Reason.AMBIGUOUS_TASK
    assert "qwen3-reranker (qwen3)" in refusal.message


def test_a_tokenizer_without_the_tokens_belongs_to_another_model() -> None:
    files = dict(CATALOGUE[ORIGINAL].files)
    files["tokenizer.json"] = files["tokenizer.json"].replace(b'"yes"', b'"yep"')
    refusal = refuse(files)
    assert refusal.reason is Reason.CONTRADICTORY_EVIDENCE
    assert 'the token "yes"' in refusal.message


def test_two_vocabularies_that_number_the_tokens_differently_are_a_contradiction() -> None:
    files = dict(CATALOGUE[ORIGINAL].files)
    vocabulary = json.loads(files["vocab.json"])
    vocabulary["yes"], vocabulary["no"] = vocabulary["no"], vocabulary["yes"]
    refusal = refuse(files | {"vocab.json": json_file(vocabulary)})
    assert refusal.reason is Reason.CONTRADICTORY_EVIDENCE
    assert "different numbers" in refusal.message
