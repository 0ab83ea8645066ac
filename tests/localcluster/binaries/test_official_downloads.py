"""Official downloads: what arrives is what its project published, or nothing is installed."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from localcluster.downloads import Download, fetch, published_sum, reachable
from localcluster.errors import ClusterError

PROGRAM = b"#!/bin/sh\necho hello\n"


def archive_with(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo(f"tool-v1/{name}")
        entry.size = len(PROGRAM)
        tar.addfile(entry, io.BytesIO(PROGRAM))
    return buffer.getvalue()


@pytest.fixture
def site() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A web site on loopback: its URL, and its files, path -> content, to be filled by the test."""
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(self.path)
            self.send_response(200 if content is not None else 404)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", files
    server.shutdown()
    thread.join()
    server.server_close()


def sum_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_program_with_the_published_sum_is_installed_executable(
    site: tuple[str, dict[str, bytes]], tmp_path: Path
) -> None:
    url, files = site
    files |= {"/tool": PROGRAM, "/tool.sha256": sum_of(PROGRAM).encode()}
    fetch(Download(f"{url}/tool", f"{url}/tool.sha256"), tmp_path / "tool-v1")
    assert (tmp_path / "tool-v1").read_bytes() == PROGRAM
    assert (tmp_path / "tool-v1").stat().st_mode & 0o777 == 0o755


def test_a_program_is_taken_out_of_its_archive(site: tuple[str, dict[str, bytes]], tmp_path: Path) -> None:
    url, files = site
    archive = archive_with("etcd")
    files |= {"/etcd.tgz": archive, "/SUMS": f"{sum_of(b'other')}  other.tgz\n{sum_of(archive)}  etcd.tgz\n".encode()}
    fetch(Download(f"{url}/etcd.tgz", f"{url}/SUMS", "etcd"), tmp_path / "etcd")
    assert (tmp_path / "etcd").read_bytes() == PROGRAM


def test_a_download_with_another_sum_is_refused_and_leaves_nothing(
    site: tuple[str, dict[str, bytes]], tmp_path: Path
) -> None:
    url, files = site
    files |= {"/tool": PROGRAM + b"x", "/tool.sha256": sum_of(PROGRAM).encode()}
    with pytest.raises(ClusterError, match=f"expected SHA-256 {sum_of(PROGRAM)}, found {sum_of(PROGRAM + b'x')}"):
        fetch(Download(f"{url}/tool", f"{url}/tool.sha256"), tmp_path / "tool")
    assert list(tmp_path.iterdir()) == []


def test_an_archive_without_the_program_is_refused(site: tuple[str, dict[str, bytes]], tmp_path: Path) -> None:
    url, files = site
    archive = archive_with("etcdctl")
    files |= {"/etcd.tgz": archive, "/SUMS": f"{sum_of(archive)} *etcd.tgz\n".encode()}
    with pytest.raises(ClusterError, match="holds no file named etcd"):
        fetch(Download(f"{url}/etcd.tgz", f"{url}/SUMS", "etcd"), tmp_path / "etcd")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_a_clear_error(site: tuple[str, Mapping[str, bytes]], tmp_path: Path) -> None:
    url, _ = site
    with pytest.raises(ClusterError, match=r"download of .*/tool failed: .*404"):
        fetch(Download(f"{url}/tool", f"{url}/tool.sha256"), tmp_path / "tool")


def test_sums_that_do_not_name_the_file_are_refused() -> None:
    with pytest.raises(ClusterError, match=r"do not name etcd\.tgz"):
        published_sum(f"{sum_of(b'')}  other.tgz", name="etcd.tgz")


def test_a_server_that_does_not_answer_is_not_reachable() -> None:
    assert not reachable(Download("http://127.0.0.1:9/tool", "http://127.0.0.1:9/tool.sha256"))


def test_a_server_that_answers_is_reachable(site: tuple[str, dict[str, bytes]]) -> None:
    url, files = site
    files["/sum"] = b"0"
    assert reachable(Download(f"{url}/tool", f"{url}/sum"))
