"""Fixtures of the fault tests: those of the cluster tests; and what was counted, as the last line."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.conftest import (  # noqa: F401
    cluster,
    crds,
    installed,
    namespace,
    operator,
    operator_kubeconfig,
    source,
    trouble,
)
from tests.cluster.test_jobs import allowed, with_jobs  # noqa: F401
from tests.cluster.test_patch_config import pieces  # noqa: F401

COUNTED: Counter[str] = Counter()


@pytest.fixture(scope="session")
def counted() -> Counter[str]:
    """What is counted over all tests: points, doubles, losses, and points that were not reached."""
    return COUNTED


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints at once: a run of minutes shows where it is."""

    def now(text: str) -> None:
        with capsys.disabled():
            print(text, flush=True, file=sys.stderr if "PYTEST_XDIST_WORKER" in os.environ else None)

    return now


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One of several workers (pytest-xdist) hands over what it has counted."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["counted"] = dict(COUNTED)
        COUNTED.clear()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a worker has counted; nothing of one that was lost."""
    COUNTED.update(getattr(node, "workeroutput", {}).get("counted", {}))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Says what was counted, in JSON, after everything else."""
    if COUNTED["points"]:
        print("\n" + json.dumps({name: COUNTED[name] for name in ("points", "doubles", "losses", "unreached")}))  # noqa: T201
