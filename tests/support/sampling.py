"""Which tests only `make faults` has: those that are slow, and prove again what another one proves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

SLOW = pytest.mark.slow


def sampled(values: Sequence[Any]) -> list[Any]:
    """For parametrize: the first in every run, the others with `make faults`."""
    first, *others = values
    return [first, *(pytest.param(other, marks=SLOW) for other in others)]
