"""Keys on their way from the informer's thread to the queue's event loop."""

import asyncio
import threading

from embedding_operator.inbox import Inbox


async def test_every_key_of_another_thread_is_delivered_once_while_nobody_looks() -> None:
    came: list[int] = []
    inbox = Inbox(asyncio.get_running_loop(), deliver=came.append)
    thread = threading.Thread(target=lambda: [inbox.add(number % 3) for number in range(30)])
    thread.start()
    thread.join()
    assert came == []
    async with asyncio.timeout(10):
        while not came:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert came == [0, 1, 2]


async def test_a_key_that_comes_again_is_delivered_again() -> None:
    came: list[str] = []
    inbox = Inbox(asyncio.get_running_loop(), deliver=came.append)
    for _ in range(2):
        inbox.add("a")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert came == ["a", "a"]
