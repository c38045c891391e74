"""Limits and requests of containers: where they stand, how far one write moves them, and what their way back awaits."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from goldseam.api.ladder import Rung
from goldseam.api.quantities import part_of, size_of
from goldseam.engine.guards.harm import disruption, headroom
from goldseam.engine.guards.hold import Hold
from goldseam.engine.objects import Workload, reference, steps_of
from goldseam.engine.proposal import Proposal
from goldseam.engine.situation import Situation
from goldseam.engine.strategy import taken_at_once

MOST = 4
"""How many times as much as before one write makes it, or how small a part: admission allows no more."""


def field_of(container: str, part: str, resource: str) -> str:
    """The path of a container's limit or request."""
    return f"spec.template.spec.containers[name={container}].resources.{part}.{resource}"


def title(field: str) -> str:
    """Such a path for people."""
    _, _, _, _, container, _, part, resource = steps_of(field)
    return f"{part}.{resource} of container {container.removeprefix('name=')}"


def asked_for(field: str, ladder: Iterable[Rung]) -> bool:
    """Whether some rung raises this field."""
    told = [rung.resources for rung in ladder if rung.resources is not None]
    return field in [field_of(one.container, part, resource) for one in told for part, resource, _ in one.amounts()]


def raised(original: str, want: str) -> bool:
    """Whether it was raised from something to as much or more; both as JSON."""
    before, after = _size(original), _size(want)
    return before is not None and after is not None and 0 < before <= after


def on_the_way(original: str, want: str) -> str:
    """From what Goldseam has set back to the original, or as far as one write may go; all as JSON."""
    before, after = _size(original), _size(want)
    assert before is not None
    assert after is not None
    return original if after <= before * MOST else json.dumps(part_of(json.loads(want), MOST))


def _size(text: str) -> Decimal | None:
    try:
        return size_of(json.loads(text))
    except ValueError:
        return None


def held(s: Situation, now: datetime) -> list[Hold]:
    """What a rolling restart waits for that takes back what was raised: a rollout that is in progress, unless it is
    stuck or paused, and pods that may not be missed now."""
    if s.world.target is None:
        return []
    workload, found = Workload(s.world.target), []
    if workload.updating and not workload.stuck and not workload.spec.get("paused"):
        message = f"a rollout of {reference(workload.obj)} is in progress: {workload.progress}"
        found.append(Hold("busy", "Wait", "RolloutInProgress", message))
    asked = replace(s, plan=Proposal((), "", (), takes_ready=taken_at_once(workload)))
    harm = [hold for guard in (headroom, disruption) if (hold := guard(asked, now)) is not None]
    return [*found, *(replace(hold, kind="Wait") for hold in harm)]
