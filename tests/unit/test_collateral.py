"""The guard that asks for the workloads whose pods would go with their node."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from goldseam.engine.guards.collateral import collateral
from goldseam.engine.guards.hold import Hold
from goldseam.engine.objects import IGNORE
from goldseam.engine.proposal import Hit, World
from goldseam.engine.situation import Ledger, Situation
from goldseam.services.pauses import of_hit
from tests.support.objects import hpa, workload
from tests.unit.test_guards import NOW, other, situation, spent

Json = dict[str, Any]


def hitting(found: Json | None = None, hpas: tuple[Json, ...] = (), **fields: Any) -> Situation:
    hit = Hit(found or workload(), frozenset({"uid-pod"}))
    return situation(world=World(target={"kind": "Node", "metadata": {"name": "n"}}, hit=(hit,), hpas=hpas), **fields)


def held(s: Situation) -> Hold | None:
    return collateral(s, NOW)


def scaling(there: int, wanted: int, active: str = "True") -> Json:
    conditions = [{"type": "ScalingActive", "status": active}]
    return hpa() | {"status": {"currentReplicas": there, "desiredReplicas": wanted, "conditions": conditions}}


def test_a_workload_that_is_well_and_left_alone_holds_nothing() -> None:
    assert held(hitting(hpas=(scaling(3, 3), hpa(name="new")))) is None
    assert held(situation(world=World(target=None))) is None, "nobody asked for them yet"


def test_a_workload_that_its_autoscaler_scales_is_waited_for() -> None:
    hold = held(hitting(hpas=(scaling(3, 5),)))
    assert hold is not None
    assert hold.message.endswith("HorizontalPodAutoscaler api scales it from 3 to 5")
    elsewhere = scaling(3, 5) | {"metadata": hpa()["metadata"] | {"namespace": "bank"}}
    assert held(hitting(hpas=(elsewhere,))) is None
    assert held(hitting(hpas=(scaling(3, 0, active="False"),))) is None, "it has no metrics"


LATE = {"type": "Progressing", "reason": "ProgressDeadlineExceeded"}


@pytest.mark.parametrize(
    "found",
    [
        workload(status={"updatedReplicas": 1, "conditions": [LATE]}),
        workload() | {"kind": "ReplicaSet", "status": {"observedGeneration": 4, "replicas": 3}},
    ],
    ids=["stuck", "a ReplicaSet"],
)  # fmt: skip
def test_what_is_no_rollout_in_progress_is_not_waited_for(found: Json) -> None:
    assert held(hitting(found)) is None


def test_an_incident_of_another_namespace_says_nothing_of_a_workload() -> None:
    assert held(hitting(others=(other(name="bank/forged", works_on="uid-api"),))) is None
    assert held(hitting(others=(other(works_on="uid-web"),))) is None


def test_the_cooldown_of_a_workload_counts_for_whoever_acted_on_it_and_ends() -> None:
    theirs = spent(timedelta(minutes=10), policy="RemediationPolicy/shop/another")
    hold = held(hitting(ledger=Ledger((theirs,))))
    assert hold is not None
    assert hold.until == NOW + timedelta(minutes=20)
    assert held(hitting(ledger=Ledger((replace(theirs, last=NOW - timedelta(minutes=31)),)))) is None
    assert held(hitting(ledger=Ledger((replace(theirs, target="Deployment/shop/web"),)))) is None


def pause(namespace: str = "shop", **spec: Any) -> Json:
    meta = {"name": "p", "namespace": namespace, "creationTimestamp": NOW.isoformat()}
    return {"metadata": meta, "spec": {"reason": "deploying"} | spec}


@pytest.mark.parametrize(
    ("found", "holds"),
    [
        (pause(), True),
        (pause(target={"kind": "Deployment", "name": "api"}), True),
        (pause(target={"kind": "Deployment", "name": "web"}), False),
        (pause(policy="heal"), False),
        (pause("bank"), False),
        (pause(cluster=True), False),
        (pause(until=(NOW - timedelta(hours=1)).isoformat()), False),
    ],
    ids=["namespace", "workload", "other workload", "a policy", "other namespace", "cluster", "over"],
)
def test_a_pause_of_a_workload_or_of_its_namespace_holds_the_drain(found: Json, holds: bool) -> None:
    assert bool(of_hit([found], hitting(), NOW)) is holds


def test_of_two_that_hold_it_names_the_same_one_whichever_pods_are_ready() -> None:
    """Else which one is named, and written down, changed with each pod that flaps."""
    marked = [workload(metadata={"name": name, "annotations": {IGNORE: "true"}}) for name in ("api", "db")]
    hit = tuple(Hit(one, frozenset({"uid-pod"})) for one in marked)
    s = hitting()
    told = [held(replace(s, world=replace(s.world, hit=order))) for order in (hit, hit[::-1])]
    assert told[0] == told[1]
    assert told[0] is not None
