"""Servers as a user starts them, for clients that live in environments of their own.

The checks of the clients are in python/ and js/; those run inside each client's environment, and inside pods
(tests/e2e/test_clients.py), never in this process.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from client_expectations import EMBEDDER_NAMES, RERANKER_NAMES, write_expectations
from client_groups import run_group
from served_process import ServedProcess

collect_ignore = ["python", "js"]

KEY = "a-key-that-only-tests-know"


@pytest.fixture(scope="session")
def reranker_folder() -> Path:
    """A small cross-encoder of ours, taught by MiniLM; trained on first use, about a minute."""
    from train_reranker import distilled_reranker

    return distilled_reranker()


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ServedProcess]]:
    """Start `embedding-runtime serve` of a folder, without waiting; processes end with the session."""
    with ExitStack() as stack:

        def start(folder: Path, *arguments: str, names: Sequence[str]) -> ServedProcess:
            log = tmp_path_factory.mktemp("serve") / "log"
            named = [part for name in names for part in ("--served-name", name)]
            return stack.enter_context(ServedProcess.real(log, "serve", "--model", str(folder), *named, *arguments))

        yield start


@pytest.fixture(scope="session")
def environment(
    serve: Callable[..., ServedProcess],
    minilm_folder: Path,
    reranker_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[str, str]:
    """What tests/clients/python/support/service.py reads: three servers, and what to expect of them."""
    folder = tmp_path_factory.mktemp("clients")
    keys = folder / "keys"
    keys.write_text(f"{KEY}\n")
    embedder = serve(minilm_folder, names=EMBEDDER_NAMES)
    reranker = serve(reranker_folder, names=RERANKER_NAMES)
    guarded = serve(minilm_folder, "--api-keys", str(keys), names=EMBEDDER_NAMES)
    expectations = write_expectations(folder / "expected.json", embedder=minilm_folder, reranker=reranker_folder)
    for server in (embedder, reranker, guarded):
        server.wait("/ready")
    return {
        "EMBEDDING_URL": embedder.url,
        "RERANK_URL": reranker.url,
        "GUARDED_URL": guarded.url,
        "GUARDED_KEY": KEY,
        "EXPECTATIONS": str(expectations),
    }


@pytest.fixture
def assert_group_passes(environment: Mapping[str, str]) -> Callable[[str], None]:
    """All checks of a group pass, and there are some; what they printed is the message otherwise."""

    def check(group: str) -> None:
        run_group(group, environment=environment).passed()

    return check


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.clients)
