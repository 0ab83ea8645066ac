"""The tokens that open pods' private ports: one for each namespace, of the operator's own service account.

Whatever is asked sees the token that it is asked with. Pods take only the one of their own namespace, so that what one
tenant's pod sees opens no other's.
"""

import asyncio
import base64
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import orjson

from embedding_operator.clock import Clock, MonotonicClock, backoff
from embedding_operator.kube.gateway import Gateway, GatewayError

logger = logging.getLogger(__name__)

# The least that the API server gives: a token that was seen is of use for no longer.
LIFETIME_SECONDS: Final = 600
# A new one is asked for when this much of its life is over, up to a tenth of it sooner: as the kubelet does.
REFRESH_SHARE: Final = 0.8
FIRST_RETRY_SECONDS: Final = 1.0
MAX_RETRY_SECONDS: Final = 30.0


class TokenUnavailable(Exception):
    """The API server gives no token, or one that cannot be read."""


class Tokens(Protocol):
    """The account's tokens, or one of a test."""

    async def token(self, audience: str) -> str:
        """Raises TokenUnavailable."""


@dataclass(frozen=True)
class Claims:
    """What a token of ours says. Its signature is for others to check."""

    issuer: str
    subject: str
    audience: tuple[str, ...]
    seconds: float

    @classmethod
    def read(cls, token: str) -> "Claims":
        """Raises TokenUnavailable, without a part of the token."""
        try:
            payload = token.split(".")[1]
            claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            audience = claims["aud"]
            return cls(
                issuer=str(claims["iss"]),
                subject=str(claims["sub"]),
                audience=(audience,) if isinstance(audience, str) else tuple(audience),
                seconds=float(claims["exp"] - claims["iat"]),
            )
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise TokenUnavailable("what the API server gave is no token of a service account") from error


@dataclass
class _Entry:
    """The token of one audience, empty until there is one. Times are of the clock."""

    token: str = ""
    refresh_at: float = 0.0
    expires_at: float = 0.0
    failures: int = 0
    retry_at: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class AccountTokens:
    """Tokens of one service account, asked of the API server when they are needed and kept for most of their life.

    One that could not be renewed is used to its end. One event loop.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        namespace: str,
        account: str,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._gateway = gateway
        self._namespace = namespace
        self._account = account
        self._clock = clock or MonotonicClock()
        self._jitter = jitter
        self._entries: dict[str, _Entry] = {}
        self._said: str | None = None

    async def token(self, audience: str) -> str:
        """A token for this audience alone. Raises TokenUnavailable, whose text names no account."""
        entry = self._entries.setdefault(audience, _Entry())
        if not self._is_fresh(entry) and not (entry.lock.locked() and self._is_valid(entry)):
            async with entry.lock:
                if not self._is_fresh(entry) and self._clock.monotonic() >= entry.retry_at:
                    await self._renew(entry, audience=audience)
        if not self._is_valid(entry):
            raise TokenUnavailable("the API server gives the operator no token for this namespace's pods")
        return entry.token

    def _is_fresh(self, entry: _Entry) -> bool:
        return self._clock.monotonic() < entry.refresh_at

    def _is_valid(self, entry: _Entry) -> bool:
        return self._clock.monotonic() < entry.expires_at

    async def _renew(self, entry: _Entry, *, audience: str) -> None:
        """The next token, or when to ask for it again."""
        self._drop_unused()
        asked_at = self._clock.monotonic()
        try:
            token = await self._gateway.request_token(
                namespace=self._namespace, account=self._account, audience=audience, seconds=LIFETIME_SECONDS
            )
            claims = Claims.read(token)
            if claims.audience != (audience,):
                raise TokenUnavailable("the API server gave a token for another audience")
        except (GatewayError, TokenUnavailable) as error:
            entry.failures += 1
            seconds = backoff(entry.failures, first=FIRST_RETRY_SECONDS, limit=MAX_RETRY_SECONDS, jitter=self._jitter)
            entry.retry_at = self._clock.monotonic() + seconds
            self._say(f"no token of {self._namespace}/{self._account} for pods: {error}")
            return
        entry.token, entry.failures, entry.retry_at = token, 0, 0.0
        entry.expires_at = asked_at + claims.seconds
        entry.refresh_at = asked_at + claims.seconds * (REFRESH_SHARE - 0.1 * self._jitter())
        self._said = None

    def _drop_unused(self) -> None:
        """Namespaces come and go."""
        now = self._clock.monotonic()
        for audience, entry in list(self._entries.items()):
            if max(entry.expires_at, entry.retry_at) < now and not entry.lock.locked():
                del self._entries[audience]

    def _say(self, message: str) -> None:
        if message != self._said:
            logger.warning(message)
            self._said = message
