"""Random values anywhere in a folder: an inspection or a refusal comes out, nothing else, and soon."""

import contextlib
import json
import time
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from json_values import json_values
from model_fixtures.catalogue import CATALOGUE

from embedding_model.inspection import inspect
from embedding_model.refusal import Refusal
from embedding_model.resolved import Declared, Pooling, Task

CPU_SECONDS = 5.0  # a bound against hanging, a thousand times what a folder of a few kilobytes takes
NAMES = sorted(CATALOGUE)
WITH_DOCUMENTS = sorted(name for name, fixture in CATALOGUE.items() if "config.json" in fixture.files)
declarations = st.none() | st.builds(
    Declared, task=st.none() | st.sampled_from(Task), pooling=st.none() | st.sampled_from(Pooling)
)
unhurried = settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def try_inspect(name: str, changes: dict[str, bytes], *, declared: Declared | None) -> None:
    """Anything raised but a Refusal fails the test."""
    fixture = CATALOGUE[name]
    start = time.thread_time()
    with contextlib.suppress(Refusal):
        assert inspect(fixture.source({**fixture.files, **changes}), declared=declared).evidence
    assert time.thread_time() - start < CPU_SECONDS


def change_values(document: Any, *, data: st.DataObject, count: int) -> Any:
    """The document with random values under `count` of its own keys, at any depth."""
    for _ in range(count):
        place = document
        while True:
            steps = sorted(place) if isinstance(place, dict) else list(range(len(place)))
            step = data.draw(st.sampled_from(steps))
            inner = place[step]
            if isinstance(inner, dict | list) and inner and data.draw(st.booleans()):
                place = inner
                continue
            place[step] = data.draw(json_values)
            break
    return document


@unhurried
@given(st.sampled_from(WITH_DOCUMENTS), st.data(), declarations)
def test_no_value_in_any_file_makes_inspection_crash(name: str, data: st.DataObject, declared: Declared | None) -> None:
    files = CATALOGUE[name].files
    documents = sorted(path for path, content in files.items() if path.endswith(".json") and len(content) > 4)
    changes = {}
    for path in data.draw(st.lists(st.sampled_from(documents), min_size=1, max_size=3, unique=True)):
        document = change_values(json.loads(files[path]), data=data, count=data.draw(st.integers(1, 3)))
        changes[path] = json.dumps(document).encode()
    try_inspect(name, changes, declared=declared)


@unhurried
@given(st.sampled_from(NAMES), st.data(), declarations)
def test_no_bytes_in_any_file_make_inspection_crash(name: str, data: st.DataObject, declared: Declared | None) -> None:
    files = CATALOGUE[name].files
    path = data.draw(st.sampled_from(sorted(files)))
    content = files[path]
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 64)))
    try_inspect(name, {path: content[:start] + data.draw(st.binary(max_size=64)) + content[end:]}, declared=declared)


@unhurried
@given(st.sampled_from(NAMES), st.sampled_from(NAMES), st.data(), declarations)
def test_no_mixture_of_two_models_makes_inspection_crash(
    name: str, other: str, data: st.DataObject, declared: Declared | None
) -> None:
    files = CATALOGUE[other].files
    chosen = data.draw(st.sets(st.sampled_from(sorted(files))))
    try_inspect(name, {path: files[path] for path in chosen}, declared=declared)
