"""`make mutate`: put small faults into the core, one by one, and say which no test notices."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from tests.mutants.faults import Fault, faults
from tests.mutants.trial import ENGINE, MORE, ROOT, Reach, measured, noticed

READ_AHEAD = (
    *("hypothesis", "pytest_asyncio.plugin", "aiohttp", "structlog", "yaml", "re2", "cronsim", "kubernetes.aio.client"),
    *("goldseam.api.kinds", "goldseam.settings", "goldseam.metrics", "goldseam.logs"),
)
"""What takes long to import and holds no fault: each fork has it already."""


def main() -> int:
    """Try the faults. Exit status 1: some were not noticed."""
    asked = _parser().parse_args()
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT), str(ROOT / "operator"), str(ROOT / "deploy" / "local"), str(ROOT / "deploy" / "demo")]
    chosen = _chosen([ENGINE.parent / module for module in asked.module], asked.sample)
    print(f"{len(chosen)} faults; first the tests without any.", flush=True)
    reach = measured()
    for module in READ_AHEAD:
        importlib.import_module(module)
    begun, missed = time.monotonic(), []
    for number, fault in enumerate(chosen, 1):
        asked_of = _missed(fault, reach)
        if asked_of is not None:
            missed.append(fault)
            _tell(fault, asked_of)
        if number % 50 == 0:
            print(f"  {number} of {len(chosen)}, {time.monotonic() - begun:.0f} s", flush=True)
    _report(chosen, missed, time.monotonic() - begun)
    return 1 if missed else 0


def _missed(fault: Fault, reach: Reach) -> int | None:
    """How many tests do not notice the fault; None where one does."""
    tests = reach.tests(fault)
    if tests and noticed(fault, tests):
        return None
    slower = [test for test in reach.tests(fault, MORE) if test not in tests]
    return None if slower and noticed(fault, slower) else len(tests) + len(slower)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("--module", action="append", default=[], help="such as engine/verdict.py; all its faults")
    parser.add_argument("--sample", type=int, default=0, help="only so many, the same ones each time; 0: all")
    return parser


def _chosen(modules: list[Path], sample: int) -> list[Fault]:
    """All faults of the modules, or of the whole engine; or a sample of them, which is the same each time."""
    modules = modules or [module for module in sorted(ENGINE.rglob("*.py")) if _counts(module)]
    found = [fault for module in modules for fault in faults(module)]
    if not sample:
        return found
    kept = set(sorted(found, key=lambda fault: fault.rank)[:sample])
    return [fault for fault in found if fault in kept]


def _counts(module: Path) -> bool:
    """Texts for the reference, and what writes it, decide nothing."""
    return "reasons" not in module.parts and module.name != "__init__.py"


def _tell(fault: Fault, tests: int) -> None:
    where = f"{fault.module.relative_to(ROOT)}:{fault.line}"
    print(f"\n{where} {fault.operator}: not noticed by {tests} tests\n{fault.diff()}", flush=True)


def _report(chosen: list[Fault], missed: list[Fault], seconds: float) -> None:
    total = Counter(str(fault.module.relative_to(ENGINE)) for fault in chosen)
    left = Counter(str(fault.module.relative_to(ENGINE)) for fault in missed)
    print(f"\n{'module':28} faults noticed")
    for module, count in sorted(total.items()):
        print(f"{module:28} {count:6} {count - left[module]:7}")
    figures = {"faults": len(chosen), "noticed": len(chosen) - len(missed), "seconds": round(seconds)}
    print(json.dumps(figures))


if __name__ == "__main__":
    sys.exit(main())
