"""File bodies: ranges, and the faults that touch a body."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from starlette.types import Receive, Send

from localcluster.hub.state import Fault, FaultKind

_CHUNK = 256 * 1024  # bytes
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_TICKS = 10  # chunks per second of a slow answer


@dataclass(frozen=True)
class Body:
    """Content to serve: bytes, or a file on disk."""

    content: bytes | Path
    size: int

    async def read(self, start: int, end: int, *, step: int) -> AsyncIterator[bytes]:
        if isinstance(self.content, bytes):
            for offset in range(start, end, step):
                yield self.content[offset : min(offset + step, end)]
            return
        with self.content.open("rb") as file:
            file.seek(start)
            while start < end:
                chunk = await asyncio.to_thread(file.read, min(step, end - start))
                if not chunk:
                    return
                start += len(chunk)
                yield chunk


@dataclass(frozen=True)
class Span:
    """Bytes start..end (end excluded); `partial` when a Range asked for them."""

    start: int
    end: int
    partial: bool


def parse_range(header: str | None, *, size: int) -> Span | None:
    """RFC 9110 14.2: one range; several, or an unknown unit, are ignored. None: not satisfiable (416)."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.group(0) == "bytes=-":
        return Span(0, size, partial=False)
    first, last = match.groups()
    if not first:
        length = min(int(last), size)
        return Span(size - length, size, partial=True) if length else None
    start, end = int(first), min(int(last) + 1 if last else size, size)
    return Span(start, end, partial=True) if start < end else None


async def send_body(
    body: Body,
    *,
    headers: dict[str, str],
    range_header: str | None,
    head: bool,
    fault: Fault | None,
    receive: Receive,
    send: Send,
) -> None:
    """Answer 200, 206 or 416 with the body, changed as the fault says."""
    span = parse_range(range_header, size=body.size)
    if span is None:
        await _start(416, {**headers, "Content-Range": f"bytes */{body.size}", "Content-Length": "0"}, send=send)
        await send({"type": "http.response.body", "body": b""})
        return
    sent = {**headers, "Accept-Ranges": "bytes", "Content-Length": str(span.end - span.start)}
    if span.partial:
        sent["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{body.size}"
    await _start(206 if span.partial else 200, sent, send=send)
    if not head and await _send_chunks(body, span=span, fault=fault, send=send):
        await close_connection(receive=receive, send=send)
        return
    await send({"type": "http.response.body", "body": b""})


async def close_connection(*, receive: Receive, send: Send) -> None:
    """Drop the connection without finishing the answer; uvicorn's `send` belongs to the object with the transport."""
    send.__self__.transport.close()  # type: ignore[attr-defined]
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_chunks(body: Body, *, span: Span, fault: Fault | None, send: Send) -> bool:
    """Send the span; True when the fault wants the connection cut here."""
    kind = fault.kind if fault else None
    value = fault.value if fault else None
    end, step, pause = span.end, _CHUNK, 0.0
    if kind is FaultKind.CUT:
        end = span.start + min(value if value is not None else (span.end - span.start) // 2, span.end - span.start)
    if kind is FaultKind.SLOW:
        step, pause = max(1, (value or 64 * 1024) // _TICKS), 1 / _TICKS
    flipped = (value if value is not None else body.size // 2) if kind is FaultKind.FLIP else -1
    offset = span.start
    async for chunk in body.read(span.start, end, step=step):
        await send({"type": "http.response.body", "body": _flip(chunk, at=flipped - offset), "more_body": True})
        offset += len(chunk)
        if pause:
            await asyncio.sleep(pause)
    return kind is FaultKind.CUT


def _flip(chunk: bytes, *, at: int) -> bytes:
    if not 0 <= at < len(chunk):
        return chunk
    return chunk[:at] + bytes((chunk[at] ^ 0x01,)) + chunk[at + 1 :]


async def _start(status: int, headers: dict[str, str], *, send: Send) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
