"""What is found out once for a list of nodes is what would be found out for each pod anew."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from goldseam.engine.node_lists import node_list
from goldseam.engine.placement import in_service, may_run

Json = dict[str, Any]
ZONES = st.sampled_from(["a", "b"])
TAINT = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


def affinity(zone: str) -> Json:
    """Only nodes of this zone."""
    terms = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]}]
    return {"nodeSelectorTerms": terms}


@st.composite
def nodes(draw: st.DrawFn, number: int) -> Json:
    ready = draw(st.sampled_from(["True", "False"]))
    return {
        "metadata": {"name": f"n{number}", "uid": f"u{number}", "labels": {"zone": draw(ZONES)}},
        "spec": {"unschedulable": draw(st.booleans()), "taints": draw(st.sampled_from([[], [TAINT]]))},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


@st.composite
def pods(draw: st.DrawFn) -> Json:
    spec: Json = {}
    if draw(st.booleans()):
        spec["tolerations"] = [{"key": "gpu", "operator": "Exists"}]
    if draw(st.booleans()):
        spec["nodeSelector"] = {"zone": draw(ZONES)}
    if draw(st.booleans()):
        wanted = {"requiredDuringSchedulingIgnoredDuringExecution": affinity(draw(ZONES))}
        spec["affinity"] = {"nodeAffinity": wanted}
    return {"metadata": {"name": "p"}, "spec": spec}


volumes = st.lists(ZONES.map(lambda zone: {"spec": {"nodeAffinity": {"required": affinity(zone)}}}), max_size=1)


@given(st.tuples(*(nodes(number) for number in range(5))), st.lists(st.tuples(pods(), volumes), max_size=5))
def test_who_may_take_a_pod_is_the_same_whoever_asked_before(found: tuple[Json, ...], asked: Any) -> None:
    for pod, bound in asked:
        taking = [node for node in found if in_service(node) and may_run(pod, node, bound)]
        assert node_list(found).taking(pod, bound) == taking


@given(st.tuples(*(nodes(number) for number in range(3))), st.sets(st.sampled_from(["u0", "u1", "u2"])))
def test_whether_any_node_is_left_counts_those_in_service_that_stay(found: tuple[Json, ...], gone: set[str]) -> None:
    left = [node for node in found if in_service(node) and node["metadata"]["uid"] not in gone]
    assert node_list(found).serves_without(gone) == bool(left)


def test_another_list_is_another_one_though_it_holds_the_same_nodes() -> None:
    one: Json = {"metadata": {"uid": "u"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    first = (one,)
    second = tuple(iter(first))
    assert node_list(first) is node_list(first)
    assert node_list(second) is not node_list(first)
    assert [node_list(first).by_uid, node_list(second).by_uid] == [{"u": one}, {"u": one}]
