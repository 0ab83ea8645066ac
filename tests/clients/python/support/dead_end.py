"""A proxy that lets nothing through and keeps the addresses that a process wanted to reach outside this machine."""

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass
class DeadEnd:
    """Used as a context manager. `wanted`: host and port of each attempt."""

    wanted: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        wanted = self.wanted

        class Handler(BaseHTTPRequestHandler):
            def do_CONNECT(self) -> None:
                wanted.append(self.path)
                self.send_error(502, "nothing leaves")

            def log_message(self, format: str, *arguments: object) -> None:
                """The checks say what went wrong."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def environment(self) -> Mapping[str, str]:
        """This process's, for one that reaches loopback addresses only."""
        address = f"http://127.0.0.1:{self._server.server_port}"
        outward = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), address)
        return {**os.environ, **outward, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
