"""What every embedder of a framework must do, whichever class it is and whatever it puts on the wire.

A group has its CLIENTS and imports those of these checks that apply to one of them, and `pytest_generate_tests`, which
gives each check the clients that it is about.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from full_queue import EMBED, FullQueue
from relay import Relay
from service import Service
from snippets import run_snippet
from user_view import Seen, give_clients

BATCH = slice(0, 40)


@dataclass(frozen=True)
class Embedder:
    """`embed` gives the vectors of texts in their order, `ask` that of a query."""

    embed: Callable[[Sequence[str]], Any]
    ask: Callable[[str], Any]


@dataclass(frozen=True)
class Client:
    """One class of a framework.

    `connect` makes an embedder for a service; its options are those of `snippets.adapt`.
    `texts_a_request`: how many texts it puts into one. `many`: how many it is given to cut into batches.
    `wrong_key` is None where it sends no key at all, `unknown_model` where it names no model, and `full` where it
    waits and asks again.
    """

    name: str
    connect: Callable[..., Embedder]
    texts_a_request: int
    wrong_task: Seen
    wrong_key: Seen | None
    unknown_model: Seen | None = None
    unknown_name: str = "a-model-that-nobody-serves"
    full: Seen | None = None
    many: int = 1500


def of_snippet(name: str, make: Callable[[Mapping[str, Any]], Embedder]) -> Callable[..., Embedder]:
    """`make` gets what the snippet of that name leaves behind."""
    return lambda service, **options: make(run_snippet(name, service=service, **options))


# Names of arguments of checks, and which clients they are.
CHOICES: Mapping[str, Callable[[Client], bool]] = {
    "client": lambda client: True,
    "naming_client": lambda client: client.unknown_model is not None,
    "nameless_client": lambda client: client.unknown_model is None,
    "keyed_client": lambda client: client.wrong_key is not None,
    "keyless_client": lambda client: client.wrong_key is None,
    "patient_client": lambda client: client.full is None,
    "hasty_client": lambda client: client.full is not None,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    give_clients(metafunc, choices=CHOICES)


def check_texts_of_many_scripts_get_the_reference_vectors(client: Client, service: Service) -> None:
    embedder = client.connect(service)
    service.assert_vectors(embedder.embed(list(service.scripts)), texts=slice(0, len(service.scripts)))
    for number, text in enumerate(service.scripts):
        service.assert_vectors([embedder.ask(text)], texts=slice(number, number + 1))


def check_vectors_are_of_length_one(client: Client, service: Service) -> None:
    vectors = np.asarray(client.connect(service).embed(list(service.texts[BATCH])), dtype=np.float64)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3)


def check_many_texts_arrive_in_batches_and_keep_their_order(
    client: Client, service: Service, relay: Callable[..., Relay]
) -> None:
    wire = relay(service.url)
    embedder = client.connect(service, url=wire.url)
    wire.exchanges.clear()
    texts = service.texts[: client.many]
    service.assert_vectors(embedder.embed(list(texts)), texts=slice(0, client.many))
    assert wire.statuses == [200] * math.ceil(len(texts) / client.texts_a_request)


def check_an_unknown_name_of_a_model_is_refused_with_the_names_that_are_served(
    naming_client: Client, service: Service
) -> None:
    assert naming_client.unknown_model
    with pytest.raises(naming_client.unknown_model.error, match=naming_client.unknown_model.pattern):
        naming_client.connect(service, model=naming_client.unknown_name)


def check_a_client_that_names_no_model_gets_the_one_that_is_served(nameless_client: Client, service: Service) -> None:
    embedder = nameless_client.connect(service, model=nameless_client.unknown_name)
    service.assert_vectors(embedder.embed(list(service.texts[BATCH])), texts=BATCH)


def check_a_reranker_that_is_asked_for_vectors_says_so(client: Client, service: Service) -> None:
    with pytest.raises(client.wrong_task.error, match=client.wrong_task.pattern):
        client.connect(service, url=service.rerank_url)


def check_a_server_with_keys_takes_the_right_one_only(keyed_client: Client, service: Service) -> None:
    embedder = keyed_client.connect(service, url=service.guarded_url)
    service.assert_vectors(embedder.embed(list(service.texts[BATCH])), texts=BATCH)
    assert keyed_client.wrong_key
    with pytest.raises(keyed_client.wrong_key.error, match=keyed_client.wrong_key.pattern):
        keyed_client.connect(service, url=service.guarded_url, key="a-wrong-key")


def check_a_client_that_sends_no_key_is_refused_by_a_server_with_keys(keyless_client: Client, service: Service) -> None:
    with pytest.raises(Exception, match="the request has none"):
        keyless_client.connect(service, url=service.guarded_url)


def check_a_full_server_is_asked_again_when_it_says(
    patient_client: Client, service: Service, relay: Callable[..., Relay]
) -> None:
    queue = FullQueue(service.url, question=EMBED)
    wire = relay(service.url, on_answer=lambda exchange: queue.release() if exchange.status == 429 else None)
    embedder = patient_client.connect(service, url=wire.url)
    wire.exchanges.clear()
    with queue:
        service.assert_vectors([embedder.ask(service.texts[0])], texts=slice(0, 1))
    assert wire.statuses[0] == 429
    assert wire.statuses[-1] == 200
    asked_again = wire.exchanges[1].began - wire.exchanges[0].ended
    assert asked_again >= float(wire.exchanges[0].answer_headers["retry-after"]) - 0.05


def check_a_full_server_is_an_error_of_a_client_that_does_not_ask_again(
    hasty_client: Client, service: Service, relay: Callable[..., Relay]
) -> None:
    wire = relay(service.url)
    embedder = hasty_client.connect(service, url=wire.url)
    wire.exchanges.clear()
    assert hasty_client.full
    with (
        FullQueue(service.url, question=EMBED),
        pytest.raises(hasty_client.full.error, match=hasty_client.full.pattern),
    ):
        embedder.ask(service.texts[0])
    assert wire.statuses == [429]
    service.assert_vectors([embedder.ask(service.texts[0])], texts=slice(0, 1))
