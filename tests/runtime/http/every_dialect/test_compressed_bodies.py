"""A compressed body is refused by its name, and not as broken JSON."""

import gzip

import pytest
from runtime_under_test import app_under_test

BODY = b'{"model": "words", "input": "hello", "inputs": "hello", "texts": ["hello"]}'


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/embed", "/jina/v1/embeddings", "/embed", "/invocations"])
@pytest.mark.parametrize("coding", ["gzip", "br", "GZIP, identity"])
async def test_a_compressed_body_is_told_to_come_as_it_is(path: str, coding: str) -> None:
    async with app_under_test() as runtime:
        response = await runtime.client.post(path, content=gzip.compress(BODY), headers={"content-encoding": coding})
    assert response.status_code in (400, 422)
    assert "The body is compressed" in response.text


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
async def test_a_body_that_says_it_is_not_compressed_is_read(coding: str) -> None:
    async with app_under_test() as runtime:
        response = await runtime.client.post("/embed", content=BODY, headers={"content-encoding": coding})
    assert response.status_code == 200
