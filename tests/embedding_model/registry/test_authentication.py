"""Who asks a registry, and who never hears the answer: credentials, tokens, redirects."""

import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from image_puller import Puller
from images import files_layer, image
from scripted_registry import (
    Answer,
    Request,
    ScriptedRegistry,
    basic,
    give_token,
    once,
    require_token,
)

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.sources.access import Access
from embedding_model.sources.progress import Meter
from embedding_model.sources.registry import Credentials, parse_reference, pull_folder

FILES = {"config.json": b"{}", "model.safetensors": b"weights"}
IMAGE = image(files_layer(FILES))
USER = Credentials(username="reader", password="s3cret")


def authorizations(registry: ScriptedRegistry) -> set[str | None]:
    return {request.headers.get("authorization") for request in registry.requests}


def refuse_anonymous(request: Request) -> Answer | None:
    """Basic, as registries without a token server have it."""
    if request.headers.get("authorization") == basic("reader", "s3cret"):
        return None
    return Answer(status=401, headers={"www-authenticate": 'Basic realm="A registry, with a comma"'})


def test_a_registry_that_asks_nothing_gets_no_credentials(puller: Puller, registry: ScriptedRegistry) -> None:
    assert puller.folder(registry.add(IMAGE), credentials=USER) == FILES
    assert authorizations(registry) == {None}


def test_a_registry_that_asks_for_a_password_gets_it(puller: Puller, registry: ScriptedRegistry) -> None:
    registry.scripts.append(refuse_anonymous)
    assert puller.folder(registry.add(IMAGE), credentials=USER) == FILES


@pytest.mark.parametrize("credentials", [None, Credentials(username="reader", password="wrong")])
def test_without_the_right_password_access_is_denied(
    puller: Puller, registry: ScriptedRegistry, credentials: Credentials | None
) -> None:
    registry.scripts.append(refuse_anonymous)
    with pytest.raises(Refusal) as caught:
        puller.folder(registry.add(IMAGE), credentials=credentials)
    assert caught.value.reason is Reason.ACCESS_DENIED
    assert "pull secret" in caught.value.message
    assert "wrong" not in caught.value.message


@pytest.mark.parametrize("name", ["token", "access_token"])
@pytest.mark.parametrize("credentials", [None, USER])
def test_a_token_is_fetched_for_this_repository_and_used(
    puller: Puller, registry: ScriptedRegistry, name: str, credentials: Credentials | None
) -> None:
    registry.scripts += [
        require_token("t0k3n", realm=f"{registry.url}/token"),
        give_token("t0k3n", to=("reader", "s3cret") if credentials else None, name=name),
    ]
    assert puller.folder(registry.add(IMAGE), credentials=credentials) == FILES
    (asked,) = registry.asked("/token")
    assert asked.query == {"service": "registry.test", "scope": "repository:models/small:pull"}
    assert [request.headers.get("authorization") for request in registry.asked("/blobs/")] == ["Bearer t0k3n"]


def test_the_scope_that_the_registry_names_is_asked_for(puller: Puller, registry: ScriptedRegistry) -> None:
    scope = "repository:prefix/models/small:pull"
    registry.scripts += [
        require_token("t0k3n", realm=f"{registry.url}/token", scope=scope),
        give_token("t0k3n"),
    ]
    assert puller.folder(registry.add(IMAGE)) == FILES
    assert registry.asked("/token")[0].query["scope"] == scope


def test_an_identity_token_is_exchanged(puller: Puller, registry: ScriptedRegistry) -> None:
    registry.scripts += [require_token("t0k3n", realm=f"{registry.url}/token"), give_token("t0k3n")]
    credentials = Credentials(identity_token="1dent1ty")
    assert puller.folder(registry.add(IMAGE), credentials=credentials) == FILES
    (asked,) = registry.asked("/token")
    assert asked.method == "POST"
    assert b"grant_type=refresh_token" in asked.body
    assert b"refresh_token=1dent1ty" in asked.body
    assert "authorization" not in asked.headers


def test_a_token_that_ended_is_fetched_anew(puller: Puller, registry: ScriptedRegistry) -> None:
    registry.scripts += [give_token("second"), once(give_token("first"))]

    def script(request: Request) -> Answer | None:
        wanted = "second" if "/blobs/" in request.path else "first"
        return require_token(wanted, realm=f"{registry.url}/token")(request)

    registry.scripts.append(script)
    assert puller.folder(registry.add(IMAGE)) == FILES
    assert len(registry.asked("/token")) == 2


@pytest.mark.parametrize(
    "answer",
    [Answer(body=b"{}"), Answer(body=b"<html>"), Answer(body=json.dumps({"token": "a b\r\nx: y"}).encode())],
    ids=["none", "no JSON", "two lines"],
)
def test_a_token_that_cannot_be_used_is_none(puller: Puller, registry: ScriptedRegistry, answer: Answer) -> None:
    registry.scripts += [
        require_token("t0k3n", realm=f"{registry.url}/token"),
        lambda request: answer if request.path == "/token" else None,
    ]
    with pytest.raises(Unavailable, match="no usable token"):
        puller.folder(registry.add(IMAGE))


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_server_that_denies_is_a_refusal(puller: Puller, registry: ScriptedRegistry, status: int) -> None:
    registry.scripts += [
        require_token("t0k3n", realm=f"{registry.url}/token"),
        lambda request: Answer(status=status) if request.path == "/token" else None,
    ]
    with pytest.raises(Refusal) as caught:
        puller.folder(registry.add(IMAGE))
    assert caught.value.reason is Reason.ACCESS_DENIED


