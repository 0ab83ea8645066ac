"""What every reranker of a framework must do, whichever class it is and whatever it puts on the wire.

A group has its CLIENTS and imports those of these checks that apply to one of them, and `pytest_generate_tests`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from full_queue import RERANK, FullQueue
from relay import Relay
from service import SCORE_TOLERANCE, Service
from snippets import run_snippet
from user_view import Seen, give_clients

COPIES = 60  # of each document, among many

# Query, documents, how many are wanted -> (number of document, score), the best first.
Rank = Callable[[str, Sequence[str], int], Sequence[tuple[int, float]]]


@dataclass(frozen=True)
class RerankClient:
    """One class of a framework. `connect` makes a Rank for a service; its options are those of `snippets.adapt`.

    `unknown_model` is None where it names no model, and `full` where it waits and asks again.
    """

    name: str
    connect: Callable[..., Rank]
    wrong_task: Seen
    unknown_model: Seen | None = None
    full: Seen | None = None


def of_snippet(name: str, make: Callable[[Mapping[str, Any]], Rank]) -> Callable[..., Rank]:
    """`make` gets what the snippet of that name leaves behind."""
    return lambda service, **options: make(run_snippet(name, service=service, **options))


# Names of arguments of checks, and which clients they are.
CHOICES: Mapping[str, Callable[[RerankClient], bool]] = {
    "client": lambda client: True,
    "naming_client": lambda client: client.unknown_model is not None,
    "nameless_client": lambda client: client.unknown_model is None,
    "patient_client": lambda client: client.full is None,
    "hasty_client": lambda client: client.full is not None,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    give_clients(metafunc, choices=CHOICES)


def check_documents_are_ranked_as_by_the_reference(client: RerankClient, service: Service) -> None:
    rank = client.connect(service)
    service.assert_ranking(rank(service.query, list(service.documents), len(service.documents)))
    service.assert_ranking(rank(service.query, list(service.documents), 3), count=3)


def check_hundreds_of_documents_keep_their_numbers(client: RerankClient, service: Service) -> None:
    count = len(service.documents)
    ranked = client.connect(service)(service.query, list(service.documents) * COPIES, count * COPIES)
    assert sorted(index for index, _ in ranked) == list(range(count * COPIES))
    assert all(abs(score - service.scores[index % count]) <= SCORE_TOLERANCE for index, score in ranked)
    assert all(better >= worse - SCORE_TOLERANCE for (_, better), (_, worse) in pairwise(ranked))


def check_an_unknown_name_of_a_model_is_refused_with_the_names_that_are_served(
    naming_client: RerankClient, service: Service
) -> None:
    assert naming_client.unknown_model
    with pytest.raises(naming_client.unknown_model.error, match=naming_client.unknown_model.pattern):
        naming_client.connect(service, model="a-model-that-nobody-serves")


def check_a_client_that_names_no_model_gets_the_one_that_is_served(
    nameless_client: RerankClient, service: Service
) -> None:
    rank = nameless_client.connect(service, model="a-model-that-nobody-serves")
    service.assert_ranking(rank(service.query, list(service.documents), len(service.documents)))


def check_an_embedder_that_is_asked_to_rank_says_so(client: RerankClient, service: Service) -> None:
    with pytest.raises(client.wrong_task.error, match=client.wrong_task.pattern):
        client.connect(service, rerank_url=service.url, model=service.names.model)


def check_the_key_is_sent_so_that_a_server_with_keys_takes_it(
    client: RerankClient, service: Service, relay: Callable[..., Relay]
) -> None:
    """The server with keys embeds: with a key that it takes it says that it does not rank, otherwise 401."""
    wire = relay(service.guarded_url)
    for key, refused in ((service.key, False), ("a-wrong-key", True)):
        with pytest.raises(Exception):  # noqa: B017, PT011 - what the user sees of it is another check's
            client.connect(service, rerank_url=wire.url, key=key)
        assert (wire.last.status == 401) == refused


def check_a_full_server_is_asked_again_when_it_says(
    patient_client: RerankClient, service: Service, relay: Callable[..., Relay]
) -> None:
    queue = FullQueue(service.rerank_url, question=RERANK)
    wire = relay(service.rerank_url, on_answer=lambda exchange: queue.release() if exchange.status == 429 else None)
    rank = patient_client.connect(service, rerank_url=wire.url)
    wire.exchanges.clear()
    with queue:
        service.assert_ranking(rank(service.query, list(service.documents), len(service.documents)))
    assert (wire.statuses[0], wire.statuses[-1]) == (429, 200)


def check_a_full_server_is_an_error_of_a_client_that_does_not_ask_again(
    hasty_client: RerankClient, service: Service, relay: Callable[..., Relay]
) -> None:
    wire = relay(service.rerank_url)
    rank = hasty_client.connect(service, rerank_url=wire.url)
    wire.exchanges.clear()
    assert hasty_client.full
    queue = FullQueue(service.rerank_url, question=RERANK)
    with queue, pytest.raises(hasty_client.full.error, match=hasty_client.full.pattern):
        rank(service.query, list(service.documents), 3)
    assert wire.statuses == [429]
