"""Installed, Goldseam changes nothing: what the manifests of the default install grant, and what each piece adds."""

from __future__ import annotations

import re

import pytest
import yaml

from goldseam.actions.registry import ACTIONS
from goldseam.api.crd import crd
from goldseam.api.kinds import BY_NAME, KINDS
from goldseam.api.ladder import Rung
from goldseam.engine.proposal import Right
from goldseam.services.permissions import INCIDENTS_POLICY, PEOPLE_POLICY
from goldseam.settings import load
from tests.stolen.pieces import (
    BASE,
    KUSTOMIZE,
    OPERATOR,
    PIECES,
    READING,
    granted,
    grants,
    in_overlay,
    of_piece,
    rendered,
    said,
)

RECEIVER = KUSTOMIZE / "components" / "receiver"
DANGEROUS = {"*", "impersonate", "bind", "escalate", "deletecollection"}

POLICIES = {"kind": "Group", "name": "goldseam:policies"}
CLUSTER_POLICIES = {"kind": "Group", "name": "goldseam:cluster-policies"}
PARAMETERS = {
    "scale": {"replicas": 3},
    "deletePods": {"states": ["Failed"]},
    "patchConfig": {"configMap": "settings", "key": "LEVEL", "value": "warn"},
    "resources": {"container": "web", "limits": {"memory": "1Gi"}},
    "job": {"cronJob": "restore"},
    "template": {
        "resource": "selfnoderemediations",
        "object": {"apiVersion": "self-node-remediation.medik8s.io/v1alpha1", "kind": "SelfNodeRemediation"},
    },
}

ADDED = {
    "scale": {("patch", "apps", "deployments/scale"), ("patch", "apps", "statefulsets/scale")},
    "restart": {("patch", "apps", kind) for kind in ("deployments", "statefulsets", "daemonsets")},
    "hpa": {("patch", "autoscaling", "horizontalpodautoscalers")},
    "keda": {("patch", "keda.sh", "scaledobjects")},
    "rollouts": {("patch", "argoproj.io", "rollouts/scale")},
    "rollouts-restart": {("patch", "argoproj.io", "rollouts")},
    "pods": {("create", "", "pods/eviction")},
    "jobs": {("create", "batch", "jobs"), ("patch", "batch", "jobs")},
    "nodes": {("patch", "", "nodes"), ("create", "", "pods/eviction")},
    "forced-drain": {("delete", "", "pods")},
    "out-of-service": {("out-of-service", "", "nodes")},
    "reboot": {(verb, "batch", "jobs") for verb in ("create", "patch", "reboot")},
    "config": {("patch", "", "configmaps")},
    "logs": set(),
    "medik8s": {(verb, "coordination.k8s.io", "leases") for verb in ("create", "patch")},
    "scale-to-zero": {
        ("zero", "apps", "deployments/scale"),
        ("zero", "apps", "statefulsets/scale"),
        ("zero", "argoproj.io", "rollouts/scale"),
    },
    "rollback": {(v, "apps", k) for v in ("patch", "rollback") for k in ("deployments", "statefulsets", "daemonsets")},
    "template": {(v, "self-node-remediation.medik8s.io", "selfnoderemediations") for v in ("create", "delete")},
    "resources": {(v, "apps", k) for v in ("patch", "resize") for k in ("deployments", "statefulsets", "daemonsets")},
}
BY_HAND = {"config", "resources", "rollback", "scale-to-zero", "logs", "medik8s", "template"}
"""Not in the overlay, and bound to nobody: admission cannot say what of their right is harmless."""


GUARDRAILS = {"name": "cluster", "parameterNotFoundAction": "Allow"}
THE_REBOOT = {"name": "reboot", "namespace": "goldseam-reboot", "parameterNotFoundAction": "Deny"}
"""What an admission policy is told by people. A parameter is looked for before it is asked whose request it is: where
it is missing, only those of a namespace of our own may be refused."""
READ = {
    "jobs": {("get", "", "pods/log", (), "")},
    "out-of-service": {(verb, "coordination.k8s.io", "leases", (), "kube-node-lease") for verb in ("get", "list")},
}
WHERE = {"reboot": "goldseam-reboot"}
"""The namespace in which a piece is bound, where it is not the whole cluster."""
UNTIED = ("jobs", "forced-drain", "out-of-service", "reboot")
"""What no admission policy can tie, or what asks no budget, is installed only by those who ask for it."""
FOR_CLUSTER_POLICIES = ("nodes", "jobs", "forced-drain", "out-of-service", "reboot")
"""Nodes are no business of a namespace; a RemediationPolicy that runs Jobs names an account with rights of its own."""


def test_the_default_install_writes_only_its_own_kinds_events_its_lease_and_questions_about_rights() -> None:
    writes = {grant for grant in granted(BASE, OPERATOR) if grant[0] not in READING}
    ours = {grant for grant in writes if grant[1] == "goldseam.dev"}
    lease = {(verb, "coordination.k8s.io", "leases", ("goldseam",), "goldseam-system") for verb in ("update", "patch")}
    assert writes - ours - lease == {
        ("create", "coordination.k8s.io", "leases", (), "goldseam-system"),
        ("create", "events.k8s.io", "events", (), ""),
        ("create", "authorization.k8s.io", "subjectaccessreviews", (), ""),
    }
    specs = {(verb, resource) for verb, _, resource, _, _ in ours if not resource.endswith("/status")}
    others = {("create", "guardrails"), ("delete", "responses")}
    assert specs == {(verb, "incidents") for verb in ("create", "patch", "delete")} | others


