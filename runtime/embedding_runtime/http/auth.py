"""Who may ask: keys of a mounted file, and tokens signed by an authority."""

from typing import Protocol


class Auth(Protocol):
    """Checks a request's Authorization header."""

    def check(self, authorization: str | None) -> None:
        """Raises Unauthorized, which never repeats what came."""
