"""Who is let in: every way to be wrong, with real signatures."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from runtime_under_test import settings
from signed_tokens import AUDIENCE, ISSUER, Authority, jwks, mount, rsa_key, unsigned

from embedding_model.refusal import Reason, Refusal
from embedding_runtime.errors import Unauthorized
from embedding_runtime.http.auth.guard import Guard, build_guard
from embedding_runtime.http.auth.signing_keys import LEEWAY_SECONDS

KEY = "search-team-0001"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.rsa()


@pytest.fixture
def folder(tmp_path: Path, authority: Authority) -> Path:
    mount(tmp_path, keys=f"{KEY}\nother-team-0002\n", jwks__json=jwks(authority.jwk()))
    return tmp_path


def guard(**parts: Any) -> Guard:
    made = build_guard(settings(**parts), name_model=lambda: "words")
    assert made is not None
    return made


@pytest.fixture
def with_keys(folder: Path) -> Guard:
    return guard(api_keys=folder / "keys")


@pytest.fixture
def with_tokens(folder: Path) -> Guard:
    return guard(jwks=folder / "jwks.json", jwt_audiences=(AUDIENCE, "shop"), jwt_issuer=ISSUER)


@pytest.fixture
def with_both(folder: Path) -> Guard:
    return guard(api_keys=folder / "keys", jwks=folder / "jwks.json", jwt_audiences=(AUDIENCE,))


def refusal(checked: Guard, authorization: str | None) -> str:
    with pytest.raises(Unauthorized) as refused:
        checked.check(authorization)
    return refused.value.message


def test_without_files_everybody_may_ask() -> None:
    assert build_guard(settings(), name_model=lambda: "words") is None


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer   {}", "{}", " {} "])
@pytest.mark.parametrize("key", [KEY, "other-team-0002"])
def test_each_key_is_taken_with_the_scheme_in_any_case_and_without_it(with_keys: Guard, header: str, key: str) -> None:
    with_keys.check(header.format(key))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (None, "the request has none"),
        ("", "the request has none"),
        ("   ", "the request has none"),
        ("Bearer", "the request has none"),
        ("Bearer ", "the request has none"),
        ("Basic c2VhcmNoOnRlYW0=", "another form"),
        (f"Bearer {KEY} more", "another form"),
        (f"Token {KEY}", "another form"),
        (f"Bearer {KEY[:-1]}", "none of those"),
        (f"Bearer {KEY}x", "none of those"),
        (f"Bearer {KEY.upper()}", "none of those"),
        ("Bearer #", "none of those"),
        ("Bearer schlüssel-0001", "none of those"),
        ("Bearer " + "x" * 20_000, "too long"),
    ],
)
def test_anything_else_is_refused_in_words_that_name_the_server_and_not_what_came(
    with_keys: Guard, header: str | None, words: str
) -> None:
    said = refusal(with_keys, header)
    assert words in said
    assert "embedding-runtime server of the model words" in said
    assert "needs an API key in the header" in said
    assert "base URL" in said
    for part in (header or "").split():
        assert part.lower() == "bearer" or part == "more" or part not in said


def test_a_token_of_either_audience_is_taken(with_tokens: Guard, authority: Authority) -> None:
    for audience in (AUDIENCE, "shop", ["elsewhere", "shop"]):
        with_tokens.check(f"Bearer {authority.mint(aud=audience)}")
    with_tokens.check(authority.mint())


WRONG: dict[str, tuple[Callable[[Authority], str], str]] = {
    "expired": (lambda own: own.mint(exp=int(time.time()) - LEEWAY_SECONDS - 1), "has expired"),
    "without an end": (lambda own: own.mint(exp=None), "lacks the claim"),
    "not valid yet": (lambda own: own.mint(nbf=int(time.time()) + 600), "not valid yet"),
    "made in the future": (lambda own: own.mint(iat=int(time.time()) + 600), "not valid yet"),
    "of another audience": (lambda own: own.mint(aud="elsewhere"), "another audience"),
    "of an audience that begins the same": (lambda own: own.mint(aud="sea"), "another audience"),
    "without an audience": (lambda own: own.mint(aud=None), "lacks the claim"),
    "of another issuer": (lambda own: own.mint(iss="https://elsewhere.example.com/"), "another issuer"),
    "of a key that is not there": (lambda own: Authority.rsa("second").mint(), "not known here"),
    "that names no key": (lambda own: Authority(own.key, None, "RS256").mint(), "not known here"),
    "of another key under the same name": (
        lambda own: Authority(rsa_key("imposter"), "first", "RS256").mint(),
        "signature is wrong",
    ),
    "of an elliptic curve under the same name": (lambda own: Authority.curve("first").mint(), "in a way"),
    "unsigned": (
        lambda own: unsigned({"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 600}),
        "in a way",
    ),
    "signed with the public key as a password": (lambda own: sign_with_public_key(own), "in a way"),
    "with a changed claim": (lambda own: change_claim(own), "signature is wrong"),
    "without its signature": (lambda own: own.mint().rpartition(".")[0] + ".", "signature is wrong"),
    "of two parts": (lambda own: own.mint().rpartition(".")[0], "malformed"),
    "of letters": (lambda own: "a.b.c", "malformed"),
    "with a deep header": (lambda own: encode(b"[" * 6000) + ".e30.AA", "malformed"),
    "with a list as header": (lambda own: encode(b"[]") + ".e30.AA", "malformed"),
    "with a list as key name": (lambda own: encode(b'{"alg":"RS256","kid":[1]}') + ".e30.AA", "malformed"),
    "with a list as algorithm": (lambda own: encode(b'{"alg":[1],"kid":"first"}') + ".e30.AA", ""),
    "with a critical extension": (lambda own: own.mint(headers={"crit": ["exp"]}), "malformed"),
    "too long": (lambda own: own.mint(extra="x" * 20_000), "too long"),
}


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign_with_public_key(own: Authority) -> str:
    public = own.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 600}
    signed = f"{encode(json.dumps({'alg': 'HS256', 'kid': 'first'}).encode())}.{encode(json.dumps(claims).encode())}"
    return f"{signed}.{encode(hmac.new(public, signed.encode(), hashlib.sha256).digest())}"


def change_claim(own: Authority) -> str:
    head, _, signature = own.mint().split(".")
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 6000}
    return f"{head}.{encode(json.dumps(claims).encode())}.{signature}"


@pytest.mark.parametrize(("make", "words"), WRONG.values(), ids=WRONG)
def test_a_token_that_is_wrong_in_one_way_is_refused(
    with_tokens: Guard, authority: Authority, make: Callable[[Authority], str], words: str
) -> None:
    token = make(authority)
    said = refusal(with_tokens, f"Bearer {token}")
    assert words in said
    assert not any(part in said for part in token.split(".") if len(part) > 1)


def test_clocks_may_differ_a_little(with_tokens: Guard, authority: Authority) -> None:
    now = int(time.time())
    with_tokens.check(authority.mint(exp=now - LEEWAY_SECONDS // 2, nbf=now + LEEWAY_SECONDS // 2))


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "PS384", "PS512"])
def test_every_rsa_algorithm_is_taken_from_a_key_that_names_none(
    folder: Path, with_tokens: Guard, algorithm: str
) -> None:
    with_tokens.check(Authority.rsa(algorithm=algorithm).mint())
    mount(folder, jwks__json=jwks(Authority.rsa().jwk(alg="RS256")))
    assert "in a way" in refusal(with_tokens, Authority.rsa(algorithm=algorithm).mint())


@pytest.mark.parametrize("other", [Authority.curve(), Authority.edwards()], ids=["ES256", "EdDSA"])
def test_keys_on_curves_are_taken_too(folder: Path, with_tokens: Guard, other: Authority) -> None:
    mount(folder, jwks__json=jwks(Authority.rsa().jwk(), other.jwk()))
    with_tokens.check(other.mint())


def test_keys_without_a_name_check_tokens_that_name_none(folder: Path) -> None:
    nameless = Authority.rsa(None)
    mount(folder, jwks__json=jwks(Authority.curve().jwk(kid=None), nameless.jwk()))
    checked = guard(jwks=folder / "jwks.json", jwt_audiences=(AUDIENCE,))
    checked.check(nameless.mint())
    assert "not known here" in refusal(checked, Authority.rsa("first").mint())


def test_a_rotated_jwks_takes_effect_at_once(folder: Path, with_tokens: Guard, authority: Authority) -> None:
    new = Authority.rsa("second")
    mount(folder, jwks__json=jwks(authority.jwk(), new.jwk()))
    with_tokens.check(new.mint())
    with_tokens.check(authority.mint())
    mount(folder, jwks__json=jwks(new.jwk()))
    with_tokens.check(new.mint())
    assert "not known here" in refusal(with_tokens, authority.mint())


def test_an_emptied_jwks_lets_nobody_in_and_a_spoilt_one_changes_nothing(
    folder: Path, with_tokens: Guard, authority: Authority
) -> None:
    mount(folder, jwks__json="{")
    with_tokens.check(authority.mint())
    mount(folder, jwks__json=jwks())
    assert "not known here" in refusal(with_tokens, authority.mint())


def test_without_an_issuer_any_holder_of_a_key_may_issue(folder: Path, authority: Authority) -> None:
    checked = guard(jwks=folder / "jwks.json", jwt_audiences=(AUDIENCE,))
    checked.check(authority.mint(iss="https://elsewhere.example.com/"))
    checked.check(authority.mint(iss=None))


def test_with_both_either_is_enough(with_both: Guard, authority: Authority) -> None:
    with_both.check(f"Bearer {KEY}")
    with_both.check(f"Bearer {authority.mint()}")
    assert "needs an API key or a token (JWT)" in refusal(with_both, None)
    assert "none of those" in refusal(with_both, "Bearer wrong-key-0001")
    assert "another audience" in refusal(with_both, authority.mint(aud="elsewhere"))


@pytest.mark.parametrize("text", ["", "{", jwks()], ids=["empty", "malformed", "without keys"])
def test_nothing_is_served_without_a_good_jwks_at_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "jwks.json").write_text(text)
    with pytest.raises(Refusal) as refused:
        guard(jwks=tmp_path / "jwks.json", jwt_audiences=(AUDIENCE,))
    assert refused.value.reason is Reason.INVALID_AUTH
    assert refused.value.field == "auth.jwt.jwksConfigMapRef"
