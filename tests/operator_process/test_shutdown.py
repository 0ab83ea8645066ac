"""What a leader that was told to stop waits for."""

import asyncio

import pytest

from embedding_operator.lease import LeaseLost
from embedding_operator.process import await_work


async def forever() -> None:
    await asyncio.Event().wait()


async def nothing() -> None:
    return


async def lose() -> None:
    raise LeaseLost("taken by another replica")


async def test_a_lease_lost_while_reconciles_end_is_seen_at_once() -> None:
    working, holding = asyncio.create_task(forever()), asyncio.create_task(lose())
    async with asyncio.timeout(30):
        with pytest.raises(LeaseLost, match="another replica"):
            await await_work(working, holding=holding, seconds=3600)
    working.cancel()


async def test_reconciles_that_end_in_time_are_waited_for_no_longer() -> None:
    working, holding = asyncio.create_task(nothing()), asyncio.create_task(forever())
    async with asyncio.timeout(30):
        await await_work(working, holding=holding, seconds=3600)
    assert not holding.done()
    holding.cancel()


async def test_reconciles_that_do_not_end_are_given_up_after_their_time() -> None:
    working, holding = asyncio.create_task(forever()), asyncio.create_task(forever())
    async with asyncio.timeout(30):
        await await_work(working, holding=holding, seconds=0.01)
    assert not working.done()
    working.cancel()
    holding.cancel()
