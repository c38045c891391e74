"""Build each program once, into a cache outside the work tree; an interrupted build goes on from Go's own cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from controlplane.toolchain import go_command
from controlplane.tools import TOOLS, Tool

HERE = Path(__file__).resolve().parents[1]
SAY_EVERY = 30.0


class BuildError(RuntimeError):
    """A program could not be built; the message has the end of the compiler's output."""


def cache() -> Path:
    """Where what was built is kept: `$XDG_CACHE_HOME/goldseam/local`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "goldseam" / "local"


def key(tool: Tool) -> str:
    """Changes with the versions and with how it is built."""
    module = HERE / "tools" / tool.name
    parts = [(module / name).read_bytes() for name in ("go.mod", "go.sum")]
    parts.append(repr((tool.programs, tool.ldflags, tool.tags)).encode())
    parts += [tool.crds.encode()] if tool.crds else []
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def folder(tool: Tool) -> Path:
    """Where the tool's programs are, once built."""
    return cache() / tool.name / key(tool)


def built(tool: Tool) -> bool:
    """Whether all of its programs are there."""
    return all((folder(tool) / program).exists() for program, _ in tool.programs)


def ensure(names: Iterable[str]) -> list[Path]:
    """Build what is missing. Returns the folders with the programs.

    Raises:
        BuildError: a build failed.
    """
    tools = [TOOLS[name] for name in names]
    missing = [tool for tool in tools if not built(tool)]
    if missing:
        with _alone():
            missing = [tool for tool in missing if not built(tool)]
            total = sum(tool.minutes for tool in missing)
            if missing:
                _say(f"Building {', '.join(t.name for t in missing)}: once, about {total} min on 2 cores.")
            for tool in missing:
                _build(tool)
    return [folder(tool) for tool in tools]


@contextmanager
def _alone() -> Iterator[None]:
    """Two launchers do not build the same at once: the second one waits."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Another build is under way; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(tool: Tool) -> None:
    go, begun = go_command(cache()), time.monotonic()
    target = folder(tool)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
    try:
        for program, package in tool.programs:
            _compile(go, tool, program, package, draft, begun)
        if tool.crds:
            _keep_crds(go, tool, draft / "crds")
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    _say(f"  {tool.name} is built ({_span(time.monotonic() - begun)}).")


def _compile(go: str, tool: Tool, program: str, package: str, draft: Path, begun: float) -> None:
    command = [go, "build", "-trimpath", "-ldflags", tool.ldflags, "-o", str(draft / program)]
    command += ["-tags", tool.tags] if tool.tags else []
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*command, package], cwd=HERE / "tools" / tool.name, env=_environment(), stdout=output, stderr=output
        )
        try:
            _wait(process, f"{tool.name}: {program}", begun, tool.minutes)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if process.returncode:
            output.seek(0)
            text = output.read().decode(errors="replace")[-2000:]
            raise BuildError(f"building {program} failed:\n{text}")


def _environment() -> dict[str, str]:
    return os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}


def _keep_crds(go: str, tool: Tool, target: Path) -> None:
    """The module cache may be emptied: what belongs to the program is kept with it."""
    command = [go, "list", "-f", "{{.Module.Dir}}", tool.programs[0][1]]
    where = HERE / "tools" / tool.name
    done = subprocess.run(command, cwd=where, env=_environment(), capture_output=True, text=True, check=False)
    files = sorted(Path(done.stdout.strip()).glob(tool.crds)) if done.returncode == 0 else []
    if not files:
        raise BuildError(f"the CRDs of {tool.name} are not where they were ({tool.crds}): {done.stderr[-2000:]}")
    target.mkdir()
    for file in files:
        shutil.copyfile(file, target / file.name)


def _wait(process: subprocess.Popen[bytes], what: str, begun: float, usual: int) -> None:
    """A line every half minute; on a terminal one that counts."""
    live = sys.stderr.isatty()
    said = time.monotonic()
    while True:
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            line = f"  {what}: {_span(time.monotonic() - begun)}, usually {usual} min in all when nothing is cached"
            if live:
                sys.stderr.write(f"\r\033[K{line}")
                sys.stderr.flush()
            elif time.monotonic() - said >= SAY_EVERY:
                said = time.monotonic()
                _say(line)
            continue
        if live:
            sys.stderr.write("\r\033[K")
        return


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
