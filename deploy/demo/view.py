"""What is seen of the demo: a live picture on a terminal, plain lines elsewhere, and the table at the end."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from scenes import Scene

COLOURS = {
    "Investigating": "yellow",
    "Fixing": "yellow",
    "Monitoring": "cyan",
    "Resolved": "green",
    "Escalated": "red",
    "Abandoned": "red",
}
WIDTH = 132


class View:
    """Shows the scenes while they are played."""

    def __init__(self, scenes: Sequence[Scene], *, record: bool = False) -> None:
        terminal = sys.stdout.isatty() and not record
        self.console = Console(record=record, width=None if terminal else WIDTH, highlight=False)
        self._record = record
        self._scenes = scenes
        self._begun = time.monotonic()
        self._said: set[tuple[str, str]] = set()
        self._live = Live(console=self.console, refresh_per_second=4) if terminal else None

    def __enter__(self) -> View:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.update(self.picture())
            self._live.stop()

    def say(self, text: str) -> None:
        """One plain line."""
        self.console.print(Text(text, style="dim"))

    def show(self) -> None:
        """Bring the picture up to date, or print what is new."""
        if self._live is not None:
            self._live.update(self.picture())
            return
        for scene in self._scenes:
            for entry in scene.status.get("timeline", []):
                key = (scene.folder, entry["at"] + entry["kind"])
                if key not in self._said:
                    self._said.add(key)
                    print(f"{entry['at'][11:19]}  {scene.title:22} {entry['kind']:14} {entry['message']}", flush=True)

    def picture(self) -> Group:
        """All scenes, and below them what happened last."""
        table = Table(box=box.SIMPLE_HEAD, expand=True, title_justify="left")
        for name, ratio in (("scene", 3), ("alert", 2), ("phase", 2), ("what is going on", 10)):
            table.add_column(name, ratio=ratio)
        for scene in self._scenes:
            phase = scene.status.get("phase", "–")
            table.add_row(
                scene.title,
                Text(scene.alert_state, style="red" if scene.alert_state == "firing" else "dim"),
                Text(phase, style=COLOURS.get(phase, "dim")),
                scene.status.get("message", "all is well"),
            )
        title = f"Goldseam heals the first user's platform · {time.monotonic() - self._begun:.0f} s"
        return Group(Panel(table, title=title, border_style="yellow"), self._timeline())

    def _timeline(self) -> Table:
        entries = [
            (entry["at"], scene.title, entry["kind"], entry["message"])
            for scene in self._scenes
            for entry in scene.status.get("timeline", [])
        ]
        table = Table(box=None, show_header=False, padding=(0, 1))
        for at, title, kind, message in sorted(entries)[-14:]:
            table.add_row(Text(at[11:19], style="dim"), title, Text(kind, style="yellow"), Text(message[:100]))
        return table

    def summary(self) -> None:
        """The table at the end."""
        if self._record:
            self.console.print(self.picture())
        table = Table(box=box.SIMPLE_HEAD, title="What happened", title_justify="left")
        for name in ("scene", "alert", "rungs tried", "outcome", "to first action", "to fixed"):
            table.add_column(name)
        for scene in self._scenes:
            good = scene.result == scene.expected
            outcome = Text(scene.result or "did not end", style="green" if good else "red")
            table.add_row(
                scene.title,
                scene.alert,
                scene.rungs,
                outcome,
                scene.seconds_to("firstActionAt"),
                scene.seconds_to("fixedAt"),
            )
        self.console.print(table)

    def save(self, file: Path) -> None:
        """Keep what was shown as an SVG, without the fonts that it would load from elsewhere."""
        svg = self.console.export_svg(title="make demo")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(re.sub(r"@font-face\s*\{[^}]*\}", "", svg))
