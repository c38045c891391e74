"""What is owed and the API server does not accept: said, tried again, told to people once, and paid once it may be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from goldseam.cli import looking
from goldseam.engine.cordons import UNSCHEDULABLE
from tests.component import test_out_of_service as off
from tests.component.test_cli import Terminal, name_of
from tests.component.test_drain_ends import cordoned, drain, opened
from tests.component.test_patch_config import CONFIG, PATCH, values
from tests.component.test_patch_config import opened as configured
from tests.support.harness import NAMESPACE, Harness

NODE = "nodes//n1"
SAID = {"refused": "an admission policy refused it", "mute": "no answer"}
PEOPLE = {"escalate": {}}


def told(h: Harness) -> list[str]:
    return [one.threshold for one in h.status.escalations]


async def failed(how: str = "refused") -> Harness:
    """A drain that fails at its deadline, on a node of which no write is accepted from then on."""
    h = await opened(drain(), PEOPLE, budget=0, unknownTimeout="60s")
    await h.settle(10)
    setattr(h.cluster, how, {NODE})
    return h


@pytest.mark.parametrize("how", ["refused", "mute"])
@pytest.mark.parametrize("cleared", [False, True], ids=["fires", "cleared"])
async def test_an_uncordon_that_is_not_accepted_is_told_once_with_why_and_what_to_do(how: str, cleared: bool) -> None:
    h = await opened(drain(), PEOPLE, budget=9 if cleared else 0, unknownTimeout="60s")
    await h.settle(10)
    setattr(h.cluster, how, {NODE})
    h.alert_state = "Cleared" if cleared else "Firing"
    await h.settle(60)
    said = f"uncordon Node n1: not accepted: {NODE}: {SAID[how]}"
    assert (h.status.message, told(h)) == (said, []), "it is said at once, and not yet told"
    await h.settle(60)
    assert told(h) == ["owedTooLong"]
    assert f"what is owed could not be put back for 1 min (by hand: `kubectl uncordon n1`): {said}." in (
        h.status.escalations[0].message
    )
    await h.settle(900)
    assert (told(h), h.status.message, cordoned(h)) == (["owedTooLong"], said, True)
    assert [step.action for step in h.status.steps] == ["drain", "undo"], "the ladder waits for it"


async def test_what_is_not_accepted_is_tried_again_and_nothing_is_written_meanwhile() -> None:
    h = await failed()
    await h.settle(30)
    (before,) = h.cluster.all("incidents")
    version = before["metadata"]["resourceVersion"]
    await h.settle(30)
    (after,) = h.cluster.all("incidents")
    assert after["metadata"]["resourceVersion"] == version
    h.cluster.refused = set()
    await h.settle(5)
    assert not cordoned(h)


async def test_once_it_is_accepted_it_is_paid_and_the_ladder_goes_on() -> None:
    h = await failed()
    await h.settle(200)
    h.cluster.refused = set()
    await h.settle(30)
    assert (cordoned(h), h.status.owes, [o.state for o in h.status.obligations]) == (False, 0, ["Paid"])
    assert [(step.action, step.outcome) for step in h.status.steps] == [
        ("drain", "Failed"),
        ("undo", "Undone"),
        ("escalate", "Told"),
    ]
    assert told(h) == ["owedTooLong", "escalateRung"]


async def test_a_person_who_uncordons_the_node_as_the_call_says_has_paid() -> None:
    h = await failed()
    await h.settle(200)
    h.cluster.edit("nodes", "", "n1", {"spec": {"unschedulable": None}}, "kubectl")
    await h.settle(30)
    assert ([o.state for o in h.status.obligations], h.status.handed_over) == (["Paid"], True)
    assert [step.outcome for step in h.status.steps] == ["Failed", "Undone", "Told"]


@pytest.mark.parametrize("seconds", [22, 40, 79, 85])
async def test_whoever_is_killed_meanwhile_tells_it_once_and_pays_it_once_it_is_accepted(seconds: float) -> None:
    h = await failed()
    await h.settle(seconds - 10)
    await h.start()
    await h.settle(150 - seconds)
    assert told(h) == ["owedTooLong"]
    h.cluster.refused = set()
    h.cluster.kill_at = h.cluster.attempts + 1
    h.cluster.kill_after = True
    assert await h.settle_through_crashes(30)
    assert (cordoned(h), h.status.owes) == (False, 0)
    assert told(h) == ["owedTooLong", "escalateRung"]


async def test_an_alert_that_clears_meanwhile_does_not_end_it_untold_and_it_ends_once_it_is_paid() -> None:
    h = await failed()
    await h.settle(20)
    h.alert_state = "Cleared"
    await h.settle(200)
    assert (h.status.phase, told(h)) == ("Fixing", ["owedTooLong"])
    h.cluster.refused = set()
    await h.settle(30)
    assert (h.status.phase, h.status.owes, cordoned(h)) == ("Resolved", 0, False)


async def test_an_alert_that_is_back_reopens_the_incident_though_its_uncordon_is_not_accepted() -> None:
    h = await opened(drain(), PEOPLE, budget=9, unknownTimeout="5m")
    await h.settle(10)
    h.cluster.refused = {NODE}
    h.alert_state = "Cleared"
    await h.settle(60)
    assert (h.status.phase, h.status.owes) == ("Resolved", 1)
    h.alert_state = "Firing"
    await h.settle(30)
    assert (h.status.reopened, h.status.phase, h.status.steps[1].outcome) == (1, "Escalated", "NotTaken")
    assert (cordoned(h), h.status.owes) == (True, 1), "it is owed still"


async def test_a_pause_of_everything_is_peoples_own_wish_and_they_are_not_told() -> None:
    h = await opened(drain(), PEOPLE, budget=9, unknownTimeout="60s")
    await h.settle(10)
    h.cluster.refused = {NODE}
    h.alert_state = "Cleared"
    await h.settle(40)
    spec = {"reason": "we look at the webhook", "cluster": True, "level": "Everything"}
    h.cluster.add("pauses", {"metadata": {"name": "p", "namespace": NAMESPACE}, "spec": spec})
    await h.settle(300)
    assert (h.status.phase, told(h)) == ("Resolved", [])
    h.cluster.remove("pauses", NAMESPACE, "p")
    await h.settle(90)
    assert told(h) == ["owedTooLong"]


async def test_a_taint_that_may_not_be_taken_away_from_a_node_that_speaks_is_told() -> None:
    h = await off.opened(unknownTimeout="60s")
    await h.settle(15)
    assert off.taints(h)
    off.speaks(h)
    h.cluster.refused = {NODE}
    await h.settle(900)
    assert told(h) == ["owedTooLong"]
    call = h.status.escalations[0].message
    assert "(by hand: `kubectl taint node n1 node.kubernetes.io/out-of-service-`)" in call
    assert f"away from Node n1: not accepted: {NODE}: an admission policy refused it" in h.status.message
    h.cluster.refused = set()
    await h.settle(20)
    assert (off.taints(h), h.status.obligations[-1].state) == ([], "Paid")


async def test_of_two_debts_the_one_that_is_not_accepted_is_told_and_the_other_is_paid_after_it() -> None:
    scale = {"scale": {"replicas": 5}}
    h = await configured(PATCH, scale, unknownTimeout="60s")
    await h.settle(100)
    assert h.status.owes == 2
    h.cluster.refused = {CONFIG}
    h.alert_state = "Cleared"
    await h.settle(300)
    assert (told(h), h.status.owes) == (["owedTooLong"], 2)
    assert 'put LEVEL of ConfigMap shop/settings back to "info"' in h.status.escalations[0].message
    h.cluster.refused = set()
    await h.settle(60)
    assert (h.status.owes, values(h), h.live()["spec"]["replicas"]) == (0, {"LEVEL": "info"}, 3)


async def test_show_says_why_and_what_to_do_below_what_is_owed() -> None:
    h = await failed()
    await h.settle(30)
    t = Terminal(h)
    await looking.show(replace(t.session, namespace=NAMESPACE), name_of(h))
    owed = t.lines.index("Owed:")
    assert UNSCHEDULABLE in t.lines[owed + 1]
    assert t.lines[owed + 2 : owed + 4] == [
        f"  uncordon Node n1: not accepted: {NODE}: an admission policy refused it",
        "    kubectl uncordon n1",
    ]
