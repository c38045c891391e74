"""A drain whose pods were to be deleted by force, and were not by the time that they had for that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from goldseam.api.incident import Write
from goldseam.engine import at_deadline
from goldseam.engine.proposal import Effect, Proposal
from goldseam.engine.situation import Decision, Situation
from goldseam.engine.verdict import Reading
from tests.support.objects import Json
from tests.unit.test_guards import NOW, TARGET
from tests.unit.test_obligations import GONE
from tests.unit.test_open_steps import of_a_drain, outcome


def decided(s: Situation) -> Decision:
    found = at_deadline.passed(s, NOW)
    assert found is not None
    return found


LEFT = {"metadata": {"namespace": "shop", "name": "api-1", "uid": "uid-api-1"}}


def late(write: Write, **fields: Any) -> Situation:
    """A drain that was to delete the pod by force, and has not by the time that it had for that."""
    s = of_a_drain(write, plan=Proposal((write,), "delete 1 pod", ()), deadline_at=NOW - timedelta(seconds=1), **fields)
    steps = [step.model_copy(update={"intent_at": NOW - timedelta(hours=1)}) for step in s.status.steps]
    status = s.status.model_copy(update={"steps": steps})
    effect = Effect(False, "1 of 1 pods are still on it")
    return replace(s, status=status, effect=effect, world=replace(s.world, pods=(LEFT,), now=NOW))


def deletion(**fields: Any) -> Write:
    pod = TARGET.model_copy(update={"kind": "Pod", "name": "api-1", "uid": "uid-api-1"})
    return Write(verb="Delete", object=pod, **fields)


@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        ({}, "Forced", "delete 1 pod"),
        ({"reading": Reading("Unknown", False, "not evaluated yet")}, "AlertUnknown", "nothing is deleted by force"),
        ({"reading": GONE}, "Failed", "nothing is deleted by force: "),
    ],
    ids=["nothing speaks against it", "not known yet", "the alert is gone"],
)
def test_a_deletion_that_was_decided_and_never_tried_is_decided_on_once_more_when_its_time_is_over(
    fields: Json, reason: str, words: str
) -> None:
    found = decided(late(deletion(), **fields))
    assert (outcome(found) if reason == "Failed" else found.reason) == reason
    assert words in (found.status.steps[0].message if reason == "Failed" else found.status.message)


def test_deletions_that_were_tried_in_vain_are_not_decided_on_again() -> None:
    """Else a drain whose deletions the API server never answers would have no end."""
    found = decided(late(deletion(message="HTTP 503")))
    assert outcome(found) == "Failed"
