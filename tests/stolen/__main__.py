"""Writes `rights.md`: `python -m tests.stolen DIRECTORY`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.stolen.table import page

if len(sys.argv) != 2:
    sys.exit(__doc__)
(Path(sys.argv[1]) / "rights.md").write_text(page(), encoding="utf-8")
