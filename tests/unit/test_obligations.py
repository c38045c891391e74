"""What is owed, judged and paid: only what is ours, only when it is due, and never more than was changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from goldseam.api.incident import ObjectRef, Obligation, Step, Write
from goldseam.engine import obligations
from goldseam.engine.objects import RESTART
from goldseam.engine.proposal import World, place
from goldseam.engine.record import with_obligations
from goldseam.engine.situation import Situation
from goldseam.engine.verdict import Reading
from tests.support.objects import Json, config_map, manages, node, scale_of, workload
from tests.unit.test_guards import NOW, TARGET, other, situation, spec

HOUR = timedelta(hours=1)
NODE = ObjectRef(api_version="v1", kind="Node", name="worker-1", uid="uid-worker-1")
GONE = Reading("Cleared", True, "the alert is gone", NOW)


def debt(**fields: Any) -> Obligation:
    base = {"key": "uid-api:spec.replicas", "kind": "ScaleBack", "object": TARGET, "subresource": "scale"}
    return Obligation(**(base | {"field": "spec.replicas", "original": "3", "want": "8"} | fields))


def cordon(**fields: Any) -> Obligation:
    base = {"key": "uid-worker-1:spec.unschedulable", "kind": "Uncordon", "object": NODE, "subresource": ""}
    return debt(**(base | {"field": "spec.unschedulable", "original": "null", "want": "true"} | fields))


def deployed(replicas: int, *managers: str) -> Json:
    by = [manages(manager, "spec.replicas", subresource="scale") for manager in managers]
    return workload(replicas=replicas, metadata={"managedFields": by})


def owing(*owed: Obligation, live: Json | None = None, phase: str = "Resolved", **fields: Any) -> Situation:
    """A situation that owes; by default the Deployment has our 8 replicas."""
    status = {name: fields.pop(name) for name in ("handed_over", "steps", "kpis") if name in fields}
    obj = live or deployed(8, "goldseam")
    touched = {place("Deployment", "shop", "api"): obj, place("Deployment", "shop", "api", "scale"): scale_of(obj)}
    touched[place("Node", "", "worker-1")] = fields.pop("machine", node(cordoned="goldseam"))
    base = situation(reading=GONE, **fields)
    update = {"obligations": list(owed), "phase": phase} | status
    return replace(
        base, status=base.status.model_copy(update=update), world=World(target=base.world.target, touched=touched)
    )


def test_of_a_list_that_is_full_what_is_settled_longest_makes_room() -> None:
    """The CRD refuses a longer one, and nothing of the Incident could be written any more."""
    settled = [debt(key=f"old-{number}", state="Paid") for number in range(16)]
    status = situation().status.model_copy(update={"obligations": settled})
    found = with_obligations(status, [debt()]).obligations
    assert [o.key for o in found] == [*(f"old-{number}" for number in range(1, 16)), debt().key]


def state(s: Situation) -> str:
    (found,) = obligations.examined(s, NOW).obligations
    return found.state


def message(s: Situation) -> str:
    (found,) = obligations.examined(s, NOW).obligations
    return found.message


def test_what_is_ours_still_stays_owed() -> None:
    assert state(owing(debt())) == "Open"


def test_a_policy_may_keep_what_was_scaled_once_it_is_over_but_never_a_cordon() -> None:
    keeps = spec(resolve={"revert": False})
    assert state(owing(debt(), spec=keeps)) == "Void"
    assert state(owing(debt(), spec=keeps, phase="Monitoring")) == "Open"
    assert state(owing(cordon(), spec=keeps, namespace="", operator_namespace="")) == "Open"


def test_the_incident_whose_value_is_there_takes_the_debt_over() -> None:
    heir = other(obligations=(debt(),))
    assert state(owing(debt(want="6"), others=(heir,))) == "Void"
    for opened in (NOW - HOUR, NOW, NOW + HOUR):
        assert state(owing(debt(want="6"), others=(replace(heir, opened=opened),))) == "Void", "age decides nothing"
    for no_heir in (
        replace(heir, obligations=(debt(want="6"),)),
        replace(heir, uid="uid-incident"),
        replace(heir, obligations=(debt(state="Paid"),)),
        replace(heir, obligations=(debt(key="uid-api:spec.other"),)),
        replace(heir, obligations=()),
    ):
        assert state(owing(debt(want="6"), others=(no_heir,))) == "Lost", "nobody of us has written the value"


def test_of_two_incidents_that_owe_the_same_value_one_keeps_the_debt() -> None:
    mine = owing(debt()).uid
    assert state(owing(debt(), others=(other(uid=mine + "z", obligations=(debt(),)),))) == "Open"
    assert state(owing(debt(), others=(other(uid="", obligations=(debt(),)),))) == "Void"


@pytest.mark.parametrize(
    "forged",
    [
        {"object": TARGET.model_copy(update={"kind": "DaemonSet"})},
        {"field": "spec.paused"},
        {"subresource": ""},
        {"object": TARGET.model_copy(update={"namespace": "bank"})},
        {"original": "0"},
        {"original": "9"},
        {"original": "true"},
        {"original": "three"},
        {"want": '"8"'},
    ],
)
def test_what_goldseam_could_not_owe_is_not_paid(forged: dict[str, Any]) -> None:
    assert message(owing(debt(**forged))).startswith("not one that Goldseam could owe: ")


DOWN = spec(ladder=[{"scale": {"replicas": 4, "direction": "Down"}}])


@pytest.mark.parametrize(
    ("original", "want", "pinned", "found"),
    [
        ("10", "8", DOWN, "Open"),
        ("10", "4", DOWN, "Open"),
        ("10", "3", DOWN, "Void"),  # further down than the policy goes
        ("10", "8", spec(ladder=[{"scale": {"replicas": 4}}]), "Void"),
        ("10", "8", spec(), "Void"),
    ],
)
def test_it_goes_up_again_only_where_the_policy_takes_away(original: str, want: str, pinned: Any, found: str) -> None:
    debts = debt(original=original, want=want)
    assert state(owing(debts, live=deployed(int(want), "goldseam"), spec=pinned)) == found


def test_what_was_taken_away_comes_back_in_one_write_and_when_the_alert_is_surely_gone() -> None:
    s = owing(debt(original="10", want="4"), live=deployed(4, "goldseam"), spec=DOWN)
    (owed,) = s.status.obligations
    assert obligations.undo(owed, s, NOW).message == "scale Deployment shop/api back from 4 to 10"
    assert obligations.holds(owed, s, NOW) == []
    unsure = replace(s, reading=Reading("Unknown", False, "nothing is known"))
    assert "what was scaled down does not run again" in obligations.holds(owed, unsure, NOW)[0].message


def test_who_is_at_work_on_the_field_half_way_down_owes_it() -> None:
    heir = other(obligations=(debt(want="2"),))
    for busy, found in ((False, "Lost"), (True, "Void")):
        s = owing(debt(), live=deployed(4, "goldseam"), others=(replace(heir, busy=busy),))
        assert state(s) == found
    assert state(owing(debt(), others=(replace(heir, busy=True),))) == "Open", "nothing was written yet"


@pytest.mark.parametrize(
    ("made", "found"),
    [([], ("Void", "2")), (["Done"], ("Open", "5")), (["Done", "Done"], ("Open", "3"))],
)
def test_a_way_down_that_ends_half_way_owes_what_it_has_reached(made: list[str], found: tuple[str, str]) -> None:
    ways = (("10", "5"), ("5", "3"), ("3", "2"))
    states = [*made, *(3 - len(made)) * ["Pending"]]
    writes = [
        Write(verb="Patch", object=TARGET, field="spec.replicas", before=before, want=want, state=state)
        for (before, want), state in zip(ways, states, strict=True)
    ]
    step = Step(id="1-scale", rung=0, action="scale", intent_at=NOW, writes=writes)
    (left,) = obligations.voided(owing(debt(original="10", want="2")).status, step, "x").obligations
    assert (left.state, left.want) == found


@pytest.mark.parametrize("original", ["1", "3", "8"])
def test_it_goes_back_to_any_number_from_one_to_what_was_wanted(original: str) -> None:
    assert state(owing(debt(original=original), phase="Fixing")) == "Open"


@pytest.mark.parametrize(("original", "want"), [("true", "true"), ("null", "false"), ("true", "false")])
def test_what_was_no_cordon_of_ours_is_not_undone(original: str, want: str) -> None:
    s = owing(cordon(original=original, want=want), namespace="", operator_namespace="")
    assert message(s) == "not one that Goldseam could owe: that is no cordon"


def test_a_value_that_is_back_is_paid_once_the_work_is_over() -> None:
    back = deployed(3, "kubectl")
    for more in ({"phase": "Resolved"}, {"phase": "Abandoned"}, {"phase": "Fixing", "handed_over": True}):
        assert state(owing(debt(), live=back, **more)) == "Paid"
    assert state(owing(debt(due_at=NOW), live=back, phase="Fixing")) == "Paid"


def test_while_it_is_worked_on_a_value_that_is_back_was_taken_back_by_somebody() -> None:
    found = owing(debt(), live=deployed(3, "kubectl"), phase="Fixing")
    assert message(found) == (
        "kubectl set spec.replicas of Deployment shop/api to 3, where Goldseam had set 8: it is left alone"
    )
    assert state(found) == "Lost"


def test_a_rung_of_ours_that_put_it_back_has_paid() -> None:
    write = Write(verb="Patch", object=TARGET, field="spec.replicas", before="8", want="3", state="Done")
    step = Step(id="2-scale", rung=1, action="scale", intent_at=NOW, phase="Done", writes=[write])
    back = deployed(3, "kubectl")
    assert state(owing(debt(), live=back, phase="Fixing", steps=[step])) == "Paid"
    for no in ({"state": "Pending"}, {"want": "8"}, {"field": "spec.other"}, {"object": NODE}):
        undone = step.model_copy(update={"writes": [write.model_copy(update=no)]})
        assert state(owing(debt(), live=back, phase="Fixing", steps=[undone])) == "Lost"


def test_what_is_gone_is_owed_no_more_but_only_where_that_is_known() -> None:
    replaced = deployed(8, "goldseam")
    replaced["metadata"]["uid"] = "uid-newcomer"
    assert state(owing(debt(), live=replaced)) == "Void"
    assert state(owing(debt(), live=replaced, unknown=("scale (503)",))) == "Open"


def test_it_falls_due_after_the_end_and_a_node_at_once() -> None:
    over = situation().status.kpis.model_copy(update={"resolved_at": NOW})
    assert obligations.due_at(debt(), owing(kpis=over)) == NOW + timedelta(minutes=10)
    assert obligations.due_at(cordon(), owing(kpis=over)) == NOW
    assert obligations.due_at(debt(), owing(kpis=over, phase="Monitoring")) is None
    assert obligations.due_at(debt(), owing()) is None
    assert obligations.due_at(debt(due_at=NOW - HOUR), owing(kpis=over)) == NOW - HOUR
    assert obligations.due_at(debt(), owing(phase="Abandoned")) == situation().status.kpis.detected_at


def reasons(owed: Obligation, s: Situation) -> list[str]:
    return [hold.reason for hold in obligations.holds(owed, s, NOW)]


def test_it_waits_while_another_incident_acts_on_the_target() -> None:
    rival = other(busy=True)
    assert reasons(debt(), owing(debt(), others=(rival,))) == ["OtherIncident"]
    for nobody in (
        replace(rival, busy=False),
        replace(rival, uid="uid-incident"),
        replace(rival, target_uid="uid-other"),
    ):
        assert reasons(debt(), owing(debt(), others=(nobody,))) == []


@pytest.mark.parametrize(("verdict", "fresh"), [("Firing", True), ("Unknown", False), ("Cleared", False)])
def test_capacity_stays_until_the_alert_is_surely_gone_and_a_cordon_does_not_wait(verdict: Any, fresh: bool) -> None:
    s = replace(owing(debt()), reading=Reading(verdict, fresh, "why"))
    assert reasons(debt(), s) == [f"Alert{verdict}"]
    assert reasons(cordon(), s) == []


@pytest.mark.parametrize(
    ("original", "want", "following"),
    [
        ("3", "10", "5"),
        ("3", "9", "5"),
        ("3", "8", "4"),
        ("3", "4", "3"),
        ("1", "2", "1"),
        ("0", "1", "0"),
        ("null", "4", "2"),
        ("null", "1", "null"),
    ],
)
def test_it_goes_back_by_at_most_half_and_never_below_what_was(original: str, want: str, following: str) -> None:
    assert obligations.next_value(debt(original=original, want=want)) == following


def undoing(want: str, **more: Any) -> Step:
    write = Write(**({"verb": "Patch", "object": TARGET, "field": "spec.replicas", "before": "8", "want": want} | more))
    return Step(id="2-undo", purpose="Undo", rung=0, action="undo", intent_at=NOW, writes=[write])


def test_half_paid_is_owed_still_and_due_at_once() -> None:
    status = owing(debt(), cordon()).status
    half = obligations.paid(status, undoing("4")).obligations
    assert [(o.state, o.want, o.due_at) for o in half] == [("Open", "4", NOW), ("Open", "true", None)]
    whole = obligations.paid(status, undoing("3")).obligations
    assert [o.state for o in whole] == ["Paid", "Open"]


def test_only_the_debt_that_met_another_value_is_lost() -> None:
    found = obligations.lost(owing(debt(), cordon()).status, undoing("3"), "kubectl set it").obligations
    assert [o.state for o in found] == ["Lost", "Open"]


def test_a_write_that_was_not_made_is_not_owed() -> None:
    def states(original: str, **write: Any) -> list[tuple[str, str]]:
        step = undoing(**({"want": "8", "before": "3"} | write))
        found = obligations.voided(owing(debt(original=original), cordon()).status, step, "not taken").obligations
        return [(o.state, o.want) for o in found]

    assert states("3") == [("Void", "8"), ("Open", "true")]
    assert states("3", state="Done")[0] == ("Open", "8")
    assert states("3", want="9")[0] == ("Open", "8")
    assert states("2")[0] == ("Open", "3"), "it had taken over an older debt, which stands"


def test_a_step_that_failed_half_way_makes_its_own_debts_due_and_a_drain_its_cordon() -> None:
    status = owing(debt(), cordon()).status

    def due(**step: Any) -> list[bool]:
        found = obligations.due_now(status, undoing("8").model_copy(update=step), NOW).obligations
        return [o.due_at == NOW for o in found]

    assert due(action="scale") == [True, False]
    assert due(action="drain", writes=[]) == [False, True]
    assert due(action="scale", writes=[]) == [False, False]


CONFIG = ObjectRef(api_version="v1", kind="ConfigMap", namespace="shop", name="settings", uid="uid-settings")
ASKED = {"configMap": "settings", "key": "LEVEL", "value": "warn"}
SETS = spec(ladder=[{"patchConfig": ASKED}], serviceAccountName="remediator")


def value(**fields: Any) -> Obligation:
    base = {"key": "uid-settings:data[LEVEL]", "kind": "ConfigBack", "object": CONFIG, "subresource": ""}
    return debt(**(base | {"field": "data[LEVEL]", "original": '"info"', "want": '"warn"'} | fields))


def owing_value(owed: Obligation, *, reads: bool = True, **fields: Any) -> Situation:
    """A situation that owes a value of a ConfigMap, which is ours."""
    ours = [manages("goldseam") | {"fieldsV1": {"f:data": {"f:LEVEL": {}}}}]
    target = workload()
    if reads:
        target["spec"]["template"] = {"spec": {"containers": [{"envFrom": [{"configMapRef": {"name": "settings"}}]}]}}
    s = owing(owed, live=target, **({"spec": SETS} | fields))
    touched = {
        **s.world.touched,
        place("ConfigMap", "shop", "settings"): config_map({"LEVEL": "warn"}, managedFields=ours),
    }
    return replace(s, world=replace(s.world, target=target, touched=touched))


def test_a_value_goes_back_at_once_and_the_target_is_restarted_to_read_it() -> None:
    s = owing_value(value())
    assert state(s) == "Open"
    step = obligations.undo(value(), s, NOW)
    assert [(w.object.kind, w.field, w.want) for w in step.writes] == [
        ("ConfigMap", "data[LEVEL]", '"info"'),
        ("Deployment", RESTART, f'"{step.token}"'),
    ]
    assert all(obligations.may_undo(write, s, step) for write in step.writes)


def test_a_key_that_was_added_is_taken_out() -> None:
    owed = value(original="null")
    step = obligations.undo(owed, owing_value(owed, reads=False), NOW)
    assert [(w.field, w.want) for w in step.writes] == [("data[LEVEL]", "null")]
    assert step.message == "take LEVEL out of ConfigMap shop/settings again"


def test_a_target_that_is_gone_or_another_by_now_is_not_restarted() -> None:
    s = owing_value(value())
    gone = replace(s, world=replace(s.world, target=None))
    assert s.world.target is not None
    other_one = {**s.world.target, "metadata": {**s.world.target["metadata"], "uid": "uid-other"}}
    replaced = replace(s, world=replace(s.world, target=other_one))
    for each in (gone, replaced):
        assert len(obligations.undo(value(), each, NOW).writes) == 1


@pytest.mark.parametrize(
    "forged",
    [
        {"field": "data[OTHER]"},
        {"field": "immutable"},
        {"object": CONFIG.model_copy(update={"name": "others"})},
        {"object": CONFIG.model_copy(update={"kind": "Deployment"})},
        {"object": CONFIG.model_copy(update={"namespace": "bank"})},
        {"subresource": "status"},
    ],
)
def test_a_value_of_what_the_policy_does_not_set_is_not_owed(forged: dict[str, Any]) -> None:
    owed = value(**forged)
    s = owing_value(owed)
    assert message(s).startswith("not one that Goldseam could owe: ")
    step = obligations.undo(value(), s, NOW)
    assert not any(obligations.may_undo(write, s, step) for write in step.writes)


def test_the_old_value_waits_until_the_alert_is_surely_gone() -> None:
    s = owing_value(value())
    assert obligations.holds(value(), s, NOW) == []
    (held,) = obligations.holds(value(), replace(s, reading=Reading("Firing", True, "it fires", NOW)), NOW)
    assert held.message.startswith("the old value is not put back before the alert is surely gone")


def test_a_restart_that_met_another_one_does_not_lose_the_value_that_is_back() -> None:
    s = owing_value(value())
    step = obligations.undo(value(), s, NOW)
    for made, found in (("Done", "Paid"), ("Superseded", "Lost"), ("Pending", "Lost")):
        first, second = step.writes
        after = step.model_copy(update={"writes": [first.model_copy(update={"state": made}), second]})
        (owed,) = obligations.lost(s.status, after, "somebody").obligations
        assert owed.state == found
