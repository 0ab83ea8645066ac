"""LiteLLM's `embedding`, through each provider that can be pointed at a server of one's own."""

from collections.abc import Callable, Sequence
from typing import Any

import litellm
import pytest
from embedder_checks import (  # noqa: F401
    Client,
    Embedder,
    check_a_client_that_names_no_model_gets_the_one_that_is_served,
    check_a_reranker_that_is_asked_for_vectors_says_so,
    check_a_server_with_keys_takes_the_right_one_only,
    check_an_unknown_name_of_a_model_is_refused_with_the_names_that_are_served,
    check_many_texts_arrive_in_batches_and_keep_their_order,
    check_texts_of_many_scripts_get_the_reference_vectors,
    check_vectors_are_of_length_one,
    pytest_generate_tests,
)
from relay import Relay
from service import Service
from snippets import adapt, run_snippet, table_after
from user_view import Seen

PROVIDERS = {model.split("/")[0]: (model, address) for model, address, _ in table_after("`embedding(model=")}
EXTRA = {"huggingface": {"input_type": "embed"}}


def connect_to(provider: str) -> Callable[..., Embedder]:
    """By the documentation's table: the name of the model and the form of the address for this provider."""
    documented_model, documented_address = PROVIDERS[provider]

    def connect(service: Service, **options: Any) -> Embedder:
        model = adapt(f'"{documented_model}"', service=service, **options).strip('"')
        address = adapt(documented_address, service=service, **options)
        key = options.get("key") or service.key

        def embed(texts: Sequence[str]) -> Any:
            asked = {"model": model, "api_base": address, "api_key": key, **EXTRA.get(provider, {})}
            return [item["embedding"] for item in litellm.embedding(input=list(texts), **asked).data]

        embed(["hello"])
        return Embedder(embed=embed, ask=lambda text: embed([text])[0])

    return connect


def of_provider(provider: str) -> Client:
    return Client(
        name=f"litellm-{provider}",
        connect=connect_to(provider),
        texts_a_request=1500,
        wrong_task=Seen(litellm.BadRequestError, "ask POST /rerank"),
        wrong_key=Seen(litellm.AuthenticationError, "needs an API key"),
        unknown_model=Seen(litellm.NotFoundError, "minilm, "),
    )


CLIENTS = (
    *(of_provider(provider) for provider in PROVIDERS if provider != "huggingface"),
    Client(
        name="litellm-huggingface",
        connect=connect_to("huggingface"),
        texts_a_request=1500,
        wrong_task=Seen(litellm.exceptions.APIError, "query: Field required"),  # "/" of a reranker reranks
        wrong_key=Seen(litellm.AuthenticationError, "needs an API key"),
    ),
)


def check_the_snippet_of_the_documentation_gets_its_vectors(service: Service) -> None:
    vectors = run_snippet("litellm", service=service)["vectors"]
    assert [len(vector) for vector in vectors] == [service.dimensions] * 2


@pytest.mark.parametrize("provider", PROVIDERS)
def check_a_router_asks_a_full_server_again(provider: str, service: Service, relay_to_full_embedder: Relay) -> None:
    """`embedding` itself does so for OpenAI's provider only, whose SDK does it."""
    model, address = PROVIDERS[provider]
    asked = {"model": model, "api_base": adapt(address, service=service, url=relay_to_full_embedder.url)}
    router = litellm.Router(
        model_list=[{"model_name": "ours", "litellm_params": {**asked, "api_key": service.key}}], num_retries=3
    )
    answer = router.embedding(model="ours", input=[service.texts[0]], **EXTRA.get(provider, {}))
    service.assert_vectors([answer.data[0]["embedding"]], texts=slice(0, 1))
    assert relay_to_full_embedder.statuses[0] == 429
    assert relay_to_full_embedder.statuses[-1] == 200


@pytest.mark.usefixtures("full_embedder")
@pytest.mark.parametrize("provider", [name for name in PROVIDERS if name != "huggingface"])
def check_a_full_server_is_a_rate_limit(provider: str, service: Service) -> None:
    model, address = PROVIDERS[provider]
    with pytest.raises(litellm.RateLimitError):
        litellm.embedding(
            model=model, api_base=adapt(address, service=service), api_key=service.key, input=["hello"], max_retries=0
        )
