"""Why docs/clients.md asks for llama-index-embeddings-cohere 0.4: 0.3 loses base_url on its way into a worker."""

from collections.abc import Callable
from pathlib import Path

from dead_end import DeadEnd
from pipeline import run_pipeline
from relay import Relay
from service import Service
from snippets import run_snippet


def check_one_process_asks_the_server_that_it_was_given(service: Service, relay: Callable[..., Relay]) -> None:
    wire = relay(service.guarded_url)
    vectors = run_snippet("llamaindex-cohere", service=service, url=wire.url)["vectors"]
    assert len(vectors) == 2
    assert set(wire.statuses) == {200}


def check_no_batch_of_the_workers_arrives_and_they_want_to_reach_the_vendor(
    service: Service, relay: Callable[..., Relay], tmp_path: Path
) -> None:
    wire = relay(service.guarded_url)
    with DeadEnd() as dead_end:
        done = run_pipeline(tmp_path, service=service, wire=wire, dead_end=dead_end)
    assert done.returncode != 0
    assert wire.exchanges == []
    assert set(dead_end.wanted) == {"api.cohere.com:443"}
