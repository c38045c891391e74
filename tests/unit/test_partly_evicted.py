"""A step that evicts pods of a workload, in the middle: what was done is of use by itself, so the rest may stay."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from goldseam.api.guardrails import Trip
from goldseam.api.incident import HoldRecord, Step, Write
from goldseam.engine import verify
from goldseam.engine.lineage import SPARED
from goldseam.engine.proposal import Proposal, World, place
from goldseam.engine.situation import Decision, Fleet, Situation
from tests.support.objects import scale_of, workload
from tests.unit.test_guards import NOW, TARGET, situation, spec
from tests.unit.test_open_steps import FIRST, NODE, PROTECTED, WRITE, decided, open_step, outcome

MINUTE = timedelta(minutes=1)
STORM = Fleet(storm=Trip(state="Tripped", since=NOW, message="a storm"))
RUNG = {"restart": {"method": "Eviction"}, "timeout": "10m"}


def eviction(number: int, **fields: Any) -> Write:
    name = f"api-{number}"
    pod = TARGET.model_copy(update={"kind": "Pod", "name": name, "uid": f"uid-{name}"})
    return Write(verb="Evict", object=pod, **fields)


GONE, LEFT = eviction(1, state="Done"), eviction(2)


def evicting(*writes: Write, action: str = "restart", step: dict[str, Any] | None = None, **fields: Any) -> Situation:
    """A restart by evictions that is under way; pod `api-2` is there."""
    name = str(LEFT.object.name)
    live = {"metadata": {"namespace": "shop", "name": name, "uid": LEFT.object.uid}}
    plan = Proposal((LEFT,), "restart it", (), evictable=frozenset({LEFT.object.uid}), evicts_at_most=8)
    touched = {
        place("Pod", "shop", name): live,
        place("Deployment", "shop", "api"): workload(),
        place("Deployment", "shop", "api", "scale"): scale_of(workload()),
    }
    world = World(target=workload(), touched=touched)
    base = situation(**({"spec": spec(ladder=[RUNG]), "world": world, "plan": plan} | fields))
    fixed = {"id": "1-restart", "rung": 0, "action": action, "intent_at": NOW, "writes": list(writes or (GONE, LEFT))}
    update = {"steps": [Step(**(fixed | (step or {})))], "phase": "Fixing"}
    return replace(base, status=base.status.model_copy(update=update))


def test_what_speaks_against_the_first_eviction_speaks_against_the_later_ones() -> None:
    assert decided(evicting()).reason == "GoOn"
    assert decided(evicting(fleet=STORM)).reason == "AlertStorm"


def test_it_is_what_is_left_that_decides_whether_the_step_may_stop() -> None:
    """A ConfigMap was written first, and its workload is restarted by evictions: these may stay away."""
    assert decided(evicting(FIRST, LEFT, fleet=STORM)).reason == "AlertStorm"
    half = (GONE, WRITE)
    assert decided(evicting(*half, plan=Proposal((WRITE,), "", ()), fleet=STORM)).reason == "GoOn"


def test_of_all_that_speaks_against_the_rest_the_first_decides_and_is_told() -> None:
    found = decided(evicting(guardrails=PROTECTED, fleet=STORM))
    assert found.reason == "Acted", "what is done is judged"
    (step,) = found.status.steps
    assert "is protected by the Guardrails" in step.writes[1].message
    assert step.writes[1].message.startswith(SPARED)


def test_a_step_of_another_action_than_the_rungs_is_not_left_half_done() -> None:
    found = decided(evicting(action="deletePods"))
    assert (found.reason, outcome(found)) == ("NextRung", "Failed")
    assert "only a part was done" in found.status.steps[0].message


def test_where_the_only_pod_that_was_looked_at_stays_nothing_was_done_and_it_is_planned_anew() -> None:
    stays = eviction(1, state="Done", message=f"{SPARED}it is well again")
    found = decided(evicting(stays, LEFT, action="deletePods"))
    assert (found.reason, outcome(found)) == ("Replanned", "NotTaken")


HELD = HoldRecord(guard="storm", reason="AlertStorm", kind="Wait", since=NOW - MINUTE, message="a storm")
LATE = {"intent_at": NOW - 10 * MINUTE}


def held(s: Situation) -> Situation:
    """It was held back when it was last looked at, and is not any more."""
    return replace(s, status=s.status.model_copy(update={"holds": [HELD]}))


def started_anew(found: Decision) -> bool:
    return found.status.steps[0].intent_at == NOW


def test_time_in_which_the_first_write_was_held_back_is_not_the_rungs() -> None:
    tried = WRITE.model_copy(update={"message": "HTTP 503"})
    late = open_step(writes=(tried,), **LATE)
    assert outcome(decided(late)) == "Failed"
    assert started_anew(decided(held(late)))


def test_time_in_which_a_later_write_was_held_back_is_the_rungs_unless_it_is_an_eviction() -> None:
    assert outcome(decided(held(open_step(writes=(FIRST, WRITE), **LATE)))) == "Failed"
    assert outcome(decided(evicting(step=LATE))) == "Failed"
    assert started_anew(decided(held(evicting(step=LATE))))


@pytest.mark.parametrize("writes", [(WRITE.model_copy(update={"state": "Done"}),), (GONE,)])
@pytest.mark.parametrize("target", ["workload", "node"])
def test_the_rungs_time_counts_from_the_last_eviction_of_a_workloads_pod_and_else_from_the_intent(
    writes: tuple[Write, ...], target: str
) -> None:
    s = evicting(*writes, step={**LATE, "acted_at": NOW - MINUTE})
    s = replace(s, spec=s.spec.model_copy(update={"target": NODE})) if target == "node" else s
    late = verify._is_late(s, s.status.steps[0], NOW)
    assert late is not (writes == (GONE,) and target == "workload")
