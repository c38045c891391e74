"""scale beside its neighbours, over an incident's whole life: HPA, KEDA, Argo Rollouts, GitOps, people."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam.engine.owners import YIELDED
from tests.support.harness import Harness, deployment, policy
from tests.support.objects import hpa, replica_set, scaled_object, troubled
from tests.support.toycluster import Json

FREE = {"cooldown": "0s", "concurrent": 5}
SOON = {"after": "1s", "revertAfter": "1s"}
HPA, KEDA = "horizontalpodautoscalers", "scaledobjects"
UP = {"scale": {"replicas": 12, "raiseMax": True}}


class Neighbours(Harness):
    """A Deployment, and whoever scales it to its own bounds."""

    def controllers(self) -> None:
        for plural, low, high in ((HPA, "minReplicas", "maxReplicas"), (KEDA, "minReplicaCount", "maxReplicaCount")):
            for scaler in self.cluster.all(plural):
                least, most = scaler["spec"].get(low, 0), scaler["spec"].get(high, 100)
                assert least <= most, "the API server would not have it"
                now = self.live()["spec"]["replicas"]
                if (wanted := min(max(now, least), most)) != now:
                    self.cluster.edit(self.plural, "shop", "api", {"spec": {"replicas": wanted}}, "controller-manager")
        super().controllers()

    def spec(self, plural: str) -> Json:
        (obj,) = self.cluster.all(plural)
        found: Json = obj["spec"]
        return found


async def opened(*ladder: Json, **more: Any) -> Neighbours:
    """An incident of this ladder; of `more` the lists are objects by plural, the rest is the policy's."""
    objects = {plural: more.pop(plural) for plural in list(more) if isinstance(more[plural], list)}
    target = more.pop("live", deployment(3))
    h = Neighbours(policy(*ladder, limits=FREE, **more), target, "deployments")
    for plural, found in objects.items():
        for obj in found:
            h.cluster.add(plural, obj)
    await h.start()
    await h.open()
    return h


def bodies(h: Harness, plural: str) -> list[Json]:
    """What was written to objects of a kind, in order."""
    return [body["spec"] for _, path, _, body in h.cluster.writes if path.startswith(plural)]


RAISED = [
    {"maxReplicas": 12, "minReplicas": 12},
    *({"minReplicas": floor} for floor in (6, 3, 2)),
    {"maxReplicas": 8},
]


