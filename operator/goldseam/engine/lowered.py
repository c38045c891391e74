"""Numbers of replicas on their way down, and what was taken away."""

from __future__ import annotations

import json
import math

from goldseam.api.incident import Obligation


def half_way(current: int, goal: int) -> int:
    """The goal, or half-way down to it: admission lets at most half go in one write. Half of one is one: from there it
    is the goal."""
    half = math.ceil(current / 2)
    return goal if half >= current or half <= goal else half


def was_lowered(o: Obligation) -> bool:
    """Whether replicas were taken away, and go up again to what they were."""
    return o.kind == "ScaleBack" and 0 <= number(o.want) < number(o.original)


def number(text: str) -> int:
    """The number, or -1."""
    try:
        value = json.loads(text)
    except ValueError:
        return -1
    return value if isinstance(value, int) and not isinstance(value, bool) else -1
