"""Fixtures of every client's checks: the servers, the wire, a full queue."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from full_queue import EMBED, RERANK, FullQueue
from relay import Relay
from service import Service


@pytest.fixture(scope="session")
def service() -> Service:
    return Service.of_environment()


@pytest.fixture
def relay() -> Iterator[Callable[..., Relay]]:
    """Start a forwarder to a URL; it ends with the check."""
    with ExitStack() as stack:

        def start(target: str, **options: Any) -> Relay:
            return stack.enter_context(Relay(target, **options))

        yield start


@pytest.fixture
def full_embedder(service: Service) -> Iterator[FullQueue]:
    """The embedding server's queue is full."""
    with FullQueue(service.url, question=EMBED) as queue:
        yield queue


@pytest.fixture
def full_reranker(service: Service) -> Iterator[FullQueue]:
    """The reranking server's queue is full."""
    with FullQueue(service.rerank_url, question=RERANK) as queue:
        yield queue


@pytest.fixture
def relay_to_full_embedder(service: Service, relay: Callable[..., Relay], full_embedder: FullQueue) -> Relay:
    """To the embedding server with a full queue, which empties as soon as a client has been refused."""
    return relay(service.url, on_answer=lambda exchange: full_embedder.release() if exchange.status == 429 else None)


@pytest.fixture
def relay_to_full_reranker(service: Service, relay: Callable[..., Relay], full_reranker: FullQueue) -> Relay:
    """The same of the reranking server."""
    url = service.rerank_url
    return relay(url, on_answer=lambda exchange: full_reranker.release() if exchange.status == 429 else None)
