"""Beside the real kustomize-controller of Flux: who owns a field keeps it, and is told how to share it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from goldseam.engine.owners import YIELDED
from tests.support.flux import App
from tests.support.neighbours import Neighbour
from tests.support.objects_on_cluster import deployment, effects, outcomes, policy, reached, running, status
from tests.support.operator_process import OperatorProcess
from tests.support.plane import Plane, eventually

Trouble = Callable[..., None]
Json = dict[str, Any]
SCALE: Json = {"scale": {"replicas": 5}, "timeout": "240s"}
RESTART: Json = {"restart": {}, "timeout": "240s"}
IN_PEACE = {YIELDED: "true"}


def in_git(namespace: str, image: str = "busybox:1.37", **annotations: str) -> Json:
    """The Deployment `api`, as Git has it."""
    found = deployment(namespace, "api", 3)
    found["metadata"]["annotations"] = annotations
    found["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return found


def replicas(plane: Plane, namespace: str) -> int:
    """How many replicas `api` is to have."""
    return int(plane.get("deployment", "api", namespace)["spec"]["replicas"])


def refused(plane: Plane, namespace: str) -> str:
    """Why the first rung was refused."""
    eventually(lambda: outcomes(status(plane, namespace)), "the rung to be refused")
    found = status(plane, namespace)
    assert outcomes(found) == [("scale", "Refused")]
    return json.dumps(found)


def lines(said: str) -> Json:
    """The lines to add to the Kustomization, read from the message as a person would."""
    found = re.search(r"Add to the Flux Kustomization: (ignore: \[.*?\}\])", said)
    assert found, said
    parsed: Json = yaml.safe_load(found[1])
    return parsed


def test_replicas_that_are_in_git_are_left_alone_with_the_lines_to_add(
    installed: Plane, namespace: str, app: App, operator: OperatorProcess, trouble: Trouble
) -> None:
    app.begin(in_git(namespace))
    installed.apply(policy(namespace, SCALE))
    running(installed, namespace, "api", 3)
    trouble(1, deployment="api")
    said = refused(installed, namespace)
    assert f"Flux Kustomization {namespace}/app owns spec.replicas of Deployment {namespace}/api" in said
    assert lines(said) == {"ignore": [{"paths": ["/spec/replicas"], "target": {"kind": "Deployment", "name": "api"}}]}
    assert effects(installed, namespace) == []


def test_the_git_revision_that_came_before_the_alert_is_on_the_incident(
    installed: Plane, namespace: str, app: App, operator: OperatorProcess, trouble: Trouble
) -> None:
    app.begin(in_git(namespace))
    installed.apply(policy(namespace, RESTART))
    running(installed, namespace, "api", 3)
    trouble(1, deployment="api")
    found = eventually(lambda: status(installed, namespace).get("changes"), "what changed before")
    (change,) = [one for one in found if one["what"] == "Git revision"]
    kept = installed.get("kustomization", "app", namespace)["status"]
    assert (change["after"], change["by"]) == (kept["lastAppliedRevision"], f"Flux Kustomization {namespace}/app")


def test_with_the_lines_both_live_in_peace(
    installed: Plane, namespace: str, app: App, flux: Neighbour, operator: OperatorProcess, trouble: Trouble
) -> None:
    """Also while Flux rolls out a new image in the middle, for which it applies the whole object anew."""
    app.begin(in_git(namespace))
    installed.apply(policy(namespace, SCALE))
    running(installed, namespace, "api", 3)
    trouble(1, deployment="api")
    app.tell(lines(refused(installed, namespace)))
    trouble(0, deployment="api")
    reached(installed, namespace, "Resolved")
    installed.must("delete", "incidents", "--all", "-n", namespace)

    app.commit(in_git(namespace, **IN_PEACE))
    trouble(1, deployment="api")
    running(installed, namespace, "api", 5)
    before = len(flux.writes(namespace, "deployments"))
    app.reconcile()
    app.reconcile()
    assert replicas(installed, namespace) == 5
    assert len(flux.writes(namespace, "deployments")) == before
    app.commit(in_git(namespace, "busybox:1.38", **IN_PEACE))
    assert len(flux.writes(namespace, "deployments")) == before + 1
    running(installed, namespace, "api", 5)

    trouble(0, deployment="api")
    found = reached(installed, namespace, "Resolved")
    assert outcomes(found) == [("scale", "Passed")]
    eventually(lambda: status(installed, namespace)["owes"] == 0, "the debt to be settled")
    assert replicas(installed, namespace) == 3
    app.reconcile()
    assert replicas(installed, namespace) == 3


def test_an_annotation_without_the_lines_ends_after_one_round(
    installed: Plane, namespace: str, app: App, flux: Neighbour, operator: OperatorProcess, trouble: Trouble
) -> None:
    """A person says that Flux was told, and it was not: Flux takes the change back, and Goldseam does not try again."""
    app.begin(in_git(namespace, **IN_PEACE))
    installed.apply(policy(namespace, SCALE, RESTART))
    running(installed, namespace, "api", 3)
    trouble(1, deployment="api")
    eventually(lambda: [s["phase"] for s in status(installed, namespace).get("steps", [])] == ["Acted"], "the change")
    assert replicas(installed, namespace) == 5
    app.reconcile()
    assert replicas(installed, namespace) == 3
    found = reached(installed, namespace, "Escalated")
    assert "kustomize-controller" in json.dumps(found)
    assert found["owes"] == 0
    app.reconcile()
    running(installed, namespace, "api", 3)
    assert effects(installed, namespace) == ["patch deployments/scale"]


def test_a_restart_outlives_every_round_of_flux_and_the_next_image(
    installed: Plane, namespace: str, app: App, flux: Neighbour, operator: OperatorProcess, trouble: Trouble
) -> None:
    """It needs neither lines nor annotation: the template's annotation is not in Git, and its manager no kubectl."""
    app.begin(in_git(namespace))
    installed.apply(policy(namespace, RESTART))
    running(installed, namespace, "api", 3)
    trouble(1, deployment="api")
    eventually(lambda: marks(installed, namespace), "the restart")
    token, before = marks(installed, namespace), len(flux.writes(namespace, "deployments"))
    for _ in range(3):
        app.reconcile()
    assert (marks(installed, namespace), len(flux.writes(namespace, "deployments"))) == (token, before)
    assert len(installed.all("replicasets", namespace)) == 2
    trouble(0, deployment="api")
    assert outcomes(reached(installed, namespace, "Resolved")) == [("restart", "Passed")]
    app.commit(in_git(namespace, "busybox:1.38"))
    assert marks(installed, namespace) == token
    assert len(installed.all("replicasets", namespace)) == 3
    assert effects(installed, namespace) == ["patch deployments"]


