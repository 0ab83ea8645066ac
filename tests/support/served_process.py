"""A runtime process under test, and raw HTTP/1.1 clients that neither retry nor forgive."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
from free_ports import free_port

SUPPORT = Path(__file__).parent


@dataclass
class ServedProcess:
    """`arguments` are completed by the two ports."""

    process: subprocess.Popen[bytes]
    port: int
    private_port: int
    log: Path

    @classmethod
    def fake(cls, log: Path, *, drain_seconds: float, goldens: Path | None = None) -> Self:
        port, private_port = free_port(), free_port()
        script = [sys.executable, str(SUPPORT / "fake_runtime.py"), str(port), str(private_port), str(drain_seconds)]
        return cls._start(script + ([str(goldens)] if goldens else []), port=port, private_port=private_port, log=log)

    @classmethod
    def of_task(cls, task: str, *, log: Path, max_body_bytes: int = 1024 * 1024) -> Self:
        """Serves a model of any task, by `served_tasks`, to which nothing is too much work."""
        port, private_port = free_port(), free_port()
        script = [sys.executable, str(SUPPORT / "fake_task_runtime.py")]
        arguments = [task, str(port), str(private_port), str(max_body_bytes)]
        return cls._start(script + arguments, port=port, private_port=private_port, log=log)

    @classmethod
    def laborious(
        cls,
        log: Path,
        *,
        seconds_per_token: float,
        fails_every: int = 0,
        breaks_after: int = 0,
        max_queue_tokens: int = 262_144,
        drain_seconds: float = 0,
        shutdown_seconds: float = 45,
    ) -> Self:
        """One whose batches take time, whose worker may raise with each of so many, and whose device may break."""
        port, private_port = free_port(), free_port()
        numbers = (seconds_per_token, fails_every, breaks_after, max_queue_tokens, drain_seconds, shutdown_seconds)
        script = [sys.executable, str(SUPPORT / "laborious_runtime.py"), str(port), str(private_port)]
        return cls._start(script + [str(number) for number in numbers], port=port, private_port=private_port, log=log)

    @classmethod
    def turning(cls, log: Path, *, mode: Path, **settings: Any) -> Self:
        """One that answers as the file `mode` says; `settings` are those of `serve`."""
        port, private_port = free_port(), free_port()
        script = [sys.executable, str(SUPPORT / "turning_runtime.py"), str(port), str(private_port), str(mode)]
        written = json.dumps({name: str(v) if isinstance(v, Path) else v for name, v in settings.items()})
        return cls._start([*script, written], port=port, private_port=private_port, log=log)

    @classmethod
    def quoting(cls, log: Path, *, api_keys: Path, jwks: Path, audience: str, log_format: str) -> Self:
        """One that asks for keys, and whose parts fail and quote the request."""
        port, private_port = free_port(), free_port()
        script = [sys.executable, str(SUPPORT / "quoting_runtime.py"), str(port), str(private_port)]
        arguments = [str(api_keys), str(jwks), audience, log_format]
        return cls._start(script + arguments, port=port, private_port=private_port, log=log)

    @classmethod
    def real(cls, log: Path, *arguments: str, environment: dict[str, str] | None = None) -> Self:
        port, private_port = free_port(), free_port()
        command = [sys.executable, "-m", "embedding_runtime", *arguments, "--host", "127.0.0.1"]
        if arguments[0] == "serve":
            command += ["--port", str(port)]
        command += ["--private-port", str(private_port)]
        return cls._start(command, port=port, private_port=private_port, log=log, environment=environment)

    @classmethod
    def _start(
        cls,
        command: Sequence[str],
        *,
        port: int,
        private_port: int,
        log: Path,
        environment: dict[str, str] | None = None,
    ) -> Self:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}
            )
        return cls(process=process, port=port, private_port=private_port, log=log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def private_url(self) -> str:
        return f"http://127.0.0.1:{self.private_port}"

    def probe(self, path: str) -> int | None:
        """Status of a probe; None while nothing listens."""
        try:
            return httpx.get(self.private_url + path, timeout=5).status_code
        except httpx.TransportError:
            return None

    def wait(self, path: str, *, status: int | None = 200, seconds: float = 120) -> None:
        """Until a probe answers so, or the process ends."""
        pause = threading.Event()
        for _ in range(int(seconds / 0.02)):
            if self.probe(path) == status:
                return
            if status is not None and self.process.poll() is not None:
                raise AssertionError(f"the process ended with {self.process.returncode}:\n{self.log.read_text()}")
            pause.wait(0.02)
        raise AssertionError(f"{path} was never {status}:\n{self.log.read_text()}")

    def detail(self, path: str, *, containing: str, seconds: float = 120) -> str:
        """What a probe says, once it says this."""
        pause = threading.Event()
        said = ""
        for _ in range(int(seconds / 0.02)):
            said = str(httpx.get(self.private_url + path, timeout=5).json()["detail"])
            if containing in said:
                return said
            pause.wait(0.02)
        raise AssertionError(f"{path} never said {containing!r} but {said!r}")

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def exit_status(self, *, seconds: float = 60) -> int:
        return self.process.wait(timeout=seconds)


@dataclass
class RawResponse:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class RawConnection:
    """One keep-alive connection. A reset or an early end raises."""

    port: int
    connection: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self.connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        self.stream = self.connection.makefile("rb")

    def close(self) -> None:
        self.stream.close()
        self.connection.close()

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def receive(self) -> RawResponse:
        status_line = self.stream.readline()
        if not status_line:
            raise ConnectionResetError("the server closed the connection without an answer")
        headers: dict[str, str] = {}
        while (line := self.stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = self.stream.read(int(headers["content-length"]))
        return RawResponse(status=int(status_line.split()[1]), headers=headers, body=body)

    def ended(self) -> bool:
        """Waits for the server to end the connection."""
        return self.stream.read(1) == b""


def embeddings_request(text: str, *, model: str = "words") -> bytes:
    body = json.dumps({"model": model, "input": text}).encode()
    head = (
        "POST /v1/embeddings HTTP/1.1\r\nhost: runtime\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def first_vector(response: RawResponse) -> Any:
    return json.loads(response.body)["data"][0]["embedding"]
