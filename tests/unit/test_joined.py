"""Reads of one thing at the same moment: as fresh as reads of one's own, and fewer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from goldseam.adapters.joined import Joined
from goldseam.errors import Unavailable


class Server:
    """Answers each read with its number, when the test lets it."""

    def __init__(self, patience: float = 60.0) -> None:
        self.joined = Joined(patience)
        self.begun: list[asyncio.Future[int]] = []

    async def _answer(self) -> int:
        self.begun.append(asyncio.get_running_loop().create_future())
        return await self.begun[-1]

    async def asked(self, times: int = 1, which: str = "pauses") -> list[asyncio.Task[Any]]:
        """So many that ask, each of which has got as far as it gets."""
        tasks = [asyncio.create_task(self.joined.read(which, self._answer)) for _ in range(times)]
        await settled()
        return tasks

    async def answers(self, number: int) -> None:
        """Read `number` ends."""
        self.begun[number].set_result(number)
        await settled()


async def settled() -> None:
    """Everything has run as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_those_who_ask_while_a_read_is_under_way_share_the_next_one() -> None:
    server = Server()
    (first,) = await server.asked()
    rest = await server.asked(5)
    assert len(server.begun) == 1
    await server.answers(0)
    assert first.result() == 0
    assert len(server.begun) == 2, "it begins as soon as the one before it has ended"
    await server.answers(1)
    assert [task.result() for task in rest] == [1] * 5


async def test_nobody_gets_the_answer_of_a_read_that_had_begun_before_they_asked() -> None:
    server = Server()
    await server.asked()
    await server.answers(0)
    (second,) = await server.asked()
    await server.asked(2)
    await server.answers(1)
    (later,) = await server.asked()
    assert second.result() == 1
    assert len(server.begun) == 3
    await server.answers(2)
    assert not later.done()
    await server.answers(3)
    assert later.result() == 3


async def test_what_is_not_the_same_is_not_joined() -> None:
    server = Server()
    await server.asked(which="pauses of a")
    await server.asked(which="pauses of b")
    assert len(server.begun) == 2


async def test_a_read_that_hangs_holds_up_the_next_one_for_a_moment_only() -> None:
    server = Server(patience=0.0)
    (stuck,) = await server.asked()
    (next_one,) = await server.asked()
    async with asyncio.timeout(5):
        while len(server.begun) < 2:
            await asyncio.sleep(0)
    await server.answers(1)
    assert next_one.result() == 1
    assert not stuck.done()


async def test_an_error_is_given_to_all_who_joined_and_is_not_kept() -> None:
    server = Server()
    await server.asked()
    rest = await server.asked(2)
    await server.answers(0)
    server.begun[1].set_exception(Unavailable("no answer"))
    await settled()
    for task in rest:
        with pytest.raises(Unavailable):
            task.result()
    (after,) = await server.asked()
    await server.answers(2)
    assert after.result() == 2


async def test_who_gives_up_takes_the_answer_from_nobody() -> None:
    server = Server()
    await server.asked()
    gone, stays = await server.asked(2)
    gone.cancel()
    await server.answers(0)
    await server.answers(1)
    assert gone.cancelled()
    assert stays.result() == 1


@pytest.mark.parametrize("begun", [False, True], ids=["before it begins", "after it has begun"])
async def test_a_read_for_which_nobody_waits_any_more_is_ended(begun: bool) -> None:
    server = Server()
    await server.asked()
    (gone,) = await server.asked()
    if begun:
        await server.answers(0)
    gone.cancel()
    await settled()
    (after,) = await server.asked()
    if not begun:
        await server.answers(0)
    assert [future.cancelled() for future in server.begun] == ([False, True, False] if begun else [False, False])
    await server.answers(len(server.begun) - 1)
    assert after.result() == len(server.begun) - 1
    assert server.joined._begun == server.joined._next == {}
