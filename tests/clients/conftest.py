"""Servers as a user starts them, for clients that live in environments of their own.

The checks of the clients are in python/ and js/; those run inside each client's environment, and inside pods
(tests/e2e/test_clients.py), never in this process.
"""

from collections.abc import Callable, Iterator, Mapping
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
def expectations(minilm_folder: Path, reranker_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("expectations") / "expectations.json"
    return write_expectations(path, embedder=minilm_folder, reranker=reranker_folder)


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ServedProcess]]:
    """Start `embedding-runtime serve` of a folder; processes end with the session."""
    started: list[ServedProcess] = []

    def start(folder: Path, *arguments: str, names: tuple[str, ...]) -> ServedProcess:
        log = tmp_path_factory.mktemp("serve") / "log"
        named = [part for name in names for part in ("--served-name", name)]
        process = ServedProcess.real(log, "serve", "--model", str(folder), *named, *arguments)
        started.append(process)
        process.wait("/ready")
        return process

    yield start
    for process in started:
        process.__exit__()


@pytest.fixture(scope="session")
def environment(
    serve: Callable[..., ServedProcess],
    minilm_folder: Path,
    reranker_folder: Path,
    expectations: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[str, str]:
    """What tests/clients/python/support/service.py reads: three servers, and what to expect of them."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"{KEY}\n")
    guarded = serve(minilm_folder, "--api-keys", str(keys), names=EMBEDDER_NAMES)
    return {
        "EMBEDDING_URL": serve(minilm_folder, names=EMBEDDER_NAMES).url,
        "RERANK_URL": serve(reranker_folder, names=RERANKER_NAMES).url,
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
