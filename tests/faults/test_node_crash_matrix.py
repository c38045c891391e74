"""Kill -9 is boring on nodes, too: the operator dies at every write and at every gather of a drain that ends by force,
of one that takes a Medik8s lease and restarts a single replica, and of one after which the node reboots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.test_careful_drains import leases, medik8s
from tests.cluster.test_reboots import as_operator
from tests.support.as_operator import AsOperator
from tests.support.node_tales import ForcedDrain, Reboot, SingleDrain
from tests.support.pieces import piece
from tests.support.tales import Tale
from tests.support.theatre import House, Say, Theatre, killed_anywhere, killed_while_the_world_changes, opened

__all__ = ["as_operator", "leases", "medik8s"]
ALL = (ForcedDrain, SingleDrain, Reboot)
TALES = pytest.mark.parametrize("tale", ALL, ids=[tale.name for tale in ALL])

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def house(as_operator: AsOperator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """With the pieces `reboot` and `forced-drain`."""
    plane, home = as_operator.plane, Path(tmp_path_factory.mktemp("mortal"))
    with piece(plane, "forced-drain"), opened(plane, home, *ALL, allowForcedDrain=["node-*"]) as one:
        yield one


@pytest.fixture
def theatre(tale: type[Tale], house: House, say: Say, request: pytest.FixtureRequest) -> Theatre:
    """Where node leases are taken, there are such; in the other tales there is no Medik8s."""
    if tale is SingleDrain:
        request.getfixturevalue("medik8s")
    return Theatre(tale, house, say)


@TALES
def test_killed_anywhere_it_does_nothing_twice_pays_what_it_owes_and_ends_the_same(
    theatre: Theatre, counted: Counter[str]
) -> None:
    assert not killed_anywhere(theatre, counted)


@TALES
def test_killed_while_the_world_changes_it_does_nothing_twice_and_pays_or_explains(
    theatre: Theatre, counted: Counter[str]
) -> None:
    assert not killed_while_the_world_changes(theatre, counted)
