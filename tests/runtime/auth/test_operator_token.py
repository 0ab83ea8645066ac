"""The operator's token, checked offline with real keys."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from embedding_runtime.http.auth.operator_token import Refused, TokenCheck

ISSUER = "https://kubernetes.default.svc.cluster.local"
SUBJECT = "system:serviceaccount:embedding-system:embedding-operator"

Mint = Callable[..., str]


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def other_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_jwk(key: Any, *, key_id: str) -> dict[str, Any]:
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "use": "sig"}


def write_keys(folder: Path, *jwks: dict[str, Any], subject: str = SUBJECT, audience: str | None = None) -> None:
    """As a ConfigMap mount does it: a new folder, a link swapped over to it; an older operator names no audience."""
    data = folder / f"data-{time.monotonic_ns()}"
    data.mkdir(parents=True)
    (data / "issuer").write_text(ISSUER)
    (data / "subject").write_text(subject)
    (data / "jwks.json").write_text(json.dumps({"keys": jwks}))
    if audience is not None:
        (data / "audience").write_text(audience)
    link = folder / "..new"
    link.symlink_to(data.name)
    os.replace(link, folder / "..data")
    for name in ("issuer", "subject", "jwks.json", "audience"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
        if not (folder / name).exists():
            (folder / name).unlink()


@pytest.fixture
def keys(tmp_path: Path, rsa_key: rsa.RSAPrivateKey) -> Path:
    write_keys(tmp_path, public_jwk(rsa_key, key_id="first"))
    return tmp_path


@pytest.fixture
def mint(rsa_key: rsa.RSAPrivateKey) -> Mint:
    def make(*, key: Any = None, key_id: str | None = "first", algorithm: str = "RS256", **changes: Any) -> str:
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": SUBJECT, "aud": ["embedding-runtime"], "exp": now + 600, "iat": now}
        claims = {name: value for name, value in (claims | changes).items() if value is not None}
        headers = {} if key_id is None else {"kid": key_id}
        return jwt.encode(claims, rsa_key if key is None else key, algorithm=algorithm, headers=headers)

    return make


def refusal(check: TokenCheck, authorization: str | None) -> Refused:
    with pytest.raises(Refused) as refused:
        check.check(authorization)
    return refused.value


def test_the_operators_token_gets_in(keys: Path, mint: Mint) -> None:
    TokenCheck(keys).check(f"Bearer {mint()}")


def test_a_token_for_another_namespace_or_for_all_is_refused_where_the_keys_name_one(
    tmp_path: Path, mint: Mint, rsa_key: rsa.RSAPrivateKey
) -> None:
    write_keys(tmp_path, public_jwk(rsa_key, key_id="first"), audience="embedding-runtime/search\n")
    check = TokenCheck(tmp_path)
    check.check(f"Bearer {mint(aud=['embedding-runtime/search'])}")
    for audience in ("embedding-runtime/ranking", "embedding-runtime", "embedding-runtime/", "search"):
        assert refusal(check, f"Bearer {mint(aud=[audience])}").status == 401
    assert "embedding-runtime/search" in refusal(check, None).message


def test_the_audience_follows_the_keys_when_the_operator_is_upgraded_and_rolled_back(
    tmp_path: Path, mint: Mint, rsa_key: rsa.RSAPrivateKey
) -> None:
    shared, own = (f"Bearer {mint(aud=[name])}" for name in ("embedding-runtime", "embedding-runtime/search"))
    check, key = TokenCheck(tmp_path), public_jwk(rsa_key, key_id="first")
    for audience, taken, refused in (
        (None, shared, own),
        ("embedding-runtime/search", own, shared),
        (None, shared, own),
    ):
        write_keys(tmp_path, key, audience=audience)
        check.check(taken)
        assert refusal(check, refused).status == 401


def test_an_empty_audience_lets_nobody_in(tmp_path: Path, mint: Mint, rsa_key: rsa.RSAPrivateKey) -> None:
    write_keys(tmp_path, public_jwk(rsa_key, key_id="first"), audience="\n")
    assert refusal(TokenCheck(tmp_path), f"Bearer {mint()}").status == 403


def test_an_elliptic_curve_key_works_too(tmp_path: Path, mint: Mint) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    write_keys(tmp_path, public_jwk(key, key_id="curve"))
    TokenCheck(tmp_path).check(f"Bearer {mint(key=key, key_id='curve', algorithm='ES256')}")


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer not.a.token"])
def test_without_a_token_nobody_gets_in(keys: Path, authorization: str | None) -> None:
    assert refusal(TokenCheck(keys), authorization).status == 401


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"exp": 1}, id="expired"),
        pytest.param({"exp": None}, id="never expires"),
        pytest.param({"aud": ["https://kubernetes.default.svc"]}, id="another audience"),
        pytest.param({"aud": None}, id="no audience"),
        pytest.param({"iss": "https://elsewhere"}, id="another issuer"),
        pytest.param({"sub": None}, id="no subject"),
        pytest.param({"nbf": 10**11}, id="not yet valid"),
        pytest.param({"key_id": "unknown"}, id="an unknown key"),
        pytest.param({"key_id": None}, id="no key named"),
    ],
)
def test_a_token_that_is_wrong_in_one_way_is_refused(keys: Path, mint: Mint, changes: dict[str, Any]) -> None:
    token = mint(**changes)
    refused = refusal(TokenCheck(keys), f"Bearer {token}")
    assert refused.status == 401
    assert not any(part in refused.message for part in token.split("."))


def test_a_valid_token_of_somebody_else_is_forbidden(keys: Path, mint: Mint) -> None:
    assert refusal(TokenCheck(keys), f"Bearer {mint(sub='system:serviceaccount:search:default')}").status == 403


def test_a_token_signed_with_another_key_of_the_same_name_is_refused(
    keys: Path, mint: Mint, other_key: rsa.RSAPrivateKey
) -> None:
    assert refusal(TokenCheck(keys), f"Bearer {mint(key=other_key)}").status == 401


def test_an_unsigned_token_is_refused(keys: Path, mint: Mint) -> None:
    unsigned = jwt.encode(
        {"iss": ISSUER, "sub": SUBJECT, "aud": "embedding-runtime", "exp": int(time.time()) + 600},
        None,
        algorithm="none",
        headers={"kid": "first"},
    )
    assert refusal(TokenCheck(keys), f"Bearer {unsigned}").status == 401


def test_a_symmetric_signature_made_with_the_public_key_is_refused(keys: Path, rsa_key: rsa.RSAPrivateKey) -> None:
    import base64
    import hashlib
    import hmac

    from cryptography.hazmat.primitives import serialization

    public = rsa_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    def encode(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    claims = {"iss": ISSUER, "sub": SUBJECT, "aud": "embedding-runtime", "exp": int(time.time()) + 600}
    signed = encode(json.dumps({"alg": "HS256", "kid": "first"}).encode()) + b"." + encode(json.dumps(claims).encode())
    signature = encode(hmac.new(public, signed, hashlib.sha256).digest())
    assert refusal(TokenCheck(keys), f"Bearer {(signed + b'.' + signature).decode()}").status == 401


def test_rotated_keys_are_read_again_and_the_old_ones_forgotten(
    keys: Path, mint: Mint, other_key: rsa.RSAPrivateKey
) -> None:
    check = TokenCheck(keys)
    check.check(f"Bearer {mint()}")

    write_keys(keys, public_jwk(other_key, key_id="second"))

    check.check(f"Bearer {mint(key=other_key, key_id='second')}")
    assert refusal(check, f"Bearer {mint()}").status == 401


def test_a_subject_that_changes_is_read_again(keys: Path, mint: Mint, rsa_key: rsa.RSAPrivateKey) -> None:
    check = TokenCheck(keys)
    check.check(f"Bearer {mint()}")

    write_keys(keys, public_jwk(rsa_key, key_id="first"), subject="system:serviceaccount:other:operator")

    assert refusal(check, f"Bearer {mint()}").status == 403


def test_keys_that_appear_later_open_the_route(tmp_path: Path, mint: Mint, rsa_key: rsa.RSAPrivateKey) -> None:
    check = TokenCheck(tmp_path / "keys")
    assert refusal(check, f"Bearer {mint()}").status == 403

    write_keys(tmp_path / "keys", public_jwk(rsa_key, key_id="first"))

    check.check(f"Bearer {mint()}")


def test_without_keys_nobody_gets_in(mint: Mint) -> None:
    assert refusal(TokenCheck(None), f"Bearer {mint()}").status == 403


def test_keys_that_cannot_be_read_let_nobody_in(keys: Path, mint: Mint) -> None:
    (keys / "..data" / "jwks.json").write_text("{")
    assert refusal(TokenCheck(keys), f"Bearer {mint()}").status == 403
