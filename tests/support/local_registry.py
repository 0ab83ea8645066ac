"""A real registry on loopback, with storage of the test's own, and pushing to it as the distribution specification
says."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from free_ports import free_port
from images import Image

from embedding_model.sources.access import Access
from embedding_model.sources.registry import Reference, parse_reference
from localcluster.binaries import binary

READY_SECONDS = 30.0


@dataclass(frozen=True)
class LocalRegistry:
    port: int

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def access(self) -> Access:
        return Access(endpoint=f"http://{self.host}", redirect_hosts=())

    def push(self, image: Image, *, repository: str = "models/small") -> Reference:
        """Blobs first, then manifests, an index after what it names: a registry refuses a manifest with holes."""
        base = f"http://{self.host}/v2/{repository}"
        with httpx.Client(trust_env=False, timeout=60) as client:
            for digest, data in image.blobs.items():
                upload = _checked(client.post(f"{base}/blobs/uploads/"))
                location = upload.url.join(upload.headers["location"]).copy_merge_params({"digest": digest})
                _checked(client.put(location, content=data))
            manifests = sorted(image.manifests.items(), key=lambda item: item[0] == image.digest)
            for digest, (media_type, data) in manifests:
                headers = {"content-type": media_type}
                _checked(client.put(f"{base}/manifests/{digest}", content=data, headers=headers))
        return parse_reference(f"{self.host}/{repository}@{image.digest}")


def _checked(response: httpx.Response) -> httpx.Response:
    assert response.is_success, f"{response.request.method} {response.url}: {response.status_code} {response.text}"
    return response


@contextmanager
def local_registry(folder: Path) -> Iterator[LocalRegistry]:
    """The binary that the local cluster runs; `hack/cluster up --control-plane-only` brings it."""
    port = free_port()
    configuration = folder / "registry.json"
    configuration.write_text(
        json.dumps(
            {
                "version": 0.1,
                "log": {"level": "warn", "accesslog": {"disabled": True}},
                "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
                "http": {"addr": f"127.0.0.1:{port}", "secret": "of one process"},
            }
        )
    )
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            [str(binary("registry")), "serve", str(configuration)],
            stdout=log,
            stderr=log,
            env={"OTEL_TRACES_EXPORTER": "none"},
        )
        try:
            _await(port, process=process, log=folder / "registry.log")
            yield LocalRegistry(port)
        finally:
            process.kill()
            process.wait()


def _await(port: int, *, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        assert process.poll() is None, f"the registry ended: {log.read_text()[-2000:]}"
        assert time.monotonic() < deadline, f"the registry does not listen: {log.read_text()[-2000:]}"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
