"""Damaged and mixed-up folders: the answer stays right or becomes a refusal, never another answer without a word."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from json_values import json_values
from tiny_models import ENCODERS, encoder_config, json_file, modules, tiny_embedder

from embedding_model.inspection import inspect
from embedding_model.refusal import Refusal
from embedding_model.resolved import Inspection
from embedding_model.sources.memory import MemorySource

# Without these files another complete model remains; what is then taken is a documented default, named as evidence.
OPTIONAL = {"sentence_bert_config.json", "config_sentence_transformers.json", "tokenizer_config.json", "README.md"}

LEFT = tiny_embedder(
    **{
        "sentence_bert_config.json": json_file({"max_seq_length": 16, "do_lower_case": True}),
        "config_sentence_transformers.json": json_file({"prompts": {"query": "q: "}, "default_prompt_name": "query"}),
        "1_Pooling/config.json": json_file({"embedding_dimension": 8, "pooling_mode": "cls"}),
    }
)
STRANGER = {
    "config.json": json_file(encoder_config("mpnet", hidden_size=16, vocab_size=99)),
    "model.safetensors": tiny_embedder("mpnet")["model.safetensors"],
    "modules.json": json_file(modules("Transformer", "Pooling", "Dense")),
    "1_Pooling/config.json": json_file({"embedding_dimension": 16, "pooling_mode": "max"}),
}


def decided(inspection: Inspection) -> dict[str, Any]:
    return inspection.model_dump(exclude={"evidence", "weights"})


def try_inspect(files: dict[str, bytes]) -> Inspection | None:
    try:
        return inspect(MemorySource(files))
    except Refusal:
        return None


def mutations() -> Iterator[tuple[str, str, dict[str, bytes]]]:
    for path, data in LEFT.items():
        if path == "tokenizer.json":
            continue  # inspection does not read it; the manifest and the fingerprint hold its bytes
        yield path, "emptied", {**LEFT, path: b""}
        yield path, "cut in half", {**LEFT, path: data[: len(data) // 2]}
        yield path, "one byte short", {**LEFT, path: data[:-1]}
        yield path, "another kind of JSON", {**LEFT, path: b"[1]"}
        yield path, "binary", {**LEFT, path: bytes(range(256))}
    for path, data in STRANGER.items():
        yield path, "of another model", {**LEFT, path: data}
    for path in LEFT.keys() - OPTIONAL - {"tokenizer.json"}:
        yield path, "removed", {name: data for name, data in LEFT.items() if name != path}


@pytest.mark.parametrize(
    ("path", "files"), [pytest.param(path, files, id=f"{path} {what}") for path, what, files in mutations()]
)
def test_a_damaged_folder_gives_the_same_answer_or_none(path: str, files: dict[str, bytes]) -> None:
    found = try_inspect(files)
    if path == "README.md":
        assert found is not None
    if found is not None:
        assert decided(found) == decided(inspect(MemorySource(LEFT)))


@pytest.mark.parametrize("path", sorted(OPTIONAL))
def test_what_an_optional_file_would_have_said_is_then_a_default_that_evidence_names(path: str) -> None:
    whole = inspect(MemorySource(LEFT))
    found = inspect(MemorySource({name: data for name, data in LEFT.items() if name != path}))
    changed = {name for name, value in decided(found).items() if value != decided(whole)[name]}
    named = {item.field: item for item in found.evidence}
    for name in changed:
        item = named["".join([name.split("_")[0], *(part.title() for part in name.split("_")[1:])])]
        assert item.note is not None or item.file != path


def edits(document: Any) -> Iterator[Callable[[dict[str, Any]], None]]:
    for key in document:
        yield lambda values, key=key: values.pop(key)
        for value in (None, -1, 0, 3, 1e30, "", "other", True, [], {}):
            yield lambda values, key=key, value=value: values.update({key: value})


@pytest.mark.parametrize("family", ENCODERS)
def test_no_single_value_of_config_json_changes_the_answer_in_silence(family: str) -> None:
    """A changed value either is refused, leaves every answer alone, or shows in the configuration's hash."""
    files = tiny_embedder(family)
    original = inspect(MemorySource(files))
    document = json.loads(files["config.json"])
    for edit in edits(document):
        values = dict(document)
        edit(values)
        if values == document:
            continue
        found = try_inspect({**files, "config.json": json_file(values)})
        if found is not None and found.configuration == original.configuration:
            assert decided(found) == decided(original)


paths = st.sampled_from(sorted(LEFT.keys() - {"tokenizer.json", "README.md", "model.safetensors"}))
unhurried = settings(suppress_health_check=[HealthCheck.too_slow])


@unhurried
@given(paths, st.data())
def test_no_value_under_a_known_key_makes_inspection_crash(path: str, data: st.DataObject) -> None:
    document = json.loads(LEFT[path])
    if isinstance(document, list):
        document[0] = data.draw(json_values)
    else:
        document[data.draw(st.sampled_from(sorted(document)))] = data.draw(json_values)
    with contextlib.suppress(Refusal):  # anything else that is raised fails the test
        inspect(MemorySource({**LEFT, path: json.dumps(document).encode()}))


@unhurried
@given(st.binary() | st.text().map(str.encode))
def test_no_model_card_makes_inspection_fail(card: bytes) -> None:
    assert inspect(MemorySource({**LEFT, "README.md": card})).dimensions == 8
