"""SIGTERM while requests wait: each that was accepted is answered, and the process ends with 0 in its time."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from load_client import LoadClient, Tally, wait_until_admitted
from runtime_under_test import until
from served_process import RawConnection, RawResponse, ServedProcess, embeddings_request

DRAIN_SECONDS, SHUTDOWN_SECONDS = 1.0, 30.0


@pytest.mark.parametrize("keeps_alive", [True, False], ids=["connections are kept", "a connection for each request"])
async def test_whatever_was_accepted_is_answered_and_the_exit_is_in_time(tmp_path: Path, keeps_alive: bool) -> None:
    """Requests come all the while, also after the signal, at three times what the server can do."""
    texts = [f"text {number} of some words" for number in range(50)]
    log = tmp_path / "log"
    with ServedProcess.laborious(
        log,
        seconds_per_token=1e-4,
        max_queue_tokens=20_000,
        drain_seconds=DRAIN_SECONDS,
        shutdown_seconds=SHUTDOWN_SECONDS,
    ) as server:
        server.wait("/ready")
        client = LoadClient(server.port, model="words", texts=texts, closes=True)
        connections = [RawConnection(server.port) for _ in range(10)] if keeps_alive else []
        for number, connection in enumerate(connections):
            connection.send(embeddings_request(f"kept {number}"))
            assert connection.receive().status == 200

        async def end() -> None:
            await until(lambda: client.answered > 50)
            server.terminate()
            for number, connection in enumerate(connections):
                connection.send(embeddings_request(f"after the signal {number}"))

        def is_deaf() -> bool:
            return bool(client.unconnected)

        # Few at a time: each is sent as soon as it is connected, however slow this process is.
        tally = await client.run_open(rate=600, seconds=30, most_under_way=100, meanwhile=end, stop=is_deaf)
        status = await asyncio.to_thread(server.exit_status, seconds=DRAIN_SECONDS + SHUTDOWN_SECONDS)
        kept = [connection.receive() for connection in connections]
        client.close()
        for connection in connections:
            connection.close()

    assert status == 0, log.read_text()
    assert [response.status for response in kept] == [200] * len(connections)
    assert all(response.headers["connection"] == "close" for response in kept)
    check_only_refused_connections_failed(tally, client)
    assert tally.answered > 0


def check_only_refused_connections_failed(tally: Tally, client: LoadClient) -> None:
    """A connection that was never taken is no accepted request: the client knows that it may go elsewhere."""
    assert tally.problems == [], tally.problems[:5]
    assert client.unconnected, "the server listened to the end"


def test_what_cannot_be_computed_before_the_end_is_told_to_go_elsewhere(tmp_path: Path) -> None:
    """Four requests of five seconds each, and three seconds to answer them."""
    log = tmp_path / "log"
    with ServedProcess.laborious(log, seconds_per_token=1e-2, shutdown_seconds=3) as server:
        server.wait("/ready")
        connections = [RawConnection(server.port) for _ in range(4)]
        for connection in connections:
            connection.send(embeddings_request("word " * 500))
        wait_until_admitted(server.private_url, tokens=2000)
        server.terminate()
        responses = [connection.receive() for connection in connections]
        ended = [connection.ended() for connection in connections]
        assert server.exit_status() == 0
        for connection in connections:
            connection.close()

    statuses = [response.status for response in responses]
    assert 503 in statuses
    assert set(statuses) <= {200, 503}
    assert ended == [True] * 4
    refused: list[RawResponse] = [response for response in responses if response.status == 503]
    assert all(int(response.headers["retry-after"]) >= 1 for response in refused)
    assert all("elsewhere" in json.loads(response.body)["error"]["message"] for response in refused)
    assert re.search(r"\d requests could not be computed in time", log.read_text())
