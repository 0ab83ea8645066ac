"""/healthz and /readyz, served from a thread, so that they answer even when the event loop does not.

/healthz fails when this process cannot heal itself: the event loop stands still, or keys wait and no worker takes them.
It never fails because of the API server, the hub or a pod: a restart would not help, and would add to the load.
/readyz says that the process runs, as leader or standby.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any, Final

BEAT_SECONDS: Final = 1.0
# Nothing may block the loop: a second is a bug, and half a minute is a hang. The kubelet adds its own threshold.
MAX_BEAT_AGE_SECONDS: Final = 30.0
# Reconciles are given up after a minute, so that eight workers take a key long before this.
MAX_QUEUE_AGE_SECONDS: Final = 300.0


@dataclass(frozen=True)
class Verdict:
    healthy: bool
    message: str


class Health:
    """What the event loop reports and the probes ask. `beat` from the loop; the rest from any thread."""

    def __init__(self, *, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._beat_at = now()
        self._queue_age = 0.0
        self._ready = False

    def beat(self, *, queue_age: float = 0.0) -> None:
        """The loop runs, and the first key in the queue has waited `queue_age` seconds."""
        self._beat_at = self._now()
        self._queue_age = queue_age

    def set_ready(self, ready: bool) -> None:
        self._ready = ready

    def healthz(self) -> Verdict:
        age = self._now() - self._beat_at
        if age > MAX_BEAT_AGE_SECONDS:
            return Verdict(healthy=False, message=f"the event loop has not run for {age:.0f} s")
        if self._queue_age > MAX_QUEUE_AGE_SECONDS:
            return Verdict(healthy=False, message=f"a model has waited {self._queue_age:.0f} s for a worker")
        return Verdict(healthy=True, message="ok")

    def readyz(self) -> Verdict:
        return Verdict(healthy=self._ready, message="ok" if self._ready else "starting or stopping")


class HealthServer:
    """Answers the probes until `close`."""

    def __init__(self, health: Health, *, port: int) -> None:
        """Binds at once; port 0 takes a free one. OSError when the port is taken."""
        self._server = ThreadingHTTPServer(("", port), _handler(health))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    routes = {"/healthz": health.healthz, "/readyz": health.readyz}

    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # seconds; a probe that sends nothing must not hold a thread

        def do_GET(self) -> None:
            check = routes.get(self.path.partition("?")[0])
            verdict = check() if check else Verdict(healthy=False, message="not found")
            body = verdict.message.encode()
            self.send_response(200 if verdict.healthy else 503 if check else 404)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Probes come every few seconds: nothing to log."""

    return Handler
