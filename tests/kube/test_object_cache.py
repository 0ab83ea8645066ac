"""What is kept of the watches' words: order, deletion, and what is gone without a word."""

import tracemalloc
from typing import Any

import orjson
import pytest

from embedding_operator.kube.cache import ObjectCache, Version, read_version
from embedding_operator.kube.gateway import CONFIG_MAP, DEPLOYMENT, POD, Object

LABEL = "embedding-operator.dev/model"
MODEL = ("search", "tiny")


def pod(name: str = "a", *, version: int = 1, uid: str = "", model: str | None = "tiny", **status: Any) -> Object:
    metadata = {
        "namespace": "search",
        "name": name,
        "uid": uid or f"uid-of-{name}",
        "resourceVersion": str(version),
        "labels": {LABEL: model, "color": "red"} if model else {},
        "managedFields": [{"manager": "kubelet"}],
    }
    return {"metadata": metadata, "status": status}


def names(cache: ObjectCache, **labels: str) -> set[str]:
    return {item["metadata"]["name"] for item in cache.list_of_model(POD, MODEL, labels=labels)}


@pytest.fixture
def cache() -> ObjectCache:
    return ObjectCache((POD, CONFIG_MAP))


def test_what_a_list_leaves_out_is_filled_in_and_who_manages_what_is_not_kept(cache: ObjectCache) -> None:
    cache.put(POD, pod(phase="Running"))
    found = cache.get(POD, ("search", "a"))
    assert found is not None
    assert (found["apiVersion"], found["kind"], found["status"]) == ("v1", "Pod", {"phase": "Running"})
    assert "managedFields" not in found["metadata"]


def test_no_reader_changes_what_another_reads(cache: ObjectCache) -> None:
    cache.put(POD, pod(phase="Running"))
    [first] = cache.list_of_model(POD, MODEL, labels={})
    first["status"]["phase"] = "Failed"
    [second] = cache.list_of_model(POD, MODEL, labels={})
    assert second["status"]["phase"] == "Running"


def test_an_older_word_never_replaces_a_newer_one(cache: ObjectCache) -> None:
    cache.put(POD, pod(version=10, phase="Running"))
    cache.note(POD, "MODIFIED", pod(version=9, phase="Pending"))
    assert cache.list_of_model(POD, MODEL, labels={})[0]["status"] == {"phase": "Running"}


def test_versions_are_compared_as_numbers(cache: ObjectCache) -> None:
    cache.put(POD, pod(version=9, phase="Pending"))
    cache.put(POD, pod(version=10, phase="Running"))
    assert cache.list_of_model(POD, MODEL, labels={})[0]["status"] == {"phase": "Running"}


def test_an_answer_that_comes_after_the_deletion_brings_nothing_back(cache: ObjectCache) -> None:
    cache.put(POD, pod(version=1))
    cache.note(POD, "DELETED", pod(version=5))
    cache.put(POD, pod(version=4))
    assert names(cache) == set()


def test_a_namesake_of_a_deleted_object_is_held(cache: ObjectCache) -> None:
    cache.note(POD, "ADDED", pod(version=6, uid="second"))
    cache.note(POD, "DELETED", pod(version=5, uid="first"))
    assert names(cache) == {"a"}


def test_an_object_whose_label_came_back_is_held_again(cache: ObjectCache) -> None:
    cache.note(POD, "ADDED", pod(version=1))
    cache.note(POD, "DELETED", pod(version=2, model=None))
    assert names(cache) == set()
    cache.note(POD, "ADDED", pod(version=3))
    assert names(cache) == {"a"}


def test_objects_are_found_by_their_model_and_all_labels_asked_for(cache: ObjectCache) -> None:
    cache.put(POD, pod("a"))
    cache.put(POD, pod("b", model="other"))
    assert names(cache) == {"a"}
    assert names(cache, color="red") == {"a"}
    assert names(cache, color="blue") == set()


