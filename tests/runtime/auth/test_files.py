"""Files of keys: what is read, what is refused at the start, and what a later change does."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from signed_tokens import Authority, jwks, mount

from embedding_model.refusal import Reason, Refusal
from embedding_runtime.http.auth.api_keys import ApiKeys, parse_api_keys, watch_api_keys
from embedding_runtime.http.auth.signing_keys import parse_jwks
from embedding_runtime.http.auth.watched_file import Malformed, WatchedFile

FIRST, SECOND = "first-key-0001", "second-key-0002"
FILE = "embedding-api-keys"


def write(folder: Path, text: str) -> Path:
    mount(folder, **{FILE: text})
    return folder / FILE


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (FIRST, [FIRST]),
        (f"{FIRST}\n", [FIRST]),
        (f"\n# team search\n  {FIRST}  \r\n\r\n#{SECOND}\n", [FIRST]),
        (f"{FIRST}\n{SECOND}\n{FIRST}\n", [FIRST, SECOND]),
        (f"\ufeff{FIRST}\n", [FIRST]),
        ("sk-!\"$%&/()=?'~\n", ["sk-!\"$%&/()=?'~"]),
    ],
    ids=["one", "a line break", "comments and blanks", "two and one of them twice", "a byte order mark", "signs"],
)
def test_a_key_is_a_line(text: str, keys: list[str]) -> None:
    found = parse_api_keys(text.encode())
    assert len(found) == len(keys)
    assert all(found.include(key) for key in keys)
    assert not any(found.include(other) for other in ("", "first-key-000", f"{FIRST} ", FIRST.upper(), "# team search"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"seven77\n", "line 1 must have 8 to 512 characters"),
        (FIRST.encode() + b"\n" + b"x" * 513, "line 2 must have 8 to 512"),
        (b"Bearer first-key-0001", "line 1 is no key"),
        ("ключ-ключ-ключ".encode(), "line 1 is no key"),
        (b"\xff\xfe\x00", "not text in UTF-8"),
        ("\n".join(f"key-{number:08}" for number in range(257)).encode(), "more than 256 keys"),
    ],
    ids=["too short", "too long", "with its scheme", "not ASCII", "not text", "too many"],
)
def test_a_malformed_file_of_keys_is_told_where_without_a_key(data: bytes, words: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse_api_keys(data)
    assert words in str(refused.value)
    assert FIRST not in str(refused.value)


def test_keys_are_kept_as_hashes_alone() -> None:
    assert FIRST not in repr(parse_api_keys(FIRST.encode()))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "none", "No such file"),
        (lambda folder: folder, "not a regular file"),
        (lambda folder: write(folder, ""), "holds none"),
        (lambda folder: write(folder, "# nobody yet\n"), "holds none"),
        (lambda folder: write(folder, "short"), "8 to 512"),
        (lambda folder: write(folder, "x" * 200_000), "more than 131072 bytes"),
    ],
    ids=["missing", "a folder", "empty", "comments alone", "malformed", "too large"],
)
def test_nothing_is_served_without_good_keys_at_the_start(
    tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    with pytest.raises(Refusal) as refused:
        watch_api_keys(make(tmp_path))
    assert refused.value.reason is Reason.INVALID_AUTH
    assert refused.value.field == "auth.apiKeysSecretRef"
    assert words in refused.value.message


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Refusal, match="not a regular file"):
        watch_api_keys(tmp_path / "pipe")


@pytest.fixture
def watched(tmp_path: Path) -> WatchedFile[ApiKeys]:
    return watch_api_keys(write(tmp_path, FIRST))


def test_a_rotated_file_takes_effect_at_once(watched: WatchedFile[ApiKeys], tmp_path: Path) -> None:
    assert watched.current().include(FIRST)
    write(tmp_path, f"{FIRST}\n{SECOND}\n")
    assert watched.current().include(FIRST)
    assert watched.current().include(SECOND)
    write(tmp_path, SECOND)
    assert not watched.current().include(FIRST)
    assert watched.current().include(SECOND)


def test_an_emptied_file_lets_nobody_in_and_says_so(
    watched: WatchedFile[ApiKeys], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "# all gone\n")
    assert not watched.current().include(FIRST)
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "nobody is let in" in record.getMessage()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "..data").unlink(),
        lambda folder: write(folder, "short"),
        lambda folder: write(folder, "x" * 200_000),
    ],
    ids=["gone", "malformed", "too large"],
)
def test_a_spoilt_file_leaves_the_last_good_keys_in_force_and_is_logged_once(
    watched: WatchedFile[ApiKeys],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path], object],
) -> None:
    spoil(tmp_path)
    assert all(watched.current().include(FIRST) for _ in range(5))
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "What it held before stays in force" in record.getMessage()
    write(tmp_path, SECOND)
    assert watched.current().include(SECOND)
    assert not watched.current().include(FIRST)


def test_a_second_trouble_of_another_kind_is_logged_too(
    watched: WatchedFile[ApiKeys], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for text in ("short", "with a space in it"):
        write(tmp_path, text)
        watched.current()
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 2


def test_a_key_of_a_jwks_is_taken_for_what_it_can_sign_with() -> None:
    authority, curve, edwards = Authority.rsa(), Authority.curve(), Authority.edwards()
    found = parse_jwks(jwks(authority.jwk(), curve.jwk(), edwards.jwk(), authority.jwk(alg="PS384")).encode())
    algorithms = [tuple(key.algorithms) for key in found.keys]
    assert algorithms == [("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("ES256",), ("EdDSA",), ("PS384",)]


def test_keys_that_are_not_for_signatures_are_left_out() -> None:
    authority = Authority.rsa()
    others = [
        authority.jwk(use="enc"),
        authority.jwk(key_ops=["encrypt"]),
        authority.jwk(alg="RSA-OAEP"),
        authority.jwk(kty="new"),
        authority.jwk(kid=7),
        authority.jwk(n=None),
        authority.jwk(n="A"),
        Authority.rsa("weak", bits=1024).jwk(),
        Authority.curve().jwk(crv="secp256k1"),
        Authority.curve().jwk(crv="Ed25519"),
        {},
    ]
    assert len(parse_jwks(jwks(*others, authority.jwk()).encode())) == 1


SECRET = "c2VjcmV0LXBhcnQ"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[" * 5000, "not JSON"),
        ("[]", "a list `keys`"),
        ('{"keys": {}}', "a list `keys`"),
        ('{"keys": [1]}', "none of its keys can be used"),
        (jwks({"kty": "oct", "k": SECRET, "kid": "first"}), "private or symmetric"),
        (jwks(Authority.rsa().jwk(d=SECRET)), "private or symmetric"),
        (jwks(Authority.rsa("weak", bits=1024).jwk()), "none of its keys can be used"),
        (jwks(*[{}] * 129), "more than 128"),
    ],
    ids=["no JSON", "deep", "a list", "no list", "numbers", "a symmetric key", "a private key", "weak", "too many"],
)
def test_a_malformed_jwks_is_told_without_a_part_of_it(text: str, words: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse_jwks(text.encode())
    assert words in str(refused.value)
    assert SECRET not in str(refused.value)
