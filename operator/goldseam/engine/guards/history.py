"""Guards: what happened before speaks against the rung."""

from __future__ import annotations

from datetime import datetime

from goldseam.api.durations import format_duration
from goldseam.engine.changes import in_words, of_rollout
from goldseam.engine.guards.hold import Hold
from goldseam.engine.objects import Workload
from goldseam.engine.rollouts import rollouts
from goldseam.engine.situation import Situation


def changed(s: Situation, now: datetime) -> Hold | None:
    """The template was changed, by others, so shortly before the alert, or since (`skipIfChangedWithin`).

    Our own restarts are no change. A revision that was taken up again at a time that is not known may have been now.
    """
    within = s.rung.skip_if_changed_within if s.rung is not None else None
    if within is None or s.world.target is None:
        return None
    target, began = s.world.target, s.spec.alert.active_at
    rolled = rollouts(target, s.world.revisions or ())
    if not rolled or not Workload(target).observed:
        why = "its controller has not seen its newest spec yet" if rolled else "no revision of its own is there"
        message = f"when the target's template was changed is not known: {why}"
        return Hold("history", "Wait", "ChangesUnknown", message)
    lately = [one for one in rolled if not one.ours and one.since(min(began, now) - within)]
    if not lately:
        return None
    what = in_words(of_rollout(target, lately[-1]), began) or "an older template is back, it is not known since when"
    return Hold("history", "Refuse", "ChangedLately", f"skipIfChangedWithin is {format_duration(within)}: {what}")


def failed(s: Situation, now: datetime) -> Hold | None:
    """The same was done to the target a short while ago, in an earlier incident, in vain (`skipIfFailedWithin`)."""
    rung = s.rung
    within = rung.skip_if_failed_within if rung is not None else None
    if rung is None or within is None:
        return None
    same = (rung.action, rung.parameters.dump())
    lately = [one for one in s.failures if (one.action, one.parameters) == same and now - one.at < within]
    last = max(lately, key=lambda one: one.at, default=None)
    if last is None:
        return None
    message = (
        f"skipIfFailedWithin is {format_duration(within)}, and it failed at {last.at:%m-%d %H:%M} UTC in Incident"
        f" {last.incident}: {last.message}"
    )
    return Hold("history", "Refuse", "FailedLately", message)
