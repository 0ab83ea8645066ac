"""A listening socket on its way to being closed."""

import asyncio
import socket

import pytest

from embedding_runtime.http.closing import accept_what_waits, refuse_handshakes


async def test_what_the_kernel_took_is_accepted_and_answered_and_what_comes_later_is_not_taken() -> None:
    accepted: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(await reader.readexactly(5))
        writer.write(b"fine")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        early = [socket.create_connection(address, timeout=10) for _ in range(20)]
        for connection in early:
            connection.sendall(b"early")
        server = await asyncio.start_server(answer, sock=listener)
        refuse_handshakes(listener)
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(socket.create_connection, address, timeout=0.3)
        await accept_what_waits(listener)
        server.close()
        for connection in early:
            connection.setblocking(False)
            assert await asyncio.get_running_loop().sock_recv(connection, 10) == b"fine"
            connection.close()
        await server.wait_closed()

    assert accepted == [b"early"] * 20
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=10)
