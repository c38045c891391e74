"""Where a pod may run: as the scheduler's filters would say."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from goldseam.engine.placement import Room, in_order, in_service, may_run, reaches, requested
from tests.support.objects import node, pod

Json = dict[str, Any]


def needs(cpu: str = "", memory: str = "", **more: str) -> Json:
    """A container that requests this."""
    amounts = {"cpu": cpu, "memory": memory, **more}
    return {"resources": {"requests": {key: value for key, value in amounts.items() if value}}}


def asking(name: str = "api-1", **spec: Any) -> Json:
    return pod(name, spec=spec)


def labelled(**labels: str) -> Json:
    return node("worker-2", labels=labels)


def tainted(effect: str = "NoSchedule", value: str = "a") -> Json:
    made = node("worker-2")
    made["spec"]["taints"] = [{"key": "gpu", "value": value, "effect": effect}]
    return made


@pytest.mark.parametrize(
    ("toleration", "goes"),
    [
        ({"key": "gpu", "value": "a"}, True),
        ({"key": "gpu", "operator": "Equal", "value": "a", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "gpu", "value": "b"}, False),
        ({"key": "disk", "operator": "Exists"}, False),
        ({"key": "gpu", "value": "a", "effect": "NoExecute"}, False),
    ],
)
def test_a_taint_keeps_away_what_does_not_tolerate_it(toleration: Json, goes: bool) -> None:
    assert may_run(asking(tolerations=[toleration]), tainted()) is goes
    assert not may_run(asking(), tainted())
    assert may_run(asking(), tainted("PreferNoSchedule"))


def required(*terms: Json) -> Json:
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}


def wants(operator: str, *values: str, key: str = "disk") -> Json:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("term", "goes"),
    [
        (wants("In", "ssd", "nvme"), True),
        (wants("In", "hdd"), False),
        (wants("NotIn", "hdd"), True),
        (wants("NotIn", "ssd"), False),
        (wants("NotIn", "ssd", key="other"), True),
        (wants("Exists"), True),
        (wants("Exists", key="other"), False),
        (wants("DoesNotExist", key="other"), True),
        (wants("DoesNotExist"), False),
        (wants("Gt", "3", key="size"), True),
        (wants("Gt", "4", key="size"), False),
        (wants("Lt", "5", key="size"), True),
        (wants("Lt", "4", key="size"), False),
        (wants("Gt", "3", key="disk"), False),
        (wants("Lt", "3", key="other"), False),
        ({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["worker-2"]}]}, True),
        ({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["worker-1"]}]}, False),
        ({}, False),
    ],
)
def test_affinity_to_nodes_is_kept(term: Json, goes: bool) -> None:
    there = labelled(disk="ssd", size="4")
    assert may_run(asking(affinity=required(term)), there) is goes
    assert may_run(asking(affinity=required(wants("In", "none"), term)), there) is goes, "one term is enough"


def test_a_selector_must_be_met_by_every_label() -> None:
    assert may_run(asking(nodeSelector={"disk": "ssd"}), labelled(disk="ssd", zone="a"))
    assert not may_run(asking(nodeSelector={"disk": "ssd", "zone": "b"}), labelled(disk="ssd", zone="a"))


def volume(**labels: str) -> Json:
    terms = [wants("In", value, key=key) for key, value in labels.items()]
    affinity = {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}} if labels else {}
    return {"metadata": {"name": "pv"}, "spec": affinity}


def test_a_volume_takes_its_pod_where_it_can_be_used() -> None:
    assert reaches(volume(), labelled())
    assert reaches(volume(zone="a"), labelled(zone="a"))
    assert not may_run(asking(), labelled(zone="b"), [volume(), volume(zone="a")])


def test_in_service_is_ready_and_not_cordoned() -> None:
    assert in_service(node())
    assert not in_service(node(ready=False))
    assert not in_service(node(cordoned="kubectl-cordon"))


def amounts(**sizes: str) -> dict[str, Decimal]:
    return {key: Decimal(size) for key, size in sizes.items()}


def test_a_pod_requests_what_its_containers_do_together() -> None:
    assert requested(asking(containers=[needs("500m", "1Ki"), needs("1"), {}])) == amounts(cpu="1.5", memory="1024")
    assert requested(asking()) == {}
    assert requested(asking(containers=[needs("0")])) == {}


def test_an_init_container_counts_where_it_needs_more_than_the_rest() -> None:
    spec: Json = {"containers": [needs("1", "10")], "initContainers": [needs("3"), needs("2", "5")]}
    assert requested(asking(**spec)) == amounts(cpu="3", memory="10")


def test_a_sidecar_runs_beside_the_containers_and_the_init_containers_after_it() -> None:
    sidecar = needs("1") | {"restartPolicy": "Always"}
    spec: Json = {"containers": [needs("1")], "initContainers": [needs("2"), sidecar, needs("2")]}
    assert requested(asking(**spec)) == amounts(cpu="3")
    assert requested(asking(containers=[needs("3")], initContainers=[sidecar])) == amounts(cpu="4")


def test_requests_of_the_pod_as_a_whole_and_its_overhead_count() -> None:
    spec: Json = {"containers": [needs("1", "10")], "overhead": {"cpu": "100m"}} | needs("2")
    assert requested(asking(**spec)) == amounts(cpu="2.1", memory="10")


def sized(cpu: str = "4", slots: str = "", **more: str) -> Json:
    made = node("worker-2")
    made["status"]["allocatable"] = {"cpu": cpu} | ({"pods": slots} if slots else {}) | more
    return made


def test_there_is_room_for_what_is_left_and_no_more() -> None:
    ended = pod("done", phase="Succeeded", spec={"containers": [needs("4")]})
    room = Room(sized(), [asking(containers=[needs("3")]), ended])
    fits, large = asking("a", containers=[needs("1")]), asking("b", containers=[needs("1001m")])
    assert room.takes(fits)
    assert not room.takes(large)
    room.put(fits)
    assert not room.takes(fits)
    assert room.takes(asking("small")), "what requests nothing counts as nothing"


def test_a_resource_that_the_node_does_not_have_is_not_there() -> None:
    picky = asking(containers=[needs("1", gpu="1")])
    assert not Room(sized(), []).takes(picky)
    assert Room(sized(gpu="1"), []).takes(picky)


def test_a_node_takes_so_many_pods_whatever_they_request() -> None:
    room = Room(sized(slots="2"), [asking()])
    assert room.takes(asking("a"))
    room.put(asking("a"))
    assert not room.takes(asking("b"))


def apart(term: Json | None = None) -> Json:
    selector = {"labelSelector": {"matchLabels": {"app": "api"}}, "topologyKey": "kubernetes.io/hostname"}
    terms = {"requiredDuringSchedulingIgnoredDuringExecution": [selector | (term or {})]}
    return {"podAntiAffinity": terms}


def mate(namespace: str = "shop", app: str = "api") -> Json:
    return pod("api-2", metadata={"namespace": namespace, "labels": {"app": app}})


def test_pods_that_keep_apart_do_not_meet() -> None:
    shy = asking(affinity=apart())
    assert not Room(sized(), [mate()]).takes(shy)
    assert Room(sized(), [mate(app="web"), mate("bank")]).takes(shy)
    assert not Room(sized(), [mate("bank")]).takes(asking(affinity=apart({"namespaces": ["bank"]})))
    room = Room(sized(), [])
    room.put(mate())
    assert not room.takes(shy), "one that was put there counts, too"


def test_who_is_there_keeps_others_away_as_well() -> None:
    shy = mate(app="shy") | {"spec": {"affinity": apart()}}
    newcomer = asking() | {"metadata": {"namespace": "shop", "labels": {"app": "api"}}}
    assert not Room(sized(), [shy]).takes(newcomer)
    assert Room(sized(), [shy]).takes(asking()), "of whom it does not keep apart"
    room = Room(sized(), [])
    room.put(shy)
    assert not room.takes(newcomer), "one that was put there counts, too"


def test_to_keep_apart_in_a_zone_is_not_judged() -> None:
    assert Room(sized(), [mate()]).takes(asking(affinity=apart({"topologyKey": "topology.kubernetes.io/zone"})))
    assert Room(sized(), [mate()]).takes(asking(affinity=apart({"namespaceSelector": {}})))


def test_the_largest_come_first() -> None:
    small, wide = asking("small", containers=[needs("1", "1")]), asking("wide", containers=[needs("2", "1")])
    large = asking("large", containers=[needs("1", "9")])
    assert [one["metadata"]["name"] for one in in_order([small, wide, large])] == ["large", "wide", "small"]


def test_a_pod_that_asks_for_no_cpu_comes_after_one_that_asks_for_little() -> None:
    alike = {"memory": "1Gi"}
    none, little = asking("none", containers=[needs(**alike)]), asking("little", containers=[needs("100m", **alike)])
    assert in_order([none, little]) == [little, none]
