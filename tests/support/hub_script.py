"""A hub's answers written down by the test: an httpx transport that also notes what was asked."""

from collections.abc import Callable

import httpx


class ScriptedHub:
    """`answer` is given every request; `requests` holds them in order."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.requests: list[httpx.Request] = []
        self._answer = answer
        self.client = httpx.Client(transport=httpx.MockTransport(self._note), trust_env=False)

    def _note(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answer(request)

    def sent_tokens(self) -> list[str | None]:
        """The Authorization header of every request."""
        return [request.headers.get("authorization") for request in self.requests]
