"""A registry in this process, and a puller from it."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from image_puller import Puller
from scripted_registry import ScriptedRegistry, scripted_registry

from embedding_model.sources.egress import Egress
from embedding_model.sources.proxies import Proxies
from embedding_model.sources.transport import GuardedTransport, resolve_host


@pytest.fixture
def registry() -> Iterator[ScriptedRegistry]:
    with scripted_registry() as registry:
        yield registry


@pytest.fixture
def elsewhere() -> Iterator[ScriptedRegistry]:
    """Another server, that nobody allowed."""
    with scripted_registry() as registry:
        yield registry


@pytest.fixture(scope="session")
def tls() -> ssl.SSLContext:
    """Reading the system's certificates takes longer than most tests; nothing here speaks TLS."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.fixture
def puller(registry: ScriptedRegistry, tmp_path: Path, tls: ssl.SSLContext) -> Iterator[Puller]:
    """With the product's own guard in front of the network."""
    egress, proxies = Egress.of(registry.access), Proxies.from_environment()
    transport = GuardedTransport(egress, context=tls, proxies=proxies, resolver=resolve_host)
    with httpx.Client(transport=transport, timeout=30, trust_env=False) as client:
        yield Puller(registry, tmp_path, client=client)
