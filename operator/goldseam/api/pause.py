"""Pause: stops work now. A runtime object that Git never holds, so that GitOps cannot undo it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from goldseam.api.base import Model, Name, Rule, Text, Time

DEFAULT_PAUSE = timedelta(hours=4)
LONGEST_PAUSE = timedelta(days=7)


class PausedTarget(Model):
    """One workload or node."""

    kind: Literal["Deployment", "StatefulSet", "DaemonSet", "Rollout", "Node"]
    """Its kind."""
    name: Name
    """Its name; for workloads in the Pause's own namespace."""


class PauseSpec(Model):
    """What is stopped, why, and until when. Deleting the object ends the pause."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(self.cluster && (has(self.policy) || has(self.target)))",
            "cluster: a pause of everything names no policy and no target",
            lambda s: not (s.cluster and (s.policy or s.target)),
        ),
    )

    level: Literal["NewWork", "Everything"] = "NewWork"
    """`NewWork` (default): no new step is begun; what is owed (scaling back, uncordoning) is still paid.
    `Everything`: no write at all outside Goldseam's own kinds."""
    cluster: bool = False
    """Stops all policies of the cluster. Counts only in the operator's namespace. Default: false."""
    policy: Name | None = None
    """Stops this one policy of the Pause's namespace (in the operator's namespace: this cluster policy)."""
    target: PausedTarget | None = None
    """Stops all work on this one target."""
    reason: Annotated[Text, Field(min_length=1)]
    """Why; shown on every incident that it holds."""
    by: Annotated[str, Field(max_length=253)] = ""
    """Who asks for it. Where it is given it must be the user that the API server sees (`kubectl auth whoami`)."""
    until: Time | None = None
    """When it ends by itself. Default: 4 hours after it was created; at most 7 days after."""

    def ends(self, created: datetime) -> datetime:
        """When the pause that was created at `created` ends."""
        return min(self.until or created + DEFAULT_PAUSE, created + LONGEST_PAUSE)
