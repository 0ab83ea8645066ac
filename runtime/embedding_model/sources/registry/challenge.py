"""WWW-Authenticate: how a registry wants to be asked (RFC 9110 11.6.1, RFC 6750 3, the distribution project's token
specification)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_LIMIT = 8192  # characters
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Quantifiers never overlap, so that no header takes more than linear time.
_SCHEME = re.compile(rf"[ \t,]*({_WORD})(?:[ \t]+|$)")
_PARAMETER = re.compile(rf'[ \t,]*({_WORD})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_WORD}))')


@dataclass(frozen=True)
class Challenge:
    """`scheme` is bearer or basic. `realm` is a URL for bearer, any text for basic."""

    scheme: str
    realm: str = ""
    service: str | None = None
    scope: str | None = None


def choose_challenge(headers: Iterable[str]) -> Challenge | None:
    """Bearer before basic; None when the answer asks for neither."""
    found = {challenge.scheme: challenge for header in headers for challenge in _parse(header[:_LIMIT])}
    return found.get("bearer") or found.get("basic")


def _parse(header: str) -> Iterable[Challenge]:
    position = 0
    while scheme := _SCHEME.match(header, position):
        position = scheme.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, position):
            name, quoted, plain = parameter.groups()
            parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            position = parameter.end()
        yield Challenge(
            scheme=scheme[1].lower(),
            realm=parameters.get("realm", ""),
            service=parameters.get("service"),
            scope=parameters.get("scope"),
        )
