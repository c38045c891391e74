"""How a drain ends, on the real API server with the ServiceAccount's rights; the audit log is the judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.direct import Direct
from tests.support.objects_on_cluster import (
    budget,
    cluster_policy,
    deployment,
    forgotten,
    guardrails,
    outcomes,
    running,
    writes_of_operator,
)
from tests.support.operator_process import NAMESPACE, OperatorProcess, standing_by
from tests.support.operator_process import running as running_operator
from tests.support.plane import ROOT, Plane, eventually
from tests.support.sampling import SLOW

Trouble = Callable[..., None]
Json = dict[str, Any]
PIECE = ROOT / "deploy" / "kustomize" / "components" / "forced-drain"
DEADLINE, AT_DEADLINE = "goldseam.dev/drain-deadline", "goldseam.dev/at-deadline"


@pytest.fixture
def node(installed: Plane, namespace: str) -> Iterator[str]:
    """A node with pods of `api`."""
    installed.apply(deployment(namespace, "api", 4))
    running(installed, namespace, "api", 4)
    found = installed.all("pods", namespace)[0]["spec"]["nodeName"]
    yield found
    installed.kubectl("uncordon", found)
    installed.kubectl("annotate", "node", found, f"{DEADLINE}-", f"{AT_DEADLINE}-")  # `kubectl uncordon` leaves them


def live(plane: Plane, node: str) -> Json:
    found = plane.get("node", node)
    notes = found["metadata"].get("annotations", {})
    marks = {name: notes[name] for name in (DEADLINE, AT_DEADLINE) if name in notes}
    return {"cordoned": bool(found["spec"].get("unschedulable")), "marks": marks}


def incident_of(plane: Plane, node: str) -> Json:
    """The status of the node's incident; empty while there is none."""
    found = [one for one in plane.all("incidents", NAMESPACE) if one["spec"]["target"]["name"] == node]
    return dict(found[0].get("status", {})) if found else {}


def ended(plane: Plane, node: str, outcome: str) -> Json:
    """The first step, once it has come to this."""

    def ask() -> Json:
        steps = incident_of(plane, node).get("steps", [])
        return dict(steps[0]) if steps and steps[0].get("outcome") == outcome else {}

    return eventually(ask, f"the drain to be {outcome}", 90)


def deleted(plane: Plane, namespace: str) -> list[str]:
    """Which pods the operator has deleted past their budgets."""
    refs = [entry["objectRef"] for entry in writes_of_operator(plane) if entry["verb"] == "delete"]
    return sorted(r["name"] for r in refs if r["resource"] == "pods" and r.get("namespace") == namespace)


def drains(plane: Plane, at_deadline: str, **told: Any) -> None:
    rung = {"drain": {"deadline": "6s", "atDeadline": at_deadline, **told}, "timeout": "60s"}
    plane.apply(cluster_policy("drain", rung, {"notify": {}}, alert={"name": "NodeTrouble"}))


@pytest.fixture
def hanging(installed: Plane, namespace: str, node: str) -> Iterator[str]:
    """The same node, whose pods never end."""
    finalizers(installed, namespace, node, ["example.com/keep"])
    yield node
    finalizers(installed, namespace, node, None)


def finalizers(plane: Plane, namespace: str, node: str, wanted: list[str] | None) -> None:
    """Keep the pods of a node from vanishing, or let them go."""
    body = json.dumps({"metadata": {"finalizers": wanted}})
    for pod in plane.all("pods", namespace):
        if pod["spec"].get("nodeName") == node:
            plane.kubectl("patch", "pod", pod["metadata"]["name"], "-n", namespace, "--type=merge", "-p", body)


@pytest.mark.parametrize("at_deadline", ["Uncordon", "LeaveCordoned"])
def test_at_its_deadline_the_node_comes_back_or_is_left_as_the_policy_says(
    installed: Plane, operator: OperatorProcess, hanging: str, trouble: Trouble, at_deadline: str
) -> None:
    node = hanging
    drains(installed, at_deadline)
    trouble(1, alert="NodeTrouble", node=node)
    eventually(lambda: live(installed, node)["cordoned"], "the node to be cordoned", 60)
    marks = live(installed, node)["marks"]
    step = eventually(lambda: incident_of(installed, node).get("steps"), "the step")[0]
    assert marks[DEADLINE][:19] == step["deadlineAt"][:19]
    assert marks.get(AT_DEADLINE, "Uncordon") == at_deadline
    assert "has passed" in ended(installed, node, "Failed")["message"]
    left = at_deadline == "LeaveCordoned"
    eventually(lambda: incident_of(installed, node).get("owes", 0) == 0, "nothing to be owed", 60)
    assert live(installed, node) == {"cordoned": left, "marks": marks if left else {}}
    (owed,) = incident_of(installed, node)["obligations"]
    assert owed["state"] == ("Void" if left else "Paid")
    if left:
        said = lambda: [one.get("message", "") for one in installed.all("events")]  # noqa: E731
        eventually(lambda: any(f"kubectl uncordon {node}" in one for one in said()), "the Event")
    trouble(0, alert="NodeTrouble", node=node)
    forgotten(installed)


