"""A wrong clock, or a step of it, neither ends every timeout at once, nor stops all of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from goldseam.adapters.clock import PACE, SystemClock

HOURS = pytest.mark.parametrize("step", [3600, -3600])


class Machine:
    """A machine's two clocks, ours on top of them, and the right time."""

    def __init__(self, wrong: float = 0) -> None:
        self.right, self.monotonic, self.wrong = 1_000_000.0, 50.0, wrong
        self.clock = SystemClock(lambda: self.right + self.wrong, lambda: self.monotonic)

    def runs(self, seconds: float) -> float:
        """Let time go on; what our clock has gone on by."""
        before = self.clock.now()
        for _ in range(int(seconds)):
            self.right += 1
            self.monotonic += 1
            self.clock.now()
        return (self.clock.now() - before).total_seconds()

    def told(self) -> None:
        self.clock.told(datetime.fromtimestamp(int(self.right), UTC))

    @property
    def off(self) -> float:
        """By how much our clock is wrong."""
        return self.clock.now().timestamp() - self.right


def test_it_is_the_system_s_time_of_day() -> None:
    machine = Machine()
    assert machine.off == 0
    assert machine.runs(100) == 100


def test_small_corrections_are_followed_at_once() -> None:
    machine = Machine()
    machine.wrong = 0.5
    assert machine.off == 0.5


@HOURS
def test_a_step_makes_spans_a_little_wrong_and_is_made_up_for(step: int) -> None:
    machine = Machine(-step)
    machine.wrong = 0
    assert abs(machine.off + step) < 0.001
    sign = 1 if step > 0 else -1
    assert machine.runs(60) == pytest.approx(60 * (1 + sign * PACE))
    machine.runs(3600 / PACE)
    assert abs(machine.off) < 0.001


def test_time_never_goes_back_by_a_step() -> None:
    machine, seen = Machine(), []
    for step in (0, -3600, 0, 1800, 0):
        machine.wrong += step
        seen.append(machine.runs(10))
    assert min(seen) > 0


@HOURS
def test_what_the_api_server_says_first_is_followed_at_once(step: int) -> None:
    machine = Machine(step)
    machine.told()
    assert abs(machine.off) <= 1
    assert machine.runs(60) == 60


@HOURS
def test_with_the_api_server_s_word_a_step_of_the_machine_s_clock_is_none(step: int) -> None:
    machine = Machine()
    machine.told()
    machine.wrong = step
    machine.runs(2)
    machine.told()
    machine.runs(10)
    assert abs(machine.off) <= 1


def test_seconds_between_the_two_are_nothing_to_follow() -> None:
    machine = Machine(3)
    machine.told()
    assert machine.off == 3


def test_a_machine_that_slept_for_hours_is_right_at_once() -> None:
    machine = Machine()
    machine.told()
    machine.right += 8 * 3600
    machine.told()
    assert abs(machine.off) <= 1
