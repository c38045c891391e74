"""The condition `NodesFit`: what a policy for nodes would be refused, said on it before there is any incident."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam.engine.objects import CONTROL_PLANE
from goldseam.services.live_policies import live_policy
from tests.component.test_node_incidents import crempol
from tests.component.test_templates import template
from tests.component.test_waking import Court, at_work
from tests.support.objects import reboot_cron_job

Json = dict[str, Any]
DRAIN: Json = {"drain": {}}
FORCE: Json = {"drain": {"atDeadline": "Force"}}


class Nodes(Court):
    """Nodes by their name and labels, Guardrails, and a policy."""

    def __init__(self, allowed: list[str] | None = None, **nodes: Json) -> None:
        super().__init__({"Trouble"})
        for name, labels in nodes.items():
            status = {"conditions": [{"type": "Ready", "status": "True"}]}
            self.cluster.add("nodes", {"metadata": {"name": name, "labels": labels}, "spec": {}, "status": status})
        spec = {"allowForcedDrain": allowed} if allowed else {}
        self.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": spec})

    def edited(self, name: str, **spec: Any) -> Nodes:
        """A node with this in its spec; `ready=False`: that is not Ready."""
        node = self.cluster.objects["nodes", "", name]
        if not spec.pop("ready", True):
            node["status"]["conditions"][0]["status"] = "Unknown"
        node["spec"] |= spec
        return self

    async def judged(self, *ladder: Json, **target: Any) -> Json:
        body = self.cluster.add("clusterremediationpolicies", crempol(*ladder, target=target))
        found = live_policy("ClusterRemediationPolicy", body)
        with at_work(self):
            self.catalogue.arm(found)
            self.judging.seen(found.key, body, found.spec)
            await self.settled()
        return self.said()

    def said(self, kind: str = "NodesFit") -> Json:
        (body,) = self.cluster.all("clusterremediationpolicies")
        found = {entry["type"]: entry for entry in body["status"]["conditions"]}
        return found.get(kind, {})


A, B, MASTER = {"pool": "a"}, {"pool": "b"}, {CONTROL_PLANE: ""}


async def test_a_policy_for_nodes_says_on_how_many_it_may_act() -> None:
    assert (await Nodes(w1=A, w2=B).judged(DRAIN))["message"] == "it may act on 2 of 2 nodes"
    found = await Nodes(w1=A, w2=B).judged(DRAIN, nodeSelector={"matchLabels": A})
    assert (found["status"], found["reason"], found["message"]) == (
        "True", "NodesSelected", "it may act on 1 of 2 nodes",
    )  # fmt: skip


async def test_nodes_of_the_control_plane_do_not_count_as_such_that_it_may_act_on_unless_it_says_so() -> None:
    nodes = {"m1": MASTER, "w1": A, "w2": B}
    said = "it may act on 2 of 3 nodes; not on 1 of the control plane, for no rung says `controlPlane: true`"
    assert (await Nodes(**nodes).judged(DRAIN, {"reboot": {}}))["message"].startswith("rung 2: "), "it has no CronJob"
    assert (await Nodes(**nodes).judged(DRAIN, {"uncordon": {}}))["message"] == said
    assert (await Nodes(**nodes).judged(DRAIN, {"drain": {"controlPlane": True}}))["message"] == (
        "it may act on 3 of 3 nodes"
    )
    assert (await Nodes(["w*"], **nodes).judged(FORCE))["message"] == said, "nobody needs to allow what is left alone"


@pytest.mark.parametrize(
    ("nodes", "target", "ladder", "why"),
    [
        ({"w1": A, "w2": A}, {"nodeSelector": {"matchLabels": B}}, [DRAIN, {"notify": {}}], "selects none of the 2"),
        ({"w1": A, "w2": A}, {"nodeSelector": {"matchLabels": B}}, [{"notify": {}}], "selects none of the 2 nodes"),
        ({"w1": A, "w2": A}, {"nodeSelector": {"matchLabels": A}}, [DRAIN], "selects every one of the 2 nodes"),
        ({"w1": A}, {}, [DRAIN, {"reboot": {}}, {"uncordon": {}}, {"escalate": {}}], "there is one node only"),
        ({"m1": MASTER, "w1": A}, {"name": "m1"}, [{"cordon": {}}, DRAIN], "is of the control plane"),
        ({"m1": MASTER, "w1": A, "w2": B}, {}, [FORCE], "does not name w1, w2 (2 of 2 nodes"),
        ({"w1": A, "w2": B}, {"name": "w2"}, [{"outOfService": {}}], "does not name w2 (1 of 1 nodes"),
        ({"w1": A, "w2": B}, {}, [{"reboot": {}}], "rung 1: "),
        ({"w1": A}, {"name": "w9"}, [DRAIN], "Node w9 does not exist (yet)"),
    ],
)  # fmt: skip
async def test_a_policy_that_can_act_on_no_node_says_so_beside_ready_and_stays_ready(
    nodes: Json, target: Json, ladder: list[Json], why: str
) -> None:
    court = Nodes(**nodes)
    await court.judged(*ladder, **target)
    ready = court.said("Ready")
    assert (ready["status"], ready["reason"]) == ("True", "NoNodeFits")
    assert "in mode Act, and there is no node that it could act on now: " in ready["message"]
    assert why in ready["message"]


@pytest.mark.parametrize(
    ("allowed", "nodes", "ladder"),
    [
        (None, {"w1": A, "w2": B}, [DRAIN]),
        (["w1"], {"w1": A, "w2": B}, [FORCE]),
        (None, {"w1": A, "w2": B}, [FORCE, DRAIN]),
        (None, {"w1": A, "w2": B}, [DRAIN, {"reboot": {}}]),
        (None, {"w1": A, "w2": B}, [{"outOfService": {}}, DRAIN]),
    ],
)
async def test_a_policy_of_which_some_rung_may_act_on_some_node_is_armed(
    allowed: list[str] | None, nodes: Json, ladder: list[Json]
) -> None:
    court = Nodes(allowed, **nodes)
    await court.judged(*ladder)
    assert (court.said("Ready")["status"], court.said("Ready")["reason"]) == ("True", "Armed")


async def test_what_cannot_be_read_is_no_word_on_what_it_could_act_on() -> None:
    court = Nodes(w1=A)
    court.cluster.unreadable = {"nodes"}
    await court.judged(DRAIN)
    assert court.said("Ready")["reason"] == "Armed"


async def test_a_policy_is_ready_without_a_break_while_nodes_come_and_go() -> None:
    court = Nodes(w1=A)
    await court.judged(DRAIN)
    before = court.said("Ready")
    court.cluster.add("nodes", {"metadata": {"name": "w2", "labels": {}}, "spec": {}})
    court.clock.advance(600)
    with at_work(court):
        court.judging.recheck_owners()
        await court.settled()
    after = court.said("Ready")
    assert (before["reason"], after["reason"]) == ("NoNodeFits", "Armed")
    assert after["lastTransitionTime"] == before["lastTransitionTime"]


@pytest.mark.parametrize(
    ("nodes", "target", "ladder", "reason", "said"),
    [
        ({"w1": A, "w2": A}, {"nodeSelector": {"matchLabels": B}}, DRAIN, "NotSelective",
         "nodeSelector (pool=b) selects none of the 2 nodes"),
        ({"w1": A, "w2": A}, {"nodeSelector": {"matchLabels": A}}, DRAIN, "NotSelective",
         "nodeSelector (pool=a) selects every one of the 2 nodes"),
        ({"w1": A}, {}, DRAIN, "LastNode", "there is one node only"),
        ({"w1": A}, {}, {"cordon": {}}, "LastNode", "there is one node only"),
        ({"m1": MASTER, "w1": A}, {"name": "m1"}, DRAIN, "ControlPlaneNode", "rung 1: every node that it may act on"),
        ({"w1": A, "w2": B}, {"name": "w1"}, FORCE, "ForceForbidden",
         "rung 1: atDeadline is Force, and allowForcedDrain of the Guardrails does not name w1 (1 of 1 nodes"),
        ({"w1": A, "w2": B}, {}, FORCE, "ForceForbidden", "does not name w1, w2 (2 of 2 nodes"),
        ({"w1": A, "w2": B}, {"name": "w2"}, {"outOfService": {}}, "OutOfServiceForbidden",
         "rung 1: allowOutOfService of the Guardrails does not name w2 (1 of 1 nodes that it may act on): there the"
         " rung is passed over"),
        ({"m1": MASTER, "w1": A}, {"name": "m1"}, {"outOfService": {}}, "ControlPlaneNode",
         "write `controlPlane: true`"),
    ],
)  # fmt: skip
async def test_what_would_be_refused_is_said_before_any_incident(
    nodes: Json, target: Json, ladder: Json, reason: str, said: str
) -> None:
    found = await Nodes(**nodes).judged(ladder, **target)
    assert (found["status"], found["reason"]) == ("False", reason)
    assert said in found["message"]


@pytest.mark.parametrize(
    ("ladder", "target"),
    [
        ({"drain": {"controlPlane": True}}, {"name": "m1"}),
        ({"uncordon": {}}, {"name": "m1", "nodeSelector": None}),
    ],
)
async def test_what_the_policy_opts_in_to_is_not_warned_of(ladder: Json, target: Json) -> None:
    target = {key: value for key, value in target.items() if value is not None}
    found = await Nodes(m1=MASTER, w1=A).judged(ladder, **target)
    assert found.get("status", "True") == "True"


async def test_where_it_is_told_depends_on_what_can_be_read() -> None:
    assert (await Nodes(w1=A, w2=B).judged(DRAIN, name="w9"))["reason"] == "NoTarget"
    court = Nodes(w1=A, w2=B)
    court.cluster.unreadable = {"nodes"}
    found = await court.judged(DRAIN)
    assert (found["status"], found["reason"]) == ("Unknown", "Unreachable")
    assert await Nodes(w1=A).judged({"notify": {}}) == {}


@pytest.mark.parametrize(
    ("ladder", "nowhere"), [((DRAIN,), True), ((DRAIN, {"uncordon": {}}), True), ((DRAIN, template()), False)]
)
async def test_missing_rights_for_medik8s_leases_are_told_before_any_incident(
    ladder: tuple[Json, ...], nowhere: bool
) -> None:
    court = Nodes(w1=A, w2=B)
    court.cluster.add("namespaces", {"metadata": {"name": "medik8s-leases"}})
    court.cluster.forbidden = {"leases"}
    found = await court.judged(*ladder)
    assert (found["status"], found["reason"]) == ("False", "NodeLeaseClosed")
    assert found["message"].startswith("rung 1: namespace medik8s-leases exists, and the Leases in it may not be read")
    assert (court.said("Ready")["reason"] == "NoNodeFits") is nowhere


async def test_it_changes_with_the_nodes_and_at_once_with_the_guardrails() -> None:
    court = Nodes(["w1"], w1=A, w2=B)
    assert (await court.judged(FORCE))["reason"] == "ForceForbidden"
    court.cluster.edit("guardrails", "", "cluster", {"spec": {"allowForcedDrain": ["w*"]}})
    with at_work(court):
        court.judging.limits_changed()
        await court.settled()
    assert court.said()["status"] == "True"
    court.cluster.add("nodes", {"metadata": {"name": "x1", "labels": {}}, "spec": {}})
    with at_work(court):
        court.judging.recheck_owners()
        await court.settled()
    assert "does not name x1 (1 of 3 nodes that it may act on)" in court.said()["message"]


OUT: Json = {"unschedulable": True}
TAINTED: Json = {"taints": [{"key": CONTROL_PLANE, "effect": "NoSchedule"}]}
LAST = "rung 1: as it is now, without Node w1 no node would be in service: "


@pytest.mark.parametrize("out", [OUT, {"ready": False}])
@pytest.mark.parametrize("rung", [DRAIN, {"cordon": {}}])
async def test_a_node_beside_which_no_other_one_is_in_service_is_told_as_the_last_one(out: Json, rung: Json) -> None:
    found = await Nodes(m1=MASTER, w1=A).edited("m1", **out).judged(rung)
    assert (found["status"], found["reason"]) == ("False", "LastNode")
    assert found["message"] == f"{LAST}the other one is not Ready and schedulable"
    court = Nodes(w1=A, w2=B, w3=B).edited("w2", **out).edited("w3", **out)
    assert (await court.judged(rung, name="w1"))["message"] == (
        f"{LAST}of the 2 other nodes none is Ready and schedulable"
    )


async def test_where_no_node_is_ready_none_would_be_the_last_but_all_are_refused() -> None:
    found = await Nodes(w1=A, w2=B).edited("w1", ready=False).edited("w2", ready=False).judged(DRAIN)
    assert (found["reason"], found["message"]) == (
        "LastNode",
        "rung 1: as it is now, none of the 2 nodes is Ready and schedulable, so none is cordoned or drained",
    )


@pytest.mark.parametrize("target", [{}, {"name": "w1"}, {"nodeSelector": {"matchLabels": A}}])
async def test_a_node_that_is_out_of_service_may_go_while_another_one_is_in_service(target: Json) -> None:
    court = Nodes(w1=A, w2=B).edited("w1", ready=False)
    assert (await court.judged(DRAIN, **target))["status"] == "True"


async def test_a_node_that_is_cordoned_already_is_not_told_as_the_last_one() -> None:
    court = Nodes(w1=A, w2=B).edited("w1", **OUT).edited("w2", **OUT)
    assert (await court.judged({"cordon": {}}, name="w1"))["status"] == "True", "there is nothing to do, and no refusal"


async def test_nodes_that_are_not_ready_for_a_moment_leave_ready_as_it_is() -> None:
    court = Nodes(w1=A, w2=B).edited("w2", ready=False)
    await court.judged(DRAIN, name="w1")
    assert court.said()["reason"] == "LastNode"
    assert (court.said("Ready")["status"], court.said("Ready")["reason"]) == ("True", "Armed")


async def test_a_worker_beside_a_tainted_control_plane_only_may_go_with_what_tolerates_the_taints() -> None:
    said = "what would be left in service has taints: no drain, where a pod does not tolerate them"
    court = Nodes(m1=MASTER, w1=A).edited("m1", **TAINTED)
    found = await court.judged(DRAIN)
    assert (found["status"], said in found["message"]) == ("True", True)
    assert said not in (await Nodes(m1=MASTER, w1=A).edited("m1", **TAINTED).judged({"cordon": {}}))["message"]
    assert said not in (await Nodes(m1=MASTER, w1=A, w2=B).edited("m1", **TAINTED).judged(DRAIN))["message"]


def own(name: str, where: str, *, ready: bool = True) -> Json:
    meta = {"name": name, "namespace": HOME, "labels": {"app.kubernetes.io/name": "goldseam"}}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": meta, "spec": {"nodeName": where}, "status": {"phase": "Running", "conditions": conditions}}


HOME = "goldseam-system"
OURS = "; no drain of w1: Goldseam runs there, with no other replica ready elsewhere"


@pytest.mark.parametrize(
    ("pods", "ladder", "target", "told"),
    [
        ([own("g1", "w1")], DRAIN, {}, True),
        ([own("g1", "w1"), own("g2", "w1")], DRAIN, {}, True),
        ([own("g1", "w1"), own("g2", "w2", ready=False)], DRAIN, {}, True),
        ([own("g1", "w1"), own("g2", "w2")], DRAIN, {}, False),
        ([own("g1", "w1")], {"cordon": {}}, {}, False),
        ([own("g1", "w1")], DRAIN, {"name": "w2"}, False),
        ([own("g1", "w1") | {"status": {"phase": "Failed"}}, own("g2", "w2"), own("g3", "m1")], DRAIN, {}, False),
    ],
)
async def test_the_node_of_goldseams_only_replica_is_named_as_one_that_is_not_drained(
    pods: list[Json], ladder: Json, target: Json, told: bool
) -> None:
    court = Nodes(m1=MASTER, w1=A, w2=B)
    court.statuses._home = HOME
    for pod in pods:
        court.cluster.add("pods", pod)
    found = await court.judged(ladder, **target)
    assert (found["status"], found["message"].endswith(OURS)) == ("True", told)


async def test_of_goldseams_own_node_nothing_is_said_where_its_pods_cannot_be_read() -> None:
    court = Nodes(w1=A, w2=B)
    court.statuses._home = HOME
    court.cluster.add("pods", own("g1", "w1"))
    court.cluster.unreadable = {"pods"}
    assert (await court.judged(DRAIN))["message"] == "it may act on 2 of 2 nodes"


class Rebooting(Nodes):
    """With the CronJob that reboots."""

    def __init__(self, **nodes: Json) -> None:
        super().__init__(**nodes)
        self.cluster.add("cronjobs", reboot_cron_job())


UNCORDONED = "reboot is refused on a node that takes new pods, and no rung before it cordons or drains"


@pytest.mark.parametrize(
    ("ladder", "rung", "nowhere"),
    [
        ([{"reboot": {}}], 1, True),
        ([{"notify": {}}, {"reboot": {}}, DRAIN], 2, False),
        ([DRAIN, {"uncordon": {}}, {"reboot": {}}], 3, False),
    ],
)
async def test_a_reboot_that_nothing_empties_the_node_for_is_told_before_any_incident(
    ladder: list[Json], rung: int, nowhere: bool
) -> None:
    court = Rebooting(w1=A, w2=B)
    found = await court.judged(*ladder)
    assert (found["status"], found["reason"]) == ("False", "NotCordoned")
    assert found["message"].startswith(f"rung {rung}: {UNCORDONED}: put one with drain there")
    assert (court.said("Ready")["reason"] == "NoNodeFits") is nowhere


@pytest.mark.parametrize("first", [DRAIN, {"cordon": {}}, template()])
async def test_a_reboot_after_a_rung_that_may_have_cordoned_the_node_is_not_warned_of(first: Json) -> None:
    found = await Rebooting(w1=A, w2=B).judged(first, {"reboot": {}})
    assert found["status"] == "True"


async def test_a_reboot_alone_may_act_on_a_node_that_people_have_cordoned() -> None:
    court = Rebooting(w1=A, w2=B).edited("w1", **OUT)
    await court.judged({"reboot": {}})
    assert (court.said()["reason"], court.said("Ready")["reason"]) == ("NotCordoned", "Armed")