def test_the_default_install_reads_secrets_by_name_in_its_own_namespace_only() -> None:
    secrets = {grant for grant in granted(BASE, OPERATOR) if grant[2].startswith("secrets")}
    assert secrets == {("get", "", "secrets", (), "goldseam-system")}


def test_the_default_install_allows_policies_nothing() -> None:
    assert granted(BASE, POLICIES) | granted(BASE, CLUSTER_POLICIES) == set()


def test_the_operator_can_watch_each_kind_and_write_its_status() -> None:
    has = {(verb, resource) for verb, group, resource, _, _ in granted(BASE, OPERATOR) if group == "goldseam.dev"}
    for kind in KINDS:
        assert {(verb, kind.plural) for verb in READING} | {("patch", f"{kind.plural}/status")} <= has


def test_nothing_is_granted_by_a_wildcard_or_a_right_that_leads_to_others() -> None:
    roles = [role for role in rendered(KUSTOMIZE / "overlays" / "all") if role["kind"] in ("Role", "ClusterRole")]
    for role in roles:
        people = role["metadata"]["name"] == "goldseam-edit"
        for verb, group, resource, _, _ in (grant for rule in role["rules"] for grant in grants(rule, "")):
            assert verb not in DANGEROUS - ({"deletecollection"} if people else set())
            assert "*" not in group + resource


def needed() -> set[tuple[str, Right]]:
    """The rights that each action may need, in whatever way it is told and of whatever kind its target is."""
    rungs = [Rung.model_validate({name: PARAMETERS.get(name, {})}) for name in ACTIONS]
    rungs += [Rung.model_validate({"restart": {"method": method}}) for method in ("Template", "Eviction")]
    rungs.append(Rung.model_validate({"drain": {"atDeadline": "Force"}}))
    rungs.append(Rung.model_validate({"scale": {"replicas": 0, "direction": "Down", "allowZero": True}}))
    actions = [(ACTIONS[rung.action], rung.parameters) for rung in rungs]
    return {(a.name, right) for a, told in actions for kind in a.kinds for right in a.needs(told, kind)}


def test_there_is_a_piece_for_each_action_and_those_that_do_not_say_why_not_are_in_the_overlay() -> None:
    assert set(PIECES) == set(ADDED) == {right.piece for _, right in needed()} | {"hpa", "keda", "logs", "medik8s"}
    off = BY_HAND | {*UNTIED}
    assert set(in_overlay()) == set(PIECES) - off
    assert {piece for piece in PIECES if said(of_piece(piece), "off-by-default")} == off


def test_the_piece_that_a_right_names_grants_it_and_says_which_actions_it_serves() -> None:
    for action, right in needed():
        resource = f"{right.resource}/{right.subresource}".rstrip("/")
        assert (right.verb, right.group, resource) in ADDED[right.piece]
        served = {name for names in said(of_piece(right.piece), "serves") for name in names.split(", ")}
        assert action in served


@pytest.mark.parametrize("piece", sorted(BY_HAND))
def test_a_piece_that_is_bound_by_hand_is_bound_to_nobody(piece: str) -> None:
    objects = rendered(KUSTOMIZE / "components" / piece)
    assert not [o for o in objects if o["kind"] in ("RoleBinding", "ClusterRoleBinding")]
    (role,) = (o for o in objects if o["kind"] == "ClusterRole")
    rights = {grant[:3] for rule in role["rules"] for grant in grants(rule, "")}
    assert {right for right in rights if right[0] not in READING} == ADDED[piece]


@pytest.mark.parametrize("piece", sorted(set(PIECES) - BY_HAND))
def test_a_piece_grants_exactly_its_writes_to_the_operator_and_to_policies(piece: str) -> None:
    objects = of_piece(piece)
    everywhere = {(*right, (), WHERE.get(piece, "")) for right in ADDED[piece]}
    assert granted(objects, OPERATOR) == everywhere | READ.get(piece, set())
    assert granted(objects, CLUSTER_POLICIES) == everywhere
    assert granted(objects, POLICIES) == (set() if piece in FOR_CLUSTER_POLICIES else everywhere)


