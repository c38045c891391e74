"""Drains that look before they touch anything, on a toy cluster: what the pods need, who else is at work on them."""

from __future__ import annotations

from typing import Any

from goldseam.engine.matching import PolicyKey
from goldseam.engine.situation import Other
from goldseam.errors import Forbidden
from tests.component.test_node_incidents import crempol, node, pod
from tests.support.harness import Harness, deployment

Json = dict[str, Any]


def sized(name: str, cpu: str = "4") -> Json:
    made = node(name)
    made["status"]["allocatable"] = {"cpu": cpu, "pods": "110"}
    return made


def asking(name: str, cpu: str = "", where: str = "n1", **spec: Any) -> Json:
    made = pod(name, where)
    made["spec"] |= spec | ({"containers": [{"resources": {"requests": {"cpu": cpu}}}]} if cpu else {})
    return made


async def prepared(*objects: tuple[str, Json], ladder: Json | None = None, **spec: Any) -> Harness:
    """An incident about node `n1`, and these objects beside it."""
    h = Harness(crempol(ladder or {"drain": {}}, **spec), sized("n1"), "nodes")
    for plural, obj in objects:
        h.cluster.add(plural, obj)
    await h.start()
    await h.open()
    return h


def touched(h: Harness) -> list[str]:
    """What was written beside Goldseam's own records."""
    ours = ("incidents", "guardrails", "pauses", "responses")
    return [path for _, path, _, _ in h.cluster.writes if path.split("/")[0] not in ours]


async def test_the_plan_is_on_the_incident_before_anything_is_touched() -> None:
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1", "2")), ("pods", asking("p2")))
    await h.settle(20)
    paths = [path.split("/")[0] for _, path, _, body in h.cluster.writes]
    told = next(i for i, (*_, body) in enumerate(h.cluster.writes) if "preflight" in str(body))
    assert told < paths.index("nodes")
    plan = h.status.steps[0].preflight
    assert plan is not None
    assert plan[0] == "2 pods would go: 2 of ReplicaSet shop/rs"
    assert plan[-1].endswith("1 pod requests cpu 2, and there is room for it on the 1 that was asked")


async def test_a_drain_without_room_elsewhere_is_refused_before_anything_is_touched() -> None:
    there = asking("other", "3", where="n2")
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1", "2")), ("pods", there))
    await h.settle(20)
    assert touched(h) == []
    assert h.status.steps[0].outcome == "Refused"
    assert "pod shop/p1 requests cpu 2" in h.status.steps[0].message


async def test_who_keeps_apart_from_the_pod_is_no_company_for_it() -> None:
    term = {"labelSelector": {}, "topologyKey": "kubernetes.io/hostname"}
    alone = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    there = asking("hermit", "1", where="n2", affinity=alone)
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1", "2")), ("pods", there))
    await h.settle(20)
    assert touched(h) == []
    assert h.status.steps[0].outcome == "Refused"


async def test_room_is_looked_for_on_more_nodes_until_there_is_enough() -> None:
    full = [("pods", asking(f"other-{n}", "4", where=f"n{n}")) for n in range(2, 12)]
    nodes = [("nodes", sized(f"n{n}")) for n in range(2, 13)]
    h = await prepared(*nodes, *full, ("pods", asking("p1", "2")))
    await h.settle(20)
    assert h.status.steps[0].preflight, "one of eleven has room"
    assert "pods/shop/p1" in touched(h)


def listening(h: Harness) -> list[str]:
    """By which fields objects are listed from now on."""
    asked: list[str] = []
    read = h.cluster.list

    async def listed(*args: Any, **more: Any) -> Any:
        asked.append(more.get("fields", ""))
        return await read(*args, **more)

    h.cluster.list = listed  # type: ignore[method-assign]
    return asked


async def test_room_is_not_asked_about_for_pods_that_request_nothing() -> None:
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1")))
    asked = listening(h)
    await h.settle(20)
    assert "spec.nodeName=n1" in asked
    assert "spec.nodeName=n2" not in asked


async def test_a_drain_waits_while_it_cannot_be_read_where_the_data_is() -> None:
    data = {"volumes": [{"persistentVolumeClaim": {"claimName": "data"}}]}
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1", **data)))
    h.cluster.unreadable = {"persistentvolumeclaims"}
    await h.settle(20)
    assert touched(h) == []
    assert h.status.holds[0].reason == "NotRead"
    assert "persistentvolumeclaims/data" in h.status.holds[0].message
    h.cluster.unreadable = set()
    await h.settle(20)
    assert "pods/shop/p1" in touched(h), "a claim that is gone binds nobody"


async def test_a_pod_with_its_data_on_the_node_is_found_by_its_claim() -> None:
    here = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]
    volume = {
        "metadata": {"name": "pv-1"},
        "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": here}}},
    }
    claim = {"metadata": {"name": "data", "namespace": "shop"}, "spec": {"volumeName": "pv-1"}}
    data = {"volumes": [{"persistentVolumeClaim": {"claimName": "data"}}]}
    h = await prepared(
        ("nodes", sized("n2")),
        ("pods", asking("p1", **data)),
        ("persistentvolumeclaims", claim),
        ("persistentvolumes", volume),
    )
    await h.settle(20)
    assert touched(h) == []
    assert "shop/p1 has its data on Node n1 only (PersistentVolume pv-1)" in h.status.steps[0].message


