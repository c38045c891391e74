"""Figures that a run shows, whether it passes or not. No test judges them."""

from __future__ import annotations

import sys

import pytest


def show(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Print past pytest, which keeps what passing tests print to itself."""
    with capsys.disabled():
        sys.stdout.write(f"\n  {text}\n")
