"""Haystack's embedders: of documents for many texts, of one text for a query."""

from collections.abc import Mapping, Sequence
from typing import Any

import cohere
import huggingface_hub.errors
import openai
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
from haystack import Document
from haystack.components.embedders import OpenAIDocumentEmbedder
from haystack.utils import Secret
from service import Service
from user_view import Seen


def take_embedders(variables: Mapping[str, Any]) -> Embedder:
    embedder, text_embedder = variables["embedder"], variables["text_embedder"]

    def embed(texts: Sequence[str]) -> Any:
        documents = [Document(content=text) for text in texts]
        return [document.embedding for document in embedder.run(documents)["documents"]]

    return Embedder(embed=embed, ask=lambda text: text_embedder.run(text)["embedding"])


CLIENTS = (
    Client(
        name="haystack-openai",
        connect=of_snippet("haystack-openai", take_embedders),
        texts_a_request=32,
        wrong_task=Seen(openai.BadRequestError, "ask POST /rerank"),
        wrong_key=Seen(openai.AuthenticationError, "needs an API key"),
        unknown_model=Seen(openai.NotFoundError, "minilm, "),
    ),
    Client(
        name="haystack-cohere",
        connect=of_snippet("haystack-cohere", take_embedders),
        texts_a_request=32,
        wrong_task=Seen(cohere.BadRequestError, "ask POST /rerank"),
        wrong_key=Seen(cohere.UnauthorizedError, "needs an API key"),
        unknown_model=Seen(cohere.NotFoundError, "minilm, "),
    ),
    Client(
        name="haystack-jina",
        connect=of_snippet("haystack-jina", take_embedders),
        texts_a_request=32,
        wrong_task=Seen(RuntimeError, "ask POST /rerank"),
        wrong_key=Seen(RuntimeError, "needs an API key"),
        unknown_model=Seen(RuntimeError, "minilm, "),
        full=Seen(RuntimeError, "Retry"),
    ),
    Client(
        name="haystack-huggingface",
        connect=of_snippet("haystack-huggingface", take_embedders),
        texts_a_request=32,
        wrong_task=Seen(huggingface_hub.errors.HfHubHTTPError, "query: Field required"),  # "/" of a reranker reranks
        wrong_key=Seen(huggingface_hub.errors.HfHubHTTPError, "needs an API key"),
        full=Seen(huggingface_hub.errors.HfHubHTTPError, "429"),
    ),
)


def check_an_error_leaves_documents_without_vectors_unless_it_shall_be_raised(service: Service) -> None:
    """What docs/clients.md warns of."""
    embedder = OpenAIDocumentEmbedder(
        model="a-model-that-nobody-serves",
        api_base_url=f"{service.url}/v1",
        api_key=Secret.from_token("none"),
        progress_bar=False,
    )
    (document,) = embedder.run([Document(content="hello")])["documents"]
    assert document.embedding is None
