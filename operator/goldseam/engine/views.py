"""Incidents as they are read, and the merge patch from one status to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from goldseam.api.incident import IncidentSpec, IncidentStatus
from goldseam.api.policy import ClusterRemediationPolicySpec, RemediationPolicySpec
from goldseam.engine.closing import is_over
from goldseam.engine.matching import PolicyKey, PolicySpec
from goldseam.engine.objects import Json


@dataclass(frozen=True)
class IncidentView:
    """One Incident as it was last read or written."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    created: str
    spec: IncidentSpec
    status: IncidentStatus | None
    """None where the status was not written yet."""

    @property
    def policy(self) -> PolicyKey:
        """Whose incident it is."""
        ref = self.spec.policy_ref
        return PolicyKey(ref.kind, ref.namespace, ref.name)

    @cached_property
    def pinned(self) -> PolicySpec:
        """The policy as it was when the incident was opened.

        Raises:
            ValidationError: the snapshot is not one that we wrote.
        """
        assert self.status is not None
        assert self.status.policy_snapshot is not None
        of_cluster = self.spec.policy_ref.kind == "ClusterRemediationPolicy"
        model = ClusterRemediationPolicySpec if of_cluster else RemediationPolicySpec
        return model.model_validate(self.status.policy_snapshot.spec)

    @cached_property
    def of_a_newer_version(self) -> bool:
        """Whether its policy has what is not known here: nothing is done for it, and nothing beside it."""
        try:
            _ = self.pinned if self.status is not None else None
        except ValidationError:
            return True
        return False

    @property
    def alert(self) -> str:
        """The name of its alert."""
        return self.spec.alert.name

    @property
    def title(self) -> str:
        """Its name, with its namespace."""
        return f"{self.namespace}/{self.name}"

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self.status is not None and is_over(self.status)


def view(obj: Json) -> IncidentView | None:
    """Read an Incident; None where it is not one that we could have written."""
    meta = obj["metadata"]
    try:
        spec = IncidentSpec.model_validate(obj.get("spec") or {})
        status = (
            IncidentStatus.model_validate(obj["status"]) if (obj.get("status") or {}).get("policySnapshot") else None
        )
    except ValidationError:
        return None
    return IncidentView(
        meta["namespace"],
        meta["name"],
        meta["uid"],
        meta["resourceVersion"],
        meta["creationTimestamp"],
        spec,
        status,
    )


def of_a_newer_version(obj: Json, read: Callable[[Json], IncidentView | None] = view) -> bool:
    """Whether it is an Incident that Goldseam has begun on and not ended, and that cannot be read here. Nobody but
    Goldseam writes its status, so a newer version wrote it. `read` is asked for such only: they are few."""
    status = obj.get("status") or {}
    if not status.get("policySnapshot") or status.get("closedAt"):
        return False
    incident = read(obj)
    return incident is None or incident.of_a_newer_version


def merge_patch(old: Any, new: Any) -> Any:
    """The JSON merge patch (RFC 7396) that turns `old` into `new`; lists are replaced whole."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    patch = {key: None for key in old if key not in new}
    changed = {key: merge_patch(old.get(key), value) for key, value in new.items() if old.get(key) != value}
    return patch | changed