async def test_floor_and_maximum_go_up_in_one_write_and_down_floor_first() -> None:
    h = await opened(UP, horizontalpodautoscalers=[hpa(2, 8)])
    await h.settle(20)
    assert (h.spec(HPA)["minReplicas"], h.spec(HPA)["maxReplicas"], h.live()["spec"]["replicas"]) == (12, 12, 12)
    h.alert_state = "Cleared"
    await h.settle(120)
    assert bodies(h, HPA) == RAISED
    assert (h.status.phase, h.status.owes) == ("Resolved", 0)
    assert [o.state for o in h.status.obligations] == ["Paid", "Paid"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_wherever_the_operator_dies_both_bounds_come_back_and_nothing_is_written_twice(after: bool) -> None:
    for point in range(1, 60):
        h = await opened(UP, horizontalpodautoscalers=[hpa(2, 8)], resolve=SOON)
        h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + point, after
        killed = await h.settle_through_crashes(4)
        h.alert_state = "Cleared"
        killed |= await h.settle_through_crashes(30)
        assert bodies(h, HPA) == RAISED, f"killed at write {point}"
        assert h.status.owes == 0
        if not killed:
            break
    assert point >= 8


async def test_a_conflict_leaves_neither_bound_written_and_both_are_tried_again() -> None:
    h = await opened(UP, horizontalpodautoscalers=[hpa(2, 8)])
    h.cluster.stale.add(f"{HPA}/shop/api")
    await h.settle(20)
    assert bodies(h, HPA) == RAISED[:1]
    assert [w.state for w in h.status.steps[0].writes] == ["Done", "Done"]


async def test_a_write_of_both_bounds_that_is_refused_is_owed_by_neither() -> None:
    h = await opened(UP, {"wait": {"duration": "1h"}}, horizontalpodautoscalers=[hpa(2, 8)])
    h.cluster.refused.add(f"{HPA}/shop/api")
    await h.settle(20)
    assert [s.outcome for s in h.status.steps[:1]] == ["Refused"]
    assert [o.state for o in h.status.obligations] == ["Void", "Void"]


async def test_a_floor_that_somebody_raised_above_the_old_maximum_keeps_the_maximum_and_it_is_said() -> None:
    h = await opened(UP, horizontalpodautoscalers=[hpa(2, 8)])
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(15, until=lambda status: status.phase == "Resolved")
    h.cluster.edit(HPA, "shop", "api", {"spec": {"minReplicas": 10}})
    await h.settle(120)
    assert (h.spec(HPA)["minReplicas"], h.spec(HPA)["maxReplicas"]) == (10, 12)
    assert [(o.kind, o.state) for o in h.status.obligations] == [("FloorBack", "Lost"), ("CeilingBack", "Lost")]
    assert "above the maximum 8 that should come back" in h.status.obligations[1].message


async def test_of_two_incidents_on_one_autoscaler_everything_comes_back_in_the_end() -> None:
    h = await opened({"scale": {"replicas": 5}}, horizontalpodautoscalers=[hpa(2, 8)])
    await h.settle_all(20)
    second = policy(UP, limits=FREE)
    second["metadata"]["name"] = "second"
    h.policy = h.cluster.add("remediationpolicies", second)
    await h.open()
    await h.settle_all(150)
    assert (h.spec(HPA)["minReplicas"], h.spec(HPA)["maxReplicas"]) == (12, 12)
    h.alert_state = "Cleared"
    await h.settle_all(300)
    assert (h.spec(HPA)["minReplicas"], h.spec(HPA)["maxReplicas"]) == (2, 8)
    assert [status.owes for status in h.statuses()] == [0, 0]


async def test_in_mode_observe_both_bounds_are_rehearsed_as_one_write() -> None:
    h = await opened(UP, horizontalpodautoscalers=[hpa(2, 8)], mode="Observe")
    await h.settle(20)
    assert "and its maximum from 8 to 12" in h.status.steps[0].message
    assert "the server-side dry run was accepted" in h.status.steps[0].message
    assert bodies(h, HPA) == []


@pytest.mark.parametrize(
    ("floor", "back"),
    [(2, [4, 2]), (0, [4, 2, 1, 0]), (None, [4, 2, 1, None])],
)
async def test_the_floor_of_a_scaled_object_goes_up_and_comes_back_as_it_was(
    floor: int | None, back: list[int | None]
) -> None:
    h = await opened({"scale": {"replicas": 8}}, scaledobjects=[scaled_object(floor, 20)])
    await h.settle(20)
    assert h.live()["spec"]["replicas"] == 8
    h.alert_state = "Cleared"
    await h.settle(150)
    assert [body["minReplicaCount"] for body in bodies(h, KEDA)] == [8, *back]
    assert h.spec(KEDA).get("minReplicaCount") == floor
    assert (h.status.phase, [o.state for o in h.status.obligations]) == ("Resolved", ["Paid"])
    assert bodies(h, "deployments") == []


async def test_wherever_the_operator_dies_a_scaled_object_is_put_back() -> None:
    for point in range(1, 60):
        h = await opened({"scale": {"replicas": 4}}, scaledobjects=[scaled_object(None, 20)], resolve=SOON)
        h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + point, True
        killed = await h.settle_through_crashes(4)
        h.alert_state = "Cleared"
        killed |= await h.settle_through_crashes(30)
        assert [body["minReplicaCount"] for body in bodies(h, KEDA)] == [4, 2, 1, None], f"killed at write {point}"
        if not killed:
            break
    assert point >= 8


async def test_a_scaled_object_that_is_paused_is_left_alone_and_the_next_rung_is_tried() -> None:
    paused = scaled_object(annotations={"autoscaling.keda.sh/paused-replicas": "3"})
    h = await opened({"scale": {"replicas": 8}}, {"wait": {"duration": "1h"}}, scaledobjects=[paused])
    await h.settle(20)
    assert [(s.action, s.outcome) for s in h.status.steps] == [("scale", "Refused"), ("wait", None)]
    assert "somebody paused ScaledObject shop/queue" in h.status.steps[0].message
    assert bodies(h, KEDA) + bodies(h, "deployments") == []


@pytest.mark.parametrize("trouble", ["absent", "forbidden"])
async def test_what_is_not_installed_or_may_not_be_read_keeps_nobody_from_scaling(trouble: str) -> None:
    h = await opened({"scale": {"replicas": 8}})
    setattr(h.cluster, trouble, {KEDA, "rollouts", "verticalpodautoscalers"})
    await h.settle(20)
    assert h.live()["spec"]["replicas"] == 8


@pytest.mark.parametrize("plural", [KEDA, "rollouts", "verticalpodautoscalers"])
async def test_what_cannot_be_read_for_now_is_waited_for(plural: str) -> None:
    h = await opened({"scale": {"replicas": 8}})
    h.cluster.unreadable = {plural}
    await h.settle(20)
    assert h.live()["spec"]["replicas"] == 3
    assert plural in h.status.holds[0].message
    h.cluster.unreadable = set()
    await h.settle(20)
    assert h.live()["spec"]["replicas"] == 8


async def test_a_right_that_is_missing_is_named_with_its_piece() -> None:
    h = await opened({"scale": {"replicas": 8}}, {"wait": {"duration": "1h"}}, scaledobjects=[scaled_object(2, 20)])
    h.cluster.denied = {"scaledobjects"}
    await h.settle(20)
    assert "install the component keda of deploy/kustomize" in h.status.steps[0].message


def rollout(**status: Any) -> Json:
    made = deployment(3)
    settled = {"currentPodHash": "a", "stableRS": "a"} | status
    return made | {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "status": made["status"] | settled}


async def test_a_rollout_is_scaled_and_put_back() -> None:
    h = Harness(
        policy({"scale": {"replicas": 8}}, target={"kind": "Rollout", "name": "api"}, limits=FREE),
        rollout(),
        "rollouts",
    )
    await h.start()
    await h.open()
    await h.settle(20)
    assert h.live()["spec"]["replicas"] == 8
    h.alert_state = "Cleared"
    await h.settle(120)
    assert [body["replicas"] for body in bodies(h, "rollouts")] == [8, 4, 3]
    assert (h.status.phase, h.status.owes) == ("Resolved", 0)


@pytest.mark.parametrize(("status", "held"), [({}, True), ({"abort": True}, False)])
async def test_a_rollout_on_its_way_is_waited_for_and_one_that_was_aborted_is_not(status: Json, held: bool) -> None:
    target = {"kind": "Rollout", "name": "api"}
    h = Harness(policy({"scale": {"replicas": 8}}, target=target), rollout(currentPodHash="b", **status), "rollouts")
    await h.start()
    await h.open()
    await h.settle(20)
    assert (h.live()["spec"]["replicas"] == 3) == held
    assert [hold.reason for hold in h.status.holds] == (["RolloutInProgress"] if held else [])


async def test_a_deployment_whose_pods_a_rollout_runs_is_left_alone() -> None:
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}
    canary = {"metadata": {"name": "canary", "namespace": "shop"}, "spec": {"workloadRef": ref}}
    h = await opened({"scale": {"replicas": 8}}, {"wait": {"duration": "1h"}}, rollouts=[canary])
    await h.settle(20)
    assert "write target: {kind: Rollout, name: canary}" in h.status.steps[0].message
    assert bodies(h, "deployments") == []


