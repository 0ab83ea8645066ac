"""Damaged and mixed-up folders: the answer stays right or becomes a refusal, never another answer without a word.

"A word" is the evidence of the value that changed: it names the file that was put in place of the right one, or says
which default was taken because nothing spoke. The task never changes at all.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
from model_fixtures.catalogue import CATALOGUE
from model_fixtures.fixture import Answer, Files, ModelFixture

from embedding_model.inspection import inspect
from embedding_model.refusal import Refusal
from embedding_model.resolved import Evidence, Inspection, Pooling, Task

# One of each kind: every family, pooling, head, layout and source of a value that the catalogue has.
WHOLE = (
    "sentence-transformers/all-MiniLM-L6-v2",
    "sentence-transformers/all-mpnet-base-v2",
    "sentence-transformers/all-distilroberta-v1",
    "BAAI/bge-small-en-v1.5",
    "intfloat/e5-base-v2",
    "intfloat/multilingual-e5-small",
    "BAAI/bge-m3 (with safetensors)",
    "sentence-transformers/distiluse-base-multilingual-cased-v1",
    "sentence-transformers/LaBSE",
    "sentence-transformers/bert-base-nli-mean-tokens",
    "sentence-transformers/all-MiniLM-L6-v2 (saved again by sentence-transformers 6)",
    "hkunlp/instructor-base (INSTRUCTOR's pooling on BERT)",
    "Snowflake/snowflake-arctic-embed-l-v2.0",
    "nomic-ai/modernbert-embed-base",
    "EuroBERT/EuroBERT-210m (tuned as an embedder)",
    "NovaSearch/stella_en_400M_v5 (its layout on BERT)",
    "Snowflake/snowflake-arctic-embed-m-v2.0",
    "nomic-ai/nomic-embed-text-v1.5",
    "jinaai/jina-embeddings-v2-base-en",
    "Qwen/Qwen3-Embedding-0.6B",
    "Qwen/Qwen3-Embedding-4B",
    "intfloat/e5-mistral-7b-instruct",
    "google/embeddinggemma-300m",
    "cross-encoder/ms-marco-MiniLM-L6-v2",
    "BAAI/bge-reranker-base",
    "mixedbread-ai/mxbai-rerank-base-v1",
    "Alibaba-NLP/gte-reranker-modernbert-base",
    "jinaai/jina-reranker-v1-turbo-en",
    "Qwen/Qwen3-Reranker-0.6B",
    "Qwen/Qwen3-Reranker-0.6B (with sentence-transformers' files)",
    "SamLowe/roberta-base-go_emotions",
    "cross-encoder/nli-deberta-v3-base",
    "naver/splade-cocondenser-ensembledistil",
    "opensearch-project/opensearch-neural-sparse-encoding-doc-v3-distill",
)
# Families with the same tensors: only config.json tells them apart, and no weight proves it wrong.
ALIKE = {"bert", "roberta", "xlm-roberta", "camembert"}
MOST_STRANGERS = 4
SHARES = 8  # a folder gets each eighth key that it does not have, the next folder the next ones
# The evidence that speaks for a field, beside the field's own name in camel case.
SPOKEN_FOR = {
    "family": ("architecture",),
    "positions": ("maxInputTokens",),
    "dimensions": ("modules", "task"),
    "modules": ("task",),  # its note lists the modules
    "end_token": ("pooling",),  # no other pooling reads one
    "labels": ("scoring",),
    "further_poolings": ("pooling",),  # its value lists all of them, side by side
}
PART = re.compile(r"[\[.]")  # evidence of a part: modules[0], sparse.pooling
# Nothing that is decided is in them: vocabularies, which the manifest holds by hash, and files that are never loaded.
NOT_EVIDENCE = ("vocab.txt", "vocab.json", "merges.txt", ".model", ".onnx", ".bin", ".pt", ".py", "data_config.json")
FIXTURES = [CATALOGUE[name] for name in WHOLE]


def decided(inspection: Inspection) -> dict[str, Any]:
    return inspection.model_dump(exclude={"evidence", "weights"})


@cache
def whole(name: str) -> Inspection:
    fixture = CATALOGUE[name]
    return inspect(fixture.source(), declared=fixture.declared)


def evidence_files(fixture: ModelFixture) -> list[str]:
    return [path for path in fixture.files if not path.endswith(NOT_EVIDENCE)]


def damages(data: bytes) -> Iterator[tuple[str, bytes]]:
    yield "emptied", b""
    yield "cut in half", data[: len(data) // 2]
    yield "one byte short", data[:-1]
    yield "a list", b"[1]"
    yield "a list of objects", b"[{}]"
    yield "an empty object", b"{}"
    yield "a number", b"1e400"
    yield "binary", bytes(range(256))
    yield "a pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n"


def strangers(fixture: ModelFixture, path: str) -> Iterator[tuple[str, bytes]]:
    """The same file of other models, no content twice: the next ones in the list that have one."""
    first = FIXTURES.index(fixture) + 1
    found: dict[bytes, str] = {}
    for other in (*FIXTURES[first:], *FIXTURES[:first]):
        data = other.files.get(path)
        if data is not None and data != fixture.files[path]:
            found.setdefault(data, f"that of {other.id}")
    for data, what in list(found.items())[:MOST_STRANGERS]:
        yield what, data


def contradictions(fixture: ModelFixture, path: str) -> Iterator[tuple[str, bytes]]:
    """Every single value as another model has it, each folder another one's, and every single key taken away."""
    document = read_object(fixture.files[path])
    if document is None:
        return
    for key in document:
        yield f"without {key}", write({name: value for name, value in document.items() if name != key})
    known = known_values(path.rpartition("/")[2])
    number = FIXTURES.index(fixture)
    foreign = sorted(key for key in known if key not in document)[number % SHARES :: SHARES]
    for key in (*document, *foreign):
        different = [value for value in known[key] if key not in document or document[key] != value]
        if different:
            value = different[number % len(different)]
            yield f"{key} = {json.dumps(value)[:60]}", write({**document, key: value})


