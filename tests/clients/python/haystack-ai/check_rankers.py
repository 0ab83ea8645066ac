"""Haystack's rankers."""

from collections.abc import Mapping, Sequence
from typing import Any

import cohere
from haystack import Document
from reranker_checks import (  # noqa: F401
    Rank,
    RerankClient,
    check_a_client_that_names_no_model_gets_the_one_that_is_served,
    check_a_full_server_is_an_error_of_a_client_that_does_not_ask_again,
    check_a_full_server_is_asked_again_when_it_says,
    check_an_embedder_that_is_asked_to_rank_says_so,
    check_an_unknown_name_of_a_model_is_refused_with_the_names_that_are_served,
    check_documents_are_ranked_as_by_the_reference,
    check_hundreds_of_documents_keep_their_numbers,
    check_the_key_is_sent_so_that_a_server_with_keys_takes_it,
    of_snippet,
    pytest_generate_tests,
)
from user_view import Seen


def take_ranker(variables: Mapping[str, Any]) -> Rank:
    ranker = variables["ranker"]

    def rank(query: str, documents: Sequence[str], count: int) -> Sequence[tuple[int, float]]:
        numbered = [Document(content=text, id=str(number)) for number, text in enumerate(documents)]
        ranked = ranker.run(query=query, documents=numbered, top_k=count)["documents"]
        return [(int(document.id), document.score) for document in ranked]

    return rank


CLIENTS = (
    RerankClient(
        name="haystack-cohere-ranker",
        connect=of_snippet("haystack-cohere-ranker", take_ranker),
        wrong_task=Seen(cohere.BadRequestError, "ask POST /v1/embeddings"),
        unknown_model=Seen(cohere.NotFoundError, "reranker, "),
    ),
    RerankClient(
        name="haystack-jina-ranker",
        connect=of_snippet("haystack-jina-ranker", take_ranker),
        wrong_task=Seen(RuntimeError, "ask POST /v1/embeddings"),
        unknown_model=Seen(RuntimeError, "reranker, "),
        full=Seen(RuntimeError, "Retry"),
    ),
    RerankClient(
        name="haystack-tei-ranker",
        connect=of_snippet("haystack-tei-ranker", take_ranker),
        wrong_task=Seen(RuntimeError, "ask POST /v1/embeddings"),
    ),
)
