"""drain: of a workload whose volumes one node can use at a time, one pod goes after the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from goldseam.actions.drain import ACTION, going
from goldseam.api.drained import Aftermath
from goldseam.api.incident import Step, Write
from goldseam.api.ladder import Drain
from goldseam.engine.detaching import PATIENCE, seen
from goldseam.engine.proposal import Effect, Hit, Plan, Proposal, World
from tests.support.objects import node, owned_by, pod, workload

Json = dict[str, Any]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def uses(name: str, *claims: str, of: str = "StatefulSet", **more: Any) -> Json:
    """A pod with these claims; the StatefulSet is one and the same."""
    volumes = [{"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in claims]
    return pod(name, of, spec={"volumes": volumes}, **more)


def volume(name: str, mode: str = "ReadWriteOnce") -> Json:
    return {"metadata": {"name": name}, "spec": {"accessModes": [mode]}}


def around(*pods: Json, attached: set[str] | None, modes: dict[str, str] | None = None, **more: Any) -> World:
    """A node with these pods; each claim `c` is bound to PersistentVolume `pv-c`."""
    volumes = [one["persistentVolumeClaim"]["claimName"] for p in pods for one in p["spec"].get("volumes", ())]
    bound = {f"shop/{name}": volume(f"pv-{name}", (modes or {}).get(name, "ReadWriteOnce")) for name in volumes}
    target = node(cordoned="goldseam")
    known = None if attached is None else frozenset(attached)
    return World(
        target=target, pods=pods, nodes=(target, node("worker-2")), volumes=bound, attached=known, now=NOW, **more
    )  # fmt: skip


def plan(world: World) -> Plan:
    return ACTION.plan(Drain(), world, "token")


def moved(found: Plan) -> dict[str, tuple[list[str], str]]:
    """The volumes that are written down, by the pod, and of which workload one pod goes at a time."""
    assert isinstance(found, Proposal), found
    return {w.object.name: (w.volumes.names, w.volumes.workload) for w in found.writes if w.volumes is not None}


def goes(world: World, writes: tuple[Write, ...]) -> list[str]:
    """Who may go now, of those that are to go."""
    turn, left = plan(world).turn, {pod["metadata"]["uid"] for pod in going(world)}
    return [w.object.name for w in writes if w.object.uid in left and turn.has(w, writes)]


def planned(world: World) -> tuple[list[str], tuple[Write, ...]]:
    """Who goes first, and what is written down."""
    found = plan(world)
    assert isinstance(found, Proposal), found
    return goes(world, found.writes), tuple(w for w in found.writes if w.verb == "Evict")


OWNER = owned_by("StatefulSet", "of-it")[0]["uid"]


def test_what_is_attached_is_written_down_with_the_pod_and_whose_pod_that_is() -> None:
    world = around(uses("db-0", "a"), uses("db-1", "b", "c"), pod("api-1"), attached={"pv-a", "pv-b"})
    assert moved(plan(world)) == {"db-0": (["pv-a"], OWNER), "db-1": (["pv-b"], OWNER)}


def test_a_volume_that_nothing_attaches_holds_nobody() -> None:
    assert moved(plan(around(uses("db-0", "a"), uses("db-1", "b"), attached=set()))) == {}


def test_where_it_is_not_known_what_is_attached_each_volume_of_one_node_counts() -> None:
    world = around(
        uses("db-0", "a"), uses("files-0", "b"), attached=None, modes={"b": "ReadWriteMany"},
        closed=frozenset({"attachments"}),
    )  # fmt: skip
    assert moved(plan(world)) == {"db-0": (["pv-a"], OWNER)}


def test_volumes_that_several_nodes_can_use_hold_nobody_but_are_waited_for_at_the_end() -> None:
    shared = around(
        uses("db-0", "a"), uses("db-1", "a"), attached={"pv-a"}, modes={"a": "ReadWriteMany"}
    )  # fmt: skip
    first, _ = planned(shared)
    assert first == ["db-1", "db-0"]
    assert moved(plan(shared)) == {"db-0": (["pv-a"], ""), "db-1": (["pv-a"], "")}


def test_what_a_pod_that_stays_uses_too_is_not_let_go_and_not_waited_for() -> None:
    agent = uses("agent", "a", of="DaemonSet")
    assert moved(plan(around(uses("db-0", "a"), agent, attached={"pv-a"}))) == {}


def test_of_one_workload_the_highest_ordinal_goes_and_others_are_not_held() -> None:
    other = uses("kafka-0", "k", metadata={"ownerReferences": owned_by("StatefulSet", "kafka")})
    other["metadata"]["ownerReferences"][0]["uid"] = "uid-kafka"
    world = around(uses("db-0", "a"), uses("db-1", "b"), other, pod("api-1"), attached={"pv-a", "pv-b", "pv-k"})
    first, _ = planned(world)
    assert sorted(first) == ["api-1", "db-1", "kafka-0"]


@pytest.mark.parametrize(
    ("pods", "attached", "next_one", "waits"),
    [
        (["db-0", "db-1 ends"], {"pv-a", "pv-b"}, [], "pod shop/db-1 to be gone"),
        (["db-0", "db-1 hangs"], {"pv-a", "pv-b"}, ["db-0"], ""),
        (["db-0"], {"pv-a", "pv-b"}, [], "PersistentVolume pv-b to be detached"),
        (["db-0"], {"pv-a"}, ["db-0"], ""),
    ],
)
def test_the_next_one_goes_when_the_one_before_is_gone_and_its_volume_is_detached(
    pods: list[str], attached: set[str], next_one: list[str], waits: str
) -> None:
    _, writes = planned(around(uses("db-0", "a"), uses("db-1", "b"), attached={"pv-a", "pv-b"}))
    there = [_pod(*name.split(" ")) for name in pods]
    later = replace(around(*there, attached=attached), evictions=writes, volumes={})
    assert goes(later, writes) == next_one
    assert plan(later).turn.waits_for == waits


def _pod(name: str, how: str = "") -> Json:
    until = {"ends": NOW + timedelta(seconds=20), "hangs": NOW - PATIENCE}.get(how)
    meta = {"deletionTimestamp": until.isoformat()} if until else {}
    return uses(name, {"db-0": "a", "db-1": "b"}[name], metadata=meta)


@pytest.mark.parametrize(("ago", "next_one"), [(PATIENCE - timedelta(seconds=1), []), (PATIENCE, ["db-0"])])
def test_a_volume_is_waited_for_for_five_minutes_since_its_pod_is_gone(ago: timedelta, next_one: list[str]) -> None:
    _, writes = planned(around(uses("db-0", "a"), uses("db-1", "b"), attached={"pv-a", "pv-b"}))
    later = around(uses("db-0", "a"), attached={"pv-a", "pv-b"})
    gone = seen(_step(writes), replace(later, now=NOW - ago)).writes
    assert [w.volumes.gone_at for w in gone if w.volumes] == [NOW - ago, None], "db-1 went first"
    assert goes(replace(later, evictions=tuple(gone)), tuple(gone)) == next_one


def test_when_a_pod_was_first_seen_to_be_gone_is_not_forgotten() -> None:
    _, writes = planned(around(uses("db-0", "a"), attached={"pv-a"}))
    step = seen(_step(writes), around(attached={"pv-a"}))
    again = seen(step, replace(around(attached={"pv-a"}), now=NOW + PATIENCE))
    assert [w.volumes.gone_at for w in again.writes if w.volumes] == [NOW]


def test_a_volume_that_another_pod_of_the_node_uses_still_is_not_waited_for() -> None:
    _, writes = planned(around(uses("db-0", "a"), uses("db-1", "a"), attached={"pv-a"}))
    later = replace(around(uses("db-0", "a"), attached={"pv-a"}), evictions=writes)
    assert goes(later, writes) == ["db-0"]


def _step(writes: tuple[Write, ...], aftermath: Aftermath | None = None) -> Step:
    done = [write.model_copy(update={"state": "Done"}) for write in writes]
    return Step(id="1-drain", rung=0, action="drain", phase="Acted", intent_at=NOW, writes=done, aftermath=aftermath)


def _observed(attached: set[str] | None, *workloads: Json, since: datetime | None = NOW, **more: Any) -> Effect:
    _, writes = planned(around(uses("db-0", "a"), attached={"pv-a"}))
    step = _step(writes, Aftermath(since=since))
    return ACTION.observe(step, replace(around(attached=attached, **more), recovering=workloads))


def test_a_drain_is_done_when_its_workloads_have_as_many_pods_ready_as_are_wanted_and_its_volumes_are_detached() -> (
    None
):
    well, weak = workload(replicas=3, ready=3), workload(replicas=3, ready=2)
    assert _observed(set(), well) == Effect(
        True,
        "what was evicted is gone from Node worker-1 (1 pod), 1 of 1 workload is ready again, its volumes are detached",
    )
    assert _observed(set(), well, weak).waits_for == "Deployment shop/api (2 of 3 pods ready)"
    assert _observed({"pv-a"}, well).waits_for == "PersistentVolume pv-a to be detached"


def test_what_is_not_known_of_volumes_is_said_and_not_waited_for() -> None:
    found = _observed(None, closed=frozenset({"attachments"}))
    assert (found.done, found.waits_for) == (True, "")
    assert found.message.endswith("for the operator has no right to list volumeattachments")


def test_what_was_seen_at_the_moment_at_which_the_pods_were_gone_does_not_count() -> None:
    well = workload(replicas=3, ready=3)
    assert not _observed(set(), well, since=None).done


def test_a_status_that_is_older_than_the_spec_does_not_count() -> None:
    stale = workload(replicas=3, ready=3, metadata={"generation": 9})
    assert not _observed(set(), stale).done


def test_the_workloads_that_are_hit_are_written_down() -> None:
    found = plan(replace(around(pod("api-1"), attached=None), hit=(Hit(workload(), frozenset({"uid-api-1"})),)))
    assert isinstance(found, Proposal)
    assert found.aftermath is not None
    assert [str(ref) for ref in found.aftermath.workloads] == ["Deployment shop/api"]
