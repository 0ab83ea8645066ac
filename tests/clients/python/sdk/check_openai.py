"""openai: embeddings as its users ask for them, and what they get when something is wrong."""

import asyncio
import base64
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import openai
import pytest
from relay import Relay
from service import Service

BATCH = slice(0, 40)


@pytest.fixture
def client(service: Service) -> Iterator[openai.OpenAI]:
    with connect(service.url) as client:
        yield client


def connect(url: str, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", **{"api_key": "none", "max_retries": 0, **options})


def vectors(answer: Any) -> Any:
    return [row.embedding for row in answer.data]


def check_fifteen_hundred_texts_in_one_call_keep_their_order(client: openai.OpenAI, service: Service) -> None:
    answer = client.embeddings.create(model=service.names.model, input=list(service.texts))
    service.assert_vectors(vectors(answer))
    assert [row.index for row in answer.data] == list(range(len(service.texts)))
    assert answer.object == "list"
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > len(service.texts)


def check_one_text_alone_is_the_same_as_among_others(client: openai.OpenAI, service: Service) -> None:
    for index, text in enumerate(service.scripts):
        answer = client.embeddings.create(model=service.names.model, input=text)
        service.assert_vectors(vectors(answer), texts=slice(index, index + 1))


def check_the_vendors_name_of_a_model_is_answered(client: openai.OpenAI, service: Service) -> None:
    answer = client.embeddings.create(model=service.names.openai, input=list(service.texts[BATCH]), user="someone")
    service.assert_vectors(vectors(answer), texts=BATCH)
    assert answer.model == service.names.openai
    assert {service.names.model, service.names.openai} <= {model.id for model in client.models.list()}


def check_vectors_travel_as_base64_by_default_and_as_numbers_when_asked(
    service: Service, relay: Callable[..., Relay]
) -> None:
    texts = list(service.texts[BATCH])
    wire = relay(service.url)
    with connect(wire.url) as client:
        service.assert_vectors(vectors(client.embeddings.create(model=service.names.model, input=texts)), texts=BATCH)
        assert wire.last.asked["encoding_format"] == "base64"
        sent = [row["embedding"] for row in wire.last.answered["data"]]
        service.assert_vectors([np.frombuffer(base64.b64decode(row), dtype="<f4") for row in sent], texts=BATCH)
        answer = client.embeddings.create(model=service.names.model, input=texts, encoding_format="float")
        assert wire.last.answered["data"][0]["embedding"] == answer.data[0].embedding
        service.assert_vectors(vectors(answer), texts=BATCH)


def check_fewer_dimensions_are_the_first_ones_at_length_one(client: openai.OpenAI, service: Service) -> None:
    answer = client.embeddings.create(model=service.names.model, input=list(service.texts[BATCH]), dimensions=64)
    cut = service.vectors[BATCH, :64]
    wanted = cut / np.linalg.norm(cut, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors(answer), wanted, atol=1e-4)


async def ask_together(url: str, service: Service) -> list[Any]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        batches = [service.texts[start : start + 50] for start in range(0, 800, 50)]
        asked = [client.embeddings.create(model=service.names.model, input=list(batch)) for batch in batches]
        return [row for answer in await asyncio.gather(*asked) for row in vectors(answer)]


def check_sixteen_calls_at_once_get_their_own_vectors(service: Service) -> None:
    service.assert_vectors(asyncio.run(ask_together(service.url, service)), texts=slice(0, 800))


def check_an_unknown_model_is_not_found_and_the_known_ones_are_named(client: openai.OpenAI, service: Service) -> None:
    with pytest.raises(openai.NotFoundError, match=service.names.openai) as found:
        client.embeddings.create(model="text-embedding-nobody-has", input="hello")
    assert found.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("no text", {"input": []}),
        ("token ids of another tokenizer", {"input": [[15339, 1917]]}),
        ("no dimensions", {"input": "hello", "dimensions": 0}),
        ("more dimensions than there are", {"input": "hello", "dimensions": 100_000}),
        ("a form that nobody has", {"input": "hello", "encoding_format": "roman"}),
        ("more texts than a request may have", {"input": ["hello"] * 3000}),
    ],
)
def check_a_request_that_makes_no_sense_is_a_bad_request(
    client: openai.OpenAI, service: Service, what: str, body: dict[str, Any]
) -> None:
    with pytest.raises((openai.BadRequestError, openai.UnprocessableEntityError)) as found:
        client.embeddings.create(model=service.names.model, **body)
    assert found.value.type == "invalid_request_error"
    assert found.value.message, what


def check_token_ids_are_refused_with_the_setting_that_stops_them(client: openai.OpenAI, service: Service) -> None:
    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False"):
        client.embeddings.create(model=service.names.model, input=[[15339, 1917]])


def check_a_server_with_keys_takes_the_right_one_only(service: Service) -> None:
    with connect(service.guarded_url, api_key=service.key) as client:
        answer = client.embeddings.create(model=service.names.model, input=list(service.texts[BATCH]))
        service.assert_vectors(vectors(answer), texts=BATCH)
        assert client.models.list().data
    with connect(service.guarded_url, api_key="a-wrong-key") as client:
        with pytest.raises(openai.AuthenticationError) as found:
            client.embeddings.create(model=service.names.model, input="hello")
        assert found.value.type == "authentication_error"
        with pytest.raises(openai.AuthenticationError):
            client.models.list()


def check_a_full_queue_is_a_rate_limit_that_says_when_to_come_back(service: Service, full_embedder: object) -> None:
    with connect(service.url) as client, pytest.raises(openai.RateLimitError) as found:
        client.embeddings.create(model=service.names.model, input="hello")
    assert int(found.value.response.headers["retry-after"]) >= 1


def check_the_sdks_own_retry_after_a_full_queue_succeeds(service: Service, relay_to_full_embedder: Relay) -> None:
    with connect(relay_to_full_embedder.url, max_retries=4) as client:
        answer = client.embeddings.create(model=service.names.model, input=list(service.texts[BATCH]))
    service.assert_vectors(vectors(answer), texts=BATCH)
    relay_to_full_embedder.assert_retried()
