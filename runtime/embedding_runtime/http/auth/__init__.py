"""Who may ask. Public port: keys of a mounted file, tokens that an authority signed. Private port: the operator."""

from typing import Protocol


class Auth(Protocol):
    """Checks a request's Authorization header."""

    def check(self, authorization: str | None) -> None:
        """Raises Unauthorized, which never repeats what came."""