async def test_once_pods_are_gone_room_is_not_asked_about_again() -> None:
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1", "2")), ("pods", asking("p2", "1")))
    h.cluster.budget = 1
    await h.settle(10)
    asked = listening(h)
    h.cluster.add("pods", asking("late", "4", where="n2"))
    h.cluster.budget = 10
    await h.settle(20)
    assert "spec.nodeName=n2" not in asked
    assert {"pods/shop/p1", "pods/shop/p2"} <= set(touched(h))


async def test_in_mode_observe_the_plan_is_on_the_incident_too() -> None:
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1", "2")), mode="Observe")
    await h.settle(20)
    assert touched(h) == []
    assert h.status.steps[0].preflight


async def test_whoever_is_asked_sees_the_plan() -> None:
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1", "2")), mode="Propose")
    await h.settle(20)
    assert touched(h) == []
    plan = h.status.approvals[0].preflight
    assert plan is not None
    assert plan[-1].endswith("there is room for it on the 1 that was asked")


async def test_pods_of_a_protected_namespace_may_go_with_their_node() -> None:
    dns = asking("dns")
    dns["metadata"]["namespace"] = "kube-system"
    h = await prepared(("nodes", sized("n2")), ("pods", dns))
    await h.settle(20)
    assert "pods/kube-system/dns" in touched(h)


def owned(name: str = "p1", where: str = "n1") -> list[tuple[str, Json]]:
    """A Deployment `shop/api` with three pods, one of them on the node, and what lies between them."""
    made = asking(name, where=where)
    made["metadata"]["ownerReferences"][0] |= {"name": "api-1", "uid": "uid-rs"}
    above = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api", "uid": "uid-api", "controller": True}
    meta = {"name": "api-1", "namespace": "shop", "uid": "uid-rs", "ownerReferences": [above]}
    return [
        ("nodes", sized("n2")),
        ("pods", made),
        ("replicasets", {"metadata": meta}),
        ("deployments", deployment(3, uid="uid-api")),
    ]


async def test_a_drain_waits_for_a_pause_in_a_namespace_of_its_pods_and_names_both() -> None:
    h = await prepared(*owned())
    spec = {"reason": "we are deploying"}
    h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "shop"}, "spec": spec})
    await h.settle(20)
    assert touched(h) == []
    assert (h.status.holds[0].guard, h.status.holds[0].reason) == ("collateral", "WorkloadPaused")
    assert h.status.holds[0].message.startswith("Deployment shop/api has pods on the node: Pause shop/p holds until")
    h.cluster.remove("pauses", "shop", "p")
    await h.settle(30)
    assert "pods/shop/p1" in touched(h)


async def test_a_drain_waits_for_the_work_of_another_incident_on_one_of_its_workloads() -> None:
    h = await prepared(*owned())
    key = PolicyKey("RemediationPolicy", "shop", "heal")
    rival = Other(
        "shop/heal", "o", h.clock.now(), "", key, None,
        claims=True, busy=True, labels={}, active=True, works_on="uid-api",
    )  # fmt: skip
    h.looker.gatherer._others = lambda _: (rival,)
    await h.settle(20)
    assert touched(h) == []
    assert h.status.holds[0].message.endswith("Incident shop/heal is acting on it")
    h.looker.gatherer._others = lambda _: ()
    await h.settle(30)
    assert "pods/shop/p1" in touched(h)


async def test_the_workload_is_found_by_the_uids_of_its_owners() -> None:
    h = await prepared(*owned())
    h.cluster.objects["replicasets", "shop", "api-1"]["metadata"]["uid"] = "another"
    h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"reason": "deploying"}})
    await h.settle(20)
    assert "pods/shop/p1" in touched(h), "a ReplicaSet of the same name is another one"


LONG = {"drain": {}, "timeout": "3h"}
LEASE = ("leases", "medik8s-leases", "node-n1")


def medik8s() -> tuple[str, Json]:
    return "namespaces", {"metadata": {"name": "medik8s-leases"}}


def lease(holder: str, seconds: int, renewed: str = "2026-11-23T12:00:00.000000Z") -> tuple[str, Json]:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": renewed, "leaseTransitions": 2}
    return "leases", {"metadata": {"name": "node-n1", "namespace": "medik8s-leases"}, "spec": spec}


async def test_the_medik8s_lease_is_taken_before_the_node_is_cordoned_and_given_back_with_it() -> None:
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1")), medik8s())
    await h.settle(20)
    assert touched(h)[:2] == ["/".join(LEASE), "nodes//n1"]
    taken = h.cluster.objects[LEASE]
    assert taken["spec"] | {"renewTime": "", "acquireTime": ""} == {
        "holderIdentity": "goldseam", "leaseDurationSeconds": 3600, "leaseTransitions": 0,
        "renewTime": "", "acquireTime": "",
    }  # fmt: skip
    assert taken["metadata"]["ownerReferences"][0]["name"] == "n1"
    h.alert_state = "Cleared"
    await h.settle(60)
    assert touched(h)[-2:] == ["nodes//n1", "/".join(LEASE)]
    assert h.cluster.objects[LEASE]["spec"] == {"leaseTransitions": 0}
    assert h.status.phase == "Resolved"