def test_an_object_that_is_given_to_another_model_leaves_the_first(cache: ObjectCache) -> None:
    cache.put(POD, pod("a", version=1))
    cache.put(POD, pod("a", version=2, model="other"))
    assert names(cache) == set()


def test_kinds_that_nobody_watches_are_not_held(cache: ObjectCache) -> None:
    cache.put(DEPLOYMENT, pod())
    assert cache.kinds == (POD, CONFIG_MAP)


def test_what_vanished_without_a_word_is_forgotten(cache: ObjectCache) -> None:
    cache.put(POD, pod("a"))
    cache.put(POD, pod("b"))
    behind = cache.compare(POD, [read_version(pod("a"))], since=cache.begin(POD))
    assert (names(cache), list(behind)) == ({"a"}, [])


def test_what_came_while_the_api_server_was_asked_is_not_forgotten(cache: ObjectCache) -> None:
    mark = cache.begin(POD)
    cache.note(POD, "ADDED", pod("a"))
    cache.compare(POD, [], since=mark)
    assert names(cache) == {"a"}


def test_a_late_word_of_what_is_held_already_keeps_nothing_that_has_gone(cache: ObjectCache) -> None:
    cache.put(POD, pod("a"))
    asked = cache.begin(POD)
    cache.note(POD, "ADDED", pod("a"))
    cache.compare(POD, [], since=asked)
    assert names(cache) == set()


def test_what_is_not_held_or_only_as_it_was_before_is_named(cache: ObjectCache) -> None:
    cache.put(POD, pod("a", version=1))
    cache.put(POD, pod("b", version=1))
    found = [read_version(item) for item in (pod("a", version=1), pod("b", version=2), pod("c", version=1))]
    behind = cache.compare(POD, found, since=cache.begin(POD))
    assert [version.name for version in behind] == ["b", "c"]


def test_a_list_that_is_older_than_a_deletion_names_nothing_that_is_gone(cache: ObjectCache) -> None:
    cache.put(POD, pod("a", version=1))
    mark = cache.begin(POD)
    cache.note(POD, "DELETED", pod("a", version=2))
    assert list(cache.compare(POD, [read_version(pod("a", version=1))], since=mark)) == []


def test_a_kind_is_trusted_only_when_no_doubt_came_up_since(cache: ObjectCache) -> None:
    assert not cache.is_trusted(POD)
    mark = cache.begin(POD)
    cache.note(POD, None, pod("a"))
    assert not cache.trust(POD, since=mark)
    assert cache.trust(POD, since=cache.begin(POD))
    cache.note(POD, "MODIFIED", pod("a", version=2))
    assert cache.is_trusted(POD)
    cache.note(POD, None, pod("a", version=3))
    assert list(cache.list_doubted()) == [POD, CONFIG_MAP]


def test_an_object_without_a_namespace_or_version_has_empty_ones() -> None:
    assert read_version({"metadata": {"name": "a"}}) == Version(namespace="", name="a", uid="", resource_version="")


def test_what_is_held_takes_less_than_its_json(cache: ObjectCache) -> None:
    objects = [pod(f"pod-{number}", conditions=[{"type": "Ready", "status": "True"}] * 50) for number in range(100)]
    size = sum(len(orjson.dumps(item)) for item in objects)
    cache.put(POD, pod())  # what the first one makes once
    tracemalloc.start()
    try:
        for item in objects:
            cache.put(POD, item)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < size / 2


def test_nothing_of_a_deleted_object_is_held_but_that_it_is_deleted(cache: ObjectCache) -> None:
    tracemalloc.start()
    try:
        for number in range(2000):
            come_and_go(cache, number)
        before, _ = tracemalloc.get_traced_memory()
        for number in range(2000, 4000):
            come_and_go(cache, number)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert cache.list_all(POD, namespace=None) == []
    assert after - before < 2000 * 10  # bytes


def come_and_go(cache: ObjectCache, number: int) -> None:
    item = pod(f"pod-{number:05}", version=10_000 + number, model=f"model-{number:05}")
    cache.note(POD, "ADDED", item)
    cache.note(POD, "DELETED", item)
