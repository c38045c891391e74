"""What is seen before anything is decided: ceilings, silence, and the moment at which people are called."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from goldseam.api.incident import Step
from goldseam.engine.answers import IDLE
from goldseam.engine.decide import decide
from goldseam.engine.proposal import Proposal
from goldseam.engine.situation import PauseInForce, Silence, Situation
from tests.unit.test_guards import NOW, guardrails, situation, spec
from tests.unit.test_open_steps import PAUSE

PLAN = Proposal((), "restart", ())
LOW = guardrails(namespaces=[{"selector": {"matchLabels": {"tier": "1"}}, "maxMode": "Observe"}])


def under_a_ceiling(*steps: Step) -> Situation:
    s = situation(guardrails=LOW, namespace_labels={"tier": "1"}, plan=PLAN)
    return replace(s, status=s.status.model_copy(update={"steps": list(steps)}))


def test_a_ceiling_lowers_the_mode_for_good_before_anything_was_tried_and_not_afterwards() -> None:
    assert decide(under_a_ceiling(), NOW).status.mode == "Observe"
    step = Step(id="1-restart", rung=0, action="restart", phase="Done", outcome="Failed", intent_at=NOW)
    assert decide(under_a_ceiling(step), NOW).status.mode == "Act"
    assert decide(replace(under_a_ceiling(), namespace_labels={"tier": "2"}), NOW).status.mode == "Act"


@pytest.mark.parametrize(
    ("pauses", "silence", "quiet"),
    [((), "None", False), ((PAUSE,), "None", True), ((), "Silenced", True), ((PAUSE,), "Silenced", True)],
)
def test_time_in_which_people_want_quiet_is_counted_as_such(
    pauses: tuple[PauseInForce, ...], silence: str, quiet: bool
) -> None:
    s = situation(pauses=pauses, plan=PLAN)
    if silence == "Silenced":
        s = replace(s, silence=Silence("Silenced", "jane silenced it"))
    assert (decide(s, NOW).status.paused_since is not None) is quiet


def test_it_is_looked_at_again_when_people_are_to_be_called() -> None:
    opened = situation().spec.alert.active_at

    def again(after: str) -> timedelta:
        pinned = spec(escalateAfter=after, unknownTimeout="168h")
        return decide(situation(spec=pinned, unknown=("pods (503)",)), NOW).look_again

    assert again("10m") == timedelta(minutes=10) - (NOW - opened)
    assert again("168h") == IDLE
