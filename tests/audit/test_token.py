"""What pods need to check the operator's token: read from our own token and from the API server."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import orjson
import pytest
from faulty_gateway import FaultyGateway, timeout
from manual_clock import ManualClock, settle

from embedding_model.ports import KEYS_ISSUER, KEYS_JWKS, KEYS_SUBJECT
from embedding_operator.audit.token import JWKS_PATH, KeyData, TokenUnavailable, read_claims, read_token
from embedding_operator.kube.memory import MemoryGateway

CLAIMS = {"iss": "https://issuer", "sub": "system:serviceaccount:ops:operator", "aud": ["embedding-runtime"]}


def token_of(claims: dict[str, Any]) -> str:
    parts = [orjson.dumps({"alg": "RS256"}), orjson.dumps(claims), b"signature"]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_claims_are_issuer_and_subject() -> None:
    assert read_claims(token_of(CLAIMS)) == ("https://issuer", "system:serviceaccount:ops:operator")


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("not-a-token", "holds no service-account token"),
        ("a.b.c", "holds no service-account token"),
        (token_of({"iss": "https://issuer"}), "holds no service-account token"),
        (token_of({**CLAIMS, "aud": ["kubernetes"]}), "audience embedding-runtime"),
    ],
)
def test_a_token_that_cannot_be_used_says_why_and_not_what_it_is(token: str, words: str) -> None:
    with pytest.raises(TokenUnavailable, match=words) as caught:
        read_claims(token)
    assert token not in str(caught.value)


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_missing_or_empty_token_file_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    with pytest.raises(TokenUnavailable, match="token"):
        read_token(file)


async def test_key_data_is_read_after_failures_and_followed_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "token"
    clock, changes = ManualClock(), list[None]()
    paths: dict[str, Any] = {JWKS_PATH: {"keys": [{"kid": "one"}]}}
    gateway = FaultyGateway(MemoryGateway(paths=paths))
    gateway.fail_next(timeout())
    data = KeyData(gateway, token_file=file, on_change=lambda: changes.append(None), clock=clock)
    running = asyncio.create_task(data.run())
    await clock.advance(3)
    assert data.data is None
    file.write_text(token_of(CLAIMS))
    await clock.advance(20)
    assert data.data == {
        KEYS_ISSUER: "https://issuer",
        KEYS_SUBJECT: "system:serviceaccount:ops:operator",
        KEYS_JWKS: '{"keys":[{"kid":"one"}]}',
    }
    assert len(changes) == 1
    await clock.advance(1000)
    assert len(changes) == 1
    file.write_text(token_of({**CLAIMS, "sub": "system:serviceaccount:ops:other"}))
    await clock.advance(400)
    assert len(changes) == 2
    assert data.data is not None
    assert data.data[KEYS_SUBJECT].endswith(":other")
    running.cancel()
    await settle()
