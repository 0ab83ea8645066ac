"""LiteLLM's `rerank`, through each provider that can be pointed at a server of one's own."""

from collections.abc import Callable, Sequence
from typing import Any

import litellm
from reranker_checks import (  # noqa: F401
    Rank,
    RerankClient,
    check_a_client_that_names_no_model_gets_the_one_that_is_served,
    check_a_full_server_is_an_error_of_a_client_that_does_not_ask_again,
    check_an_embedder_that_is_asked_to_rank_says_so,
    check_an_unknown_name_of_a_model_is_refused_with_the_names_that_are_served,
    check_documents_are_ranked_as_by_the_reference,
    check_hundreds_of_documents_keep_their_numbers,
    check_the_key_is_sent_so_that_a_server_with_keys_takes_it,
    pytest_generate_tests,
)
from service import Service
from snippets import adapt, run_snippet, table_after
from user_view import Seen

PROVIDERS = {model.split("/")[0]: (model, address) for model, address, _ in table_after("`rerank(model=")}
EXTRA = {"infinity": {"return_documents": False}}


def connect_to(provider: str) -> Callable[..., Rank]:
    """By the documentation's table: the name of the model and the form of the address for this provider."""
    documented_model, documented_address = PROVIDERS[provider]

    def connect(service: Service, **options: Any) -> Rank:
        asked = {
            "model": adapt(f'"{documented_model}"', service=service, **options).strip('"'),
            "api_base": adapt(documented_address, service=service, **options),
            "api_key": options.get("key") or service.key,
            **EXTRA.get(provider, {}),
        }

        def rank(query: str, documents: Sequence[str], count: int) -> Sequence[tuple[int, float]]:
            found = litellm.rerank(query=query, documents=list(documents), top_n=count, **asked).results[:count]
            return [(result["index"], result["relevance_score"]) for result in found]

        rank("How is the weather?", ["It rains."], 1)
        return rank

    return connect


def of_provider(provider: str) -> RerankClient:
    return RerankClient(
        name=f"litellm-{provider}",
        connect=connect_to(provider),
        wrong_task=Seen(litellm.BadRequestError, "ask POST /v1/embeddings"),
        unknown_model=Seen(litellm.NotFoundError, "reranker, "),
        full=Seen(litellm.RateLimitError, "Retry"),
    )


CLIENTS = (
    *(of_provider(provider) for provider in PROVIDERS if provider != "huggingface"),
    RerankClient(
        name="litellm-huggingface",
        connect=connect_to("huggingface"),
        wrong_task=Seen(litellm.exceptions.APIError, "ask POST /v1/embeddings"),
        full=Seen(litellm.RateLimitError, "Retry"),
    ),
)


def check_the_snippet_of_the_documentation_finds_the_best(service: Service) -> None:
    assert run_snippet("litellm-rerank", service=service)["best"] in range(3)