KNOBS: dict[str, tuple[str, str, str, Json]] = {
    "its replicas": ("deployments", "api", "spec.replicas", {"replicas": 3}),
    "the floor of its HPA": (HPA, "api", "spec.minReplicas", {"minReplicas": 2}),
    "the floor of its ScaledObject": (KEDA, "queue", "spec.minReplicaCount", {"minReplicaCount": 2}),
}


@pytest.mark.parametrize("knob", KNOBS)
@pytest.mark.parametrize("manager", ["argocd-controller", "kustomize-controller", "kubectl-edit"])
async def test_being_undone_is_noticed_in_one_look_and_stops_us(knob: str, manager: str) -> None:
    plural, name, field, spec = KNOBS[knob]
    objects = {HPA: [hpa(2, 20)], KEDA: [scaled_object(2, 20)]}
    h = await opened({"scale": {"replicas": 8}}, {"restart": {}}, **{k: v for k, v in objects.items() if k == plural})
    await h.settle(20, until=lambda status: status.steps and status.steps[0].phase == "Acted")
    writes = len(bodies(h, plural))
    h.cluster.edit(plural, "shop", name, {"spec": spec}, manager)
    await h.look()
    assert h.status.phase == "Escalated"
    assert h.status.message.startswith(f"RevertedBy={manager}: {field} of ")
    assert h.status.message.endswith("where Goldseam had set 8")
    h.alert_state = "Cleared"
    await h.settle(200)
    assert len(bodies(h, plural)) == writes, "it is theirs"
    assert [o.state for o in h.status.obligations] == ["Lost"]
    assert [s.action for s in h.status.steps] == ["scale"]


