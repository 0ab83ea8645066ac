"""Ten thousand hostile bodies: each is refused in words, or answered rightly; none breaks the server."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from hostile_bodies import MARK, HostileBodies
from runtime_under_test import AppUnderTest, app_under_test
from served_tasks import SERVED, fake_backend

from embedding_model.resolved import Task
from embedding_runtime.http.messages import Message

BODIES_PER_TASK = 2600
REFUSALS = {400, 404, 413, 422, 424}
MOST_BYTES_OF_AN_ERROR = 4096


class Route:
    """A path with what its description says: hostile bodies for it, and what a right answer is."""

    def __init__(self, description: dict[str, Any], *, path: str, seed: int) -> None:
        operation = description["paths"][path]["post"]
        body = operation["requestBody"]["content"]["application/json"]
        components = description["components"]
        answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
        self.path = path
        self._answer = jsonschema_rs.Draft202012Validator({**answer, "components": components})
        self._example = json.dumps(body["example"]).encode()
        self.bodies = HostileBodies(
            examples=[body["example"]],
            fields=sorted(set(find_fields(body["schema"], components["schemas"]))),
            seed=seed,
        )

    def is_right(self, answer: bytes) -> bool:
        return self._answer.is_valid(json.loads(answer))

    async def answers_its_example(self, runtime: AppUnderTest) -> bool:
        """Whether the path is for models of this task."""
        status, _ = await post(runtime, self.path, body=self._example, content_type="application/json")
        return status == 200


def find_fields(schema: Any, schemas: dict[str, Any]) -> Iterator[str]:
    whole = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    yield from whole.get("properties", ())
    for choice in (*whole.get("anyOf", ()), *whole.get("oneOf", ())):
        yield from find_fields(choice, schemas)


async def post(runtime: AppUnderTest, path: str, *, body: bytes, content_type: str) -> tuple[int, bytes]:
    """Asked of the application itself: a client would cost more than the answer."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [(b"content-type", content_type.encode("latin-1")), (b"content-length", str(len(body)).encode())],
    }
    requests: list[Message] = [{"type": "http.request", "body": body}]
    answers: list[Message] = []

    async def receive() -> Message:
        return requests.pop() if requests else await asyncio.get_running_loop().create_future()

    async def send(message: Message) -> None:
        answers.append(message)

    await runtime.app(scope, receive, send)
    return answers[0]["status"], answers[1]["body"]


@pytest.mark.parametrize("task", list(Task))
async def test_a_hostile_body_is_refused_or_answered_and_never_breaks_the_server(
    task: Task, caplog: pytest.LogCaptureFixture
) -> None:
    statuses: Counter[int] = Counter()
    async with app_under_test(fake_backend(task), task=task, **SERVED[task]) as runtime:
        description = (await runtime.client.get("/openapi.json")).json()
        paths = [path for path, methods in description["paths"].items() if "post" in methods]
        routes = [Route(description, path=path, seed=seed) for seed, path in enumerate(paths)]
        own = [route for route in routes if await route.answers_its_example(runtime)]
        for number in range(BODIES_PER_TASK):
            among = own if number % 2 else routes  # half of them to what the model can answer
            route = among[number // 2 % len(among)]
            body, content_type = route.bodies.make()
            status, answer = await post(runtime, route.path, body=body, content_type=content_type)
            statuses[status] += 1
            what = (route.path, body[:2000], status, answer[:2000])
            assert not caplog.records, what  # of an error that nobody expected
            if status == 200:
                assert route.is_right(answer), what
            else:
                assert status in REFUSALS, what
                assert MARK.encode() not in answer, what
                assert len(answer) < MOST_BYTES_OF_AN_ERROR, what
    assert statuses[200] > BODIES_PER_TASK / 20
    assert sum(statuses.values()) - statuses[200] > BODIES_PER_TASK / 2
