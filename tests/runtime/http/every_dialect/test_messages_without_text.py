"""What came is never repeated: no error's answer and no log line holds text of a request."""

import itertools
import logging
from collections.abc import Sequence
from typing import Any, get_args

import pytest
from runtime_under_test import app_under_test
from served_tasks import SERVED, fake_backend

from embedding_model.resolved import Task
from embedding_runtime.http.dialect import Dialect
from embedding_runtime.http.routing import DIALECTS

SECRET = "hunter2"
VALUES: list[Any] = [
    SECRET,
    [SECRET],
    [[SECRET]],
    [1, SECRET],
    [SECRET, 1],
    {SECRET: SECRET},
    [{SECRET: SECRET}],
    {"text": {SECRET: 1}},
    {"type": SECRET, "source_sentence": [SECRET]},
    [[SECRET, SECRET, SECRET]],
]
# Otherwise right, so that the wrong field is what is complained about.
WHOLE = {"model": "words", "input": "x", "inputs": "x", "texts": ["x"], "query": "x", "documents": ["x"], "ids": [1]}


def fields_of(dialect: Dialect) -> Sequence[tuple[str, str]]:
    """Every path that takes a body, with each field of its form, or of all forms that its route reads."""
    routes = {path: methods["POST"] for path, methods in dialect.routes.items() if "POST" in methods}
    return [
        (path, name)
        for path, route in routes.items()
        for name in sorted({name for form in get_args(route.form) or (route.form,) for name in form.model_fields})
    ]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("task", Task)
async def test_no_error_and_no_log_repeats_what_came(
    task: Task, dialect: Dialect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    refused = 0
    async with app_under_test(fake_backend(task), task=task, **SERVED[task]) as runtime:
        for (path, field), value in itertools.product(fields_of(dialect), VALUES):
            answer = await runtime.client.post(f"/{dialect.name}{path}", json={**WHOLE, field: value})
            assert answer.status_code < 500, (path, field, value, answer.text)
            if answer.status_code != 200:
                refused += 1
                assert SECRET not in answer.text, (path, field, value)
    assert refused > 50
    assert SECRET not in caplog.text
