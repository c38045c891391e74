"""The models: what they accept, what they refuse and with which words, and what they work out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from goldseam.api.base import format_duration
from goldseam.api.conditions import READY, condition, merge
from goldseam.api.crd import root_schema
from goldseam.api.incident import IncidentSpec, IncidentStatus, ObjectRef
from goldseam.api.kinds import BY_NAME, KINDS, Kind
from goldseam.api.ladder import ACCOUNT_ACTIONS, ACTIONS, NODE_ACTIONS, Rung
from goldseam.api.pause import PauseSpec
from goldseam.api.policy import RemediationPolicySpec
from goldseam.api.problems import InvalidSpec, read_spec
from goldseam.api.runbook import RunbookSpec, Threshold
from goldseam.api.schema import Schema
from goldseam.api.status import Status
from tests.support.manifests import BROKEN, DATA, EXAMPLES, STALLED, Manifest, name_of

MADE: Any = {"apiVersion": "a.example.com/v1", "kind": "Remediation", "metadata": {"labels": {}, "annotations": {}}}
MADE["spec"] = {"a": ["${target.name}"]}
NOW = datetime(2026, 1, 15, 18, 0, tzinfo=UTC)


@pytest.mark.parametrize("manifest", EXAMPLES, ids=name_of)
def test_an_example_is_accepted_and_survives_a_round_trip(manifest: Manifest) -> None:
    found = manifest.object
    spec = read_spec(found["kind"], found)
    assert read_spec(found["kind"], {**found, "spec": spec.dump()}) == spec


@pytest.mark.parametrize("manifest", [*BROKEN, *STALLED], ids=name_of)
def test_a_broken_manifest_is_refused_in_words_that_help(manifest: Manifest) -> None:
    found = manifest.object
    with pytest.raises(InvalidSpec) as caught:
        read_spec(found["kind"], found)
    assert manifest.missing(str(caught.value)) == []


def test_there_are_broken_manifests_of_every_kind_that_people_write() -> None:
    written = {kind.name for kind in KINDS} - {"Incident"}
    assert {manifest.object["kind"] for manifest in BROKEN} == written
    assert {manifest.object["kind"] for manifest in EXAMPLES} == written


@pytest.mark.parametrize("manifest", EXAMPLES, ids=name_of)
def test_an_example_begins_with_what_it_is_for(manifest: Manifest) -> None:
    assert manifest.text.startswith("# ")
    assert "suspend: false" not in manifest.text, "GitOps would set it back"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.name != "Incident"], ids=lambda kind: kind.name)
def test_the_examples_use_every_field(kind: Kind) -> None:
    used = {path for example in EXAMPLES if example.object["kind"] == kind.name for path in _used(example.object)}
    fields = set(_fields(root_schema(kind)["properties"]["spec"], "spec"))
    elsewhere = {f"spec.ladder.{action}" for action in ELSEWHERE.get(kind.name, ())}
    assert {path for path in fields - used if ".".join(path.split(".")[:3]) not in elsewhere} == set()


ELSEWHERE: dict[str, tuple[str, ...]] = {
    "RemediationPolicy": (*NODE_ACTIONS, "template"),
    "ClusterRemediationPolicy": ACCOUNT_ACTIONS,
}
"""Actions whose rungs a rule of this kind refuses."""


def _fields(part: Schema, path: str) -> Iterator[str]:
    for name, below in part.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from _fields(below, f"{path}.{name}")
    if "items" in part:
        yield from _fields(part["items"], path)


def _used(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, below in value.items():
            yield f"{path}.{name}".removeprefix(".")
            yield from _used(below, f"{path}.{name}".removeprefix("."))
    if isinstance(value, list):
        for entry in value:
            yield from _used(entry, path)


def test_the_smallest_policy_has_the_documented_defaults() -> None:
    (smallest,) = [manifest for manifest in EXAMPLES if manifest.path.stem == "policy-smallest"]
    spec = read_spec("RemediationPolicy", smallest.object)
    assert isinstance(spec, RemediationPolicySpec)
    assert (spec.target.kind, spec.alert.scope, spec.source_ref.name) == ("Deployment", "Namespace", "default")
    assert spec.escalate_after == timedelta(minutes=30)
    assert spec.ladder[0].title == "restart"
    assert [(limit.count, format_duration(limit.per)) for limit in spec.limits.actions] == [(3, "1h"), (7, "24h")]


def test_the_runbook_example_quotes_the_runbook_line_by_line() -> None:
    lines = (DATA / "platform-oncall-runbook.md").read_text().split("\n")
    quoted = [threshold.source for threshold in _runbook().thresholds if threshold.source]
    assert [source.line for source in quoted] == [291, 292, 293, 294, 295]
    assert [source.text for source in quoted] == [lines[source.line - 1] for source in quoted]
    assert {source.file for source in quoted} == {"platform-oncall-runbook.md"}


def _runbook() -> RunbookSpec:
    (example,) = [manifest for manifest in EXAMPLES if manifest.object["kind"] == "Runbook"]
    spec = read_spec("Runbook", example.object)
    assert isinstance(spec, RunbookSpec)
    return spec


def test_the_first_level_is_told_unless_another_is_named() -> None:
    runbook = _runbook()
    first, emergency = runbook.level(None), runbook.level("Emergency")
    assert first is not None
    assert first.name == "Primary"
    assert emergency is not None
    assert emergency.contact == "engineering-leadership"
    assert runbook.level("Nobody") is None
    assert RunbookSpec().level(None) is None


def test_a_contact_is_found_by_its_name() -> None:
    contact = _runbook().contact("platform-team-lead")
    assert contact is not None
    assert "+1 (555) 123-4567" in contact.person
    assert _runbook().contact("nobody") is None


@pytest.mark.parametrize(
    ("when", "acting", "stops"),
    [
        ({"unresolvedFor": "30m"}, None, False),
        ({"unresolvedFor": "30m"}, "Stop", True),
        ({"ladderExhausted": True}, None, True),
        ({"ladderExhausted": True}, "Continue", False),
    ],
)
def test_acting_ends_when_the_ladder_is_used_up_unless_said_otherwise(when: Any, acting: Any, stops: bool) -> None:
    threshold = Threshold.model_validate({"name": "t", "level": "l", "when": when, "acting": acting})
    assert threshold.stops is stops


@pytest.mark.parametrize("action", ACTIONS)
def test_a_rung_knows_its_action(action: str) -> None:
    pods = {"states": ["Failed"], "for": "5m", "atMost": 1}
    config = {"configMap": "settings", "key": "LEVEL", "value": "warn", "addKey": False}
    parameters = {
        "scale": {"replicas": 3, "direction": "Up", "allowZero": False, "raiseMax": True},
        "restart": {"method": "Auto"},
        "wait": {"duration": "5m"},
        "deletePods": pods,
        "patchConfig": config,
        "resources": {"container": "web", "limits": {"memory": "1Gi"}},
        "rollback": {"window": "30m"},
        "job": {"cronJob": "restore", "destructive": False},
        "template": {"resource": "remediations", "object": MADE, "keep": False},
        "cordon": {"controlPlane": False},
        "reboot": {"controlPlane": False},
        "outOfService": {"when": "ShutDown", "unreachableFor": "10m", "controlPlane": False},
        "drain": {"deadline": "5m", "atDeadline": "Uncordon", "controlPlane": False, "singleReplicas": "Evict"},
    }.get(action, {})
    rung = Rung.model_validate({action: parameters})
    assert (rung.action, rung.title) == (action, action)
    defaults = {"notify": {"message": ""}, "collect": {"queries": [], "logs": False}}
    assert rung.parameters.dump() == defaults.get(action, {}) | parameters
    assert Rung.model_validate({"name": "mine", action: parameters}).title == "mine"


@pytest.mark.parametrize(
    ("until", "hours"), [(None, 4), (NOW + timedelta(hours=1), 1), (NOW + timedelta(days=30), 7 * 24)]
)
def test_a_pause_ends_by_itself(until: datetime | None, hours: int) -> None:
    assert PauseSpec(reason="Upgrade.", until=until).ends(NOW) == NOW + timedelta(hours=hours)


def test_a_condition_keeps_its_time_while_its_status_is_the_same() -> None:
    before = [condition(READY, True, "Armed", "", 1, NOW), condition("Permitted", None, "Armed", "", 1, NOW)]
    later = NOW + timedelta(hours=1)
    after = merge(
        before,
        [condition(READY, True, "Armed", "x" * 2000, 2, later), condition("Permitted", False, "No", "", 2, later)],
    )
    assert [c.last_transition_time for c in after] == [NOW, later]
    assert [c.status for c in after] == ["True", "False"]
    assert len(after[0].message) == 1024
    assert before[1].status == "Unknown"


def test_what_the_operator_wrote_in_a_newer_version_is_passed_over() -> None:
    assert Status.model_validate({"observedGeneration": 3, "shoeSize": 42}).observed_generation == 3


def test_an_object_is_named_with_its_namespace() -> None:
    ref = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="api", uid="u")
    assert str(ref) == "Deployment shop/api"
    assert str(ref.model_copy(update={"kind": "Node", "namespace": "", "name": "worker-1"})) == "Node worker-1"


def test_an_incident_knows_what_is_open() -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "api", "uid": "u"}
    owed = {"key": "k", "kind": "ScaleBack", "object": target, "field": "f", "original": "1", "want": "3"}
    step = {"id": "1", "rung": 0, "action": "scale", "intentAt": "2026-01-15T18:00:00Z"}
    status = IncidentStatus.model_validate(
        {
            "obligations": [owed, {**owed, "state": "Paid"}],
            "steps": [{**step, "phase": "Done"}, {**step, "id": "2", "phase": "Acted"}],
        }
    )
    assert [obligation.state for obligation in status.open_obligations()] == ["Open"]
    open_step = status.open_step()
    assert open_step is not None
    assert open_step.id == "2"
    assert IncidentStatus().open_step() is None


def test_an_incident_says_what_it_is_about() -> None:
    spec = {
        "policyRef": {"kind": "RemediationPolicy", "namespace": "shop", "name": "p", "uid": "1"},
        "target": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "api", "uid": "u"},
        "alert": {"name": "A", "activeAt": "2026-01-15T18:00:00Z"},
    }
    read = read_spec("Incident", {"spec": spec})
    assert isinstance(read, IncidentSpec)
    assert read.alert.active_at == NOW


def test_a_kind_knows_its_singular_name() -> None:
    assert BY_NAME["ClusterRemediationPolicy"].singular == "clusterremediationpolicy"
