"""SIGTERM: nothing that was accepted is lost, and clients with keep-alive go elsewhere in time."""

import threading
from pathlib import Path

import httpx
import numpy as np
import pytest
from runtime_under_test import DIMENSIONS, WordTokenizer
from served_process import RawConnection, RawResponse, ServedProcess, embeddings_request, first_vector

from embedding_runtime.backends.fake import vector_of
from embedding_runtime.core.inputs import Text


def check(response: RawResponse, *, text: str) -> None:
    assert response.status == 200, response.body
    [tokens] = WordTokenizer().encode([Text(text)])
    vector = vector_of(tokens.ids, dimensions=DIMENSIONS)
    np.testing.assert_allclose(first_vector(response), vector / np.linalg.norm(vector), atol=1e-6)


def test_forty_clients_with_keep_alive_and_no_retries_lose_nothing_in_a_rolling_restart(tmp_path: Path) -> None:
    per_client, clients = 60, 40
    failures: list[str] = []
    answered = [0] * clients
    restart = threading.Event()

    with (
        ServedProcess.fake(tmp_path / "old.log", drain_seconds=600) as old,
        ServedProcess.fake(tmp_path / "new.log", drain_seconds=0) as new,
    ):
        old.wait("/ready")
        new.wait("/ready")
        service = [old.port]  # what a Service would do: new connections go to ready pods only

        def run(number: int) -> None:
            connection: RawConnection | None = None
            try:
                for index in range(per_client):
                    text = f"client {number} text {index}"
                    connection = connection or RawConnection(service[0])
                    connection.send(embeddings_request(text))
                    response = connection.receive()
                    check(response, text=text)
                    answered[number] += 1
                    if response.headers.get("connection") == "close":
                        assert connection.ended(), "the server said close and did not"
                        connection.close()
                        connection = None
                    if sum(answered) > 400:
                        restart.set()
            except (OSError, AssertionError, ValueError) as error:
                failures.append(f"client {number}: {type(error).__name__}: {error}")
                restart.set()
            finally:
                if connection:
                    connection.close()

        threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        assert restart.wait(60)
        old.terminate()
        old.wait("/ready", status=503)
        service[0] = new.port
        for thread in threads:
            thread.join(timeout=120)
        old.terminate()  # a second SIGTERM ends the wait
        assert old.exit_status() == 0, old.log.read_text()

    assert failures == []
    assert sum(answered) == per_client * clients


def test_draining_accepts_new_connections_and_ends_each_after_its_answer(tmp_path: Path) -> None:
    with ServedProcess.fake(tmp_path / "log", drain_seconds=30) as server:
        server.wait("/ready")
        server.terminate()
        server.wait("/ready", status=503)
        assert server.probe("/live") == 200
        late = RawConnection(server.port)
        late.send(embeddings_request("late"))
        response = late.receive()
        check(response, text="late")
        assert response.headers["connection"] == "close"
        assert late.ended()
        late.close()
        server.terminate()  # a second SIGTERM ends the wait
        assert server.exit_status() == 0


@pytest.mark.parametrize("sent", [3, 40, -5], ids=["three bytes", "half the head", "all but five bytes of the body"])
def test_a_request_that_is_half_sent_when_listening_stops_is_answered(tmp_path: Path, sent: int) -> None:
    with ServedProcess.fake(tmp_path / "log", drain_seconds=0) as server:
        server.wait("/ready")
        connection = RawConnection(server.port)
        connection.send(embeddings_request("first"))
        check(connection.receive(), text="first")
        request = embeddings_request("second")
        connection.send(request[:sent])
        wait_until_read(server, connection)
        server.terminate()
        wait_until_not_listening(server)
        connection.send(request[sent:])
        response = connection.receive()
        check(response, text="second")
        assert response.headers["connection"] == "close"
        assert connection.ended()
        connection.close()
        assert server.exit_status() == 0


def test_an_idle_connection_does_not_hold_up_the_exit(tmp_path: Path) -> None:
    with ServedProcess.fake(tmp_path / "log", drain_seconds=0) as server:
        server.wait("/ready")
        idle = RawConnection(server.port)
        idle.send(embeddings_request("only one"))
        check(idle.receive(), text="only one")
        silent = RawConnection(server.port)
        server.terminate()
        assert server.exit_status(seconds=20) == 0
        assert idle.ended()
        assert silent.ended()
        idle.close()
        silent.close()


def wait_until_read(server: ServedProcess, connection: RawConnection) -> None:
    """Another connection's answer: what was sent before it on this machine has been read by then."""
    other = RawConnection(server.port)
    other.send(embeddings_request("other"))
    check(other.receive(), text="other")
    other.close()


def wait_until_not_listening(server: ServedProcess) -> None:
    pause = threading.Event()
    for _ in range(1000):
        try:
            httpx.get(f"{server.url}/health", timeout=5)
        except httpx.ConnectError:
            return
        except httpx.TransportError:
            pass
        pause.wait(0.01)
    raise AssertionError("the server still listens")
