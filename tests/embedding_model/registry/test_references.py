"""Which references name an image, which registry may be asked, and with whose credentials."""

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.access import Access
from embedding_model.sources.registry import (
    Credentials,
    Reference,
    parse_reference,
    read_pull_secret,
    require_allowed,
)

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "registry", "repository"),
    [
        (f"registry.example.com/models/bge-m3@{DIGEST}", "registry.example.com", "models/bge-m3"),
        (f"198.18.0.1:5000/m@{DIGEST}", "198.18.0.1:5000", "m"),
        (f"localhost/a/b/c@{DIGEST}", "localhost", "a/b/c"),
        (f"registry:5000/a__b/c--d/e.f@{DIGEST}", "registry:5000", "a__b/c--d/e.f"),
        (f"Registry.Example.COM/m@{DIGEST}", "registry.example.com", "m"),
        (f"[::1]:5000/m@{DIGEST}", "[::1]:5000", "m"),
    ],
)
def test_a_reference_has_registry_repository_and_digest(text: str, registry: str, repository: str) -> None:
    assert parse_reference(text) == Reference(registry, repository, DIGEST)
    assert parse_reference(str(parse_reference(text))) == parse_reference(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("registry.example.com/models/bge-m3:latest", "tag"),
        ("registry.example.com/models/bge-m3", "tag"),
        (f"registry.example.com/models/bge-m3:v1@{DIGEST}", "tag"),
        (f"registry.example.com/m@{DIGEST.upper()}", "64 hex digits"),
        (f"registry.example.com/m@sha256:{HEX[:63]}", "64 hex digits"),
        (f"registry.example.com/m@sha512:{HEX}{HEX}", "64 hex digits"),
        (f"registry.example.com/m@{DIGEST}@{DIGEST}", "64 hex digits"),
        (f"https://registry.example.com/m@{DIGEST}", "scheme"),
        (f"docker://registry.example.com/m@{DIGEST}", "scheme"),
        (f"user:password@registry.example.com/m@{DIGEST}", "user"),
        (f"models/bge-m3@{DIGEST}", "registry"),
        (f"bge-m3@{DIGEST}", "registry"),
        (f"registry.example.com/../m@{DIGEST}", "repository"),
        (f"registry.example.com//m@{DIGEST}", "repository"),
        (f"registry.example.com/m/@{DIGEST}", "repository"),
        (f"registry.example.com/M@{DIGEST}", "repository"),
        (f"registry.example.com/m%2f@{DIGEST}", "repository"),
        (f"registry.example.com/m?x=y@{DIGEST}", "repository"),
        (f"registry..example.com/m@{DIGEST}", "HOST"),
        (f"-registry.example.com/m@{DIGEST}", "HOST"),
        (f"registry.example.com:port/m@{DIGEST}", "HOST"),
        (f"registry.example.com\n/m@{DIGEST}", "characters"),
        (f"registry.exämple.com/m@{DIGEST}", "characters"),
        (f"registry.example.com/{'m/' * 300}m@{DIGEST}", "too long"),
        ("", "registry"),
    ],
)
def test_what_is_no_reference_by_digest_is_refused_saying_what_to_write(text: str, complaint: str) -> None:
    with pytest.raises(Refusal, match=complaint) as caught:
        parse_reference(text)
    assert (caught.value.reason, caught.value.field) == (Reason.IMAGE_NOT_FOUND, "model.image.reference")
    assert "@sha256:<64 hex digits>" in caught.value.message


def test_a_password_in_a_reference_is_not_repeated() -> None:
    with pytest.raises(Refusal) as caught:
        parse_reference(f"user:hunter2@registry.example.com/m@{DIGEST}")
    assert "hunter2" not in caught.value.message


@given(st.text(max_size=100) | st.from_regex(r"[a-z.:/@\[\]]{1,40}(@sha256:[0-9a-f]{64})?", fullmatch=True))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    with contextlib.suppress(Refusal):
        assert str(parse_reference(text)) == text.lower()


