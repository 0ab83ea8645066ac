"""LangChain's rerankers."""

from collections.abc import Mapping, Sequence
from typing import Any

import cohere
from langchain_core.documents import Document
from reranker_checks import (  # noqa: F401
    Rank,
    RerankClient,
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


def take_reranker(variables: Mapping[str, Any]) -> Rank:
    reranker = variables["reranker"]

    def rank(query: str, documents: Sequence[str], count: int) -> Sequence[tuple[int, float]]:
        reranker.top_n = count
        numbered = [Document(page_content=text, metadata={"number": n}) for n, text in enumerate(documents)]
        ranked = reranker.compress_documents(numbered, query=query)
        return [(document.metadata["number"], document.metadata["relevance_score"]) for document in ranked]

    return rank


CLIENTS = (
    RerankClient(
        name="langchain-cohere-rerank",
        connect=of_snippet("langchain-cohere-rerank", take_reranker),
        wrong_task=Seen(cohere.BadRequestError, "ask POST /v1/embeddings"),
        unknown_model=Seen(cohere.NotFoundError, "reranker, "),
    ),
    RerankClient(
        name="langchain-jina-rerank",
        connect=of_snippet("langchain-jina-rerank", take_reranker),
        wrong_task=Seen(RuntimeError, "ask POST /v1/embeddings"),
        unknown_model=Seen(RuntimeError, "reranker, "),
        full=Seen(RuntimeError, "Retry"),
    ),
)
