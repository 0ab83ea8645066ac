"""A Gateway behind an API server that refuses one kind of write as long as it lasts: a quota, a policy, a webhook."""

from collections.abc import Awaitable, Callable, Container
from typing import TypeVar

from faulty_gateway import FaultyGateway

from embedding_operator.kube.gateway import Gateway, GatewayError

_Answer = TypeVar("_Answer")


class RefusingGateway(FaultyGateway):
    """Answers calls of `verb` to objects of `kind` with `error`, but for those named in `spares`. `refused` counts."""

    def __init__(
        self, inner: Gateway, *, verb: str, kind: str, error: GatewayError, spares: Container[str] = ()
    ) -> None:
        super().__init__(inner)
        self._refuses = (verb, kind)
        self._error = error
        self._spares = spares
        self.refused = 0

    async def _run(
        self, verb: str, kind: str, namespace: str | None, name: str | None, call: Callable[[], Awaitable[_Answer]]
    ) -> _Answer:
        if (verb, kind) == self._refuses and name not in self._spares:
            self.refused += 1
            raise self._error
        return await super()._run(verb, kind, namespace, name, call)
