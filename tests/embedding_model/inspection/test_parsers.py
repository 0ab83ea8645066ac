"""Whatever a file holds: an answer or a refusal, soon, and nothing else."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from json_values import json_values
from tiny_heads import tiny_classifier, tiny_sparse
from tiny_models import json_file, modules, safetensors_file, tiny_embedder

from embedding_model.inspection import inspect
from embedding_model.inspection.card import parse_card
from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.labels import find_relevant, read_labels
from embedding_model.inspection.report import render_inspection
from embedding_model.refusal import Refusal
from embedding_model.resolved import Declared, Pooling, Task
from embedding_model.sources.memory import MemorySource

Files = dict[str, bytes]

quick = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
tasks = st.none() | st.sampled_from(Task)


def try_inspecting(files: Files, *, task: Task | None = None) -> None:
    try:
        found = inspect(MemorySource(files), declared=Declared(task=task, pooling=Pooling.MEAN))
    except Refusal as caught:
        refusal = caught
    else:
        found.to_json()
        assert render_inspection(found)
        return
    assert refusal.message
    assert refusal.message.isprintable()
    refusal.document().model_dump_json()


DENSE: Files = tiny_embedder(
    **{
        "modules.json": json_file(modules("Transformer", "Pooling", "Dense")),
        "2_Dense/config.json": json_file({"in_features": 8, "out_features": 8, "bias": True}),
        "2_Dense/model.safetensors": safetensors_file({"linear.weight": (8, 8), "linear.bias": (8,)}),
    }
)
FOLDERS = {
    "an embedder": DENSE,
    "a reranker": tiny_classifier(1),
    "a classifier": tiny_classifier(3, names=["a", "b", "c"]),
    "a sparse model": tiny_sparse(),
}
KEYS = [
    ("an embedder", "2_Dense/config.json", ["in_features", "out_features", "bias", "activation_function", "x"]),
    ("an embedder", "1_Pooling/config.json", ["pooling_mode", "embedding_dimension", "include_prompt"]),
    ("an embedder", "config_sentence_transformers.json", ["prompts", "default_prompt_name", "truncate_dim"]),
    ("an embedder", "tokenizer_config.json", ["auto_map", "padding_side", "add_eos_token", "tokenizer_class"]),
    ("a reranker", "config.json", ["id2label", "sentence_transformers", "problem_type", "architectures"]),
    ("a reranker", "config.json", ["sbert_ce_default_activation_function", "num_labels", "auto_map"]),
    ("a classifier", "config.json", ["id2label", "problem_type"]),
    (
        "a sparse model",
        "1_SpladePooling/config.json",
        ["pooling_strategy", "activation_function", "embedding_dimension"],
    ),
    ("a sparse model", "sentence_bert_config.json", ["transformer_task", "modality_config", "max_seq_length"]),
]


@pytest.mark.parametrize(("folder", "path", "keys"), KEYS)
@quick
@given(data=st.data(), task=tasks)
def test_any_value_under_a_key_is_answered_or_refused(
    folder: str, path: str, keys: list[str], data: st.DataObject, task: Task | None
) -> None:
    files = FOLDERS[folder]
    values: dict[str, Any] = json.loads(files[path])
    values[data.draw(st.sampled_from(keys))] = data.draw(json_values)
    try_inspecting(files | {path: json.dumps(values).encode()}, task=task)


@pytest.mark.parametrize("folder", FOLDERS)
@quick
@given(data=st.data(), content=st.binary(max_size=64) | st.builds(json_file, json_values))
def test_any_content_of_a_file_is_answered_or_refused(folder: str, data: st.DataObject, content: bytes) -> None:
    files = FOLDERS[folder]
    try_inspecting(files | {data.draw(st.sampled_from(sorted(files))): content})


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize(
    "bomb", [b"[" * 200_000, b'{"a":' * 100_000, b'{"model_type": ' + b"[" * 5000 + b"]" * 5000 + b"}"]
)
def test_nesting_without_end_is_refused(folder: str, bomb: bytes) -> None:
    for path in FOLDERS[folder]:
        if path.endswith(".json"):
            try_inspecting(FOLDERS[folder] | {path: bomb})


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize(
    "bomb",
    [
        b'{"x": [' + b"{}," * 1_000_000 + b"{}]}",
        b'{"version": "1.0", "added_tokens": [' + b"[]," * 1_000_000 + b'[]], "model": {}}',
        b"[UNK]\n[CLS]\n[SEP]\n[PAD]\n[MASK]\n" + b"a\n" * 2_000_000,
    ],
    ids=["objects", "lists", "lines"],
)
def test_a_few_megabytes_never_become_hundreds(folder: str, bomb: bytes) -> None:
    """The operator has a few hundred for everything, and reads what strangers wrote."""
    files = FOLDERS[folder]
    cases = [files | {path: bomb} for path in files if path.endswith((".json", ".txt"))]
    cases.append({path: data for path, data in files.items() if path != "tokenizer.json"} | {"vocab.txt": bomb})
    for case in cases:
        tracemalloc.start()
        try:
            try_inspecting(case)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 60 * 1024**2


@quick
@given(st.text(alphabet=st.sampled_from("-:\n\r \t[],'\"abtgsliceno_modelpipeline{}&*|>#")) | st.text())
def test_any_text_is_a_card(text: str) -> None:
    parse_card(text)
    card = parse_card(f"---\n{text}\n---\n")
    assert all(word.isprintable() for word in (*card.tags, *card.base_models))


@quick
@given(json_values, st.integers(min_value=1, max_value=5))
def test_any_mapping_is_labels_or_a_refusal(value: Any, count: int) -> None:
    try:
        labels = read_labels(JsonObject(path="config.json", values={"id2label": value}), count=count)
    except Refusal:
        return
    assert len(labels) in (0, count)
    assert find_relevant(labels) in (None, *labels)


def test_a_card_is_read_in_all_the_forms_that_people_write() -> None:
    block = "---\nlicense: mit\ntags:\n- a\n- 'b c'\nbase_model:\n  - org/name\npipeline_tag: \"text-ranking\"\n---\n"
    card = parse_card(block)
    assert (card.licence, card.tags, card.base_models) == ("mit", ("a", "b c"), ("org/name",))
    assert card.pipeline_tag == "text-ranking"
    inline = parse_card("---\r\ntags: [x, y]\r\nbase_model: org/name\r\nlicense: other\r\nlicense_name: own\r\n---\r\n")
    assert (inline.tags, inline.base_models, inline.licence) == (("x", "y"), ("org/name",), "own")
    assert parse_card("# no front matter\ntags: [x]\n").tags == ()