@cache
def known_values(name: str) -> Mapping[str, list[Any]]:
    """Every value that any model of the catalogue has under a key of files of this name."""
    values: dict[str, list[Any]] = {}
    for fixture in CATALOGUE.values():
        for path, data in fixture.files.items():
            if path.rpartition("/")[2] == name:
                for key, value in (read_object(data) or {}).items():
                    if value not in values.setdefault(key, []):
                        values[key].append(value)
    return values


def read_object(data: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(data)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def write(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document).encode()  # without indent: written by C, thousands of times


def silent_changes(fixture: ModelFixture, files: Files, *, path: str) -> Iterator[str]:
    """Fields that have another value than in the whole folder, without evidence that says why."""
    try:
        found = inspect(fixture.source(files), declared=fixture.declared)
    except Refusal:
        return
    right = whole(fixture.id)
    before = decided(right)
    for name, value in decided(found).items():
        if value == before[name] or (name == "configuration" and path.endswith("config.json")):
            continue  # the fingerprint of the space sees another configuration
        if not may_change(name, before[name], value, path=path) or not is_explained(
            name, found, right=right, path=path
        ):
            said = [item.to_dict() for item in spoken(name, found)]
            yield f"{name}: {before[name]!r} became {value!r}, and the evidence says {said}"


def may_change(name: str, before: Any, value: Any, *, path: str) -> bool:
    """What the weights prove stays while they are there."""
    if name == "task":
        return False
    return name != "family" or path.endswith(".safetensors") or {before, value} <= ALIKE


def is_explained(name: str, found: Inspection, *, right: Inspection, path: str) -> bool:
    """Whether the evidence points at the changed file, or says something else than it did."""
    said = spoken(name, right)
    return any(item.file == path or not any(same_words(item, other) for other in said) for item in spoken(name, found))


def same_words(item: Evidence, other: Evidence) -> bool:
    return all(getattr(item, part) == getattr(other, part) for part in ("field", "file", "key", "note", "overruled"))


def spoken(name: str, inspection: Inspection) -> list[Evidence]:
    first, *rest = name.split("_")
    fields = {first + "".join(part.title() for part in rest), *SPOKEN_FOR.get(name, ())}
    return [item for item in inspection.evidence if PART.split(item.field)[0] in fields]


def cases(kind: str) -> list[Any]:
    return [
        pytest.param(fixture, path, id=f"{fixture.id}: {path}")
        for fixture in FIXTURES
        for path in evidence_files(fixture)
        if kind == "any" or path.endswith(kind)
    ]


def test_there_are_as_many_folders_as_the_catalogue_has_kinds() -> None:
    assert len(FIXTURES) >= 25
    answers = [fixture.answer for fixture in FIXTURES]
    assert all(isinstance(answer, Answer) for answer in answers)
    assert {answer.task for answer in answers if isinstance(answer, Answer)} == set(Task)
    assert {Pooling.CLS, Pooling.MEAN, Pooling.LAST_TOKEN} <= {
        answer.pooling for answer in answers if isinstance(answer, Answer)
    }


@pytest.mark.parametrize(("fixture", "path"), cases("any"))
def test_without_a_whole_file_the_answer_stays_or_names_the_default(fixture: ModelFixture, path: str) -> None:
    others = {name: data for name, data in fixture.files.items() if name != path}
    wrong = [f"removed: {change}" for change in silent_changes(fixture, others, path=path)]
    for what, data in damages(fixture.files[path]):
        wrong += [f"{what}: {change}" for change in silent_changes(fixture, {**others, path: data}, path=path)]
    assert not wrong, "\n".join([path, *wrong])


@pytest.mark.parametrize(("fixture", "path"), cases("any"))
def test_a_file_of_another_model_is_found_out_or_named(fixture: ModelFixture, path: str) -> None:
    wrong = [
        f"{what}: {change}"
        for what, data in strangers(fixture, path)
        for change in silent_changes(fixture, {**fixture.files, path: data}, path=path)
    ]
    assert not wrong, "\n".join([path, *wrong])


@pytest.mark.parametrize(("fixture", "path"), cases(".json"))
def test_a_value_of_another_model_is_found_out_or_named(fixture: ModelFixture, path: str) -> None:
    wrong = [
        f"{what}: {change}"
        for what, data in contradictions(fixture, path)
        for change in silent_changes(fixture, {**fixture.files, path: data}, path=path)
    ]
    assert not wrong, "\n".join([path, *wrong])