def test_without_its_piece_a_forced_drain_is_not_begun(
    installed: Plane, namespace: str, operator: OperatorProcess, node: str, trouble: Trouble
) -> None:
    installed.apply(guardrails(allowForcedDrain=["*"]))
    drains(installed, "Force")

    def permitted() -> Json:
        found = installed.get("clusterremediationpolicy", "drain").get("status", {}).get("conditions", [])
        return next((one for one in found if one["type"] == "Permitted"), {})

    eventually(lambda: permitted().get("status") == "False", "the policy to say it")
    assert "delete pods. Install deploy/kustomize/components/forced-drain" in permitted()["message"]
    trouble(1, alert="NodeTrouble", node=node)
    assert "may not delete pods" in ended(installed, node, "Refused")["message"]
    assert live(installed, node) == {"cordoned": False, "marks": {}}
    trouble(0, alert="NodeTrouble", node=node)
    forgotten(installed)


@pytest.fixture
def forcing(installed: Plane) -> Iterator[Plane]:
    """With the piece `forced-drain`."""
    for name in ("rights", "limits"):
        installed.must("apply", "--server-side", "--force-conflicts", "-f", str(PIECE / f"{name}.yaml"))
    yield installed
    for name in ("rights", "limits"):
        installed.must("delete", "-f", str(PIECE / f"{name}.yaml"), "--ignore-not-found")


def test_what_is_left_at_the_deadline_is_deleted_where_guardrails_and_admission_let_it(
    forcing: Plane, namespace: str, operator: OperatorProcess, node: str, trouble: Trouble
) -> None:
    forcing.apply(guardrails(allowForcedDrain=[f"{node[:-1]}*"]), budget(namespace, "api", minAvailable=4))
    never_ready(forcing, namespace)
    here = [p["metadata"]["name"] for p in forcing.all("pods", namespace) if p["spec"].get("nodeName") == node]
    drains(forcing, "Force")
    trouble(1, alert="NodeTrouble", node=node)

    def empty() -> bool:
        return all(p["spec"].get("nodeName") != node for p in forcing.all("pods", namespace))

    eventually(empty, "the node to be empty", 90)
    assert set(deleted(forcing, namespace)) <= set(here)
    assert deleted(forcing, namespace), "their budget lets none of them go"
    trouble(0, alert="NodeTrouble", node=node)
    eventually(lambda: not live(forcing, node)["cordoned"], "the node to be back", 90)
    assert outcomes(incident_of(forcing, node))[0] == ("drain", "Passed")
    forgotten(forcing)


@SLOW
def test_a_pod_that_never_ends_is_not_deleted_by_force_and_the_node_comes_back(
    forcing: Plane, namespace: str, operator: OperatorProcess, hanging: str, trouble: Trouble
) -> None:
    forcing.apply(guardrails(allowForcedDrain=[hanging]))
    drains(forcing, "Force", deadline="10s")
    trouble(1, alert="NodeTrouble", node=hanging)
    why = "nothing is deleted by force: every pod that is left is on its way out already"
    assert why in ended(forcing, hanging, "Failed")["message"]
    eventually(lambda: incident_of(forcing, hanging).get("owes", 0) == 0, "nothing to be owed", 60)
    assert live(forcing, hanging) == {"cordoned": False, "marks": {}}
    (owed,) = incident_of(forcing, hanging)["obligations"]
    assert owed["state"] == "Paid"
    assert deleted(forcing, namespace) == []
    trouble(0, alert="NodeTrouble", node=hanging)
    forgotten(forcing)


def never_ready(plane: Plane, namespace: str) -> None:
    """A fifth pod, that fits no node: the budget waits for it, so that it lets no other one go for now."""
    pod: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "stuck", "namespace": namespace, "labels": {"app": "api"}},
        "spec": {"nodeSelector": {"no": "node"}, "containers": [{"name": "a", "image": "x"}]},
    }
    plane.apply(pod)
    wanted = {"expectedPods": 5, "currentHealthy": 4, "disruptionsAllowed": 0}
    eventually(
        lambda: wanted.items() <= plane.get("poddisruptionbudget", "api", namespace).get("status", {}).items(),
        "the budget to be used up",
    )


def test_admission_refuses_a_deletion_where_the_guardrails_do_not_name_the_node(
    forcing: Plane, namespace: str, operator_kubeconfig: Path, node: str
) -> None:
    pod = next(p for p in forcing.all("pods", namespace) if p["spec"].get("nodeName") == node)["metadata"]
    path = f"/api/v1/namespaces/{namespace}/pods/{pod['name']}"

    def asks(**options: Any) -> str:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"], **options}
        status, answer = Direct(str(operator_kubeconfig), "direct").ask("DELETE", path, body)
        return "" if status < 300 else str(answer.get("message", status))

    known = {"preconditions": {"uid": pod["uid"]}}
    forcing.apply(guardrails())
    eventually(lambda: "do not name the pod's node" in asks(**known), "it to be refused", 60)
    forcing.apply(guardrails(allowForcedDrain=[node]))
    eventually(lambda: asks(**known) == "", "it to be let through", 60)
    assert "must name the pod's uid" in asks()
    assert "its own grace period" in asks(**known, gracePeriodSeconds=0)
    assert asks(**known, gracePeriodSeconds=60) == ""


