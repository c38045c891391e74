"""Who holds a Medik8s lease, and until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from goldseam.engine.node_lease import by_another, held, name_of

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def lease(**spec: Any) -> dict[str, Any]:
    base = {"holderIdentity": "nhc", "leaseDurationSeconds": 60, "renewTime": "2026-11-23T12:00:00.000000Z"}
    return {"spec": base | spec}


def test_it_is_held_until_its_time_is_over() -> None:
    found = held(lease(), NOW + timedelta(seconds=60))
    assert found is not None
    assert (found.by, found.until) == ("nhc", NOW + timedelta(seconds=60))
    assert held(lease(), NOW + timedelta(seconds=61)) is None


@pytest.mark.parametrize("free", [None, {}, lease(renewTime=None), lease(leaseDurationSeconds=None)])
def test_one_that_says_no_time_is_free(free: dict[str, Any] | None) -> None:
    assert held(free, NOW) is None


def test_one_of_the_future_counts_and_one_of_nobody_is_of_somebody() -> None:
    assert by_another(lease(renewTime="2026-11-23T13:00:00Z"), NOW) is not None
    nameless = held(lease(holderIdentity=None), NOW)
    assert nameless is not None
    assert nameless.by == "somebody"


def test_ours_is_no_others() -> None:
    assert held(lease(holderIdentity="goldseam"), NOW) is not None
    assert by_another(lease(holderIdentity="goldseam"), NOW) is None


def test_its_name_is_as_theirs() -> None:
    assert name_of("Worker-1.example") == "node-worker-1.example"
