"""Which tests reach a line, and whether they notice a fault there."""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.util
import io
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import coverage
import pytest

from tests.mutants.faults import Fault

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "operator" / "goldseam" / "engine"
SLOW = ("test_random_lives.py", "test_random_drains.py", "test_random_shared_cordons.py", "test_promises.py")
"""Not asked: they take ten seconds each."""
QUIET = ("-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov")
ENOUGH = 5.0
"""Seconds of the processor that the tests of one fault may take, the quickest first."""
MORE = 40.0
"""The same for those that are asked besides, where none of these notices."""
PATIENCE = 600.0
"""Seconds after which a fault counts as noticed: the tests never end with it."""


@dataclass
class Reach:
    """What each test reaches."""

    seconds: dict[str, float] = field(default_factory=dict)
    """By test, how long it takes while it is measured."""
    lines: dict[str, dict[int, list[str]]] = field(default_factory=dict)
    """By file and line, the tests."""

    def tests(self, fault: Fault, seconds: float = ENOUGH) -> list[str]:
        """The tests that reach a fault, the quickest first, as many as fit into that."""
        lines = self.lines.get(str(fault.module), {})
        reaching = {test for line in fault.reach for test in lines.get(line, ())}
        if not reaching or "" in reaching:  # it is read when the module is, or only by something slow
            reaching = {test for tests in lines.values() for test in tests}
        chosen: list[str] = []
        left = seconds
        for test in sorted(reaching & self.seconds.keys(), key=lambda test: (self.seconds[test], test)):
            left -= self.seconds[test]
            if chosen and left < 0:
                break
            chosen.append(test)
        return chosen


class _Stopwatch:
    """A plugin of pytest: how long each test takes, and in whose name a line is reached."""

    def __init__(self, measuring: coverage.Coverage) -> None:
        self.seconds: dict[str, float] = {}
        self._measuring = measuring

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self._measuring.switch_context(item.nodeid)
        begun = time.process_time()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.process_time() - begun
            self._measuring.switch_context("")


def measured() -> Reach:
    """Run the tests once without a fault, in a process of their own, and note what they reach.

    Raises:
        RuntimeError: they fail without any fault.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            json.dump(_measure(), pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    found = json.loads(said or "{}")
    if not found.get("seconds"):
        raise RuntimeError("the tests fail without a fault: make test-fast says which")
    lines = {file: {int(line): tests for line, tests in by.items()} for file, by in found["lines"].items()}
    return Reach(found["seconds"], lines)


def _measure() -> dict[str, Any]:
    measuring = coverage.Coverage(data_file=None, branch=False, include=[str(ENGINE / "*")], config_file=False)
    watch = _Stopwatch(measuring)
    measuring.start()
    status = _silently(_asked(), [watch])
    measuring.stop()
    data = measuring.get_data()
    lines = {file: data.contexts_by_lineno(file) for file in data.measured_files()}
    return {"seconds": watch.seconds if status == 0 else {}, "lines": lines}


def _asked() -> list[str]:
    """The files of tests that have to do with the core."""
    found = [*(ROOT / "tests" / "unit").glob("test_*.py"), *(ROOT / "tests" / "component").glob("test_*.py")]
    near = ("goldseam.engine", "tests.support.harness")
    return sorted(str(f) for f in found if f.name not in SLOW and any(name in f.read_text() for name in near))


def _silently(arguments: Sequence[str], plugins: list[object] | None = None) -> int:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return int(pytest.main([*QUIET, *arguments], plugins))


def noticed(fault: Fault, tests: Sequence[str]) -> bool:
    """Whether one of the tests fails with the fault. First those of the units, for the others take long to be read."""
    near = [test for test in tests if test.startswith("tests/unit/")]
    return any(_fails(fault, part) for part in (near, [test for test in tests if test not in near]) if part)


def _fails(fault: Fault, tests: Sequence[str]) -> bool:
    """In a forked process that has not read the module yet."""
    null = os.open(os.devnull, os.O_RDWR)  # what cannot be had fails here, and is not taken for a fault noticed
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os._exit(_with(fault, tests))
    os.close(null)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) != 0
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def _with(fault: Fault, tests: Sequence[str]) -> int:
    name = ".".join(fault.module.relative_to(ROOT / "operator").with_suffix("").parts)
    assert name not in sys.modules, f"{name} was read before the fault was there"
    sys.meta_path.insert(0, _Faulty(name, fault))
    try:
        return _silently(tests)
    except BaseException:
        return 1


class _Faulty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the faulty text when the module is imported."""

    def __init__(self, name: str, fault: Fault) -> None:
        self._name, self._fault = name, fault

    def find_spec(self, name: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        return importlib.util.spec_from_loader(name, self, origin=str(self._fault.module))

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(self._fault.module)
        exec(compile(self._fault.code, str(self._fault.module), "exec"), module.__dict__)
