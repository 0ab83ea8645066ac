"""How deep a body may nest: deeper than any dialect needs, and less than breaks what reads it."""

import pytest
from runtime_under_test import app_under_test

from embedding_runtime.http.messages import MOST_LEVELS


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
@pytest.mark.parametrize(("levels", "status"), [(MOST_LEVELS, 200), (MOST_LEVELS + 1, 400), (900, 400), (50_000, 400)])
async def test_a_body_that_nests_too_deep_is_refused(opening: str, closing: str, levels: int, status: int) -> None:
    count = (levels - 1) // len(opening.replace('"a":', ""))
    rest = "[" * ((levels - 1) % len(opening.replace('"a":', "")))
    nested = rest + opening * count + "1" + closing * count + "]" * len(rest)
    body = f'{{"model": "words", "input": "hello", "user": {nested}}}'
    async with app_under_test() as runtime:
        response = await runtime.client.post("/v1/embeddings", content=body)
    assert response.status_code == status


async def test_brackets_in_texts_are_no_levels() -> None:
    body = {"model": "words", "input": ["[" * 500, '{"a":' * 500]}
    async with app_under_test() as runtime:
        response = await runtime.client.post("/v1/embeddings", json=body)
    assert response.status_code == 200
