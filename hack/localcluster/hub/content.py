"""File bodies: ranges, and the faults that touch a body."""

import asyncio
import io
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from starlette.types import Receive, Send

from localcluster.hub.state import Fault, FaultKind, Span

_CHUNK = 256 * 1024  # bytes
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_TICKS = 10  # chunks per second of a slow answer


@dataclass(frozen=True)
class Body:
    """Content to serve: bytes, or a file on disk. What `size` has beyond the content is zeros."""

    content: bytes | Path
    size: int

    async def read(self, start: int, end: int, *, step: int) -> AsyncIterator[bytes]:
        with io.BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb") as file:
            file.seek(start)
            while start < end:
                wanted = min(step, end - start)
                yield (await asyncio.to_thread(file.read, wanted)).ljust(wanted, b"\0")
                start += wanted


def parse_range(header: str | None, *, size: int) -> Span | None:
    """RFC 9110 14.2: one range; several, or an unknown unit, are ignored. None: not satisfiable (416)."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.group(0) == "bytes=-":
        return Span(0, size, size, partial=False)
    first, last = match.groups()
    if not first:
        length = min(int(last), size)
        return Span(size - length, size, size, partial=True) if length else None
    start, end = int(first), min(int(last) + 1 if last else size, size)
    return Span(start, end, size, partial=True) if start < end else None


async def send_body(
    body: Body,
    *,
    headers: dict[str, str],
    range_header: str | None,
    head: bool,
    take_fault: Callable[[Span], Awaitable[Fault | None]],
    receive: Receive,
    send: Send,
) -> None:
    """Answer 200, 206 or 416 with the body, changed as the fault says that `take_fault` gives for it."""
    span = parse_range(range_header, size=body.size)
    fault = None if head or span is None else await take_fault(span)
    if fault is not None and fault.kind is FaultKind.NO_RANGE:
        span = parse_range(None, size=body.size)
    if fault is not None and fault.kind is FaultKind.WRONG_SIZE:
        body = replace(body, size=max(0, body.size + (-1 if fault.value is None else fault.value)))
        span = parse_range(range_header, size=body.size)
    if span is None:
        await _start(416, {**headers, "Content-Range": f"bytes */{body.size}", "Content-Length": "0"}, send=send)
        await send({"type": "http.response.body", "body": b""})
        return
    sent = {**headers, "Accept-Ranges": "bytes", "Content-Length": str(span.end - span.start)}
    if span.partial:
        sent["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{body.size}"
    await _start(206 if span.partial else 200, sent, send=send)
    if not head:
        await _send_chunks(body, span=span, fault=fault, send=send)
    if fault is not None and fault.kind is FaultKind.STALL:
        await stall(receive=receive)
    elif fault is not None and fault.kind is FaultKind.CUT:
        await close_connection(receive=receive, send=send)
    else:
        await send({"type": "http.response.body", "body": b""})


async def stall(*, receive: Receive) -> None:
    """Send nothing (more) until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def close_connection(*, receive: Receive, send: Send) -> None:
    """Drop the connection without finishing the answer; uvicorn's `send` belongs to the object with the transport."""
    send.__self__.transport.close()  # type: ignore[attr-defined]
    await stall(receive=receive)


async def _send_chunks(body: Body, *, span: Span, fault: Fault | None, send: Send) -> None:
    """Send the span, as far and as right as the fault lets it."""
    kind = fault.kind if fault else None
    end, step, pause, flipped = span.end, _CHUNK, 0.0, -1
    if fault is not None and kind in (FaultKind.CUT, FaultKind.STALL):
        end = fault.offset(span)
    elif fault is not None and kind is FaultKind.SLOW:
        rate = fault.value or 64 * 1024
        step = max(1, rate // _TICKS)
        pause = step / rate
    elif fault is not None and kind is FaultKind.FLIP:
        flipped = fault.offset(span)
    offset = span.start
    async for chunk in body.read(span.start, end, step=step):
        await send({"type": "http.response.body", "body": _flip(chunk, at=flipped - offset), "more_body": True})
        offset += len(chunk)
        if pause:
            await asyncio.sleep(pause)


def _flip(chunk: bytes, *, at: int) -> bytes:
    if not 0 <= at < len(chunk):
        return chunk
    return chunk[:at] + bytes((chunk[at] ^ 0x01,)) + chunk[at + 1 :]


async def _start(status: int, headers: dict[str, str], *, send: Send) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
