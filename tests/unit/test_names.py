"""Names and labels that the API server takes, whatever they stand for."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from goldseam.api.incident import AlertRecord, IncidentSpec, ObjectRef, PolicyRef
from goldseam.engine.opening import manifest

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", fullmatch=True)
"""What the API server takes for the name of a policy."""
TEXTS = st.text(min_size=1, max_size=253)
UIDS = st.text(min_size=1, max_size=64)
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def made(policy: str, target: str, uid: str = "uid") -> dict[str, object]:
    spec = IncidentSpec(
        policy_ref=PolicyRef(kind="RemediationPolicy", namespace="shop", name=policy, uid=uid),
        target=ObjectRef(api_version="v1", kind="Deployment", namespace="shop", name=target, uid=target[:64]),
        alert=AlertRecord(name="A", active_at=datetime(2026, 1, 1, tzinfo=UTC)),
    )
    found: dict[str, object] = manifest(spec, "shop")["metadata"]
    return found


@given(NAMES, TEXTS)
def test_an_incident_has_names_and_labels_that_the_api_server_takes_whatever_they_stand_for(
    policy: str, target: str
) -> None:
    meta = made(policy, target)
    name, labels = str(meta["name"]), meta["labels"]
    assert SUBDOMAIN.fullmatch(name)
    assert len(name) <= 63, "it may stand in a label, too"
    assert isinstance(labels, dict)
    assert all(LABEL.fullmatch(value) for value in labels.values())
    assert meta == made(policy, target), "the same each time"


@given(NAMES, UIDS, UIDS)
def test_two_targets_or_policies_never_share_an_incident(policy: str, one: str, other: str) -> None:
    if one != other:
        assert made(policy, one)["name"] != made(policy, other)["name"]
        assert made(policy, "api", uid=one)["name"] != made(policy, "api", uid=other)["name"]
