"""A Gateway that fails on command: the process dies, or the API server answers badly, at the n-th call.

Positions count from 1 over every call of the wrapper's life, reads included, so that a recorded run names every place
between two calls where a process can die.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from embedding_operator.kube.gateway import Gateway, GatewayError, Kind, Object, TooManyRequests, Unreachable

_Answer = TypeVar("_Answer")


class Crash(BaseException):
    """The process is gone. Not an Exception: no `except Exception` may survive a kill -9."""


@dataclass(frozen=True)
class CrashBefore:
    """The process dies before the call reaches the API server."""


@dataclass(frozen=True)
class CrashAfter:
    """The API server has carried out the call; the process dies before it sees the answer."""


@dataclass(frozen=True)
class Refuse:
    """The API server answers with this error and does nothing."""

    error: GatewayError


@dataclass(frozen=True)
class LoseAnswer:
    """The API server has carried out the call; the answer never arrives (a timeout)."""


Fault = CrashBefore | CrashAfter | Refuse | LoseAnswer


def too_many_requests(*, retry_after: float = 1.0) -> Refuse:
    return Refuse(TooManyRequests("too many requests", status=429, retry_after=retry_after))


def server_error() -> Refuse:
    return Refuse(Unreachable("the API server answered 500", status=500))


def timeout() -> Refuse:
    return Refuse(Unreachable("no answer from the API server"))


@dataclass(frozen=True)
class Position:
    """One call that was made: its number, verb and target."""

    number: int
    verb: str
    kind: str
    namespace: str | None
    name: str | None


class FaultyGateway:
    """Wraps any Gateway; `faults` maps call numbers to what goes wrong there. `positions` records every call."""

    def __init__(self, inner: Gateway, *, faults: Mapping[int, Fault] | None = None) -> None:
        self._inner = inner
        self._faults = dict(faults or {})
        self._positions: list[Position] = []

    @property
    def positions(self) -> Sequence[Position]:
        return tuple(self._positions)

    def fail_next(self, fault: Fault, *, after: int = 0) -> None:
        """Script a fault for the next call, or for the one `after` calls later."""
        self._faults[len(self._positions) + 1 + after] = fault

    async def get(self, kind: Kind, *, namespace: str, name: str) -> Object | None:
        return await self._run(
            "get", kind.kind, namespace, name, lambda: self._inner.get(kind, namespace=namespace, name=name)
        )

    async def list(self, kind: Kind, *, namespace: str | None, labels: Mapping[str, str]) -> Sequence[Object]:
        return await self._run(
            "list", kind.kind, namespace, None, lambda: self._inner.list(kind, namespace=namespace, labels=labels)
        )

    async def apply(self, manifest: Object, *, force: bool = False) -> Object:
        return await self._write("apply", manifest, lambda: self._inner.apply(manifest, force=force))

    async def create(self, manifest: Object) -> Object:
        return await self._write("create", manifest, lambda: self._inner.create(manifest))

    async def replace(self, manifest: Object) -> Object:
        return await self._write("replace", manifest, lambda: self._inner.replace(manifest))

    async def label(
        self, kind: Kind, *, namespace: str, name: str, uid: str, labels: Mapping[str, str]
    ) -> Object | None:
        return await self._run(
            "label",
            kind.kind,
            namespace,
            name,
            lambda: self._inner.label(kind, namespace=namespace, name=name, uid=uid, labels=labels),
        )

    async def delete(self, kind: Kind, *, namespace: str, name: str, uid: str | None = None) -> None:
        await self._run(
            "delete",
            kind.kind,
            namespace,
            name,
            lambda: self._inner.delete(kind, namespace=namespace, name=name, uid=uid),
        )

    async def apply_status(self, kind: Kind, *, namespace: str, name: str, uid: str, status: Object) -> Object | None:
        return await self._run(
            "apply_status",
            kind.kind,
            namespace,
            name,
            lambda: self._inner.apply_status(kind, namespace=namespace, name=name, uid=uid, status=status),
        )

    async def request_token(self, *, namespace: str, account: str, audience: str, seconds: int) -> str:
        return await self._run(
            "create",
            "TokenRequest",
            namespace,
            account,
            lambda: self._inner.request_token(namespace=namespace, account=account, audience=audience, seconds=seconds),
        )

    async def get_path(self, path: str) -> Object:
        return await self._run("get", "path", None, path, lambda: self._inner.get_path(path))

    async def _write(self, verb: str, manifest: Object, call: Callable[[], Awaitable[Object]]) -> Object:
        metadata = manifest["metadata"]
        return await self._run(verb, str(manifest["kind"]), metadata.get("namespace"), metadata.get("name"), call)

    async def _run(
        self, verb: str, kind: str, namespace: str | None, name: str | None, call: Callable[[], Awaitable[_Answer]]
    ) -> _Answer:
        number = len(self._positions) + 1
        self._positions.append(Position(number=number, verb=verb, kind=kind, namespace=namespace, name=name))
        fault = self._faults.pop(number, None)
        if isinstance(fault, CrashBefore):
            raise Crash(f"before call {number}: {verb} {kind} {name}")
        if isinstance(fault, Refuse):
            raise fault.error
        answer = await call()
        if isinstance(fault, CrashAfter):
            raise Crash(f"after call {number}: {verb} {kind} {name}")
        if isinstance(fault, LoseAnswer):
            raise Unreachable("no answer from the API server")
        return answer
