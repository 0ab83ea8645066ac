"""What pods need to check the operator's tokens offline."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

import orjson

from embedding_model.ports import KEYS_ISSUER, KEYS_JWKS, KEYS_SUBJECT, name_audience
from embedding_operator.audit.token import Claims, Tokens, TokenUnavailable
from embedding_operator.clock import Clock, MonotonicClock, backoff
from embedding_operator.kube.gateway import Gateway, GatewayError

logger = logging.getLogger(__name__)

JWKS_PATH: Final = "/openid/v1/jwks"
# Signing keys are rotated by hand and rarely, with both old and new ones served for longer than this.
REFRESH_SECONDS: Final = 300.0
MAX_RETRY_SECONDS: Final = 60.0


class KeyData:
    """Issuer, subject and JWKS: what all ConfigMaps `<name>-keys` have in common. `run` keeps them fresh.

    `namespace` is the operator's own: issuer and subject are read from its token for that one.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        tokens: Tokens | None,
        namespace: str,
        on_change: Callable[[], None],
        clock: Clock | None = None,
    ) -> None:
        self._gateway = gateway
        self._tokens = tokens
        self._audience = name_audience(namespace)
        self._on_change = on_change
        self._clock = clock or MonotonicClock()
        self._data: Mapping[str, str] | None = None
        self._said: str | None = None

    @property
    def data(self) -> Mapping[str, str] | None:
        """None until it could be read for the first time; a later failure keeps what was read."""
        return self._data

    async def run(self) -> None:
        """Read now, and then every REFRESH_SECONDS; never returns."""
        if self._tokens is None:
            logger.warning("no service account is set: pods' golden reports and volumes' inspections cannot be read")
            await asyncio.Event().wait()
            return
        failures = 0
        while True:
            try:
                data = await self._read(self._tokens)
            except (GatewayError, TokenUnavailable) as error:
                failures += 1
                self._say(f"cannot read what pods need to check our token: {error}")
                await self._clock.sleep(backoff(failures, first=1.0, limit=MAX_RETRY_SECONDS))
                continue
            failures = 0
            if data != self._data:
                self._data = data
                self._on_change()
            await self._clock.sleep(REFRESH_SECONDS)

    async def _read(self, tokens: Tokens) -> Mapping[str, str]:
        claims = Claims.read(await tokens.token(self._audience))
        jwks = await self._gateway.get_path(JWKS_PATH)
        text = orjson.dumps(jwks, option=orjson.OPT_SORT_KEYS).decode()
        return {KEYS_ISSUER: claims.issuer, KEYS_SUBJECT: claims.subject, KEYS_JWKS: text}

    def _say(self, message: str) -> None:
        if message != self._said:
            logger.warning(message)
            self._said = message
