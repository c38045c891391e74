"""Kill -9 is boring, everywhere: the operator dies at every write and at every gather of two incidents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.node_tales import Drain
from tests.support.plane import Plane
from tests.support.tales import Ladder, Tale
from tests.support.theatre import House, Say, Theatre, killed_anywhere, killed_while_the_world_changes, opened

TALES = pytest.mark.parametrize("tale", [Ladder, Drain], ids=["ladder", "drain"])

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def house(installed: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with opened(installed, tmp_path_factory.mktemp("mortal"), Ladder, Drain) as one:
        yield one


@TALES
def test_killed_anywhere_it_does_nothing_twice_pays_what_it_owes_and_ends_the_same(
    tale: type[Tale], house: House, say: Say, counted: Counter[str]
) -> None:
    assert not killed_anywhere(Theatre(tale, house, say), counted)


@TALES
def test_killed_while_the_world_changes_it_does_nothing_twice_and_pays_or_explains(
    tale: type[Tale], house: House, say: Say, counted: Counter[str]
) -> None:
    assert not killed_while_the_world_changes(Theatre(tale, house, say), counted)
