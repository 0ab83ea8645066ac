"""Which proxy a request takes, by the environment."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_model.sources.proxies import Proxies

PROXY = "http://proxy.example:3128"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("entries", "url", "straight"),
    [
        ("", "https://hub.example/x", False),
        ("*", "https://hub.example/x", True),
        ("hub.example", "https://hub.example/x", True),
        ("HUB.example", "https://hub.EXAMPLE/x", True),
        ("hub.example", "https://sub.hub.example/x", True),
        ("hub.example", "https://myhub.example/x", False),
        (".hub.example", "https://sub.hub.example/x", True),
        (".hub.example", "https://hub.example/x", False),
        ("*.hub.example", "https://sub.hub.example/x", True),
        (" other.example , hub.example ", "https://hub.example/x", True),
        ("hub.example:8443", "https://hub.example:8443/x", True),
        ("hub.example:8443", "https://hub.example/x", False),
        ("hub.example:443", "https://hub.example/x", True),
        ("10.0.0.0/8", "https://10.96.0.1/x", True),
        ("10.0.0.0/8", "https://11.0.0.1/x", False),
        ("10.0.0.1", "https://10.0.0.1/x", True),
        ("10.0.0.1:8080", "http://10.0.0.1:8080/x", True),
        ("10.0.0.1:8080", "http://10.0.0.1:8081/x", False),
        ("fd00::/8", "https://[fd00::1]/x", True),
        ("[fd00::1]:8443", "https://[fd00::1]:8443/x", True),
        ("fd00::1", "https://[fd00::2]/x", False),
        ("", "http://localhost:8080/x", True),
        ("", "http://127.0.0.1:8080/x", True),
        ("", "http://[::1]:8080/x", True),
        (",,/,:,[,*.,.", "https://hub.example/x", False),
    ],
)
def test_no_proxy_is_read_as_clusters_write_it(
    monkeypatch: pytest.MonkeyPatch, entries: str, url: str, straight: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", entries)

    assert Proxies.from_environment().choose(httpx.URL(url)) == (None if straight else PROXY)


def test_each_scheme_has_its_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "proxy.example:3128")
    assert Proxies.from_environment().choose(httpx.URL("https://hub.example")) == PROXY
    assert Proxies.from_environment().choose(httpx.URL("http://hub.example")) is None

    monkeypatch.setenv("ALL_PROXY", "https://other.example")
    assert Proxies.from_environment().choose(httpx.URL("http://hub.example")) == "https://other.example"


@pytest.mark.parametrize("value", ["socks5://user:secret@proxy.example", "http://", "http://user:secret@[::1"])
def test_an_unusable_proxy_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)

    with pytest.raises(ValueError, match="HTTPS_PROXY") as error:
        Proxies.from_environment()
    assert "secret" not in str(error.value)


@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_no_entry_of_no_proxy_crashes(entry: str) -> None:
    proxies = Proxies(by_scheme={"https": PROXY}, bypass=(entry.lower(),))

    assert proxies.choose(httpx.URL("https://hub.example")) in (None, PROXY)
    assert proxies.choose(httpx.URL("https://10.0.0.1")) in (None, PROXY)
