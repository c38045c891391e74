"""Incidents about nodes under one alert are told as one group."""

from __future__ import annotations

from typing import Any

from goldseam.api.incident import HoldRecord, IncidentStatus, Obligation, Step, Write
from goldseam.engine.groups import MOST, groups
from goldseam.engine.views import IncidentView
from tests.unit.test_guards import NOW, TARGET, situation


def about(name: str, status: IncidentStatus | None, *, alert: str = "NodeDown", kind: str = "Node") -> IncidentView:
    spec = situation().spec
    target = TARGET.model_copy(update={"kind": kind, "namespace": "", "name": name, "uid": f"uid-{name}"})
    named = spec.alert.model_copy(update={"name": alert})
    spec = spec.model_copy(update={"target": target, "alert": named})
    return IncidentView("goldseam-system", f"i-{name}", f"i-{name}", "1", "2026-11-23T12:00:00Z", spec, status)


def held(reason: str, place: int | None = None, message: str = "") -> IncidentStatus:
    hold = HoldRecord(
        guard="nodes", kind="Wait", reason=reason, message=message, since=NOW, look_again_at=NOW, place=place
    )
    return IncidentStatus(mode="Act", holds=[hold])


def owes(**fields: Any) -> IncidentStatus:
    debt = Obligation(key="k", kind="Uncordon", object=TARGET, field="f", original="null", want="true")
    return IncidentStatus(mode="Act", obligations=[debt], **fields)


def drains(mode: Any = "Act") -> IncidentStatus:
    write = Write(verb="Evict", object=TARGET)
    return IncidentStatus(mode=mode, steps=[Step(id="1", rung=0, action="drain", intent_at=NOW, writes=[write])])


def test_a_group_says_who_is_in_work_who_is_next_and_what_else_holds() -> None:
    full = "Guardrails allow 2 nodes at once, and Goldseam has taken a, b out of service"
    (group,) = groups(
        [
            about("b", owes(phase="Monitoring")),
            about("a", drains()),
            about("late", held("NodesInTurn", 20)),
            about("second", held("NodesInTurn", 2)),
            about("first", held("NodesAtOnce", message=full)),
            *(about(f"s{number}", held("Silenced")) for number in range(3)),
            about("new", None),
            about("observed", drains("Observe")),
            about("over", IncidentStatus(mode="Act", phase="Resolved")),
        ]
    )
    assert (group.alert, group.nodes, group.in_work, group.waiting) == ("NodeDown", 10, 2, 3)
    assert group.message == (
        "10 nodes: 2 in work (a, b); 3 wait for their turn, worst first, zones in turn (next: first, second, late),"
        f" the first because {full}; 5 otherwise (Silenced 3, Investigating 2)"
    )


def test_where_people_were_called_nothing_is_in_work_unless_something_is_being_done() -> None:
    undoes = drains().model_copy(update={"phase": "Escalated"})
    (group,) = groups([about("a", owes(phase="Escalated")), about("b", undoes), about("c", owes(phase="Fixing"))])
    assert group.message == "3 nodes: 2 in work (b, c); 1 otherwise (Escalated 1)"


def test_one_node_is_no_group_and_a_workload_is_in_none() -> None:
    alone = [about("a", held("NodesAtOnce")), about("b", held("NodesAtOnce"), alert="DiskFull")]
    assert groups(alone) == []
    assert groups([*alone, about("api", None, kind="Deployment")]) == []


def test_those_in_work_beyond_three_are_counted() -> None:
    (group,) = groups([about(f"n{number}", drains()) for number in range(5)])
    assert group.message == "5 nodes: 5 in work (n0, n1, n2 and 2 more)"


def test_the_largest_groups_are_shown() -> None:
    many = [about(f"n{n}-{m}", None, alert=f"A{n:02}") for n in range(MOST + 2) for m in range(2 + (n == 17))]
    found = groups(many)
    assert len(found) == MOST
    assert [group.alert for group in found[:2]] == ["A17", "A00"]


def test_a_message_fits_however_many_and_whatever_they_are_called() -> None:
    (group,) = groups([about("n" * 253, held("NodesAtOnce", message="m" * 500)) for _ in range(4)])
    assert len(group.message.encode()) <= 512
