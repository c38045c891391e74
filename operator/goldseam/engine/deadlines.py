"""Until when a drain has time."""

from __future__ import annotations

from datetime import datetime, timedelta

from goldseam.api.incident import Step, Write
from goldseam.api.ladder import Rung
from goldseam.engine.lineage import NOT_LEASED, was_spared
from goldseam.engine.situation import LEAST_TIMEOUT, Situation, timeout


def given(s: Situation, step: Step, rung: Rung, now: datetime) -> Step:
    """The step of a drain with its deadline, counted from now; any other as it is."""
    if rung.drain is None or step.purpose != "Rung":
        return step
    return step.model_copy(update={"deadline_at": now + (rung.drain.deadline or timeout(s, rung))})


def after_force(s: Situation, step: Step, rung: Rung) -> timedelta:
    """How much of the rung's time is left for the alert to be gone once what was left was deleted by force: as much as
    after a deadline by which nothing was left, however long it was not known whether to."""
    deadline = rung.drain.deadline if rung.drain is not None else None
    if deadline is None or not is_forced(step):
        return timedelta(0)
    return max(timeout(s, rung) - deadline, timedelta(0))


def is_over(step: Step, now: datetime) -> bool:
    """Whether it is a drain that has not ended by its deadline."""
    drains = step.action == "drain" and step.purpose == "Rung" and step.phase != "Done"
    return drains and step.deadline_at is not None and step.deadline_at <= now


def is_begun(step: Step) -> bool:
    """Whether anything of the drain was done, or tried in vain: not where a pod has gone by itself. One that marks its
    node is begun with that; one with nothing to write, which only waits for pods to end, with its record."""
    if not step.writes or is_forced(step):
        return True
    first = step.writes[0]
    if first.verb == "Patch":
        return first.state == "Done"
    tried = (w for w in step.writes if w.message and not was_spared(w) and not w.message.startswith(NOT_LEASED))
    return step.acted_at is not None or any(tried)


def is_to_be_forced(step: Step, rung: Rung, now: datetime) -> bool:
    """Whether what is left is to be deleted: a drain that was begun is over its deadline, and its policy says so. That
    the Incident has deletions does not make it so before the time that the policy gives."""
    if rung.drain is None or rung.drain.at_deadline != "Force":
        return False
    least = rung.drain.deadline or rung.timeout or LEAST_TIMEOUT
    return is_begun(step) and now - step.intent_at >= least and (is_forced(step) or is_over(step, now))


def is_forced(step: Step) -> bool:
    """Whether what was left at its deadline is being deleted."""
    return any(write.verb == "Delete" for write in step.writes)


def is_untried(step: Step) -> bool:
    """Whether that was decided, and nobody has tried it since: who decided has died, or something held it."""
    left = still_to_delete(step)
    return bool(left) and not any(write.message for write in left)


def still_to_delete(step: Step) -> list[Write]:
    """The deletions by force that are decided on, and not made."""
    return [write for write in step.writes if write.verb == "Delete" and write.state == "Pending"]