def marks(plane: Plane, namespace: str) -> Json:
    """The annotations of the pod template."""
    template = plane.get("deployment", "api", namespace)["spec"]["template"]
    found: Json = template["metadata"].get("annotations") or {}
    return found


def test_the_annotation_by_kubectl_is_taken_back_by_flux_and_the_one_in_git_stays(
    installed: Plane, namespace: str, app: App
) -> None:
    """Flux strips what anybody wrote whose field manager begins with kubectl: so the annotation belongs into Git."""
    app.begin(in_git(namespace))
    installed.must("annotate", "deployment", "api", "-n", namespace, f"{YIELDED}=true")
    app.reconcile()
    assert YIELDED not in installed.get("deployment", "api", namespace)["metadata"].get("annotations", {})
    app.commit(in_git(namespace, **IN_PEACE))
    app.reconcile()
    assert installed.get("deployment", "api", namespace)["metadata"]["annotations"][YIELDED] == "true"


def test_a_field_that_leaves_git_falls_to_its_default_once_and_is_free_from_then_on(
    installed: Plane, namespace: str, app: App, operator: OperatorProcess, trouble: Trouble
) -> None:
    app.begin(in_git(namespace))
    running(installed, namespace, "api", 3)
    without = in_git(namespace)
    del without["spec"]["replicas"]
    app.commit(without)
    assert replicas(installed, namespace) == 1
    installed.apply(policy(namespace, SCALE))
    trouble(1, deployment="api")
    running(installed, namespace, "api", 5)
    app.reconcile()
    without["spec"]["template"]["spec"]["containers"][0]["image"] = "busybox:1.38"
    app.commit(without)
    assert replicas(installed, namespace) == 5
    trouble(0, deployment="api")
    reached(installed, namespace, "Resolved")
    eventually(lambda: replicas(installed, namespace) == 1, "what was owed to be paid")


@pytest.mark.parametrize(("how", "kept"), [("Merge", False), ("IfNotPresent", True)])
def test_of_the_policies_of_flux_only_if_not_present_leaves_replicas_alone(
    installed: Plane, namespace: str, app: App, how: str, kept: bool
) -> None:
    """`IfNotPresent` leaves everything else alone, too: it is no advice to give."""
    policies = {"kustomize.toolkit.fluxcd.io/ssa": how}
    app.begin(in_git(namespace, **policies))
    patch = ("--subresource=scale", "--type=merge", "-p", '{"spec": {"replicas": 5}}', "--field-manager=goldseam")
    installed.must("patch", "deployment", "api", "-n", namespace, *patch)
    app.reconcile()
    assert replicas(installed, namespace) == (5 if kept else 3)
    app.commit(in_git(namespace, "busybox:1.38", **policies))
    container = installed.get("deployment", "api", namespace)["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == ("busybox:1.37" if kept else "busybox:1.38")