@pytest.mark.parametrize("piece", ["scale", "rollouts"])
def test_the_right_to_scale_to_zero_is_asked_for_where_scaling_is_tied(piece: str) -> None:
    (policy,) = (o["spec"] for o in of_piece(piece) if o["kind"] == "ValidatingAdmissionPolicy")
    asks = {v["name"]: v["expression"] for v in policy["variables"]}
    assert asks["mayZero"] == "authorizer.requestResource.check('zero').allowed()"
    judged = {
        ("zero", group, resource)
        for rule in policy["matchConstraints"]["resourceRules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert judged <= ADDED["scale-to-zero"]


def test_the_right_to_take_a_node_out_of_service_is_asked_for_where_nodes_are_tied() -> None:
    kind, name = "ValidatingAdmissionPolicy", "goldseam-nodes"
    (policy,) = (o["spec"] for o in of_piece("nodes") if (o["kind"], o["metadata"]["name"]) == (kind, name))
    asks = {v["name"]: v["expression"] for v in policy["variables"]}
    assert asks["mayTaint"] == "authorizer.requestResource.check('out-of-service').allowed()"


@pytest.mark.parametrize("piece", sorted({*PIECES} - {"scale-to-zero"}))
def test_a_piece_ties_the_operators_hands_for_every_right_that_it_grants(piece: str) -> None:
    objects = of_piece(piece)
    policies = {o["metadata"]["name"]: o["spec"] for o in objects if o["kind"] == "ValidatingAdmissionPolicy"}
    bindings = {o["spec"]["policyName"]: o["spec"] for o in objects if o["kind"].endswith("PolicyBinding")}
    assert policies.keys() == bindings.keys()
    for name, binding in bindings.items():
        told = THE_REBOOT if name == "goldseam-reboot" else GUARDRAILS
        params = {"paramRef": told} if "paramKind" in policies[name] else {}
        assert binding == {"policyName": name, "validationActions": ["Deny"], **params}
    for name, policy in policies.items():
        of_people = "paramKind" in policy and name != "goldseam-reboot"
        assert policy["failurePolicy"] == ("Ignore" if of_people else "Fail")
    of_ours = [p for name, p in policies.items() if "paramKind" not in p or name == "goldseam-reboot"]
    rules = [rule for policy in of_ours for rule in policy["matchConstraints"]["resourceRules"]]
    updates = dict.fromkeys(("patch", "resize", "rollback", "reboot", "out-of-service"), "UPDATE")
    operation = {**updates, "create": "CREATE", "delete": "DELETE"}
    judged = {
        (op, group, resource)
        for rule in rules
        for op in rule["operations"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    any_kind = {"template": ("*", "*")}.get(piece)  # whichever kinds people bind
    assert judged == {(operation[verb], *(any_kind or (group, resource))) for verb, group, resource in ADDED[piece]}


def test_every_admission_policy_means_the_account_of_the_deployment() -> None:
    objects = rendered(KUSTOMIZE / "overlays" / "all")
    deployment = next(o for o in objects if o["kind"] == "Deployment")
    account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
    user = f"system:serviceaccount:{deployment['metadata']['namespace']}:{account}"
    for policy in (o for o in objects if o["kind"] == "ValidatingAdmissionPolicy"):
        named = re.findall(r"username == '([^']+)'", yaml.dump(policy, width=10_000).replace("''", "'"))
        assert set(named) == {user}, policy["metadata"]["name"]


def test_the_operator_looks_for_the_binding_that_is_installed() -> None:
    bindings = {o["metadata"]["name"] for o in BASE if o["kind"] == "ValidatingAdmissionPolicyBinding"}
    assert {INCIDENTS_POLICY, PEOPLE_POLICY} <= bindings


def test_the_admission_policy_for_guardrails_knows_the_defaults() -> None:
    policy = next(o for o in BASE if o["metadata"]["name"] == "goldseam-guardrails" and "validations" in o["spec"])
    literal = next(v["expression"] for v in policy["spec"]["variables"] if v["name"] == "defaults")
    known = yaml.safe_load(literal.replace("dyn(", "").replace(")", ""))
    schema = crd(BY_NAME["Guardrails"])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert known == {name: part["default"] for name, part in schema["properties"].items() if "default" in part}


def test_the_deployments_settings_are_ones_that_the_operator_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = next(o for o in BASE if o["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    for variable in pod["containers"][0]["env"]:
        monkeypatch.setenv(variable["name"], variable.get("value", "goldseam-system"))
    assert load().namespace == "goldseam-system"
    assert pod["containers"][0]["ports"][0]["containerPort"] == load().listen_port
    assert pod["enableServiceLinks"] is False, "a Service's variables would be unknown settings"


def test_the_receiver_is_set_as_the_operator_reads_it_and_reached_where_its_service_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patch = yaml.safe_load((RECEIVER / "deployment.yaml").read_text())
    pod = patch["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    settings = load()
    (service,) = rendered(RECEIVER)
    (port,) = container["ports"]
    assert (port["containerPort"], port["name"]) == (settings.receiver_port, service["spec"]["ports"][0]["targetPort"])
    assert settings.receiver_token_file is not None
    (mount,) = container["volumeMounts"]
    assert str(settings.receiver_token_file.parent) == mount["mountPath"]
    assert "subPath" not in mount, "it would never be updated"
    base = next(o for o in BASE if o["kind"] == "Deployment")
    named = (base["metadata"]["name"], base["spec"]["template"]["spec"]["containers"][0]["name"])
    assert (patch["metadata"]["name"], container["name"]) == named
    assert service["spec"]["selector"].items() <= base["spec"]["template"]["metadata"]["labels"].items()
    assert service["spec"]["clusterIP"] == "None", "each replica must get each push"
