"""`goldseam`: the commands for people, and `goldseam run`, the operator's process."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from goldseam.cli import command
from goldseam.settings import SettingsProblem, load


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kubectl goldseam" if Path(sys.argv[0]).name == "kubectl-goldseam" else "goldseam",
        description="Heals workloads and nodes when Prometheus alerts fire, and says why.",
    )
    parser.add_argument("--version", action="version", version=f"goldseam {version('goldseam')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command.add(commands)
    commands.add_parser(
        "run",
        help="run the operator (in its pod)",
        description="Runs the operator. It is set by environment variables GOLDSEAM_* (docs/reference/settings.md).",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 2 means that the command line or the settings are wrong."""
    found = _parser().parse_args(arguments)
    if found.command != "run":
        return command.run(found)
    try:
        settings = load()
    except SettingsProblem as problem:
        sys.stderr.write(f"goldseam: {problem}\n")
        return 2
    from goldseam import process  # people need not wait until the operator's libraries are loaded

    return process.main(settings)


if __name__ == "__main__":
    sys.exit(main())
