"""What lies between an operator and its API server, as the worst day has it: answers of a moment ago, and turns that
are taken between any two calls of two operators.
"""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

from embedding_operator.kube.gateway import Gateway, Kind, Object
from embedding_operator.kube.memory import MemoryGateway

_Answer = TypeVar("_Answer")


def remember(gateway: MemoryGateway) -> MemoryGateway:
    """The API server as it is now, to be read from later."""
    past = MemoryGateway()
    past._objects = copy.deepcopy(gateway._objects)
    return past


class StaleGateway:
    """Reads answer what was in `past`; writes reach the `present`, which holds their preconditions against what is.

    `kinds` are those whose watches lag behind, all of them where none is given.
    """

    def __init__(self, *, past: Gateway, present: Gateway, kinds: Collection[Kind] = ()) -> None:
        self._past, self._present, self._kinds = past, present, kinds

    async def get(self, kind: Kind, *, namespace: str, name: str) -> Object | None:
        return await self._read(kind).get(kind, namespace=namespace, name=name)

    async def list(self, kind: Kind, *, namespace: str | None, labels: Mapping[str, str]) -> Sequence[Object]:
        return await self._read(kind).list(kind, namespace=namespace, labels=labels)

    def _read(self, kind: Kind) -> Gateway:
        return self._past if not self._kinds or kind in self._kinds else self._present

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        call: Callable[..., Awaitable[object]] = getattr(self._present, name)
        return call


class SharedGateway:
    """Lets the other operator go on for `turns` of its steps before each call; none are left, none are given."""

    def __init__(self, inner: Gateway, *, turns: Sequence[int]) -> None:
        self._inner = inner
        self._turns = list(turns)

    async def _wait(self) -> None:
        for _ in range(self._turns.pop() if self._turns else 0):
            await asyncio.sleep(0)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        call: Callable[..., Awaitable[object]] = getattr(self._inner, name)

        async def in_turn(*arguments: object, **options: object) -> object:
            await self._wait()
            return await call(*arguments, **options)

        return in_turn
