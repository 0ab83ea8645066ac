"""cohere: versions 1 and 2 of its API, embeddings and rerank."""

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cohere
import numpy as np
import numpy.typing as npt
import pytest
from cohere.core.api_error import ApiError
from relay import Relay
from service import Service

BATCH = slice(0, 40)
TYPES = ["float", "int8", "uint8", "binary", "ubinary", "base64"]


@pytest.fixture
def v1(service: Service) -> Iterator[cohere.Client]:
    with connect_v1(service.url) as client:
        yield client


@pytest.fixture
def v2(service: Service) -> Iterator[cohere.ClientV2]:
    with connect_v2(service.url) as client:
        yield client


def connect_v1(url: str, *, key: str = "none") -> cohere.Client:
    # Its own pool: the default one belongs to the class, and is shut down with the first client.
    return cohere.Client(key, base_url=url, thread_pool_executor=ThreadPoolExecutor(8))


def connect_v2(url: str, *, key: str = "none") -> cohere.ClientV2:
    return cohere.ClientV2(key, base_url=url, thread_pool_executor=ThreadPoolExecutor(8))


def ranking(answer: Any) -> list[tuple[int, float]]:
    return [(result.index, result.relevance_score) for result in answer.results]


def single(rows: list[list[float]]) -> npt.NDArray[np.float32]:
    """As the server had them: in double precision some products with 127 round the other way."""
    return np.asarray(rows, dtype=np.float32)


def check_version_2_embeds_fifteen_hundred_texts_in_order(v2: cohere.ClientV2, service: Service) -> None:
    answer = v2.embed(model=service.names.cohere, input_type="search_document", texts=service.texts)
    service.assert_vectors(answer.embeddings.float_)
    assert answer.id
    assert answer.response_type == "embeddings_by_type"
    assert answer.meta.billed_units.input_tokens > len(service.texts)


def check_version_2_gives_every_embedding_type(v2: cohere.ClientV2, service: Service) -> None:
    answer = v2.embed(
        model=service.names.cohere,
        input_type="search_query",
        texts=service.texts[BATCH],
        embedding_types=TYPES,
        truncate="END",
    )
    found = answer.embeddings
    service.assert_vectors(found.float_, texts=BATCH)
    service.assert_vectors([np.frombuffer(base64.b64decode(row), dtype="<f4") for row in found.base64], texts=BATCH)
    floats = single(found.float_)
    np.testing.assert_array_equal(found.int8, np.rint(floats * 127))
    np.testing.assert_array_equal(found.uint8, np.rint(floats * 127) + 128)
    signs = np.packbits(floats > 0, axis=1)
    np.testing.assert_array_equal(found.ubinary, signs)
    np.testing.assert_array_equal(found.binary, signs.astype(int) - 128)


def check_version_2_embeds_inputs_of_several_parts_and_cuts_dimensions(v2: cohere.ClientV2, service: Service) -> None:
    answer = v2.embed(
        model=service.names.cohere,
        input_type="search_document",
        inputs=[{"content": [{"type": "text", "text": text}]} for text in service.texts[BATCH]],
        output_dimension=64,
    )
    cut = service.vectors[BATCH, :64]
    wanted = cut / np.linalg.norm(cut, axis=1, keepdims=True)
    np.testing.assert_allclose(answer.embeddings.float_, wanted, atol=1e-4)


def check_version_1_embeds_fifteen_hundred_texts_in_parallel_pieces(v1: cohere.Client, service: Service) -> None:
    answer = v1.embed(model=service.names.cohere, input_type="search_document", texts=service.texts)
    service.assert_vectors(answer.embeddings)
    assert answer.response_type == "embeddings_floats"
    assert answer.texts == service.texts
    assert answer.meta.billed_units.input_tokens > len(service.texts)


def check_version_1_gives_the_types_that_are_asked_for(v1: cohere.Client, service: Service) -> None:
    answer = v1.embed(
        model=service.names.cohere,
        input_type="search_document",
        texts=service.texts[:200],
        embedding_types=["float", "int8"],
    )
    assert answer.response_type == "embeddings_by_type"
    service.assert_vectors(answer.embeddings.float_, texts=slice(0, 200))
    np.testing.assert_array_equal(answer.embeddings.int8, np.rint(single(answer.embeddings.float_) * 127))


def check_one_text_alone_is_the_same_as_among_others(v2: cohere.ClientV2, service: Service) -> None:
    for index, text in enumerate(service.scripts):
        answer = v2.embed(model=service.names.model, input_type="search_query", texts=[text])
        service.assert_vectors(answer.embeddings.float_, texts=slice(index, index + 1))


def check_version_2_ranks_documents(service: Service) -> None:
    with connect_v2(service.rerank_url) as client:
        answer = client.rerank(model=service.names.cohere_reranker, query=service.query, documents=service.documents)
        service.assert_ranking(ranking(answer))
        assert answer.id
        assert answer.meta.billed_units.search_units == 1
        best = client.rerank(
            model=service.names.reranker,
            query=service.query,
            documents=service.documents,
            top_n=3,
            max_tokens_per_doc=4096,
        )
        service.assert_ranking(ranking(best), count=3)


