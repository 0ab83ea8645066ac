"""Rolling restarts lose no request, and a move to another vector space never mixes the two."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from live_cluster import LiveCluster
from models_under_test import cosine, decode_vector, embedding_model, reference_vectors

CLIENTS = 40
REQUESTS = 2000
TEXT = "The weather is lovely today."


@dataclass
class Traffic:
    """What the clients saw. `spaces` counts answers by (header, dimensions of the vector itself)."""

    answered: int = 0
    lost: list[str] = field(default_factory=list)
    spaces: dict[tuple[str, int], int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)

    def record(self, *, space: str, dimensions: int) -> None:
        with self.lock:
            self.answered += 1
            self.spaces[space, dimensions] = self.spaces.get((space, dimensions), 0) + 1

    def lose(self, why: str) -> None:
        with self.lock:
            self.lost.append(why)


def send_requests(host: str, traffic: Traffic) -> None:
    """One raw HTTP/1.1 client with keep-alive: no retries, a new connection only after `Connection: close`."""
    body = json.dumps({"model": "minilm", "input": TEXT, "encoding_format": "base64"}).encode()
    connection = http.client.HTTPConnection(host, 80, timeout=60)
    while not traffic.stop.is_set():
        try:
            connection.request("POST", "/v1/embeddings", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            traffic.lose(f"{datetime.now(UTC):%H:%M:%S.%f} {type(error).__name__}: {error}")
            connection.close()
            continue
        if response.status != 200:
            traffic.lose(f"status {response.status}: {content[:200]!r}")
            continue
        vector = decode_vector(json.loads(content)["data"][0]["embedding"])
        traffic.record(space=response.headers["x-embedding-space"], dimensions=len(vector))
    connection.close()


@contextmanager
def running_clients(host: str) -> Iterator[Traffic]:
    traffic = Traffic()
    threads = [threading.Thread(target=send_requests, args=(host, traffic)) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield traffic
    finally:
        traffic.stop.set()
        for thread in threads:
            thread.join()


def test_forty_raw_clients_lose_nothing_during_a_rolling_restart(
    live_cluster: LiveCluster, namespace: str, apply_model: Callable[..., Any], wait_ready: Callable[..., Any]
) -> None:
    apply_model(replicas=2)
    wait_ready(seconds=300)
    host = live_cluster.service_address("minilm", namespace=namespace)
    before = pod_uids(live_cluster, namespace=namespace)
    with running_clients(host) as traffic:
        live_cluster.wait_for("traffic flows", lambda: traffic.answered > CLIENTS, seconds=60)
        # A change of the spec within the space renders the template anew and rolls it in place.
        apply_model(replicas=2, runtime={"servedNames": [{"name": "text-embedding-3-small"}]})

        def rolled() -> bool:
            now = pod_uids(live_cluster, namespace=namespace)
            return len(now) == 2 and not now & before

        live_cluster.wait_for("both pods were replaced", rolled, seconds=400)
        live_cluster.wait_for("enough requests", lambda: traffic.answered >= REQUESTS, seconds=200)
    assert traffic.lost == []
    assert traffic.answered >= REQUESTS


def pod_uids(cluster: LiveCluster, *, namespace: str) -> set[str]:
    pods = cluster.list("pods", namespace=namespace, labels="embedding-operator.dev/component=server")
    return {pod["metadata"]["uid"] for pod in pods}


def test_other_dimensions_bring_up_a_second_deployment_and_every_answer_belongs_to_the_space_it_names(
    live_cluster: LiveCluster,
    namespace: str,
    minilm_folder: Path,
    wait_ready: Callable[..., Mapping[str, Any]],
) -> None:
    live_cluster.apply(embedding_model("minilm", namespace=namespace))
    first = wait_ready()["status"]["space"]["fingerprint"]
    host = live_cluster.service_address("minilm", namespace=namespace)
    with running_clients(host) as traffic:
        live_cluster.wait_for("traffic flows", lambda: traffic.answered > CLIENTS, seconds=60)
        live_cluster.apply(embedding_model("minilm", namespace=namespace, embedding={"dimensions": 128}))

        def moved() -> str | None:
            return next(iter({space for space, _ in traffic.spaces} - {first}), None)

        second = live_cluster.wait_for("answers of the new space", moved, seconds=300)
        answered = traffic.answered
        live_cluster.wait_for("more traffic", lambda: traffic.answered > answered + 5 * CLIENTS, seconds=60)
    assert traffic.lost == []
    ended = live_cluster.wait_for(
        "the old generation is taken away", lambda: scaled_down(live_cluster, namespace=namespace, space=first)
    )
    ready = became_ready(live_cluster, namespace=namespace, space=second)
    assert ready <= ended, "the old generation serves until the new one is ready"
    assert set(traffic.spaces) == {(first, 384), (second, 128)}
    after = wait_ready()
    assert after["status"]["space"]["fingerprint"] == second
    assert after["status"]["model"]["dimensions"] == 128

    vector = ask(host)
    reference = reference_vectors(minilm_folder, texts=[TEXT])[0][:128]
    assert vector.shape == (128,)
    assert cosine(vector, reference) >= 0.9999
    assert abs(float(np.linalg.norm(vector)) - 1) < 1e-5


def scaled_down(cluster: LiveCluster, *, namespace: str, space: str) -> str | None:
    """When the Deployment controller began to take the generation's pods away, as an RFC 3339 time."""
    name = f"minilm-{space.removeprefix('sp1-')[:10]}"
    return next(
        (
            str(event["firstTimestamp"])
            for event in cluster.list("events", namespace=namespace)
            if event["involvedObject"].get("name") == name and event["message"].startswith("Scaled down")
        ),
        None,
    )


def became_ready(cluster: LiveCluster, *, namespace: str, space: str) -> str:
    pods = cluster.list("pods", namespace=namespace, labels=f"embedding-operator.dev/space={space}")
    conditions = [row for pod in pods for row in pod["status"]["conditions"] if row["type"] == "Ready"]
    return min(row["lastTransitionTime"] for row in conditions if row["status"] == "True")


def ask(host: str) -> Any:
    connection = http.client.HTTPConnection(host, 80, timeout=60)
    body = json.dumps({"model": "minilm", "input": TEXT, "encoding_format": "base64"})
    connection.request("POST", "/v1/embeddings", body, {"Content-Type": "application/json"})
    content = json.loads(connection.getresponse().read())
    connection.close()
    return decode_vector(content["data"][0]["embedding"])