async def test_where_a_person_says_that_gitops_ignores_the_field_it_is_scaled_and_still_watched() -> None:
    h = await opened({"scale": {"replicas": 8}}, live=deployment(3, annotations={YIELDED: "true"}))
    h.cluster.edit("deployments", "shop", "api", {"spec": {"replicas": 3}}, "argocd-controller")
    await h.settle(20, until=lambda status: status.steps and status.steps[0].phase == "Acted")
    h.cluster.edit("deployments", "shop", "api", {"spec": {"replicas": 3}}, "argocd-controller")
    await h.look()
    assert h.status.message.startswith("RevertedBy=argocd-controller")


async def test_who_held_the_replicas_in_git_is_remembered_though_a_write_by_scale_hides_it() -> None:
    h = await opened({"wait": {"duration": "20s"}}, {"scale": {"replicas": 8}}, {"scale": {"replicas": 9}})
    h.cluster.edit("deployments", "shop", "api", {"spec": {"replicas": 3}}, "argocd-controller")
    await h.settle(5)
    h.cluster.edit("deployments", "shop", "api", {"spec": {"replicas": 5}}, "kubectl-scale")
    await h.settle(25, until=lambda status: status.rung == 2)
    assert h.status.git_owner == "Argo CD Application"
    scale = h.status.steps[1]
    assert (scale.action, scale.outcome) == ("scale", "Refused")
    assert "held spec.replicas of Deployment shop/api in Git" in scale.message
    h.cluster.edit("deployments", "shop", "api", {"metadata": {"annotations": {YIELDED: "true"}}})
    await h.settle(10)
    assert h.live()["spec"]["replicas"] == 9


async def test_pods_that_find_no_node_are_on_the_incident_while_it_waits_for_them() -> None:
    labelled = deployment(3)
    labelled["spec"]["selector"] = {"matchLabels": {"app": "api"}}
    h = await opened({"scale": {"replicas": 8}}, live=labelled)
    h.controllers = lambda: None  # type: ignore[method-assign]
    await h.settle(10, until=lambda status: status.steps and status.steps[0].phase == "Acted")
    lost = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    meta = {"name": "api-1", "namespace": "shop", "labels": {"app": "api"}}
    h.cluster.add("pods", {"metadata": meta, "status": {"phase": "Pending", "conditions": [lost]}})
    await h.settle(20)
    assert "1 pod cannot be scheduled" in h.status.message
    assert "api-1" in h.status.message


