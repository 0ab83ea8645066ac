"""Closing a listening socket without losing a connection that the kernel has taken already.

The kernel finishes handshakes by itself and keeps the connections for the server to accept. Those that it keeps when
the socket is closed are reset, and a client that has sent its request by then cannot know that nobody saw it. So the
socket is made deaf to new handshakes first; what is under way is accepted; then it is closed. Whoever comes later finds
a port where nobody listens, and may safely go elsewhere.
"""

import asyncio
import contextlib
import ctypes
import select
import socket
import struct

# How long handshakes that have begun may take, and the first bytes of a connection that has just been accepted.
SETTLE_SECONDS = 0.25
MOST_ROUNDS = 1000  # of the event loop, for what is accepted at the end; a bound and no more

# Linux: asm-generic/socket.h, and a filter in the form of linux/filter.h: load the byte of the TCP header that holds
# its flags; jump by the flag SYN; drop, or keep the whole packet.
_SO_ATTACH_FILTER = 26
_FILTER = (
    (0x30, 0, 0, 13),  # BPF_LD | BPF_B | BPF_ABS
    (0x45, 0, 1, 0x02),  # BPF_JMP | BPF_JSET | BPF_K
    (0x06, 0, 0, 0),  # BPF_RET
    (0x06, 0, 0, 0xFFFFFFFF),
)


def refuse_handshakes(listener: socket.socket) -> None:
    """New ones get no answer from now on, as if their packets were lost. Without effect where the kernel has no such
    filters: then as few as possible wait to be accepted.
    """
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _FILTER))
    options = struct.pack("HxxxxxxP", len(_FILTER), ctypes.addressof(program))  # struct sock_fprog
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, options)
    except OSError:
        with contextlib.suppress(OSError):
            listener.listen(0)


async def accept_what_waits(listener: socket.socket) -> None:
    """Leave the event loop time to accept every connection that the kernel has taken."""
    await asyncio.sleep(SETTLE_SECONDS)
    poll = select.poll()
    poll.register(listener.fileno(), select.POLLIN)
    for _ in range(MOST_ROUNDS):
        if not poll.poll(0):
            return
        await asyncio.sleep(0)
