"""Guards on what happened before: a rung that would be of no use is passed over, and nothing is guessed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from goldseam.api.guardrails import GuardrailsSpec
from goldseam.api.incident import AlertRecord, IncidentStatus, PolicySnapshot, Step
from goldseam.api.ladder import Rung
from goldseam.engine.guards.history import changed, failed
from goldseam.engine.guards.narrow import narrowed
from goldseam.engine.past import failures
from goldseam.engine.proposal import World
from goldseam.engine.retention import longest_window
from goldseam.engine.situation import Failure, Situation
from goldseam.engine.views import IncidentView
from tests.support.objects import manages, pod_template, revision, workload
from tests.unit.test_guards import NOW, reason, situation, spec

OLD = revision(1, "2026-11-20T08:00:00Z", pod_template("api:1"))
ACTIVE = NOW - timedelta(minutes=5)
Json = dict[str, Any]


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def after(*revisions: Json, within: str = "30m", active: datetime = ACTIVE, target: Json | None = None) -> Situation:
    rung = {"restart": {}, "skipIfChangedWithin": within}
    s = situation(spec=spec(ladder=[rung]), world=World(target=target or workload(), revisions=revisions))
    return replace(s, spec=s.spec.model_copy(update={"alert": AlertRecord(name="A", active_at=active)}))


def made(before: timedelta, **fields: Any) -> Json:
    """A second revision, so long before the alert."""
    return revision(2, text(ACTIVE - before), pod_template("api:2", **fields))


@pytest.mark.parametrize(
    ("before", "passed_over"),
    [(timedelta(minutes=30), True), (timedelta(minutes=30, seconds=1), False), (-timedelta(minutes=4), True)],
)
def test_a_template_that_was_changed_within_the_time_or_since_the_alert_passes_the_rung_over(
    before: timedelta, passed_over: bool
) -> None:
    hold = changed(after(OLD, made(before)), NOW)
    assert reason(hold) == ("ChangedLately" if passed_over else "")
    assert hold is None or hold.kind == "Refuse"


def test_without_the_field_nothing_is_asked() -> None:
    assert changed(situation(world=World(target=workload(), revisions=(OLD, made(timedelta(0))))), NOW) is None


def test_our_own_restart_is_no_change() -> None:
    ours = revision(2, text(ACTIVE), pod_template("api:1", token="t"))
    assert changed(after(OLD, ours), NOW) is None
    theirs = revision(3, text(ACTIVE), pod_template("api:2", token="t"))
    assert reason(changed(after(OLD, ours, theirs), NOW)) == "ChangedLately"


def test_an_alert_that_an_incident_dates_into_the_future_hides_no_change() -> None:
    late = made(timedelta(minutes=20))
    assert reason(changed(after(OLD, late, active=NOW + timedelta(days=9)), NOW)) == "ChangedLately"
    assert reason(changed(after(OLD, late, active=NOW - timedelta(days=9)), NOW)) == "ChangedLately"


def test_where_no_revision_is_the_targets_own_nothing_is_known_and_it_waits() -> None:
    for revisions in ((), (revision(1, text(ACTIVE), pod_template(), owner="uid-else"),)):
        hold = changed(after(*revisions), NOW)
        assert (reason(hold), hold and hold.kind) == ("ChangesUnknown", "Wait")


def test_a_spec_that_the_controller_has_not_seen_may_be_another_template() -> None:
    hold = changed(after(OLD, target=workload(metadata={"generation": 5})), NOW)
    assert (reason(hold), hold and hold.kind) == ("ChangesUnknown", "Wait")


def test_a_template_that_is_back_since_a_time_that_is_not_known_may_be_back_since_now() -> None:
    back = revision(3, "2026-11-20T08:00:00Z", pod_template("api:1"), again="1")
    young = revision(2, "2026-11-20T09:00:00Z", pod_template("api:2"))
    hold = changed(after(back, young), NOW)
    assert hold is not None
    assert hold.message.endswith("an older template is back, it is not known since when")
    long_ago = manages("kubectl", "spec.template.spec", at="2026-11-20T10:00:00Z")
    assert changed(after(back, young, target=workload(metadata={"managedFields": [long_ago]})), NOW) is None


FAILED = Failure("shop/heal-0", "restart", {"method": "Auto"}, NOW - timedelta(hours=1), "did not help in time")


def tried(*past: Failure, **rung: Any) -> Situation:
    ladder = [{"restart": {}, "skipIfFailedWithin": "2h", **rung}]
    return situation(spec=spec(ladder=ladder), failures=past)


@pytest.mark.parametrize(
    ("past", "passed_over"),
    [
        (FAILED, True),
        (replace(FAILED, at=NOW - timedelta(hours=2)), False),
        (replace(FAILED, at=NOW - timedelta(hours=2) + timedelta(seconds=1)), True),
        (replace(FAILED, at=NOW + timedelta(hours=2)), True),
        (replace(FAILED, action="scale", parameters={"replicas": 3}), False),
    ],
)
def test_what_failed_within_the_time_is_passed_over(past: Failure, passed_over: bool) -> None:
    assert reason(failed(tried(past), NOW)) == ("FailedLately" if passed_over else "")


def scaled(replicas: int) -> Json:
    """How it is kept what `scale` was told."""
    return {"replicas": replicas, "direction": "Up", "allowZero": False, "raiseMax": False}


def test_other_parameters_are_another_try_and_the_newest_failure_is_named() -> None:
    small = replace(FAILED, action="scale", parameters=scaled(5), incident="shop/small")
    scale: Json = {"ladder": [{"scale": {"replicas": 8}, "skipIfFailedWithin": "2h"}]}
    assert failed(situation(spec=spec(**scale), failures=(small,)), NOW) is None
    same = replace(small, parameters=scaled(8), incident="shop/first")
    newer = replace(same, at=NOW - timedelta(minutes=9), incident="shop/second")
    hold = failed(situation(spec=spec(**scale), failures=(newer, same, small)), NOW)
    assert hold is not None
    assert "Incident shop/second" in hold.message


def past(name: str = "heal-0", ladder: Any = None, outcome: str = "Failed", **fields: Any) -> IncidentView:
    s = situation(spec=spec(ladder=ladder or [{"restart": {}}]))
    step = Step(
        id="1-restart", rung=0, action="restart", phase="Done", intent_at=NOW, ended_at=NOW, outcome=outcome,
        message="in vain",
    )  # type: ignore[arg-type]  # fmt: skip
    status = s.status.model_copy(update={"steps": [step.model_copy(update=fields)]})
    return IncidentView("shop", name, f"uid-{name}", "1", "2026-11-23T11:00:00Z", s.spec, status)


MINE = past("heal-1")


def test_a_failed_rung_of_an_earlier_incident_is_known_by_action_and_parameters() -> None:
    assert list(failures(MINE, [past()])) == [Failure("shop/heal-0", "restart", {"method": "Auto"}, NOW, "in vain")]


@pytest.mark.parametrize(
    "other",
    [
        past("heal-1"),
        past(outcome="Passed"),
        past(outcome="Refused"),
        past(purpose="Undo"),
        past(ended_at=None),
        past(rung=7),
        past(action="scale"),
        replace(past(), namespace="evil"),
        replace(past(), status=None),
        replace(past(), status=past().status.model_copy(update={"policy_snapshot": PolicySnapshot(spec={"x": 1})})),  # type: ignore[union-attr]
    ],
)
def test_what_is_another_incidents_business_or_no_failure_does_not_count(other: IncidentView) -> None:
    assert list(failures(MINE, [other])) == []


def test_another_policy_or_target_has_its_own_past() -> None:
    found = past()
    ref = found.spec.policy_ref.model_copy(update={"name": "else"})
    target = found.spec.target.model_copy(update={"uid": "uid-else"})
    others = [replace(found, spec=found.spec.model_copy(update=u)) for u in ({"policy_ref": ref}, {"target": target})]
    assert list(failures(MINE, others)) == []


def test_a_policy_that_was_made_again_under_its_name_remembers() -> None:
    found = past()
    again = found.spec.policy_ref.model_copy(update={"uid": "uid-else", "generation": 9})
    spec_ = found.spec.model_copy(update={"policy_ref": again})
    assert len(list(failures(MINE, [replace(found, spec=spec_)]))) == 1


@pytest.mark.parametrize(
    ("live", "pinned", "allowed"),
    [({}, {}, True), ({}, {"within": "1h"}, True), ({"within": "1h"}, {"within": "1h"}, True),
     ({"within": "1h"}, {"within": "2h"}, True), ({"within": "1h"}, {"within": "59m"}, False),
     ({"within": "1h"}, {}, False)],
)  # fmt: skip
@pytest.mark.parametrize("field", ["skipIfChangedWithin", "skipIfFailedWithin"])
def test_a_live_policy_allows_no_rung_that_is_passed_over_in_fewer_cases(
    field: str, live: Json, pinned: Json, allowed: bool
) -> None:
    def rung(fields: Json) -> Any:
        return spec(ladder=[{"restart": {}} | ({field: fields["within"]} if fields else {})])

    s = situation(spec=rung(pinned))
    assert s.policy is not None
    hold = narrowed(replace(s, policy=replace(s.policy, spec=rung(live))), NOW)
    assert reason(hold) == ("" if allowed else "RungRemoved")


@pytest.mark.parametrize(
    "rung",
    [
        {"drain": {}, "skipIfChangedWithin": "30m"},
        {"skipIfChangedWithin": "30m", "skipIfFailedWithin": "30m"},
        {"restart": {}, "scale": {"replicas": 3}, "skipIfFailedWithin": "30m"},
        {"wait": {"duration": "5m"}, "skipIfChangedWithin": "30m"},
        {"escalate": {}, "skipIfFailedWithin": "30m"},
        {"notify": {}, "skipIfFailedWithin": "30m"},
        {"restart": {}, "skipIfChangedWithin": "-5m"},
        {"restart": {}, "skipIfFailedWithin": "169h"},
        {"restart": {}, "skipIfFailedWithin": 5},
    ],
)
def test_where_it_has_no_meaning_it_is_refused(rung: Json) -> None:
    with pytest.raises(ValidationError):
        Rung.model_validate(rung)


@pytest.mark.parametrize(
    ("ladder", "hours"),
    [([{"restart": {}, "skipIfFailedWithin": "48h"}], 48), ([{"restart": {}}], 24), ("x", 24), ([5], 24),
     ([{"skipIfFailedWithin": "soon"}], 24), ([{"skipIfFailedWithin": 7}], 24)],
)  # fmt: skip
def test_an_incident_is_kept_for_as_long_as_its_failures_count(ladder: Any, hours: int) -> None:
    status = IncidentStatus(policy_snapshot=PolicySnapshot(spec={"ladder": ladder}))
    assert longest_window(status, GuardrailsSpec()) == timedelta(hours=hours)
