"""How an incident begins."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from goldseam.api.base import API_VERSION
from goldseam.api.incident import (
    AlertRecord,
    IncidentSpec,
    IncidentStatus,
    Kpis,
    ObjectRef,
    PolicyRef,
    PolicySnapshot,
    Verdict,
)
from goldseam.engine import naming, record
from goldseam.engine.alerts import ActiveAlert
from goldseam.engine.situation import LivePolicy
from goldseam.engine.size import written

POLICY_LABEL = "goldseam.dev/policy"
TARGET_LABEL = "goldseam.dev/target"
LABEL_BYTES = 16 * 1024


def incident_spec(policy: LivePolicy, target: ObjectRef, alert: ActiveAlert, predecessor: str) -> IncidentSpec:
    """What the incident is about. Labels are anyone's: beyond 64, 1024 characters or 16 KiB in all they are cut."""
    labels = _bounded(alert.labels)
    return IncidentSpec(
        policy_ref=PolicyRef(
            kind=policy.key.kind,  # type: ignore[arg-type]
            namespace=policy.key.namespace,
            name=policy.key.name,
            uid=policy.uid,
            generation=policy.generation,
        ),
        target=target,
        alert=AlertRecord(
            name=labels.get("alertname", "")[:256],
            labels=labels,
            active_at=alert.active_at,
            severity=labels.get("severity", "")[:63],
        ),
        predecessor=predecessor,
    )


def _bounded(labels: Mapping[str, str]) -> dict[str, str]:
    room = LABEL_BYTES
    kept: dict[str, str] = {}
    for key, value in sorted(labels.items(), key=lambda item: (item[0] != "alertname", item[0]))[:64]:
        key, value = key[:256], value[:1024]
        size = written(key) + written(value)
        if size <= room:
            room -= size
            kept[key] = value
    return kept


def manifest(spec: IncidentSpec, namespace: str) -> dict[str, Any]:
    """The Incident to create. It carries no label of the policy's: GitOps tools would take it for their own."""
    ref, target = spec.policy_ref, spec.target
    return {
        "apiVersion": API_VERSION,
        "kind": "Incident",
        "metadata": {
            "name": naming.incident_name(ref.name, ref.uid, target.uid, spec.predecessor),
            "namespace": namespace,
            "labels": {POLICY_LABEL: naming.label(ref.uid), TARGET_LABEL: naming.label(target.uid)},
            "annotations": {"argocd.argoproj.io/ignore-resource-updates": "true"},
        },
        "spec": spec.dump(),
    }


def first_status(policy: LivePolicy, spec: IncidentSpec, now: datetime) -> IncidentStatus:
    """The status of an incident that was opened just now."""
    assert policy.spec is not None, "an invalid policy opens no incident"
    status = IncidentStatus(
        phase="Investigating",
        mode=policy.spec.mode,
        policy_snapshot=PolicySnapshot(spec=policy.spec.dump()),
        verdict=Verdict(state="Firing", fresh=True, since=now, message="the alert is firing"),
        kpis=Kpis(detected_at=now),
    )
    text = f"alert {spec.alert.name} is firing for {spec.target}; {policy.key.title} in mode {policy.spec.mode}"
    return record.note(record.say(status, text), now, "Opened", text)


def is_same(spec: Mapping[str, Any], wanted: IncidentSpec) -> bool:
    """Whether an Incident of the wanted name is about the same policy, target and predecessor."""
    theirs = (spec.get("policyRef", {}).get("uid"), spec.get("target", {}).get("uid"), spec.get("predecessor", ""))
    return theirs == (wanted.policy_ref.uid, wanted.target.uid, wanted.predecessor)
