"""What makes the probes fail, and what does not."""

import urllib.error
import urllib.request

import pytest

from embedding_operator.health import MAX_BEAT_AGE_SECONDS, MAX_QUEUE_AGE_SECONDS, Health, HealthServer


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def health(seconds: Seconds) -> Health:
    return Health(now=seconds)


def test_a_loop_that_stands_still_is_unhealthy_until_it_runs_again(health: Health, seconds: Seconds) -> None:
    seconds.now = MAX_BEAT_AGE_SECONDS - 1
    assert health.healthz().healthy
    seconds.now += 2
    assert not health.healthz().healthy
    health.beat()
    assert health.healthz().healthy


def test_a_key_that_no_worker_takes_is_unhealthy(health: Health) -> None:
    health.beat(queue_age=MAX_QUEUE_AGE_SECONDS - 1)
    assert health.healthz().healthy
    health.beat(queue_age=MAX_QUEUE_AGE_SECONDS + 1)
    assert "waited" in health.healthz().message
    assert not health.healthz().healthy


def test_readiness_is_what_the_process_says_it_is(health: Health) -> None:
    assert not health.readyz().healthy
    health.set_ready(True)
    assert health.readyz().healthy


def test_the_server_answers_with_the_status_of_the_verdict(health: Health, seconds: Seconds) -> None:
    server = HealthServer(health, port=0)

    def status(path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    try:
        assert status("/healthz") == 200
        assert status("/readyz") == 503
        assert status("/elsewhere") == 404
        seconds.now = MAX_BEAT_AGE_SECONDS + 1
        assert status("/healthz") == 503
    finally:
        server.close()
