"""LlamaIndex's CohereEmbedding in the worker processes of an IngestionPipeline."""

import json
from collections.abc import Callable
from pathlib import Path

from dead_end import DeadEnd
from pipeline import BATCH, TEXTS, run_pipeline
from relay import Relay
from service import Service


def check_every_batch_of_the_workers_arrives_with_the_key(
    service: Service, relay: Callable[..., Relay], tmp_path: Path
) -> None:
    wire = relay(service.guarded_url)
    with DeadEnd() as dead_end:
        done = run_pipeline(tmp_path, service=service, wire=wire, dead_end=dead_end)
    assert done.returncode == 0, done.stderr
    service.assert_vectors(json.loads(done.stdout), texts=TEXTS)
    arrived = sorted(text for exchange in wire.exchanges for text in exchange.asked["texts"])
    assert arrived == sorted(service.texts[TEXTS])
    assert wire.statuses == [200] * (len(arrived) // BATCH)
    assert {exchange.path for exchange in wire.exchanges} == {"/v2/embed"}
    assert dead_end.wanted == []
