"""OpenAI's /v1/models: the served names, and one of them by its name."""

import time

import pytest
from runtime_under_test import app_under_test, settings

from embedding_model.resolved import Task

NAMES = ("words", "acme/words", "acme/words/small=query")


async def test_every_served_name_is_listed_with_the_time_of_its_load() -> None:
    before = int(time.time())
    async with app_under_test(serve=settings(served_names=NAMES)) as runtime:
        listing = (await runtime.client.get("/v1/models")).json()
    assert listing["object"] == "list"
    assert [entry["id"] for entry in listing["data"]] == ["words", "acme/words", "acme/words/small"]
    for entry in listing["data"]:
        assert set(entry) == {"id", "object", "created", "owned_by"}
        assert before <= entry["created"] <= time.time()


@pytest.mark.parametrize("name", ["words", "acme/words", "acme/words/small", "acme%2Fwords"])
@pytest.mark.parametrize("prefix", ["", "/openai"])
async def test_a_model_is_found_by_its_name_also_with_slashes(name: str, prefix: str) -> None:
    async with app_under_test(serve=settings(served_names=NAMES)) as runtime:
        found = await runtime.client.get(f"{prefix}/v1/models/{name}")
        listing = (await runtime.client.get("/v1/models")).json()
    assert found.status_code == 200
    assert found.json() in listing["data"]
    assert found.json()["id"] == name.replace("%2F", "/")


@pytest.mark.parametrize("path", ["words/", "acme/words//", "acme/words/small/", "ends/"])
async def test_a_slash_behind_a_name_is_its_own_or_none(path: str) -> None:
    async with app_under_test(serve=settings(served_names=(*NAMES, "ends/"))) as runtime:
        found = await runtime.client.get(f"/v1/models/{path}")
    assert found.status_code == 200
    assert found.json()["id"] == ("ends/" if path == "ends/" else path.rstrip("/"))


async def test_another_name_is_openais_404() -> None:
    async with app_under_test(serve=settings(served_names=NAMES)) as runtime:
        answer = await runtime.client.get("/v1/models/acme/secret")
        metrics = runtime.metrics.render().decode()
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert "words, acme/words, acme/words/small" in answer.json()["error"]["message"]
    assert "secret" not in answer.text + metrics


async def test_the_path_takes_no_post_and_a_slash_at_the_end_is_the_list() -> None:
    async with app_under_test() as runtime:
        post = await runtime.client.post("/v1/models/words", json={})
        listing = await runtime.client.get("/v1/models/")
    assert post.status_code == 405
    assert listing.json()["object"] == "list"


@pytest.mark.parametrize("task", [Task.RERANKING, Task.CLASSIFICATION])
async def test_models_of_other_tasks_are_listed_too(task: Task) -> None:
    async with app_under_test(task=task) as runtime:
        assert (await runtime.client.get("/v1/models/words")).status_code == 200
