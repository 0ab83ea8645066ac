"""Who may use the guarded routes of the private port: the operator, by its service-account token, checked offline.

The keys are a folder mounted from the ConfigMap `<name>-keys`: issuer, JWKS, the operator's `sub`, and the audience of
the pod's namespace, so that a token which a pod of another namespace was shown opens nothing here. The operator
refreshes them: they are read again whenever they change.
"""

from dataclasses import dataclass
from pathlib import Path

import jwt

from embedding_model import ports
from embedding_runtime.http.auth.signing_keys import SigningKeys, parse_jwks
from embedding_runtime.http.auth.watched_file import Malformed, Stamp, read_stamp

FILES = (ports.KEYS_ISSUER, ports.KEYS_JWKS, ports.KEYS_SUBJECT)


class Refused(Exception):
    """`status` is 401 (no valid token) or 403 (a valid token of somebody else, or no keys to check with)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Keys:
    issuer: str
    subject: str
    audience: str
    jwks: SigningKeys


class TokenCheck:
    """Checks `Authorization` headers against the keys in a folder; None: nobody gets in."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._stamp: tuple[Stamp | None, ...] | None = None
        self._keys: Keys | None = None

    def check(self, authorization: str | None) -> None:
        """Raises Refused; never with a part of the token in its message."""
        keys = self._current_keys()
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Refused(401, f"This route needs a bearer token for the audience {keys.audience}.")
        try:
            claims = keys.jwks.verify(
                token.strip(),
                audience=keys.audience,
                issuer=keys.issuer,
                require=("exp", "iss", "aud", "sub"),
            )
        except jwt.PyJWTError as error:
            raise Refused(401, f"The token is not valid here: {type(error).__name__}.") from None
        if claims["sub"] != keys.subject:
            raise Refused(403, f"Only {keys.subject} may use this route.")

    def _current_keys(self) -> Keys:
        if self._folder is None:
            raise Refused(403, "This process was started without --keys, so nobody may use this route.")
        try:
            stamp = (*(read_stamp(self._folder / name) for name in FILES), _stamp_audience(self._folder))
            if self._keys is None or stamp != self._stamp:
                self._keys = _read_keys(self._folder)
                self._stamp = stamp
        except FileNotFoundError:
            raise Refused(403, "The keys are not there yet; the operator writes them.") from None
        except (OSError, ValueError, Malformed) as error:
            raise Refused(403, f"The keys cannot be read: {type(error).__name__}.") from None
        return self._keys


def _stamp_audience(folder: Path) -> Stamp | None:
    """None: there is none, so an older operator wrote the keys."""
    try:
        return read_stamp(folder / ports.KEYS_AUDIENCE)
    except FileNotFoundError:
        return None


def _read_keys(folder: Path) -> Keys:
    issuer, jwks, subject = ((folder / name).read_text().strip() for name in FILES)
    try:
        audience = (folder / ports.KEYS_AUDIENCE).read_text().strip()
    except FileNotFoundError:
        audience = ports.TOKEN_AUDIENCE
    if not issuer or not subject or not audience:
        raise ValueError("empty issuer, subject or audience")
    return Keys(issuer=issuer, subject=subject, audience=audience, jwks=parse_jwks(jwks.encode()))
