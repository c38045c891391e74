"""Long lists are shared for a moment by those who ask for them, and nothing else is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from goldseam.errors import Unavailable
from goldseam.resources import NODES, PDBS, PODS
from goldseam.services.shared import LONGEST, MANY, MOMENT, SharedLists
from tests.support.harness import VirtualClock
from tests.support.toycluster import ToyCluster


class Counting(ToyCluster):
    """Notes each list, and may fail."""

    def __init__(self) -> None:
        super().__init__(now=lambda: "2026-11-23T12:00:00Z")
        self.lists: list[str] = []
        self.fails = False

    async def list(self, resource: Any, namespace: str = "", **which: Any) -> Any:
        self.lists.append(resource.plural)
        await asyncio.sleep(0)
        if self.fails:
            raise Unavailable("HTTP 503")
        return await super().list(resource, namespace, **which)


async def test_those_who_ask_within_a_moment_get_the_same_list() -> None:
    cluster, clock = Counting(), VirtualClock()
    shared = SharedLists(cluster, clock)
    await asyncio.gather(shared.list(NODES), shared.list(NODES), shared.list(PDBS))
    clock.advance(MOMENT)
    await shared.list(NODES)
    assert sorted(cluster.lists) == ["nodes", "poddisruptionbudgets"]
    clock.advance(0.01)
    await shared.list(NODES)
    assert cluster.lists.count("nodes") == 2


async def test_of_two_lists_what_has_not_changed_is_kept_once_and_what_has_is_as_it_is_now() -> None:
    cluster, clock = Counting(), VirtualClock()
    shared = SharedLists(cluster, clock)
    for name in ("a", "b", "c"):
        cluster.add("nodes", {"metadata": {"name": name}, "spec": {}})
    first = (await shared.list(NODES)).items
    cluster.edit("nodes", "", "b", {"spec": {"unschedulable": True}})
    cluster.remove("nodes", "", "c")
    cluster.add("nodes", {"metadata": {"name": "c"}, "spec": {}})
    clock.advance(LONGEST + 1)
    second = (await shared.list(NODES)).items
    assert [node["metadata"]["name"] for node in second] == ["a", "b", "c"]
    assert second[0] is first[0]
    assert second[1]["spec"] == {"unschedulable": True}
    assert second[2]["metadata"]["uid"] != first[2]["metadata"]["uid"]
    assert first[1]["spec"] == {}


async def test_what_is_not_all_of_it_is_read_anew_each_time() -> None:
    cluster = Counting()
    shared = SharedLists(cluster, VirtualClock())
    for _ in range(2):
        await shared.list(PDBS, "shop")
        await shared.list(PODS)
        await shared.list(NODES, labels="a=b")
    assert len(cluster.lists) == 6


async def test_an_error_is_given_to_those_who_wait_and_not_kept() -> None:
    cluster = Counting()
    shared = SharedLists(cluster, VirtualClock())
    cluster.fails = True
    for found in await asyncio.gather(shared.list(NODES), shared.list(NODES), return_exceptions=True):
        assert isinstance(found, Unavailable)
    cluster.fails = False
    assert (await shared.list(NODES)).items == ()


async def test_whoever_gives_up_takes_it_from_nobody() -> None:
    cluster = Counting()
    shared = SharedLists(cluster, VirtualClock())
    first, second = asyncio.create_task(shared.list(NODES)), asyncio.create_task(shared.list(NODES))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await second).items == ()
    assert cluster.lists == ["nodes"]


async def test_everything_else_is_the_clusters() -> None:
    cluster = Counting()
    cluster.add("nodes", {"metadata": {"name": "n"}})
    shared: Any = SharedLists(cluster, VirtualClock())
    assert (await shared.get(NODES, "", "n"))["metadata"]["name"] == "n"


def slow(cluster: Counting, clock: VirtualClock, takes: float) -> None:
    """Each list takes so many seconds from now on."""
    read = cluster.list

    async def slowed(resource: Any, namespace: str = "", **which: Any) -> Any:
        clock.advance(takes)
        return await read(resource, namespace, **which)

    cluster.list = slowed  # type: ignore[method-assign]


@pytest.mark.parametrize(("takes", "shared"), [(0.0, MOMENT), (0.3, 1.5), (1.0, LONGEST)])
async def test_a_list_that_takes_its_time_is_shared_for_longer_and_never_for_long(takes: float, shared: float) -> None:
    cluster, clock = Counting(), VirtualClock()
    lists = SharedLists(cluster, clock)
    for number in range(MANY):
        cluster.add("nodes", {"metadata": {"name": f"n{number}"}})
    slow(cluster, clock, takes)
    await lists.list(NODES)
    clock.advance(shared - takes - 0.001)
    await lists.list(NODES)
    assert cluster.lists.count("nodes") == 1
    clock.advance(0.01)
    await lists.list(NODES)
    assert cluster.lists.count("nodes") == 2


async def test_a_short_list_is_never_shared_for_longer_however_long_it_waited_to_be_read() -> None:
    cluster, clock = Counting(), VirtualClock()
    lists = SharedLists(cluster, clock)
    slow(cluster, clock, 0.3)
    await lists.list(NODES)
    clock.advance(MOMENT - 0.3 + 0.01)
    await lists.list(NODES)
    assert cluster.lists.count("nodes") == 2


async def test_who_is_woken_because_we_changed_a_node_reads_the_nodes_anew() -> None:
    cluster = Counting()
    lists = SharedLists(cluster, VirtualClock())
    await lists.list(NODES)
    await lists.list(PDBS)
    lists.forget(NODES)
    await lists.list(NODES)
    await lists.list(PDBS)
    assert (cluster.lists.count("nodes"), cluster.lists.count("poddisruptionbudgets")) == (2, 1)