async def test_a_lease_that_another_holds_is_waited_for_in_words_and_nothing_is_written() -> None:
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1")), medik8s(), lease("node-healthcheck", 40))
    await h.settle(20)
    assert touched(h) == []
    hold = h.status.holds[0]
    assert (hold.guard, hold.reason) == ("leased", "NodeLeaseHeld")
    assert hold.message == (
        "node-healthcheck is at work on Node n1: it holds Lease medik8s-leases/node-n1 until 12:00:40 UTC"
    )
    await h.settle(40)
    assert touched(h)[:2] == ["/".join(LEASE), "nodes//n1"], "it has lapsed"
    assert h.cluster.objects[LEASE]["spec"]["leaseTransitions"] == 3


async def test_where_there_is_no_medik8s_no_lease_is_written() -> None:
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1")))
    await h.settle(20)
    assert touched(h)[:1] == ["nodes//n1"]
    assert LEASE not in h.cluster.objects


async def test_a_cordon_waits_for_the_lease_too() -> None:
    h = await prepared(medik8s(), lease("node-healthcheck", 40), ladder={"cordon": {}})
    await h.settle(20)
    assert touched(h) == []
    assert h.status.holds[0].reason == "NodeLeaseHeld"


async def test_who_is_faster_gets_the_lease_and_the_node_is_not_touched() -> None:
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1")), medik8s())
    h.cluster.add(*lease("nobody", 1, "2026-11-23T11:00:00Z"))
    h.cluster.stale = {"/".join(LEASE)}
    await h.settle(0)
    assert "nodes//n1" not in touched(h)
    h.cluster.edit(*LEASE, {"spec": lease("node-healthcheck", 3600)[1]["spec"]})
    await h.settle(20)
    assert "nodes//n1" not in touched(h)
    assert h.status.holds[0].reason == "NodeLeaseHeld"


async def test_a_lease_that_may_not_be_read_refuses_with_what_to_install() -> None:
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1")), medik8s())
    h.cluster.forbidden = {"leases"}
    await h.settle(20)
    assert touched(h) == []
    assert "bind ClusterRole goldseam-medik8s there" in h.status.steps[0].message


async def test_where_there_is_no_medik8s_no_lease_is_looked_at() -> None:
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1")))
    h.cluster.forbidden = {"leases"}
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(60)
    assert h.status.phase == "Resolved"
    assert "leases" not in {path.split("/")[0] for path in touched(h)}


async def test_a_lease_that_cannot_be_given_back_lapses_and_holds_nothing_up() -> None:
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1")), medik8s())
    await h.settle(20)
    h.cluster.refused = {"/".join(LEASE)}
    h.alert_state = "Cleared"
    await h.settle(60)
    assert h.status.phase == "Resolved"
    assert not h.live()["spec"].get("unschedulable")


async def test_a_lease_that_somebody_has_taken_since_is_not_given_back() -> None:
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1")), medik8s())
    await h.settle(20)
    h.cluster.edit(*LEASE, {"spec": {"holderIdentity": "node-healthcheck"}})
    h.alert_state = "Cleared"
    await h.settle(60)
    assert h.cluster.objects[LEASE]["spec"]["holderIdentity"] == "node-healthcheck"


async def test_a_drain_that_takes_long_renews_its_lease_and_stops_where_another_has_it_by_then() -> None:
    more = ("pods", asking("p2")), ("pods", asking("p3"))
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1")), *more, medik8s(), ladder=LONG)
    h.cluster.budget = 1

    def taken() -> int:
        return touched(h).count("/".join(LEASE))

    await h.settle(25 * 60)
    assert taken() == 1, "it is not written in vain"
    await h.settle(10 * 60)
    assert taken() == 2
    h.cluster.edit(*LEASE, {"spec": {"holderIdentity": "node-healthcheck"}})
    h.cluster.budget = 1
    await h.settle(60)
    assert h.status.holds[0].reason == "NodeLeaseHeld"
    assert touched(h).count("pods/shop/p2") == 0


async def test_a_node_lease_that_may_be_read_and_not_written_is_said_and_ends_the_rung_in_time() -> None:
    h = await prepared(("nodes", sized("n2")), ("pods", asking("p1")), medik8s())
    create = h.cluster.create

    async def forbidden(resource: Any, *args: Any, **options: Any) -> Json:
        if resource.plural == "leases":
            raise Forbidden("leases is forbidden")
        return await create(resource, *args, **options)

    h.cluster.create = forbidden  # type: ignore[method-assign]
    await h.settle(10)
    assert "leases is forbidden" in h.status.steps[0].writes[0].message
    await h.settle(900)
    assert h.status.steps[0].outcome == "Failed"
    assert touched(h) == []
