"""huggingface_hub's InferenceClient, which speaks as text-embeddings-inference is spoken to. It never retries."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from relay import Relay
from service import Service

BATCH = slice(0, 40)


@pytest.fixture
def client(service: Service) -> InferenceClient:
    return InferenceClient(base_url=service.url)


def check_fifteen_hundred_texts_in_one_call_keep_their_order(client: InferenceClient, service: Service) -> None:
    found = client.feature_extraction(list(service.texts))
    assert found.dtype == np.float32
    service.assert_vectors(found)


def check_one_text_alone_is_the_same_as_among_others(client: InferenceClient, service: Service) -> None:
    for index, text in enumerate(service.scripts):
        service.assert_vectors(client.feature_extraction(text), texts=slice(index, index + 1))


def check_the_full_address_of_a_route_is_a_model_too(service: Service) -> None:
    client = InferenceClient(model=f"{service.url}/embed")
    service.assert_vectors(client.feature_extraction(list(service.texts[BATCH])), texts=BATCH)


def check_vectors_come_as_they_are_where_no_length_of_one_is_asked(client: InferenceClient, service: Service) -> None:
    texts = list(service.texts[BATCH])
    raw = client.feature_extraction(texts, normalize=False)
    service.assert_vectors(raw, texts=BATCH)
    assert (np.linalg.norm(raw, axis=1) > 1.01).all()
    np.testing.assert_allclose(np.linalg.norm(client.feature_extraction(texts, normalize=True), axis=1), 1, atol=1e-5)


def check_a_long_text_is_cut_on_the_side_that_is_asked_for(client: InferenceClient, service: Service) -> None:
    start, end = "the weather is lovely today " * 60, "a database stores rows in pages " * 60
    cut = {
        side: client.feature_extraction(start + end, truncate=True, truncation_direction=side)[0]
        for side in ("left", "right")
    }
    alone = {"right": client.feature_extraction(start, truncate=True)[0]}
    assert float(cut["right"] @ alone["right"]) > 0.9999
    assert float(cut["left"] @ cut["right"]) < 0.9
    with pytest.raises(HfHubHTTPError) as found:
        client.feature_extraction(start + end, truncate=False)
    assert found.value.response.status_code in (400, 413, 422)


def check_sentences_are_compared(client: InferenceClient, service: Service) -> None:
    source, *others = service.texts[BATCH]
    expected = service.vectors[BATCH][1:] @ service.vectors[0]
    found = InferenceClient(base_url=f"{service.url}/similarity").sentence_similarity(source, other_sentences=others)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def check_the_asynchronous_client_gets_the_same(service: Service) -> None:
    service.assert_vectors(asyncio.run(ask_asynchronously(service)), texts=BATCH)


async def ask_asynchronously(service: Service) -> Any:
    async with AsyncInferenceClient(base_url=service.url) as client:
        return await client.feature_extraction(list(service.texts[BATCH]))


@pytest.mark.parametrize(
    ("what", "texts", "options"),
    [
        ("no text", [], {}),
        ("a prompt that the model has not", ["hello"], {"prompt_name": "nobody-has"}),
        ("more texts than a request may have", ["hello"] * 3000, {}),
    ],
)
def check_a_request_that_makes_no_sense_is_refused_in_words(
    client: InferenceClient, what: str, texts: list[str], options: dict[str, Any]
) -> None:
    with pytest.raises(HfHubHTTPError) as found:
        client.feature_extraction(texts, **options)
    assert found.value.response.status_code in (400, 413, 422), what
    assert found.value.server_message or found.value.response.json()["error"]


def check_a_server_with_keys_takes_the_right_one_only(service: Service) -> None:
    texts = list(service.texts[BATCH])
    keyed = InferenceClient(base_url=service.guarded_url, api_key=service.key)
    service.assert_vectors(keyed.feature_extraction(texts), texts=BATCH)
    for wrong in (InferenceClient(base_url=service.guarded_url), InferenceClient(service.guarded_url, token="wrong")):
        with pytest.raises(HfHubHTTPError) as found:
            wrong.feature_extraction(texts)
        assert found.value.response.status_code == 401


def check_a_full_queue_is_refused_with_a_time_to_come_back(
    client: InferenceClient, service: Service, full_embedder: object
) -> None:
    with pytest.raises(HfHubHTTPError) as found:
        client.feature_extraction("hello")
    assert found.value.response.status_code == 429
    assert int(found.value.response.headers["retry-after"]) >= 1


def check_the_root_of_the_server_is_asked(service: Service, relay: Callable[..., Relay]) -> None:
    wire = relay(service.url)
    InferenceClient(base_url=wire.url).feature_extraction("hello")
    assert (wire.last.method, wire.last.path) == ("POST", "/")
