"""The client that reaches hubs, against real servers: addresses that were checked, TLS by the host's name, proxies,
and no more time than a request may take."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from hub_in_process import REPO, Hub
from small_model import small_model_files

from embedding_model.refusal import Unavailable
from embedding_model.sources.access import Access
from embedding_model.sources.deadline import deadline
from embedding_model.sources.hub import HubSource
from embedding_model.sources.hub_client import HubClient
from embedding_model.sources.hub_errors import Asked
from embedding_model.sources.transport import open_client
from localcluster.hub.certificates import Certificates, make_certificates
from localcluster.hub.server import running
from localcluster.hub.state import Fault, FaultKind

ASKED = Asked(hub="hub.test", repo=REPO, revision="main")
FILES = small_model_files()


class Names:
    """A resolver: a table of names, whose answers may change, and what was asked."""

    def __init__(self, table: dict[str, Sequence[str]]) -> None:
        self.table = table
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.table:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.table[host]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"), hosts=["hub.test", "*.cdn.test", "localhost"])


@contextmanager
def https_hub(hub: Hub, *, certificates: Certificates) -> Iterator[tuple[int, int]]:
    """The hub with TLS, which hands out large files from blobs.cdn.test; the ports of both."""
    with ExitStack() as stack:
        cdn = stack.enter_context(running(hub.store, certificates=certificates))
        cdn_port = int(cdn.rpartition(":")[2])
        url = stack.enter_context(
            running(hub.store, certificates=certificates, cdn_url=f"https://blobs.cdn.test:{cdn_port}")
        )
        yield int(url.rpartition(":")[2]), cdn_port


def read_weights(access: Access, *, names: Names) -> bytes:
    with (
        open_client(access, resolver=names) as client,
        HubSource.resolve(access=access, repo=REPO, revision="main", client=client) as source,
    ):
        return source.read("model.safetensors", limit=10_000_000)


def test_a_mirror_with_an_authority_of_its_own_is_read_over_tls(hub: Hub, certificates: Certificates) -> None:
    hub.store.state.add_token("hf_mine")
    names = Names({"hub.test": ["127.0.0.1"], "blobs.cdn.test": ["127.0.0.1"]})
    with https_hub(hub, certificates=certificates) as (port, _):
        access = Access(
            endpoint=f"https://hub.test:{port}",
            redirect_hosts=("blobs.cdn.test",),
            certificates=certificates.authority.read_text(),
            token="hf_mine",
        )

        assert read_weights(access, names=names) == FILES["model.safetensors"]
    assert set(names.asked) == {"hub.test", "blobs.cdn.test"}


def test_a_server_without_a_certificate_for_the_hosts_name_is_not_read(hub: Hub, certificates: Certificates) -> None:
    with https_hub(hub, certificates=certificates) as (port, _):
        trusted = certificates.authority.read_text()
        for endpoint, trust in ((f"https://other.test:{port}", trusted), (f"https://hub.test:{port}", None)):
            names = Names({"other.test": ["127.0.0.1"], "hub.test": ["127.0.0.1"]})
            with pytest.raises(Unavailable, match="ConnectError"):
                read_weights(Access(endpoint=endpoint, certificates=trust), names=names)


def test_the_systems_authorities_come_from_the_environment(
    hub: Hub, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = Names({"hub.test": ["127.0.0.1"], "blobs.cdn.test": ["127.0.0.1"]})
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    with https_hub(hub, certificates=certificates) as (port, _):
        access = Access(endpoint=f"https://hub.test:{port}", redirect_hosts=("blobs.cdn.test",), certificates="\n")
        assert read_weights(access, names=names) == FILES["model.safetensors"]

    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match="SSL_CERT_FILE"):
        open_client(access)


@pytest.mark.parametrize("text", ["no PEM", "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n", "ü"])
def test_certificates_that_are_not_pem_are_told_without_repeating_them(text: str) -> None:
    with pytest.raises(ValueError, match="are not PEM") as error:
        open_client(Access(endpoint="https://hub.test", certificates=text))
    assert text not in str(error.value)


def test_a_host_allowed_by_a_pattern_is_not_reached_at_an_internal_address(
    hub: Hub, certificates: Certificates
) -> None:
    internal = ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1", "100.100.100.200")
    with https_hub(hub, certificates=certificates) as (port, _):
        access = Access(
            endpoint=f"https://hub.test:{port}",
            redirect_hosts=("*.cdn.test",),
            certificates=certificates.authority.read_text(),
        )
        for address in internal:
            names = Names({"hub.test": ["127.0.0.1"], "blobs.cdn.test": [address]})
            with pytest.raises(Unavailable, match=r"blobs\.cdn\.test has the address .* not a public one"):
                read_weights(access, names=names)


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "0.0.0.0", "100.100.100.200"])
def test_a_name_does_not_lead_to_the_metadata_service_even_when_it_is_the_endpoints(address: str) -> None:
    access = Access(endpoint="http://hub.test")
    with (
        open_client(access, resolver=Names({"hub.test": [address]})) as client,
        pytest.raises(Unavailable, match="metadata"),
        HubClient(access, client=client).get("x", asked=ASKED),
    ):
        pass


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(hub: Hub) -> None:
    """DNS rebinding: a name with another address at every look is looked at once for a connection."""
    names = Names({"hub.test": ["127.0.0.5"]})

    def rebind(host: str, port: int) -> Sequence[str]:
        found = names(host, port)
        names.table[host] = ["169.254.169.254"]
        return found

    with ExitStack() as stack:
        served_at = stack.enter_context(running(hub.store, host="127.0.0.5"))
        access = Access(endpoint=served_at.replace("127.0.0.5", "hub.test"))
        client = stack.enter_context(open_client(access, resolver=rebind))
        url = f"{access.endpoint}/api/models/{REPO}"
        with client.stream("GET", url) as response:
            server = response.extensions["network_stream"].get_extra_info("server_addr")
            assert server[0] == "127.0.0.5"
            assert names.asked == ["hub.test"]
            # the connection is in use, so this needs another one
            with pytest.raises(Unavailable, match=r"169\.254\.169\.254"):
                client.get(url)


def test_an_address_that_does_not_answer_is_followed_by_the_next_one(hub: Hub) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.2", int(hub.url.rpartition(":")[2])))  # bound, not listening: refuses at once
        names = Names({"hub.test": ["169.254.1.1", "127.0.0.2", "127.0.0.1"]})
        access = Access(endpoint=hub.url.replace("127.0.0.1", "hub.test"))
        with open_client(access, resolver=names) as client:
            assert client.get(f"{access.endpoint}/api/models/{REPO}").status_code == 200


@pytest.mark.parametrize("table", [{}, {"hub.test": []}, {"hub.test": ["no address"]}])
def test_a_name_without_an_address_is_unavailable(table: dict[str, Sequence[str]]) -> None:
    access = Access(endpoint="http://hub.test")
    with (
        open_client(access, resolver=Names(table)) as client,
        pytest.raises(Unavailable, match=r"hub hub\.test could not be read: ConnectError"),
        HubClient(access, client=client).get("x", asked=ASKED),
    ):
        pass


def test_an_answer_leaves_no_cookie_in_the_next_request() -> None:
    seen: list[str | None] = []

    class Handler(Quiet):
        def do_GET(self) -> None:
            seen.append(self.headers.get("cookie"))
            self.answer(200, {"Set-Cookie": "track=1; Path=/"})

    with served(Handler) as url, open_client(Access(endpoint=url)) as client:
        client.get(url)
        client.get(url)

    assert seen == [None, None]


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class Proxy(Quiet):
    """Passes on to one port of this machine, whatever the host; notes what it was asked."""

    asked: list[str]
    ports: dict[str, int]

    def do_GET(self) -> None:
        self.asked.append(f"GET {self.path} {self.headers.get('proxy-authorization')}")
        target = httpx.URL(self.path)
        answer = httpx.get(f"http://127.0.0.1:{target.port}{target.raw_path.decode()}", trust_env=False)
        self.answer(answer.status_code, {}, answer.content)

    def do_CONNECT(self) -> None:
        self.asked.append(f"CONNECT {self.path} {self.headers.get('proxy-authorization')}")
        with socket.create_connection(("127.0.0.1", int(self.path.rpartition(":")[2]))) as upstream:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=pump, args=(upstream, self.connection), daemon=True)
            back.start()
            pump(self.connection, upstream)
            back.join()
        self.close_connection = True


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other direction has ended


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A proxy that the environment names; what it was asked."""
    asked: list[str] = []
    with served(type("NotingProxy", (Proxy,), {"asked": asked})) as url:
        for name in ("HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, url.replace("http://", "http://user:pw@"))
        yield asked


def test_a_proxy_of_the_environment_resolves_names_itself(
    hub: Hub, certificates: Certificates, proxy: list[str]
) -> None:
    names = Names({})
    with https_hub(hub, certificates=certificates) as (port, cdn_port):
        access = Access(
            endpoint=f"https://hub.test:{port}",
            redirect_hosts=("*.cdn.test",),
            certificates=certificates.authority.read_text(),
        )
        assert read_weights(access, names=names) == FILES["model.safetensors"]

    basic = "Basic dXNlcjpwdw=="
    assert set(proxy) == {f"CONNECT hub.test:{port} {basic}", f"CONNECT blobs.cdn.test:{cdn_port} {basic}"}
    assert names.asked == []


def test_plain_http_goes_through_the_proxy_and_no_proxy_past_it(
    hub: Hub, proxy: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    access = Access(endpoint=hub.url.replace("127.0.0.1", "hub.test"))
    with open_client(access, resolver=Names({})) as client:
        assert client.get(f"{access.endpoint}/api/models/{REPO}").json()["sha"] == hub.commit
    assert [line.split(" ")[0] for line in proxy] == ["GET"]

    monkeypatch.setenv("NO_PROXY", ".test")
    with open_client(access, resolver=Names({"hub.test": ["127.0.0.1"]})) as client:
        assert client.get(f"{access.endpoint}/api/models/{REPO}").json()["sha"] == hub.commit
    assert len(proxy) == 1


@pytest.mark.parametrize("host", ["169.254.169.254", "2852039166", "0xa9.0xfe.0xa9.0xfe", "[fe80::1]", "10.0.0.1"])
def test_a_proxy_is_not_asked_for_an_address_that_may_not_be_reached(proxy: list[str], host: str) -> None:
    with (
        open_client(Access(endpoint="http://hub.test")) as client,
        pytest.raises(Unavailable, match="not a public one"),
    ):
        client.get(f"http://{host}/latest/meta-data")
    assert proxy == []


@pytest.mark.parametrize("drip", [b"x", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"])
def test_a_server_that_drips_its_headers_holds_nobody_longer_than_allowed(drip: bytes) -> None:
    """Each read brings something in time, so only the end of the whole request helps."""
    with dripping_server(drip) as url:
        access = Access(endpoint=url)
        client = HubClient(access)
        with pytest.raises(Unavailable, match="did not answer"), client.get("x", asked=ASKED, seconds=0.5):
            pass
        client.close()


@contextmanager
def dripping_server(drip: bytes) -> Iterator[str]:
    """Sends the text again and again, a little at a time, until nobody listens."""
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                first = b"HTTP/1.1 200 OK\r\n" if drip.startswith(b"A:") else b""
                try:
                    connection.sendall(first)
                    while not stop.wait(0.02):
                        connection.sendall(drip)
                except OSError:
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()


@pytest.mark.parametrize("kind", [FaultKind.STALL, FaultKind.SLOW])
def test_a_body_that_stands_still_or_crawls_ends_with_the_time_of_its_request(hub: Hub, kind: FaultKind) -> None:
    hub.store.state.add_fault(Fault("/api/*", kind, value=10))
    client = HubClient(Access(endpoint=hub.url))

    with (
        pytest.raises(Unavailable, match="did not answer in time"),
        client.get(f"api/models/{REPO}", asked=ASKED, seconds=0.5) as response,
    ):
        response.read()
    client.close()


def test_a_deadline_inside_another_does_not_outlast_it(hub: Hub) -> None:
    hub.store.state.add_fault(Fault("/api/*", FaultKind.SLOW, value=10))
    client = HubClient(Access(endpoint=hub.url))

    with (
        deadline(0.5),
        pytest.raises(Unavailable, match="did not answer in time"),
        client.get(f"api/models/{REPO}", asked=ASKED, seconds=600) as response,
    ):
        response.read()
    client.close()


def test_headers_without_end_are_given_up() -> None:
    class Handler(Quiet):
        def do_GET(self) -> None:
            try:
                self.answer(200, {f"x-{number}": "y" * 1000 for number in range(10_000)})
            except OSError:
                self.close_connection = True

    with served(Handler) as url:
        client = HubClient(Access(endpoint=url))
        with pytest.raises(Unavailable, match="RemoteProtocolError"), client.get("x", asked=ASKED):
            pass
        client.close()
