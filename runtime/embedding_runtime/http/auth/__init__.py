"""Who may ask on the public port: keys of a mounted file, and tokens that an authority signed."""

from typing import Protocol


class Auth(Protocol):
    """Checks a request's Authorization header."""

    def check(self, authorization: str | None) -> None:
        """Raises Unauthorized, which never repeats what came."""
