"""Where requests may go, and where the token may."""

from datetime import UTC, datetime

import httpx
import pytest
from hub_script import ScriptedHub

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.sources.access import Access
from embedding_model.sources.hub_client import HubClient
from embedding_model.sources.hub_errors import Asked, error_of

TOKEN = "hf_secret"
ASKED = Asked(hub="hub.example", repo="acme/small", revision="main")


def redirects(table: dict[str, str]) -> ScriptedHub:
    """A hub that redirects by table and answers everything else."""

    def answer(request: httpx.Request) -> httpx.Response:
        location = table.get(str(request.url))
        return httpx.Response(302, headers={"Location": location}) if location else httpx.Response(200, content=b"ok")

    return ScriptedHub(answer)


def get(
    hub: ScriptedHub,
    *,
    endpoint: str = "https://hub.example",
    token: str | None = TOKEN,
    redirect_hosts: tuple[str, ...] = ("cdn.example", "hub.example", "*.hub.example"),
) -> bytes:
    access = Access(endpoint=endpoint, redirect_hosts=redirect_hosts, token=token)
    with HubClient(access, client=hub.client).get("file", asked=ASKED) as response:
        return response.read()


def test_the_token_stays_on_the_endpoints_own_origin() -> None:
    hub = redirects(
        {
            "https://hub.example/file": "/renamed",
            "https://hub.example/renamed": "https://cdn.example/blob?signature=x",
        }
    )

    assert get(hub) == b"ok"
    assert [str(request.url) for request in hub.requests] == [
        "https://hub.example/file",
        "https://hub.example/renamed",
        "https://cdn.example/blob?signature=x",
    ]
    assert hub.sent_tokens() == [f"Bearer {TOKEN}", f"Bearer {TOKEN}", None]


def test_the_token_does_not_come_back_with_a_redirect_from_elsewhere() -> None:
    hub = redirects(
        {"https://hub.example/file": "https://cdn.example/a", "https://cdn.example/a": "https://hub.example/file2"}
    )

    assert get(hub) == b"ok"
    assert str(hub.requests[-1].url) == "https://hub.example/file2"
    assert hub.sent_tokens() == [f"Bearer {TOKEN}", None, None]


@pytest.mark.parametrize(
    "other", ["https://hub.example:8443/x", "https://sub.hub.example/x", "https://HUB.example:8443/x"]
)
def test_another_port_or_a_similar_host_is_another_origin(other: str) -> None:
    hub = redirects({"https://hub.example/file": other})

    assert get(hub) == b"ok"
    assert hub.sent_tokens() == [f"Bearer {TOKEN}", None]


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/latest/meta-data",
        "https://hub.example.evil.example/x",
        "https://evil.example/x",
        "https://evilhub.example/x",
        "https://cdn.example./x",
        "https://user:pw@cdn.example/x",
        "https://cdn.example@evil.example/x",
        "https://cdn.example%2f@evil.example/x",
        "https://2130706433/x",
        "https://0x7f.1/x",
        "https://[::1]/x",
        "//evil.example/x",
        "http://hub.example/file",
        "http://hub.example:443/file",
        "file:///etc/passwd",
        "ftp://cdn.example/file",
    ],
)
@pytest.mark.parametrize("endpoint", ["https://hub.example", "http://198.51.100.1:8470"])
def test_a_redirect_to_plain_http_or_to_a_host_that_is_not_allowed_is_not_followed(
    location: str, endpoint: str
) -> None:
    hub = redirects({f"{endpoint}/file": location})

    with pytest.raises(Unavailable, match="redirected to") as refused:
        get(hub, endpoint=endpoint)
    assert len(hub.requests) == 1
    assert "pw" not in refused.value.message


@pytest.mark.parametrize("status", [300, 302, 306])  # httpx looks at the target of 302 alone
@pytest.mark.parametrize(
    "location", ["https://cdn.example/" + "x" * 70_000, "https://xn--.hub.example/", "https://[", ""]
)
def test_a_redirect_to_something_that_is_no_url_is_unavailable(status: int, location: str) -> None:
    hub = ScriptedHub(lambda request: httpx.Response(status, headers={"Location": location}))

    with pytest.raises(Unavailable, match=r"hub hub\.example"):
        get(hub)


def test_a_plain_http_endpoint_may_redirect_to_itself_and_to_https() -> None:
    hub = redirects({"http://hub.example/file": "/lfs", "http://hub.example/lfs": "https://cdn.example/blob"})

    assert get(hub, endpoint="http://hub.example") == b"ok"
    assert hub.sent_tokens() == [f"Bearer {TOKEN}", f"Bearer {TOKEN}", None]