def test_where_there_are_no_guardrails_nor_their_kind_everybody_elses_deletions_go_on(
    forcing: Plane, namespace: str, node: str
) -> None:
    """The API server looks for a policy's parameter before it asks whose request it is."""
    names = [pod["metadata"]["name"] for pod in forcing.all("pods", namespace)]
    forcing.must("delete", "guardrails", "--all")
    forcing.must("delete", "pod", names[0], "-n", namespace)
    kept = forcing.must("get", "crd", "guardrails.goldseam.dev", "-o", "json")
    forcing.must("delete", "crd", "guardrails.goldseam.dev")
    try:
        eventually(lambda: forcing.kubectl("get", "guardrails").returncode != 0, "the kind to be gone")
        forcing.must("delete", "pod", names[1], "-n", namespace)
    finally:
        body = json.loads(kept)
        body["metadata"] = {key: body["metadata"][key] for key in ("name", "labels", "annotations")}
        forcing.apply({key: body[key] for key in ("apiVersion", "kind", "metadata", "spec")})
        eventually(lambda: forcing.kubectl("get", "guardrails").returncode == 0, "the kind to be back")


@pytest.fixture
def own(installed: Plane) -> Iterator[Callable[..., None]]:
    """Makes pods that stand for the operator's processes, by name (`_` for `-`) the node of each; afterwards none is
    left, for every later drain of these nodes would wait for a leader there."""
    yield lambda **where: own_pods(installed, {name.replace("_", "-"): node for name, node in where.items()})
    installed.kubectl(
        "delete", "pod", "goldseam-a", "goldseam-b", "-n", NAMESPACE, "--wait=false", "--ignore-not-found"
    )


def test_the_leader_hands_over_before_its_own_pod_goes(
    installed: Plane,
    namespace: str,
    source: str,
    operator_kubeconfig: Path,
    trouble: Trouble,
    node: str,
    own: Callable[..., None],
    tmp_path: Path,
) -> None:
    elsewhere = next(n["metadata"]["name"] for n in installed.all("nodes") if n["metadata"]["name"] != node)
    own(goldseam_a=node, goldseam_b=elsewhere)
    drains(installed, "Uncordon", deadline="60s")
    with (
        running_operator(operator_kubeconfig, tmp_path / "first.log", pod_name="goldseam-a") as first,
        standing_by(operator_kubeconfig, tmp_path / "second.log", pod_name="goldseam-b") as second,
    ):
        trouble(1, alert="NodeTrouble", node=node)
        assert first.process.wait(90) == 0, "it ends in order"
        eventually(second.ready, "the other one to lead", 60)

        def gone() -> bool:
            there = installed.kubectl("get", "pod", "goldseam-a", "-n", NAMESPACE).returncode == 0
            return not there

        eventually(gone, "the pod of the first one to be evicted", 60)
        trouble(0, alert="NodeTrouble", node=node)
        eventually(lambda: not live(installed, node)["cordoned"], "the node to be back", 90)
        assert outcomes(incident_of(installed, node)) == [("drain", "Passed")]
        forgotten(installed)
    refs = [entry["objectRef"] for entry in writes_of_operator(installed)]
    evicted = [ref["name"] for ref in refs if ref.get("subresource") == "eviction" and ref["namespace"] == NAMESPACE]
    assert evicted == ["goldseam-a"], "once, by the one that led afterwards"


def own_pods(plane: Plane, where: dict[str, str]) -> None:
    """Pods that stand for the operator's processes, each of a controller, ready on its node."""
    owner = plane.get("deployment", "goldseam", NAMESPACE)["metadata"]
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "goldseam", "uid": owner["uid"], "controller": True}
    template = plane.get("deployment", "goldseam", NAMESPACE)["spec"]["template"]["spec"]
    safe = {"securityContext": template["securityContext"]}  # the namespace asks for it (PodSecurity)
    container = {"securityContext": template["containers"][0]["securityContext"]}
    for name, node in where.items():
        meta = {"name": name, "namespace": NAMESPACE, "ownerReferences": [ref]}
        plane.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": meta | {"labels": {"app.kubernetes.io/name": "goldseam"}},
                "spec": {"nodeName": node, "containers": [{**container, "name": "goldseam", "image": "goldseam"}]}
                | safe,
            }
        )

    def ready() -> bool:
        pods = [p for p in plane.all("pods", NAMESPACE) if p["metadata"]["name"] in where]
        conditions = [{c["type"]: c["status"] for c in p.get("status", {}).get("conditions", [])} for p in pods]
        return [c.get("Ready") for c in conditions] == ["True"] * len(where)

    eventually(ready, "the operator's pods to be ready", 60)
