"""How fast the API server is asked: never faster than allowed, and what must not wait goes first."""

from __future__ import annotations

import asyncio

from goldseam.adapters.throttle import Throttle
from goldseam.ports import Line


class Time:
    """Time that passes by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def throttle(per_second: float) -> tuple[Throttle, Time]:
    time = Time()
    return Throttle(per_second, time.clock, time.sleep), time


async def test_over_a_longer_time_no_more_are_sent_than_allowed() -> None:
    gate, time = throttle(10)
    for _ in range(115):
        await gate.turn(Line.LOOKING)
    assert time.now == 10.0, "15 at once, as a quarter of the bucket is kept, then ten in each second"


async def test_what_is_urgent_is_sent_while_the_rest_waits() -> None:
    gate, time = throttle(10)
    order: list[str] = []

    async def ask(name: str, line: Line) -> None:
        await gate.turn(line)
        order.append(name)

    for _ in range(15):
        await gate.turn(Line.LOOKING)
    rest = [asyncio.create_task(ask(f"look {number}", Line.LOOKING)) for number in range(3)]
    await asyncio.sleep(0)
    at = time.now
    await ask("debt", Line.URGENT)
    assert order == ["debt"]
    assert time.now - at <= 0.1
    await asyncio.gather(*rest)
    assert order == ["debt", "look 0", "look 1", "look 2"]


async def test_a_rest_that_the_server_asks_for_is_given_but_not_by_what_is_urgent() -> None:
    gate, time = throttle(10)
    gate.hold(5.0)
    await gate.turn(Line.URGENT)
    assert time.now == 0.0
    await gate.turn(Line.LOOKING)
    assert time.now >= 5.0


async def test_a_long_line_holds_up_no_other() -> None:
    gate, _ = throttle(10)
    order: list[str] = []

    async def ask(line: Line, number: int) -> None:
        await gate.turn(line)
        order.append(f"{line.name} {number}")

    for _ in range(15):
        await gate.turn(Line.LOOKING)
    judging = [asyncio.create_task(ask(Line.TELLING, number)) for number in range(50)]
    looking = [asyncio.create_task(ask(Line.LOOKING, number)) for number in range(50)]
    await asyncio.sleep(0)
    opening = [asyncio.create_task(ask(Line.ACTING, number)) for number in range(4)]
    await asyncio.gather(*opening)
    assert [order.index(f"ACTING {number}") for number in range(4)] == [2, 5, 8, 11]
    await asyncio.gather(*judging, *looking)
    for line in ("TELLING", "LOOKING"):
        assert [one for one in order if one.startswith(line)] == [f"{line} {number}" for number in range(50)]
