"""A time of day that is wrong for one process, and can be stepped; its monotonic clock stays right (libfaketime)."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.operator_process import OperatorProcess
from tests.support.plane import eventually


class WrongClock:
    """Shifted by so many hours, or minutes."""

    def __init__(self, home: Path, hours: int = 0, *, minutes: int = 0) -> None:
        found = find_spec("libfaketime")
        if found is None or found.origin is None:
            pytest.skip("libfaketime is for Linux only")
        library = Path(found.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
        self._file = home / "clock"
        self._minutes = hours * 60 + minutes
        self._write()
        self.env = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # its name in older versions
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }

    def _write(self) -> None:
        draft = self._file.with_suffix(".new")  # the process must never see half of it
        draft.write_text(f"{self._minutes:+d}m\n")
        draft.rename(self._file)

    def step(self, operator: OperatorProcess, hours: int) -> None:
        """Shift it by so many hours from now on; returns when the operator's process has that time."""
        self._minutes = hours * 60
        self._write()
        self.shown_by(operator)

    def shown_by(self, operator: OperatorProcess) -> None:
        """Wait until the operator's process shows this time: that the shifting works at all."""

        def right() -> bool:
            shown = operator.metric("goldseam_heartbeat_timestamp_seconds")
            return abs(shown - time.time() - self._minutes * 60) < 60

        eventually(right, f"a clock that is wrong by {self._minutes} min")
