"""Reading bodies: how large one may be and how long it may take, and how much of all of them is kept at once."""

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from embedding_runtime.errors import BodyTimeout, BodyTooLarge, Overloaded
from embedding_runtime.http.messages import ClientGone, Message, Receive, Scope, find_header


@dataclass(frozen=True)
class Patience:
    """How long a client may take for its body, in seconds. A connection that stalls holds memory, and its place."""

    between_parts: float
    in_all: float


# The first is that of usual proxies, the second as long as a request may take anyway.
PATIENCE = Patience(between_parts=60, in_all=600)


class BodyBudget:
    """Counts bytes of bodies from their arrival to their answer. Used on the event loop only.

    What has arrived counts, not what was announced: an announcement takes no memory, and a slow client must not keep
    others out with one.
    """

    def __init__(self, *, limit: int) -> None:
        self.limit = limit
        self.bytes = 0

    def hold(self, *, always: bool = False) -> "HeldBody":
        """`always`: counted but never refused."""
        return HeldBody(self, always=always)


class HeldBody:
    """One body's share of the budget; a context manager that gives it back."""

    def __init__(self, budget: BodyBudget, *, always: bool) -> None:
        self._budget = budget
        self._always = always
        self._bytes = 0

    def add(self, size: int) -> None:
        """Raises Overloaded when the budget is spent by others; a body alone is never refused."""
        budget = self._budget
        others = budget.bytes - self._bytes
        if others and not self._always and budget.bytes + size > budget.limit:
            raise Overloaded(
                f"Requests of {budget.bytes} bytes are under way, {budget.limit} may. Retry in 1 s, send smaller "
                "requests or fewer at once, or add replicas.",
                retry_after=1,
            )
        budget.bytes += size
        self._bytes += size

    def give_back(self) -> None:
        self._budget.bytes -= self._bytes
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()


async def read_body(
    scope: Scope, *, receive: Receive, limit: int, held: HeldBody, patience: Patience = PATIENCE
) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as it is known to be longer than `limit` bytes, BodyTimeout,
    ClientGone.

    Raises Overloaded too, but only after the rest was received and forgotten: a connection closed on a client that
    still sends would reset it before it reads the answer.
    """
    declared = find_header(scope, name=b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    overloaded: Overloaded | None = None
    deadline = asyncio.get_running_loop().time() + patience.in_all
    while True:
        message = await _receive_part(receive, patience=patience, deadline=deadline)
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        if overloaded is None:
            try:
                held.add(len(chunk))
                chunks.append(chunk)
            except Overloaded as error:
                overloaded = error
                chunks.clear()
                held.give_back()
        if not message.get("more_body"):
            if overloaded is not None:
                raise overloaded
            return b"".join(chunks)


async def _receive_part(receive: Receive, *, patience: Patience, deadline: float) -> Message:
    """`deadline` is of the event loop's clock. Raises BodyTimeout."""
    part_deadline = asyncio.get_running_loop().time() + patience.between_parts
    try:
        async with asyncio.timeout_at(min(deadline, part_deadline)):
            return await receive()
    except TimeoutError:
        raise BodyTimeout(
            f"The body did not come in time: {patience.between_parts:g} s may pass between two parts of it, and "
            f"{patience.in_all:g} s in all. Send it at once."
        ) from None


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {limit} bytes. Send fewer inputs in one request.")
