"""One object is made from the policy's template: once, whatever dies, and it is taken away again."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from goldseam.engine.objects import INCIDENT, TOKEN
from goldseam.services.catalogue import Catalogue
from goldseam.services.inbox import Inbox, Seen
from goldseam.services.judging import Judging
from goldseam.services.live_policies import live_policy
from goldseam.services.permissions import Permissions
from goldseam.services.registrar import Registrar
from goldseam.services.statuses import Statuses
from goldseam.services.tenants import Tenants
from tests.component.test_node_incidents import crempol, node
from tests.support.harness import NAMESPACE, Harness, VirtualClock
from tests.support.toycluster import Killed, ToyCluster

Json = dict[str, Any]
PLURAL = "selfnoderemediations"
KIND = {
    "apiVersion": "self-node-remediation.medik8s.io/v1alpha1",
    "kind": "SelfNodeRemediation",
    "resource": PLURAL,
    "namespaces": ["medik8s"],
}
NODE_NAME = "remediation.medik8s.io/node-name"
NEXT = {"drain": {}}


def template(**more: Any) -> Json:
    made = {
        "apiVersion": KIND["apiVersion"],
        "kind": KIND["kind"],
        "metadata": {"namespace": "medik8s", "labels": {"team": "a"}, "annotations": {NODE_NAME: "${target.name}"}},
        "spec": {"remediationStrategy": "ResourceDeletion", "why": ["${alert.labels.severity}", 3, True]},
    }
    return {"template": {"resource": PLURAL, "object": made, **more}}


WAITS = template(doneWhen={"type": "Succeeded"})


async def opened(*ladder: Json, allowed: Json | None = None, **spec: Any) -> Harness:
    h = Harness(crempol(*(ladder or (template(), NEXT)), **spec), node("n1"), "nodes")
    h.cluster.add("nodes", node("n2"))
    spec = {"templates": [KIND if allowed is None else allowed] if allowed != {} else []}
    h.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": spec})
    await h.start()
    await h.open()
    return h


def there(h: Harness) -> list[Json]:
    return list(h.cluster.all(PLURAL))


def written(h: Harness) -> list[str]:
    return [verb for verb, path, _, _ in h.cluster.writes if path.startswith(PLURAL)]


def outcomes(h: Harness) -> list[tuple[str, str | None]]:
    return [(step.action, step.outcome) for step in h.status.steps if step.purpose == "Rung"]


def says(h: Harness, kind: str, status: str, reason: str = "") -> None:
    (obj,) = there(h)
    obj["status"] = {"conditions": [{"type": kind, "status": status, "reason": reason}]}


async def test_it_is_made_as_it_stands_with_what_the_alert_says_and_our_marks() -> None:
    h = await opened()
    await h.settle(20)
    (obj,), (step,) = there(h), h.status.steps
    meta = obj["metadata"]
    assert (obj["apiVersion"], obj["kind"]) == (KIND["apiVersion"], KIND["kind"])
    assert obj["spec"] == {"remediationStrategy": "ResourceDeletion", "why": ["critical", 3, True]}
    assert (meta["namespace"], meta["name"]) == ("medik8s", f"goldseam-{step.token}")
    assert meta["labels"] == {"team": "a", "app.kubernetes.io/managed-by": "goldseam"}
    incident = next(h.cluster.all("incidents"))["metadata"]["name"]
    assert meta["annotations"] == {NODE_NAME: "n1", TOKEN: step.token, INCIDENT: f"goldseam-system/{incident}"}
    assert "ownerReferences" not in meta
    assert (written(h), step.phase) == (["create"], "Acted")
    (owed,) = h.status.open_obligations()
    assert (owed.kind, owed.object.uid) == ("Remove", meta["uid"])


async def test_when_the_incident_is_over_it_is_deleted_by_its_uid() -> None:
    h = await opened()
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (h.status.phase, written(h), there(h)) == ("Resolved", ["create", "delete"], [])
    assert [(o.kind, o.state) for o in h.status.obligations] == [("Remove", "Paid")]
    assert (h.status.steps[-1].action, h.status.steps[-1].outcome) == ("undo", "Undone")


@pytest.mark.parametrize("spec", [{}, {"resolve": {"after": "10s", "revert": False}}])
async def test_whether_it_stays_keep_says_and_not_what_is_put_back(spec: Json) -> None:
    h = await opened(template(keep=True), NEXT, **spec)
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (h.status.phase, written(h), h.status.obligations) == ("Resolved", ["create"], [])
    h = await opened(template(), NEXT, **spec)
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (h.status.phase, written(h)) == ("Resolved", ["create", "delete"])


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 11))
async def test_whenever_the_operator_dies_it_is_made_once_and_deleted_once(at: int, after: bool) -> None:
    h = await opened()
    h.cluster.kill_at, h.cluster.kill_after = h.cluster.attempts + at, after
    died = await h.settle_through_crashes(30)
    h.alert_state = "Cleared"
    died |= await h.settle_through_crashes(120)
    assert died or at > 7
    assert (written(h), there(h), h.status.owes) == (["create", "delete"], [], 0)
    assert h.status.phase == "Resolved"


async def test_a_lost_reply_makes_no_second_one() -> None:
    h = await opened()
    await h.settle(0.01)
    name = f"goldseam-{h.status.steps[0].token}" if h.status.steps else ""
    h = await opened()
    h.cluster.deaf.add(f"{PLURAL}/medik8s/{name}")
    await h.settle(30)
    assert (written(h), h.status.steps[0].phase) == (["create"], "Acted")


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        ({}, "is no kind that the Guardrails list in spec.templates"),
        (KIND | {"kind": "Other"}, "is no kind that the Guardrails list"),
        (KIND | {"resource": "others"}, "is no kind that the Guardrails list"),
        (KIND | {"apiVersion": "self-node-remediation.medik8s.io/v1"}, "is no kind that the Guardrails list"),
        (KIND | {"namespaces": ["other"]}, "do not list namespace medik8s for SelfNodeRemediation"),
        (KIND | {"namespaces": []}, "do not list namespace medik8s for SelfNodeRemediation"),
    ],
)
async def test_what_the_admin_does_not_list_is_refused_before_any_write(allowed: Json, words: str) -> None:
    h = await opened(allowed=allowed)
    await h.settle(20)
    assert (written(h), outcomes(h)[0]) == ([], ("template", "Refused"))
    assert words in h.status.steps[0].message


@pytest.mark.parametrize(("late", "left"), [(5, 0), (60, 1)])
async def test_one_that_comes_after_its_step_was_given_up_is_taken_away_while_that_can_be(late: int, left: int) -> None:
    h = await opened()
    await h.settle(20)
    (obj,) = there(h)
    h = await opened()
    h.cluster.mute.add(f"{PLURAL}/medik8s/{obj['metadata']['name']}")
    await h.settle(10)
    h.alert_state = "Cleared"
    await h.settle(10, until=lambda status: status.steps[0].outcome)
    await h.settle(late)
    assert (h.status.steps[0].outcome, h.status.owes) == ("NotTaken", 1 - left)
    h.cluster.mute.clear()
    h.cluster.add(PLURAL, obj)
    await h.settle(120)
    assert (len(there(h)), h.status.owes) == (left, 0)


async def test_a_kind_that_is_taken_off_the_list_is_not_made_any_more_but_still_taken_away() -> None:
    h = await opened()
    await h.settle(20)
    h.cluster.edit("guardrails", "", "cluster", {"spec": {"templates": []}})
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (written(h), h.status.owes) == (["create", "delete"], 0)


async def test_a_label_stays_one_text_whatever_it_holds() -> None:
    h = await opened()
    evil = 'x", "finalizers": ["a/b"], "y": "\n- ${target.name}: {}'
    alert = next(h.cluster.all("incidents"))["spec"]["alert"]
    alert["labels"]["severity"] = evil
    await h.settle(20)
    (obj,) = there(h)
    assert obj["spec"]["why"] == [evil, 3, True]
    assert set(obj["metadata"]) <= {
        *("name", "namespace", "labels", "annotations", "uid"),
        *("creationTimestamp", "generation", "resourceVersion"),
    }


async def test_a_variable_without_a_value_is_refused_with_its_name() -> None:
    unknown = template()
    unknown["template"]["object"]["spec"] = {"a": "${alert.labels.rack}"}
    h = await opened(unknown, NEXT)
    await h.settle(20)
    assert (written(h), outcomes(h)[0]) == ([], ("template", "Refused"))
    assert "the alert has no label rack" in h.status.steps[0].message


@pytest.mark.parametrize("rollout", [True, False])
async def test_it_waits_for_the_condition_and_then_for_the_alert(rollout: bool) -> None:
    h = await opened({**WAITS, "verify": {"settle": "5s", "rollout": rollout}}, NEXT)
    await h.settle(10)
    assert "to have Succeeded=True (it has no such condition yet)" in h.status.message
    says(h, "Succeeded", "False", "RemediationStarted")
    h.alert_state = "Cleared"
    await h.settle(15)
    assert (outcomes(h), "it is False: RemediationStarted" in h.status.message) == ([("template", None)], True)
    says(h, "Succeeded", "True")
    await h.settle(60)
    assert (outcomes(h), h.status.phase) == ([("template", "Passed")], "Resolved")


async def test_a_condition_that_does_not_come_in_the_rungs_time_lets_the_next_rung_be_tried() -> None:
    h = await opened(WAITS, NEXT)
    await h.settle(75)
    assert outcomes(h)[0] == ("template", "Failed")
    assert "to have Succeeded=True" in h.status.steps[0].message
    assert [o.state for o in h.status.obligations if o.kind == "Remove"] == ["Open"], "until the incident is over"


async def test_one_that_somebody_deletes_before_it_was_done_is_nobodys_knowledge() -> None:
    h = await opened(WAITS, NEXT)
    await h.settle(10)
    h.cluster.remove(PLURAL, "medik8s", there(h)[0]["metadata"]["name"])
    await h.settle(20)
    assert (outcomes(h), h.status.phase) == ([("template", "Inconclusive")], "Escalated")
    assert (written(h), h.status.owes) == (["create"], 0), "it is not made again"


async def test_an_object_of_that_name_without_our_mark_is_left_alone() -> None:
    h = await opened()
    await h.settle(20)
    name = there(h)[0]["metadata"]["name"]
    h = await opened()
    h.cluster.add(PLURAL, {"metadata": {"name": name, "namespace": "medik8s"}})
    await h.settle(20)
    assert (written(h), outcomes(h)) == ([], [("template", "Superseded")])
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (written(h), len(there(h)), h.status.owes) == ([], 1, 0)


async def test_one_whose_mark_somebody_takes_off_is_theirs() -> None:
    h = await opened()
    await h.settle(10)
    (obj,) = there(h)
    h.cluster.edit(PLURAL, "medik8s", obj["metadata"]["name"], {"metadata": {"annotations": {TOKEN: None}}})
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (written(h), [o.state for o in h.status.obligations]) == (["create"], ["Lost"])


async def test_a_forged_debt_deletes_nothing() -> None:
    h = await opened()
    await h.settle(20)
    theirs = h.cluster.add(PLURAL, {"metadata": {"name": "goldseam-0123456789abcdef", "namespace": "medik8s"}})
    theirs["metadata"]["annotations"] = {TOKEN: "0123456789abcdef"}
    incident = next(h.cluster.all("incidents"))
    (owed,) = incident["status"]["obligations"]
    ref = owed["object"] | {"name": theirs["metadata"]["name"], "uid": theirs["metadata"]["uid"]}
    incident["status"]["obligations"].append(owed | {"key": "forged", "object": ref})
    h.alert_state = "Cleared"
    await h.settle(60)
    assert [o["metadata"]["name"] for o in there(h)] == ["goldseam-0123456789abcdef"]
    assert [o.state for o in h.status.obligations] == ["Paid", "Void"]


async def test_a_kind_that_is_not_installed_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    h = await opened()
    create = h.cluster.create

    async def missing(resource: Any, *args: Any, **more: Any) -> Json:
        if resource.plural == PLURAL:
            h.cluster._find("customresourcedefinitions", "", PLURAL)
        return await create(resource, *args, **more)

    monkeypatch.setattr(h.cluster, "create", missing)
    await h.settle(20)
    assert outcomes(h)[0] == ("template", "Refused")
    assert h.status.owes == sum(o.kind == "Uncordon" for o in h.status.open_obligations())


async def test_in_mode_observe_it_is_a_dry_run() -> None:
    h = await opened(mode="Observe")
    await h.settle(20)
    (step, *_) = h.status.steps
    assert (written(h), step.outcome) == ([], "Observed")
    assert "would make SelfNodeRemediation medik8s/goldseam-" in step.message
    assert "(the server-side dry run was accepted)" in step.message


async def test_without_the_right_to_delete_it_is_not_made() -> None:
    h = await opened()
    h.cluster.denied = {f"delete {PLURAL}"}
    await h.settle(20)
    assert (written(h), outcomes(h)[0]) == ([], ("template", "Refused"))
    assert f"may not delete {PLURAL}" in h.status.steps[0].message


async def test_a_node_that_is_gone_is_no_reason_to_leave_it_behind() -> None:
    h = await opened()
    await h.settle(20)
    h.cluster.remove("nodes", "", "n1")
    await h.settle(60)
    assert (h.status.phase, written(h), h.status.owes) == ("Abandoned", ["create", "delete"], 0)


async def test_an_edited_template_is_not_what_the_incident_was_opened_with() -> None:
    h = await opened()
    edited = template()
    edited["template"]["object"]["spec"] = {}
    h.cluster.edit("clusterremediationpolicies", "", "nodes", {"spec": {"ladder": [edited, NEXT]}})
    await h.settle(20)
    assert (written(h), outcomes(h)[0]) == ([], ("template", "Refused"))
    assert "does not allow template any more" in h.status.steps[0].message


class Said:
    """What the policy says of itself, without any incident."""

    def __init__(self, allowed: list[Json]) -> None:
        self.clock = VirtualClock()
        self.cluster = ToyCluster(now=lambda: "2026-11-23T12:00:00Z")
        catalogue, nobody = Catalogue(), Any
        tenants = Tenants(self.cluster, lambda _: None)
        permissions = Permissions(self.cluster, self.clock)
        self.statuses = Statuses(self.cluster, self.clock, permissions, lambda _: None, tenants, NAMESPACE)
        self.judging = Judging(self.statuses, catalogue)
        told: Any = (nobody, self.statuses, self.judging, tenants, nobody, NAMESPACE)
        self.registrar = Registrar(Inbox(), catalogue, *told)
        self.limits = self.cluster.add("guardrails", {"metadata": {"name": "cluster"}, "spec": {"templates": allowed}})
        self.policy = self.cluster.add("clusterremediationpolicies", crempol(template(), NEXT))
        catalogue.arm(live_policy("ClusterRemediationPolicy", self.policy))

    async def permitted(self) -> tuple[str, str, str]:
        await self.statuses.policy("ClusterRemediationPolicy", self.policy)
        return self.written()

    def written(self) -> tuple[str, str, str]:
        (body,) = self.cluster.all("clusterremediationpolicies")
        (found,) = [entry for entry in body["status"]["conditions"] if entry["type"] == "Permitted"]
        return found["status"], found["reason"], found["message"]

    async def limited(self, allowed: list[Json]) -> None:
        """The watch brings the Guardrails."""
        body = self.cluster.edit("guardrails", "", "cluster", {"spec": {"templates": allowed}})
        await self.registrar._take(Seen("Guardrails", "", "cluster", body))


async def test_what_is_not_listed_the_policy_says_before_any_incident() -> None:
    said = Said([])
    status, reason, message = await said.permitted()
    assert (status, reason) == ("False", "TemplateForbidden")
    assert message == (
        "rung 1: SelfNodeRemediation (selfnoderemediations, self-node-remediation.medik8s.io/v1alpha1) is no kind that"
        " the Guardrails list in spec.templates: its admin has to add it there"
    )
    ready = [entry for entry in said.policy["status"]["conditions"] if entry["type"] == "Ready"]
    assert [(entry["status"], entry["reason"]) for entry in ready] == [("False", "TemplateForbidden")]
    assert (await Said([KIND]).permitted())[:2] == ("True", "PermissionGranted")


async def test_rights_are_asked_for_where_it_is_made() -> None:
    said = Said([KIND])
    said.cluster.denied = {f"delete {PLURAL}"}
    _, reason, message = await said.permitted()
    group = "self-node-remediation.medik8s.io"
    assert (reason, message) == (
        "PermissionMissing",
        f"missing: delete {PLURAL}.{group} in namespace medik8s. Install deploy/kustomize/components/template, or bind"
        " the right to the policy",
    )


async def test_while_the_limits_are_not_known_nothing_is_claimed() -> None:
    said = Said([KIND])
    said.cluster.unreadable = {"guardrails"}
    assert (await said.permitted())[:2] == ("Unknown", "Unreachable")
    said.cluster.unreadable = set()
    said.cluster.remove("guardrails", "", "cluster")
    assert (await said.permitted())[:2] == ("False", "TemplateForbidden")


async def test_guardrails_that_are_changed_let_the_policy_be_judged_anew() -> None:
    said = Said([])
    await said.permitted()
    await said.limited([])
    task = asyncio.create_task(said.judging.run())
    try:
        for allowed, status in (([KIND], "True"), ([], "False")):
            await said.limited(allowed)
            for _ in range(200):
                await asyncio.sleep(0)
            assert said.written()[0] == status
    finally:
        task.cancel()


@pytest.mark.parametrize("keep", [False, True])
async def test_two_nodes_are_not_mended_at_once(keep: bool) -> None:
    h = await opened(template(doneWhen={"type": "Succeeded"}, keep=keep), NEXT, limits={"concurrent": 5})
    await h.settle(10)
    assert written(h) == ["create"]
    h.target = h.cluster.objects["nodes", "", "n2"]
    await h.open()
    await h.settle_all(20)
    first, second = h.statuses()
    assert (written(h), [hold.reason for hold in second.holds][:1]) == (["create"], ["NodesAtOnce"])
    says(h, "Succeeded", "True")
    assert first.owes == (0 if keep else 1)


async def intended() -> Harness:
    """The operator was killed after it wrote its intent down, before it made the object."""
    for at in range(1, 10):
        h = await opened()
        h.cluster.kill_at = h.cluster.attempts + at
        with contextlib.suppress(Killed):
            await h.settle(10)
        if h.statuses()[0].steps:
            h.cluster.kill_at = None
            await h.start()
            assert written(h) == []
            return h
    raise AssertionError("it never wrote its intent down")


@pytest.mark.parametrize("forged", [{"resource": "clusterroles"}, {"want": '"0"'}, {"object": {"kind": "Other"}}])
async def test_a_forged_intent_makes_nothing_else_than_the_policy_says(forged: Json) -> None:
    h = await intended()
    (step,) = next(h.cluster.all("incidents"))["status"]["steps"]
    (write,) = step["writes"]
    write |= {key: write[key] | value if key == "object" else value for key, value in forged.items()}
    await h.settle(20)
    assert [path.split("/")[0] for verb, path, _, _ in h.cluster.writes if verb == "create"][-1:] == [PLURAL]
    (first, second, *_) = h.status.steps
    assert (first.outcome, second.action) == ("NotTaken", "template")
    assert [obj["kind"] for obj in there(h)] == ["SelfNodeRemediation"]
