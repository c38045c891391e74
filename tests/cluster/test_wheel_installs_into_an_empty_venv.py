"""The wheel and the hashed requirements are all that an image needs."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path) -> str:
    """Run a command outside the work tree, so that nothing is imported from it."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(part) for part in command], cwd=Path(sys.prefix), env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.timeout(600)
def test_the_wheel_runs_with_the_hashed_requirements_and_nothing_else(tmp_path: Path) -> None:
    build = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path / "dist", ROOT)
    run(sys.executable, "-m", "pip", *build)
    (wheel,) = (tmp_path / "dist").glob("goldseam-*.whl")
    venv.create(tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    requirements = ROOT / "requirements" / "run.txt"
    run(*pip, "install", "--quiet", "--no-compile", "--require-hashes", "--no-deps", "-r", requirements)
    run(*pip, "install", "--quiet", "--no-compile", "--no-deps", "--no-index", wheel)
    run(*pip, "check")
    assert "usage: goldseam" in run(python, "-m", "goldseam", "--help")
    assert "goldseam" in run(tmp_path / "venv" / "bin" / "goldseam", "--version")
