"""The operator's tokens: one for each namespace, asked for when needed, kept for most of their life."""

import asyncio
from typing import Any

import pytest
from faulty_gateway import FaultyGateway, server_error, timeout
from fixed_tokens import CLAIMS, token_of
from manual_clock import ManualClock, settle

from embedding_operator.audit.token import LIFETIME_SECONDS, AccountTokens, Claims, TokenUnavailable
from embedding_operator.kube.memory import MemoryGateway

SEARCH, RANKING = "embedding-runtime/search", "embedding-runtime/ranking"


class Server(MemoryGateway):
    """An API server with the operator's account. `answers` are given in place of tokens, the first one first."""

    def __init__(self) -> None:
        super().__init__()
        self.put({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator", "namespace": "ops"}})
        self.issued: list[str] = []
        self.answers: list[str] = []
        self.gate: asyncio.Event | None = None

    async def request_token(self, *, namespace: str, account: str, audience: str, seconds: int) -> str:
        token = await super().request_token(namespace=namespace, account=account, audience=audience, seconds=seconds)
        self.issued.append(audience)
        if self.gate:
            await self.gate.wait()
        return self.answers.pop(0) if self.answers else f"{token}{len(self.issued)}"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def tokens_of(gateway: Any, *, clock: ManualClock) -> AccountTokens:
    return AccountTokens(gateway, namespace="ops", account="operator", clock=clock, jitter=lambda: 0.0)


def test_claims_are_read_without_checking_the_signature() -> None:
    claims = Claims.read(token_of(CLAIMS))
    assert (claims.issuer, claims.subject) == ("https://issuer", "system:serviceaccount:ops:operator")
    assert (claims.audience, claims.seconds) == ((SEARCH,), 600.0)


@pytest.mark.parametrize("token", ["not-a-token", "a.b.c", token_of({"iss": "https://issuer"})])
def test_what_is_no_token_is_not_quoted(token: str) -> None:
    with pytest.raises(TokenUnavailable, match="no token of a service account") as caught:
        Claims.read(token)
    assert token not in str(caught.value)


async def test_each_namespace_has_a_token_of_its_own_that_is_asked_for_once(clock: ManualClock) -> None:
    server = Server()
    tokens = tokens_of(server, clock=clock)
    searching, ranking = await tokens.token(SEARCH), await tokens.token(RANKING)
    assert Claims.read(searching).audience == (SEARCH,)
    assert Claims.read(ranking).audience == (RANKING,)
    assert await tokens.token(SEARCH) == searching
    assert server.issued == [SEARCH, RANKING]


async def test_a_token_is_renewed_before_it_ends_and_used_until_then_where_it_cannot_be(clock: ManualClock) -> None:
    server = Server()
    gateway = FaultyGateway(server)
    tokens = tokens_of(gateway, clock=clock)
    first = await tokens.token(SEARCH)
    await clock.advance(LIFETIME_SECONDS * 0.8 - 1)
    assert await tokens.token(SEARCH) == first
    await clock.advance(1)
    gateway.fail_next(server_error())
    assert await tokens.token(SEARCH) == first
    assert server.issued == [SEARCH]
    await clock.advance(1)
    second = await tokens.token(SEARCH)
    assert second != first
    assert server.issued == [SEARCH, SEARCH]


async def test_a_token_that_has_ended_is_never_used_and_asking_again_waits_longer_each_time(clock: ManualClock) -> None:
    gateway = FaultyGateway(Server())
    tokens = tokens_of(gateway, clock=clock)
    await tokens.token(SEARCH)
    await clock.advance(LIFETIME_SECONDS)
    asked = []
    for _ in range(60):
        gateway.fail_next(timeout())
        with pytest.raises(TokenUnavailable, match="gives the operator no token") as caught:
            await tokens.token(SEARCH)
        assert "ops" not in str(caught.value)
        asked.append(len(gateway.positions))
        await clock.advance(1)
    assert asked[-1] - 1 == 6  # at 0, 1, 3, 7, 15 and 31 s


async def test_many_questions_at_once_ask_for_one_token(clock: ManualClock) -> None:
    server = Server()
    server.gate = asyncio.Event()
    tokens = tokens_of(server, clock=clock)
    asking = [asyncio.create_task(tokens.token(SEARCH)) for _ in range(20)]
    await settle()
    server.gate.set()
    assert len(set(await asyncio.gather(*asking))) == 1
    assert server.issued == [SEARCH]


async def test_questions_go_on_with_the_old_token_while_the_new_one_is_asked_for(clock: ManualClock) -> None:
    server = Server()
    tokens = tokens_of(server, clock=clock)
    first = await tokens.token(SEARCH)
    await clock.advance(LIFETIME_SECONDS * 0.8)
    server.gate = asyncio.Event()
    renewing = asyncio.create_task(tokens.token(SEARCH))
    await settle()
    assert await tokens.token(SEARCH) == first
    server.gate.set()
    assert await renewing != first


@pytest.mark.parametrize(
    "answer", ["not-a-token", token_of({**CLAIMS, "aud": [RANKING]}), token_of({**CLAIMS, "aud": [SEARCH, RANKING]})]
)
async def test_a_token_that_opens_anything_else_is_not_used(clock: ManualClock, answer: str) -> None:
    server = Server()
    server.answers = [answer]
    with pytest.raises(TokenUnavailable):
        await tokens_of(server, clock=clock).token(SEARCH)


async def test_namespaces_that_are_gone_are_forgotten(clock: ManualClock) -> None:
    tokens = tokens_of(Server(), clock=clock)
    for number in range(50):
        await tokens.token(f"embedding-runtime/{number}")
    await clock.advance(LIFETIME_SECONDS + 1)
    await tokens.token(SEARCH)
    assert list(tokens._entries) == [SEARCH]


async def test_without_the_account_there_is_no_token(clock: ManualClock) -> None:
    tokens = AccountTokens(MemoryGateway(), namespace="ops", account="operator", clock=clock)
    with pytest.raises(TokenUnavailable):
        await tokens.token(SEARCH)