def test_only_registries_of_the_administrator_are_asked() -> None:
    access = Access(endpoint="https://mirror.example.com")
    allowed = {"Registry.example.com": access, "198.18.0.1:5000": Access(endpoint="http://198.18.0.1:5000")}
    reference = parse_reference(f"registry.example.com/m@{DIGEST}")
    assert require_allowed(reference, registries=allowed) is access
    for other in ("registry.example.com:443", "example.com", "198.18.0.1", "x.registry.example.com"):
        with pytest.raises(Refusal, match=r"name 198\.18\.0\.1:5000, Registry\.example\.com") as caught:
            require_allowed(parse_reference(f"{other}/m@{DIGEST}"), registries=allowed)
        assert caught.value.reason is Reason.REGISTRY_NOT_ALLOWED


def secret(**entries: object) -> bytes:
    return json.dumps({"auths": {key.replace("__", "/"): value for key, value in entries.items()}}).encode()


def pair(name: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{name}:p:w".encode()).decode()}


REFERENCE = parse_reference(f"registry.example.com/models/small@{DIGEST}")


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        (["registry.example.com"], "registry.example.com"),
        (["https://registry.example.com"], "https://registry.example.com"),
        (["https://registry.example.com/v1/"], "https://registry.example.com/v1/"),
        (["REGISTRY.example.com"], "REGISTRY.example.com"),
        (["*.example.com"], "*.example.com"),
        (["*.example.com", "registry.example.com"], "registry.example.com"),
        (["registry.example.com", "registry.example.com/models"], "registry.example.com/models"),
        (["registry.example.com/models", "*.example.com/models/small"], "*.example.com/models/small"),
        (["registry.example.com/mod"], None),
        (["registry.example.com/other", "example.com"], None),
        (["registry.example.com:5000"], None),
        (["*.com"], None),
        (["evil.example"], None),
        ([], None),
    ],
)
def test_the_entry_that_fits_best_is_used(keys: list[str], chosen: str | None) -> None:
    data = json.dumps({"auths": {key: pair(f"user-{number}") for number, key in enumerate(keys)}}).encode()
    found = read_pull_secret(data, reference=REFERENCE)
    assert (found and found.username) == (None if chosen is None else f"user-{keys.index(chosen)}")


def test_a_port_belongs_to_the_registry() -> None:
    data = json.dumps({"auths": {"registry.example.com:5000": pair("user")}}).encode()
    assert read_pull_secret(data, reference=parse_reference(f"registry.example.com:5000/m@{DIGEST}"))


def test_docker_hub_has_an_entry_under_its_old_name() -> None:
    data = json.dumps({"auths": {"https://index.docker.io/v1/": pair("user")}}).encode()
    assert read_pull_secret(data, reference=parse_reference(f"docker.io/library/m@{DIGEST}"))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (pair("user"), Credentials("user", "p:w")),
        ({"username": "user", "password": "pw"}, Credentials("user", "pw")),
        ({"username": "user", "password": "pw", "auth": pair("other")["auth"]}, Credentials("user", "pw")),
        (
            {"auth": base64.b64encode(b"0000:").decode(), "identitytoken": "it"},
            Credentials("0000", "", identity_token="it"),
        ),
    ],
)
def test_every_form_of_an_entry_is_read(entry: dict[str, str], expected: Credentials) -> None:
    assert read_pull_secret(secret(**{"registry.example.com": entry}), reference=REFERENCE) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hunter2",
        b"[]",
        b'{"auths": ["hunter2"]}',
        b'{"auths": {"registry.example.com": {"auth": "hunter2!"}}}',
        b'{"auths": {"registry.example.com": {"auth": ["hunter2"]}}}',
        b'{"auths": {"registry.example.com": {"auth": "//79"}}}',
        b'{"auths": {"registry.example.com": {}}}',
        b" " * (1024 * 1024 + 1),
    ],
)
def test_a_secret_that_cannot_be_read_is_refused_without_its_content(data: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read_pull_secret(data, reference=REFERENCE)
    assert caught.value.reason is Reason.ACCESS_DENIED
    assert "hunter2" not in caught.value.message
    assert caught.value.__cause__ is None


def test_other_entries_that_cannot_be_read_do_not_matter() -> None:
    data = json.dumps({"auths": {"registry.example.com": pair("user"), "other.example": {"auth": "!!"}}}).encode()
    assert read_pull_secret(data, reference=REFERENCE) == Credentials("user", "p:w")


@given(st.binary(max_size=300))
def test_any_bytes_are_a_secret_or_refused(data: bytes) -> None:
    with contextlib.suppress(Refusal):
        assert read_pull_secret(data, reference=REFERENCE) is None