async def test_a_quota_is_on_the_incident_while_it_waits_for_pods() -> None:
    h = await opened({"scale": {"replicas": 8}, "timeout": "20s"}, {"wait": {"duration": "1h"}})
    h.controllers = lambda: None  # type: ignore[method-assign]
    await h.settle(10, until=lambda status: status.steps and status.steps[0].phase == "Acted")
    said = "exceeded quota: small, requested: pods=1, used: pods=3, limited: pods=3"
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": said}
    h.cluster.edit("deployments", "shop", "api", {"status": {"conditions": [failure]}})
    await h.settle(5)
    assert said in h.status.message
    await h.settle(20)
    assert (h.status.steps[0].outcome, said in h.status.steps[0].message) == ("Failed", True)


async def test_a_forged_debt_of_a_maximum_that_nobody_raised_lowers_nothing() -> None:
    h = await opened(UP, horizontalpodautoscalers=[hpa(2, 20, uid="uid-hpa-api")])
    h.alert_state = "Cleared"
    ref = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "namespace": "shop", "name": "api"}
    forged = {
        "key": "uid-hpa-api:spec.maxReplicas", "kind": "CeilingBack", "object": ref | {"uid": "uid-hpa-api"},
        "field": "spec.maxReplicas", "original": "3", "want": "20", "state": "Open",
    }  # fmt: skip
    (incident,) = h.cluster.all("incidents")
    h.cluster.edit("incidents", "shop", incident["metadata"]["name"], {"status": {"obligations": [forged]}})
    await h.settle(120)
    assert bodies(h, HPA) == []
    assert [o.state for o in h.status.obligations] == ["Lost"]


ROLLOUT = {"kind": "Rollout", "name": "api"}


async def restarting(method: str, **spec: Any) -> Harness:
    """A Rollout with three pods, all ready."""
    target = rollout(restartedAt=None)
    target["spec"]["selector"] = {"matchLabels": {"app": "api"}}
    h = Harness(policy({"restart": {"method": method}}, target=ROLLOUT, limits=FREE, **spec), target, "rollouts")
    labels = {"labels": {"app": "api"}}
    h.cluster.add("replicasets", replica_set(owner=h.target["metadata"]["uid"]) | {"kind": "ReplicaSet"})
    h.cluster.objects["replicasets", "shop", "uid-set"]["metadata"] |= labels
    for number in range(3):
        one = troubled(f"api-{number}", metadata=labels | {"creationTimestamp": f"2026-11-23T11:00:0{number}Z"})
        one["status"]["conditions"][0]["status"] = "True"
        h.cluster.add("pods", one)
    await h.start()
    await h.open()
    return h


async def test_a_rollout_is_restarted_by_its_controller_where_the_policy_says_so() -> None:
    h = await restarting("Template")
    await h.settle(20)
    asked = h.live()["spec"]["restartAt"]
    assert asked == "2026-11-23T11:00:03Z", "one second after the newest pod"
    assert h.status.steps[0].phase == "Acted"
    h.cluster.edit("rollouts", "shop", "api", {"status": {"restartedAt": asked}})
    h.alert_state = "Cleared"
    await h.settle(120)
    assert (h.status.phase, h.status.steps[0].outcome, h.status.owes) == ("Resolved", "Passed", 0)
    assert len(bodies(h, "rollouts")) == 1


async def test_a_rollout_is_restarted_pod_by_pod_by_default() -> None:
    h = await restarting("Auto")
    await h.settle(20)
    assert {one["metadata"]["name"] for one in h.cluster.all("pods")} == {"api-0", "api-1"}
    assert bodies(h, "rollouts") == []


async def test_a_new_pod_of_a_rollout_makes_no_other_question_and_no_later_restart() -> None:
    h = await restarting("Template", mode="Propose")
    await h.settle(20)
    (question,) = h.status.approvals
    newer = troubled("api-9", metadata={"labels": {"app": "api"}, "creationTimestamp": "2026-11-23T11:59:00Z"})
    newer["status"]["conditions"][0]["status"] = "True"
    h.cluster.add("pods", newer)
    await h.settle(20)
    assert [asked.plan_hash for asked in h.status.approvals] == [question.plan_hash]
