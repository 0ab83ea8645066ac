"""LlamaIndex's rerankers."""

from collections.abc import Mapping, Sequence
from typing import Any

import cohere
from llama_index.core.schema import NodeWithScore, TextNode
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


def take_reranker(variables: Mapping[str, Any]) -> Rank:
    reranker = variables["reranker"]

    def rank(query: str, documents: Sequence[str], count: int) -> Sequence[tuple[int, float]]:
        reranker.top_n = count
        nodes = [NodeWithScore(node=TextNode(text=text, id_=str(number))) for number, text in enumerate(documents)]
        ranked = reranker.postprocess_nodes(nodes, query_str=query)
        return [(int(node.node.node_id), node.score) for node in ranked]

    return rank


# It takes the body of whatever answer for the list of scores, and asserts its length.
NO_LIST = Seen(AssertionError, "^$")

CLIENTS = (
    RerankClient(
        name="llamaindex-cohere-rerank",
        connect=of_snippet("llamaindex-cohere-rerank", take_reranker),
        wrong_task=Seen(cohere.BadRequestError, "ask POST /v1/embeddings"),
        unknown_model=Seen(cohere.NotFoundError, "reranker, "),
    ),
    RerankClient(
        name="llamaindex-jina-rerank",
        connect=of_snippet("llamaindex-jina-rerank", take_reranker),
        wrong_task=Seen(RuntimeError, "ask POST /v1/embeddings"),
        unknown_model=Seen(RuntimeError, "reranker, "),
        full=Seen(RuntimeError, "Retry"),
    ),
    RerankClient(
        name="llamaindex-tei-rerank",
        connect=of_snippet("llamaindex-tei-rerank", take_reranker),
        wrong_task=NO_LIST,
        full=NO_LIST,
    ),
)
