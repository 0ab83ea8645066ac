"""What pods need to check the operator's token: read from our own token and from the API server."""

import asyncio
from typing import Any

from faulty_gateway import FaultyGateway, timeout
from fixed_tokens import CLAIMS, FixedTokens, token_of
from manual_clock import ManualClock, settle

from embedding_model.ports import KEYS_AUDIENCE, KEYS_ISSUER, KEYS_JWKS, KEYS_SUBJECT
from embedding_operator.audit.key_data import JWKS_PATH, KeyData
from embedding_operator.children.config_maps import keys_config_map
from embedding_operator.children.metadata import Owner
from embedding_operator.kube.memory import MemoryGateway


async def test_key_data_is_read_after_failures_and_followed_when_it_changes() -> None:
    clock, changes, tokens = ManualClock(), list[None](), FixedTokens("")
    paths: dict[str, Any] = {JWKS_PATH: {"keys": [{"kid": "one"}]}}
    gateway = FaultyGateway(MemoryGateway(paths=paths))
    gateway.fail_next(timeout())
    data = KeyData(gateway, tokens=tokens, namespace="ops", on_change=lambda: changes.append(None), clock=clock)
    running = asyncio.create_task(data.run())
    await clock.advance(3)
    assert data.data is None
    tokens.every = token_of(CLAIMS)
    await clock.advance(20)
    assert data.data == {
        KEYS_ISSUER: "https://issuer",
        KEYS_SUBJECT: "system:serviceaccount:ops:operator",
        KEYS_JWKS: '{"keys":[{"kid":"one"}]}',
    }
    assert len(changes) == 1
    await clock.advance(1000)
    assert len(changes) == 1
    tokens.every = token_of({**CLAIMS, "sub": "system:serviceaccount:ops:other"})
    await clock.advance(400)
    assert len(changes) == 2
    assert data.data is not None
    assert data.data[KEYS_SUBJECT].endswith(":other")
    assert set(tokens.asked) == {"embedding-runtime/ops"}
    running.cancel()
    await settle()


def test_the_keys_of_a_model_name_the_audience_of_its_own_namespace() -> None:
    data = {KEYS_ISSUER: "i", KEYS_SUBJECT: "s", KEYS_JWKS: "{}"}
    for namespace in ("search", "ranking"):
        config_map = keys_config_map(Owner(namespace=namespace, name="words", uid="u"), data=data)
        assert config_map["data"] == {**data, KEYS_AUDIENCE: f"embedding-runtime/{namespace}"}
