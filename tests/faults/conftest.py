"""Fixtures of the fault tests: those of the cluster tests; and what was counted, as the last line."""

from __future__ import annotations

import json
from collections import Counter

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
from tests.support.direct import Direct
from tests.support.plane import Plane

COUNTED: Counter[str] = Counter()


@pytest.fixture(scope="session")
def counted() -> Counter[str]:
    """What is counted over all tests: points, doubles, losses."""
    return COUNTED


@pytest.fixture(scope="session")
def direct(installed: Plane) -> Direct:  # noqa: F811 - a fixture is asked for by its name
    """The API server as admin."""
    return Direct(installed)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Says what was counted, in JSON, after everything else."""
    if COUNTED["points"]:
        print("\n" + json.dumps({name: COUNTED[name] for name in ("points", "doubles", "losses")}))  # noqa: T201
