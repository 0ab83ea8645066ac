"""Tokens of a test's own making, in place of the operator's."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from embedding_operator.audit.token import TokenUnavailable

CLAIMS = {
    "iss": "https://issuer",
    "sub": "system:serviceaccount:ops:operator",
    "aud": ["embedding-runtime/search"],
    "iat": 1000,
    "exp": 1600,
}


def token_of(claims: Mapping[str, Any]) -> str:
    """Of the form of a token, signed by nobody."""
    parts = [orjson.dumps({"alg": "RS256"}), orjson.dumps(claims), b"signature"]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@dataclass
class FixedTokens:
    """`by_audience` where it has one, else the token of all audiences; "" is none. `asked` are the audiences."""

    every: str = "operator"
    by_audience: Mapping[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def token(self, audience: str) -> str:
        self.asked.append(audience)
        found = self.by_audience.get(audience, self.every)
        if not found:
            raise TokenUnavailable("no token")
        return found