def test_a_redirect_loop_ends() -> None:
    hub = redirects({"https://hub.example/file": "/file"})

    with pytest.raises(Unavailable, match="more than 5 times"):
        get(hub)


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "identity, gzip", "GZIP"])
def test_a_compressed_answer_is_not_unpacked(encoding: str) -> None:
    """A bomb of a megabyte unpacks to a gigabyte; nobody asked for compression."""
    hub = ScriptedHub(
        lambda request: httpx.Response(200, headers={"Content-Encoding": encoding}, content=iter([b"\0" * 1000]))
    )

    with pytest.raises(Unavailable, match="content encoding"):
        get(hub)
    assert hub.requests[0].headers["accept-encoding"] == "identity"


def test_an_endpoint_with_a_path_keeps_it() -> None:
    hub = redirects({})

    get(hub, endpoint="https://hub.example/mirror/")

    assert str(hub.requests[0].url) == "https://hub.example/mirror/file"


@pytest.mark.parametrize(
    "endpoint",
    ["", "hub.example", "ftp://hub.example", "https://user:pw@hub.example", "https://h.example?x=1", "http://"],
)
def test_an_unusable_endpoint_is_told_without_repeating_it(endpoint: str) -> None:
    with pytest.raises(ValueError, match="the endpoint") as error:
        HubClient(Access(endpoint=endpoint))
    assert "pw" not in str(error.value)


@pytest.mark.parametrize("token", ["", "hf_x\n", "hf x", "hf_\u00fc"])
def test_a_token_that_cannot_be_a_header_is_told_without_repeating_it(token: str) -> None:
    with pytest.raises(ValueError, match="the hub token is empty or holds") as error:
        HubClient(Access(endpoint="https://hub.example", token=token))
    assert "hf" not in str(error.value)


@pytest.mark.parametrize(
    ("status", "headers", "path", "reason"),
    [
        (401, {"x-error-code": "RepoNotFound"}, None, Reason.REPOSITORY_NOT_FOUND),
        (404, {"x-error-code": "RepoNotFound"}, "config.json", Reason.REPOSITORY_NOT_FOUND),
        (404, {}, None, Reason.REPOSITORY_NOT_FOUND),
        (400, {}, None, Reason.REPOSITORY_NOT_FOUND),
        (404, {"x-error-code": "RevisionNotFound"}, None, Reason.REVISION_NOT_FOUND),
        (404, {"x-error-code": "EntryNotFound"}, "config.json", Reason.MISSING_FILE),
        (404, {}, "config.json", Reason.MISSING_FILE),
        (401, {"x-error-code": "GatedRepo"}, "config.json", Reason.ACCESS_DENIED),
        (403, {"x-error-code": "GatedRepo"}, "config.json", Reason.ACCESS_DENIED),
        (401, {}, None, Reason.ACCESS_DENIED),
        (403, {}, None, Reason.ACCESS_DENIED),
        (416, {}, "config.json", Reason.HASH_MISMATCH),
    ],
)
def test_every_final_answer_has_its_reason(
    status: int, headers: dict[str, str], path: str | None, reason: Reason
) -> None:
    asked = Asked(hub="hub.example", repo="acme/small", revision="main", path=path)

    error = error_of(status, httpx.Headers(headers), asked=asked)

    assert isinstance(error, Refusal)
    assert error.reason is reason


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"retry-after": "30"}, 30.0),
        (429, {"retry-after": "Sat, 21 Nov 2026 12:01:00 GMT"}, 60.0),
        (429, {"retry-after": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0.0),
        (429, {"ratelimit": '"resolvers";r=0;t=55'}, 55.0),
        (429, {"retry-after": "soon"}, None),
        (429, {"retry-after": "Sat, 21 Nov 99999999999999999999 12:01:00 GMT"}, None),
        (429, {"retry-after": "9" * 400}, 86_400.0),
        (429, {"retry-after": "Sat, 21 Nov 2099 11:00:00 GMT"}, 86_400.0),
        (503, {"retry-after": "7"}, 7.0),
        (503, {}, None),
        (500, {"x-error-code": "RepoNotFound"}, None),
        (408, {}, None),
    ],
)
def test_every_passing_trouble_is_unavailable_with_the_hubs_own_wait(
    status: int, headers: dict[str, str], seconds: float | None
) -> None:
    now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

    error = error_of(status, httpx.Headers(headers), asked=ASKED, now=now)

    assert isinstance(error, Unavailable)
    assert error.retry_after == seconds


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("code", ["GatedRepo", ""])
def test_a_denial_says_what_to_do_with_and_without_a_token(status: int, code: str) -> None:
    headers = httpx.Headers({"x-error-code": code})

    without, with_token = (error_of(status, headers, asked=ASKED, authenticated=sent) for sent in (False, True))

    assert isinstance(without, Refusal)
    assert isinstance(with_token, Refusal)
    assert without.field == with_token.field == "model.huggingFace.tokenSecretRef"
    assert "set model.huggingFace.tokenSecretRef" in without.message
    assert "set model.huggingFace.tokenSecretRef" not in with_token.message
