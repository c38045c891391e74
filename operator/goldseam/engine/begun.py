"""What a step has begun that nobody can stop: a Job that was released, and a node that was told to reboot.

While it goes on the step stays open, whoever has the incident: for the caps the node is out of service, and of one
CronJob no second Job is run.
"""

from __future__ import annotations

from datetime import datetime

from goldseam.engine.lineage import judged
from goldseam.engine.situation import Situation, timeout


def reboots(s: Situation, now: datetime) -> bool:
    """Whether a node was told to reboot and is not back, and the time of the rung is not over."""
    step = s.status.open_step()
    if step is None or step.action != "reboot" or s.effect is None or s.effect.done:
        return False
    told = step.phase == "Acted" or all(write.state == "Done" for write in judged(step, s.world).writes)
    return told and now < (step.acted_at or step.intent_at) + timeout(s, s.pinned.ladder[step.rung])


def goes_on(s: Situation, now: datetime) -> bool:
    """Whether any such thing goes on: a Job however long it takes."""
    return (s.effect is not None and s.effect.course == "Runs") or reboots(s, now)
