"""The token that opens the pods' private port, and what the pods need to check it offline."""

import asyncio
import base64
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import orjson

from embedding_model.ports import KEYS_ISSUER, KEYS_JWKS, KEYS_SUBJECT, TOKEN_AUDIENCE
from embedding_operator.clock import Clock, MonotonicClock, backoff
from embedding_operator.kube.gateway import Gateway, GatewayError

logger = logging.getLogger(__name__)

JWKS_PATH: Final = "/openid/v1/jwks"
# Signing keys are rotated by hand and rarely, with both old and new ones served for longer than this.
REFRESH_SECONDS: Final = 300.0
MAX_RETRY_SECONDS: Final = 60.0


class TokenUnavailable(Exception):
    """The token's file is missing, empty, or holds no service-account token."""


def read_token(path: Path) -> str:
    """The present token; the kubelet replaces the file before it expires, so it is read again for every use.

    Raises:
        TokenUnavailable: names the file, never its content.
    """
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenUnavailable(f"cannot read the token file {path}: {type(error).__name__}") from error
    if not token:
        raise TokenUnavailable(f"the token file {path} is empty")
    return token


def read_claims(token: str) -> tuple[str, str]:
    """Issuer and subject of our own token. Its signature is for others to check.

    Raises:
        TokenUnavailable: it is not a JWT with these claims, or not for our audience.
    """
    try:
        payload = token.split(".")[1]
        claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        issuer, subject, audience = str(claims["iss"]), str(claims["sub"]), claims["aud"]
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise TokenUnavailable("the token file holds no service-account token (a JWT with iss, sub and aud)") from error
    if TOKEN_AUDIENCE not in ([audience] if isinstance(audience, str) else audience):
        raise TokenUnavailable(f"the token is not for the audience {TOKEN_AUDIENCE}; project it with that audience")
    return issuer, subject


class KeyData:
    """Issuer, subject and JWKS: the data of the ConfigMaps `<name>-keys`. `run` keeps them fresh."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        token_file: Path | None,
        on_change: Callable[[], None],
        clock: Clock | None = None,
    ) -> None:
        self._gateway = gateway
        self._token_file = token_file
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
        if self._token_file is None:
            logger.warning("no pod token file is set: pods' golden reports and volumes' inspections cannot be read")
            await asyncio.Event().wait()
            return
        failures = 0
        while True:
            try:
                data = await self._read(self._token_file)
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

    async def _read(self, token_file: Path) -> Mapping[str, str]:
        issuer, subject = read_claims(read_token(token_file))
        jwks = await self._gateway.get_path(JWKS_PATH)
        text = orjson.dumps(jwks, option=orjson.OPT_SORT_KEYS).decode()
        return {KEYS_ISSUER: issuer, KEYS_SUBJECT: subject, KEYS_JWKS: text}

    def _say(self, message: str) -> None:
        if message != self._said:
            logger.warning(message)
            self._said = message