@pytest.mark.parametrize("realm", ["{elsewhere}/token", "https://169.254.169.254/token", "", "/token", "file:///etc/x"])
def test_credentials_go_to_no_token_server_that_is_not_allowed(
    puller: Puller, registry: ScriptedRegistry, elsewhere: ScriptedRegistry, realm: str
) -> None:
    elsewhere.scripts.append(give_token("t0k3n"))
    registry.scripts.append(require_token("t0k3n", realm=realm.format(elsewhere=elsewhere.url)))
    with pytest.raises(Refusal) as caught:
        puller.folder(registry.add(IMAGE), credentials=USER)
    assert caught.value.reason is Reason.REGISTRY_NOT_ALLOWED
    assert "redirectHosts" in caught.value.message
    assert not elsewhere.requests


def test_an_https_realm_at_an_allowed_host_passes_the_rule(registry: ScriptedRegistry, tmp_path: Path) -> None:
    """Nothing listens there: what matters is that it was tried, and that the password did not get into the message."""
    registry.scripts.append(require_token("t0k3n", realm="https://localhost:1/token"))
    access = Access(endpoint=registry.url, redirect_hosts=("localhost",))
    with pytest.raises(Unavailable) as caught:
        _pull(registry, access=access, folder=tmp_path / "folder")
    assert "could not be read: ConnectError" in caught.value.message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_on_the_registry_itself_is_followed(puller: Puller, registry: ScriptedRegistry, status: int) -> None:
    def script(request: Request) -> Answer | None:
        if request.path.startswith("/moved/"):
            return registry.stored(request)
        if "/blobs/" in request.path:
            return Answer(status=status, headers={"location": f"/moved{request.path}"})
        return None

    registry.scripts.append(script)
    assert puller.folder(registry.add(IMAGE)) == FILES


@pytest.mark.parametrize("part", ["/manifests/", "/blobs/"])
@pytest.mark.parametrize("to", ["{elsewhere}/x", "https://169.254.169.254/latest", "https://evil.example/x"])
def test_a_redirect_elsewhere_is_refused_and_nothing_is_sent(
    puller: Puller, registry: ScriptedRegistry, elsewhere: ScriptedRegistry, part: str, to: str
) -> None:
    location = to.format(elsewhere=elsewhere.url)
    registry.scripts += [
        lambda request: Answer(status=307, headers={"location": location}) if part in request.path else None,
        refuse_anonymous,
    ]
    with pytest.raises(Refusal) as caught:
        puller.folder(registry.add(IMAGE), credentials=USER)
    assert caught.value.reason is Reason.REGISTRY_NOT_ALLOWED
    assert not elsewhere.requests


def test_redirects_end(puller: Puller, registry: ScriptedRegistry) -> None:
    registry.scripts.append(lambda request: Answer(status=307, headers={"location": request.path}))
    puller.attempts = 1
    with pytest.raises(Unavailable, match="more than 5 times"):
        puller.folder(registry.add(IMAGE))


def test_a_bearer_token_of_the_access_is_sent(registry: ScriptedRegistry, tmp_path: Path) -> None:
    registry.scripts.append(require_token("admin", realm="https://nowhere.example/token"))
    access = Access(endpoint=registry.url, redirect_hosts=(), token="admin")
    _pull(registry, access=access, folder=tmp_path / "folder")
    assert authorizations(registry) == {"Bearer admin"}


def test_nothing_secret_is_logged_or_shown(
    puller: Puller, registry: ScriptedRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="embedding_model")
    registry.scripts += [
        require_token("t0k3n", realm=f"{registry.url}/token"),
        give_token("t0k3n", to=("reader", "s3cret")),
    ]
    puller.folder(registry.add(IMAGE), credentials=USER)
    shown: list[Any] = [USER, Credentials(identity_token="1dent1ty"), caplog.text]
    for text in map(repr, shown):
        assert not any(secret in text for secret in ("s3cret", "t0k3n", "1dent1ty"))


def _pull(registry: ScriptedRegistry, *, access: Access, folder: Path) -> None:
    puller = Puller(registry, folder.parent, attempts=1)
    pull_folder(
        reference=registry.add(IMAGE),
        path="/models",
        access=access,
        folder=folder,
        meter=puller.meter,
        credentials=USER,
        retry=puller.retry,
    )


@pytest.mark.parametrize("back", [False, True], ids=["elsewhere", "and back"])
def test_no_token_goes_along_with_a_redirect(tmp_path: Path, back: bool) -> None:
    """To a host that is allowed, over https: answers written down here, as nothing listens there."""
    reference = parse_reference(f"registry.example.com/models/small@{IMAGE.digest}")
    sent: list[tuple[str, str | None]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append((request.url.host, request.headers.get("authorization")))
        digest = request.url.path.rpartition("/")[2]
        if digest in IMAGE.manifests:
            media_type, data = IMAGE.manifests[digest]
            return httpx.Response(200, stream=httpx.ByteStream(data), headers={"content-type": media_type})
        if request.url.host == "registry.example.com" and "/back/" not in request.url.path:
            return httpx.Response(307, headers={"location": f"https://cdn.example.com/{digest}"})
        if back and request.url.host == "cdn.example.com":
            return httpx.Response(307, headers={"location": f"https://registry.example.com/back/{digest}"})
        return httpx.Response(200, stream=httpx.ByteStream(IMAGE.blobs[digest]))

    hosts = ("*.example.com",)
    access = Access(endpoint="https://registry.example.com", redirect_hosts=hosts, token="t0k3n")
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        pull_folder(
            reference=reference, path="/models", access=access, folder=tmp_path / "x", meter=Meter(), client=client
        )
    own, cdn = ("registry.example.com", "Bearer t0k3n"), ("cdn.example.com", None)
    assert sent == [own, own, cdn, *([("registry.example.com", None)] if back else [])]
