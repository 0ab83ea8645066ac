"""LangChain's embedders."""

from collections.abc import Callable, Mapping
from typing import Any

import cohere
import huggingface_hub.errors
import openai
import pytest
import tiktoken
from embedder_checks import (  # noqa: F401
    Client,
    Embedder,
    check_a_client_that_names_no_model_gets_the_one_that_is_served,
    check_a_client_that_sends_no_key_is_refused_by_a_server_with_keys,
    check_a_full_server_is_an_error_of_a_client_that_does_not_ask_again,
    check_a_full_server_is_asked_again_when_it_says,
    check_a_reranker_that_is_asked_for_vectors_says_so,
    check_a_server_with_keys_takes_the_right_one_only,
    check_an_unknown_name_of_a_model_is_refused_with_the_names_that_are_served,
    check_many_texts_arrive_in_batches_and_keep_their_order,
    check_texts_of_many_scripts_get_the_reference_vectors,
    check_vectors_are_of_length_one,
    of_snippet,
    pytest_generate_tests,
)
from langchain_openai import OpenAIEmbeddings
from relay import Relay
from service import Service
from user_view import Seen


def take_embedder(variables: Mapping[str, Any]) -> Embedder:
    embedder = variables["embedder"]
    return Embedder(embed=embedder.embed_documents, ask=embedder.embed_query)


CLIENTS = (
    Client(
        name="langchain-openai",
        connect=of_snippet("langchain-openai", take_embedder),
        texts_a_request=1000,
        wrong_task=Seen(openai.BadRequestError, "ask POST /rerank"),
        wrong_key=Seen(openai.AuthenticationError, "needs an API key"),
        unknown_model=Seen(openai.NotFoundError, "minilm, "),
    ),
    Client(
        name="langchain-cohere",
        connect=of_snippet("langchain-cohere", take_embedder),
        texts_a_request=96,
        wrong_task=Seen(cohere.BadRequestError, "ask POST /rerank"),
        wrong_key=Seen(cohere.UnauthorizedError, "needs an API key"),
        unknown_model=Seen(cohere.NotFoundError, "minilm, "),
    ),
    Client(
        name="langchain-huggingface",
        connect=of_snippet("langchain-huggingface", take_embedder),
        texts_a_request=1500,
        wrong_task=Seen(huggingface_hub.errors.HfHubHTTPError, "query: Field required"),  # "/" of a reranker reranks
        wrong_key=Seen(huggingface_hub.errors.HfHubHTTPError, "needs an API key"),
        full=Seen(huggingface_hub.errors.HfHubHTTPError, "429"),
    ),
    Client(
        name="langchain-infinity",
        connect=of_snippet("langchain-infinity", take_embedder),
        texts_a_request=128,
        wrong_task=Seen(Exception, "ask POST /rerank"),
        wrong_key=None,
        unknown_model=Seen(Exception, "minilm, "),
        full=Seen(Exception, "status 429"),
    ),
    Client(
        name="langchain-jina",
        connect=of_snippet("langchain-jina", take_embedder),
        texts_a_request=1500,
        wrong_task=Seen(RuntimeError, "ask POST /rerank"),
        wrong_key=Seen(RuntimeError, "needs an API key"),
        unknown_model=Seen(RuntimeError, "minilm, "),
        full=Seen(RuntimeError, "Retry"),
    ),
)


@pytest.fixture
def tokenizer_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """LangChain fetches OpenAI's tokenizer from its vendor. Here one of bytes has its name, and nothing is fetched."""
    of_bytes = tiktoken.Encoding(
        name="bytes",
        pat_str=r"\S+|\s+",
        mergeable_ranks={bytes([value]): value for value in range(256)},
        special_tokens={},
    )
    monkeypatch.setitem(tiktoken.registry.ENCODINGS, "cl100k_base", of_bytes)


@pytest.mark.usefixtures("tokenizer_at_hand")
def check_token_ids_are_refused_with_the_setting_that_sends_texts(
    service: Service, relay: Callable[..., Relay]
) -> None:
    wire = relay(service.url)
    embedder = OpenAIEmbeddings(model=service.names.model, base_url=f"{wire.url}/v1", api_key="none")
    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False"):
        embedder.embed_documents(["hello world"])
    assert isinstance(wire.last.asked["input"][0][0], int)