def check_version_1_ranks_texts_and_objects_and_repeats_them(service: Service) -> None:
    with connect_v1(service.rerank_url) as client:
        objects = [{"text": text, "title": f"Page {number}"} for number, text in enumerate(service.documents)]
        for documents in (service.documents, objects):
            answer = client.rerank(
                model=service.names.cohere_reranker, query=service.query, documents=documents, return_documents=True
            )
            service.assert_ranking(ranking(answer))
            assert answer.results[0].document.text == service.documents[service.best]
        plain = client.rerank(model=service.names.cohere_reranker, query=service.query, documents=service.documents)
        assert plain.results[0].document is None


def check_a_thousand_documents_rank_in_one_call(service: Service) -> None:
    documents = [*service.documents, *service.texts[:992]]
    with connect_v2(service.rerank_url) as client:
        answer = client.rerank(model=service.names.reranker, query=service.query, documents=documents)
    found = dict(ranking(answer))
    assert sorted(found) == list(range(1000))
    assert list(found.values()) == sorted(found.values(), reverse=True)
    np.testing.assert_allclose([found[number] for number in range(8)], service.scores, atol=1e-3)


@pytest.mark.parametrize("version", ["v1", "v2"])
def check_an_unknown_model_is_not_found(version: str, service: Service) -> None:
    connect = connect_v1 if version == "v1" else connect_v2
    with connect(service.url) as client, pytest.raises(cohere.NotFoundError) as found:
        client.embed(model="embed-nobody-has", input_type="search_query", texts=["hello"])
    assert service.names.cohere in found.value.body["message"]


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("no text", {"texts": []}),
        ("a purpose that nobody has", {"input_type": "search_engine"}),
        ("a type that nobody has", {"embedding_types": ["roman"]}),
        ("no dimensions", {"output_dimension": 0}),
        ("a picture", {"texts": None, "images": ["data:image/png;base64,aGVsbG8="]}),
        ("a text that may not be cut", {"texts": ["word " * 400], "truncate": "NONE"}),
    ],
)
def check_a_request_that_makes_no_sense_is_refused(
    v2: cohere.ClientV2, service: Service, what: str, changed: dict[str, Any]
) -> None:
    asked = {"model": service.names.cohere, "input_type": "search_query", "texts": ["hello"], **changed}
    with pytest.raises((cohere.BadRequestError, cohere.UnprocessableEntityError)) as found:
        v2.embed(**asked)
    assert len(found.value.body["message"]) > 20, what


def check_the_wrong_kind_of_model_is_refused_in_words(v2: cohere.ClientV2, service: Service) -> None:
    with pytest.raises(ApiError) as found:
        v2.rerank(model=service.names.model, query=service.query, documents=service.documents)
    assert 400 <= found.value.status_code < 500
    assert found.value.body["message"]


def check_a_server_with_keys_takes_the_right_one_only(service: Service) -> None:
    asked: Any = {"model": service.names.cohere, "input_type": "search_query"}
    for connect in (connect_v1, connect_v2):
        with connect(service.guarded_url, key=service.key) as client:
            answer = client.embed(texts=service.texts[BATCH], embedding_types=["float"], **asked)
            service.assert_vectors(answer.embeddings.float_, texts=BATCH)
        with connect(service.guarded_url, key="a-wrong-key") as client:
            with pytest.raises(cohere.UnauthorizedError) as found:
                client.embed(texts=["hello"], **asked)
            assert found.value.body["message"]


def check_a_full_queue_is_too_many_requests_with_a_time_to_come_back(
    v2: cohere.ClientV2, service: Service, full_embedder: object
) -> None:
    with pytest.raises(cohere.TooManyRequestsError) as found:
        v2.embed(
            model=service.names.cohere, input_type="search_query", texts=["hello"], request_options={"max_retries": 0}
        )
    assert int(found.value.headers["retry-after"]) >= 1


@pytest.mark.parametrize("version", ["v1", "v2"])
def check_the_sdks_own_retry_after_a_full_queue_succeeds(
    version: str, service: Service, relay_to_full_embedder: Relay
) -> None:
    connect = connect_v1 if version == "v1" else connect_v2
    with connect(relay_to_full_embedder.url) as client:
        answer = client.embed(
            model=service.names.cohere,
            input_type="search_document",
            texts=service.texts[BATCH],
            embedding_types=["float"],
            request_options={"max_retries": 4},
        )
    service.assert_vectors(answer.embeddings.float_, texts=BATCH)
    relay_to_full_embedder.assert_retried()


def check_the_sdks_own_retry_of_a_rerank_succeeds(service: Service, relay_to_full_reranker: Relay) -> None:
    with connect_v2(relay_to_full_reranker.url) as client:
        answer = client.rerank(
            model=service.names.reranker,
            query=service.query,
            documents=service.documents,
            request_options={"max_retries": 4},
        )
    service.assert_ranking(ranking(answer))
    relay_to_full_reranker.assert_retried()


def check_nulls_are_as_if_nothing_was_sent(service: Service, relay: Callable[..., Relay]) -> None:
    wire = relay(service.url)
    with connect_v2(wire.url) as client:
        answer = client.embed(
            model=service.names.cohere,
            input_type="search_query",
            texts=service.texts[BATCH],
            truncate=None,
            embedding_types=None,
            output_dimension=None,
        )
    assert wire.last.asked["truncate"] is None
    service.assert_vectors(answer.embeddings.float_, texts=BATCH)
