"""LlamaIndex's embedders."""

from collections.abc import Mapping
from typing import Any

import cohere
import huggingface_hub.errors
import openai
import pydantic
from embedder_checks import (  # noqa: F401
    Client,
    Embedder,
    check_a_client_that_names_no_model_gets_the_one_that_is_served,
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
from user_view import Seen


def take_embedder(variables: Mapping[str, Any]) -> Embedder:
    embedder = variables["embedder"]
    return Embedder(embed=embedder.get_text_embedding_batch, ask=embedder.get_query_embedding)


def of_openai(name: str, *, unknown_name: str) -> Client:
    return Client(
        name=name,
        connect=of_snippet(name, take_embedder),
        texts_a_request=100,
        wrong_task=Seen(openai.BadRequestError, "ask POST /rerank"),
        wrong_key=Seen(openai.AuthenticationError, "needs an API key"),
        unknown_model=Seen(openai.NotFoundError, r"Served: .*\bminilm\b"),
        unknown_name=unknown_name,
    )


# It hands the body of whatever answer to pydantic, as vectors.
TAKEN_FOR_VECTORS = Seen(pydantic.ValidationError, "Input should be a valid list")

CLIENTS = (
    of_openai("llamaindex-openai-like", unknown_name="a-model-that-nobody-serves"),
    of_openai("llamaindex-openai", unknown_name="text-embedding-3-large"),
    Client(
        name="llamaindex-cohere",
        connect=of_snippet("llamaindex-cohere", take_embedder),
        texts_a_request=96,
        wrong_task=Seen(cohere.BadRequestError, "ask POST /rerank"),
        wrong_key=Seen(cohere.UnauthorizedError, "needs an API key"),
        unknown_model=Seen(cohere.NotFoundError, "minilm, "),
        unknown_name="embed-multilingual-v3.0",
    ),
    Client(
        name="llamaindex-tei",
        connect=of_snippet("llamaindex-tei", take_embedder),
        texts_a_request=100,
        wrong_task=TAKEN_FOR_VECTORS,
        wrong_key=TAKEN_FOR_VECTORS,
        full=Seen(KeyError, "0"),
    ),
    Client(
        name="llamaindex-huggingface",
        connect=of_snippet("llamaindex-huggingface", take_embedder),
        texts_a_request=1,
        many=200,
        wrong_task=Seen(huggingface_hub.errors.HfHubHTTPError, "query: Field required"),  # "/" of a reranker reranks
        wrong_key=Seen(huggingface_hub.errors.HfHubHTTPError, "needs an API key"),
        full=Seen(huggingface_hub.errors.HfHubHTTPError, "429"),
    ),
    Client(
        name="llamaindex-jina",
        connect=of_snippet("llamaindex-jina", take_embedder),
        texts_a_request=100,
        wrong_task=Seen(RuntimeError, "ask POST /rerank"),
        wrong_key=Seen(RuntimeError, "needs an API key"),
        unknown_model=Seen(RuntimeError, "minilm, "),
        full=Seen(RuntimeError, "Retry"),
    ),
)
