"""The commands for people, on a toy cluster with the whole engine behind it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from goldseam.cli import answering, explain, looking, pausing
from goldseam.cli.pausing import What
from goldseam.cli.session import DONE, FAILED, UNANSWERED, Session
from goldseam.errors import Invalid
from tests.support.harness import START, Harness, deployment, policy

SCALE = {"scale": {"replicas": 8}}
RESTART = {"restart": {}}
HOURS = timedelta(hours=4)


class Terminal:
    """Somebody at a terminal, beside a running operator."""

    def __init__(self, h: Harness, answer: bool | None = None, namespace: str = "shop", works: bool = True) -> None:
        self.h, self.lines, self.asked, self._works = h, list[str](), list[str](), works
        ask = None if answer is None else lambda question: bool(self.asked.append(question)) or bool(answer)
        self.session = Session(h.cluster, namespace, self.lines.append, ask, h.clock.now, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        await (self.h.settle(2) if self._works else self._tick(seconds))

    async def _tick(self, seconds: float) -> None:
        self.h.clock.advance(seconds)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


async def begun(*ladder: dict[str, Any], mode: str = "Act", **spec: Any) -> Harness:
    h = Harness(policy(*(ladder or (SCALE,)), mode=mode, **spec), deployment(3), "deployments")
    await h.start()
    await h.open()
    await h.settle(10)
    return h


def name_of(h: Harness) -> str:
    return str(next(h.cluster.all("incidents"))["metadata"]["name"])


async def test_incidents_lists_what_goes_on_with_its_message() -> None:
    h = await begun()
    t = Terminal(h)
    assert await looking.incidents(t.session, every=False) == DONE
    assert t.lines[0].split() == ["NAMESPACE", "NAME", "PHASE", "TARGET", "ALERT", "STATE", "OWES", "AGE", "MESSAGE"]
    assert "Fixing" in t.lines[1]
    assert "Deployment/api" in t.lines[1]


async def test_incidents_lists_a_long_message_whole_for_at_its_end_stands_what_is_waited_for() -> None:
    h = await begun()
    message = f"{'waits, ' * 60}for PodDisruptionBudget shop/slow"
    h.cluster.edit("incidents", "shop", name_of(h), {"status": {"message": message}})
    t = Terminal(h)
    await looking.incidents(t.session, every=False)
    assert t.lines[1].endswith(f"   {message}")


async def test_incidents_says_so_when_there_is_none() -> None:
    h = Harness(policy(SCALE, mode="Act"), deployment(3), "deployments")
    t = Terminal(h)
    await looking.incidents(t.session, every=False)
    assert t.lines == ["No open incident in namespace shop."]


async def test_incidents_puts_what_waits_for_an_answer_first_and_says_what_to_type() -> None:
    h = await begun(mode="Propose")
    t = Terminal(h)
    await looking.incidents(t.session, every=False)
    assert "AwaitingApproval" in t.lines[1]
    assert "1 incident waits for an answer" in t.lines[-1]


async def test_show_has_the_ladder_what_is_owed_and_what_happened() -> None:
    h = await begun(SCALE, RESTART)
    t = Terminal(h)
    await looking.show(t.session, name_of(h))
    assert "> 1. scale" in t.text
    assert "  2. restart" in t.text
    assert "ScaleBack Deployment shop/api: spec.replicas from 8 back to 3" in t.text
    assert "Intent: scale Deployment shop/api from 3 to 8 replicas" in t.text


async def test_show_has_what_a_job_has_said_below_its_step() -> None:
    h = await begun()
    (incident,) = h.cluster.all("incidents")
    steps = [incident["status"]["steps"][0] | {"evidence": "restoring\n\x1b[31mdone"}]
    h.cluster.edit("incidents", "shop", name_of(h), {"status": {"steps": steps}})
    t = Terminal(h)
    await looking.show(t.session, name_of(h))
    shown = [line for line in t.lines if "| " in line]
    assert shown == ["           | restoring", "           | [31mdone"]


async def test_show_and_approve_have_the_plan_of_what_would_be_done() -> None:
    h = await begun(mode="Propose")
    (incident,) = h.cluster.all("incidents")
    plan = {"preflight": ["12 pods would go", "4 rounds of evictions at least"]}
    asked = [incident["status"]["approvals"][0] | plan]
    h.cluster.edit("incidents", "shop", name_of(h), {"status": {"approvals": asked}})
    t = Terminal(h, answer=False)
    await looking.show(t.session, name_of(h))
    assert "  - 12 pods would go\n" in t.text
    t = Terminal(h, answer=False)
    await answering.approve(t.session, name_of(h), step=None, reason="", yes=False)
    assert "  - 4 rounds of evictions at least" in t.lines


async def test_show_has_the_plan_of_a_step_below_it() -> None:
    h = await begun()
    (incident,) = h.cluster.all("incidents")
    steps = [incident["status"]["steps"][0] | {"preflight": ["12 pods would go"]}]
    h.cluster.edit("incidents", "shop", name_of(h), {"status": {"steps": steps}})
    t = Terminal(h)
    await looking.show(t.session, name_of(h))
    assert "         - 12 pods would go" in t.text


@pytest.mark.parametrize(("count", "said"), [(1, "1 write waits"), (2, "2 writes wait")])
async def test_show_counts_the_writes_that_wait(count: int, said: str) -> None:
    h = await begun()
    (incident,) = h.cluster.all("incidents")
    step = incident["status"]["steps"][0]
    waiting = [step["writes"][0] | {"state": "Pending", "message": "a budget lets nothing go now"}] * count
    h.cluster.edit(
        "incidents",
        "shop",
        name_of(h),
        {"status": {"steps": [step | {"phase": "Intended", "outcome": None, "writes": waiting}]}},
    )
    t = Terminal(h)
    await looking.show(t.session, name_of(h))
    assert f"({said}: a budget lets nothing go now)" in t.text


async def test_a_step_that_is_over_says_when_it_ended_and_that_nothing_of_it_waits() -> None:
    h = await begun()
    (incident,) = h.cluster.all("incidents")
    (step,) = incident["status"]["steps"]
    writes = [step["writes"][0] | {"state": "Pending", "message": "a budget"}]
    begun_at, ended_at = (f"{h.clock.now() - timedelta(minutes=ago):%Y-%m-%dT%H:%M:%SZ}" for ago in (9, 2))
    open_step = step | {"phase": "Intended", "outcome": None, "intentAt": begun_at, "writes": writes}
    for over, said in (
        ({}, "under way, 9m ago: scaling (1 write waits: a budget)"),
        ({"phase": "Done", "outcome": "Failed", "endedAt": ended_at}, "Failed, 2m ago: scaling"),
    ):
        steps = [open_step | over | {"message": "scaling"}]
        h.cluster.edit("incidents", "shop", name_of(h), {"status": {"steps": steps}})
        t = Terminal(h)
        await looking.show(t.session, name_of(h))
        assert f"       {said}" in [line.removeprefix("  ") for line in t.lines]


async def test_an_incident_is_found_by_its_target_too() -> None:
    h = await begun()
    for title in ("deployment/api", "deployments/api", "deploy/api", "Deployment/api"):
        t = Terminal(h)
        await looking.show(t.session, title)
        assert name_of(h) in t.lines[0]


async def test_an_incident_that_is_not_there_is_said_with_where_to_look() -> None:
    h = await begun()
    with pytest.raises(Invalid, match=r"there is no Incident never in namespace shop: see goldseam incidents -A --all"):
        await looking.show(Terminal(h).session, "never")
    with pytest.raises(Invalid, match="no Incident about node/n1"):
        await looking.show(Terminal(h).session, "node/n1")


async def test_what_a_terminal_would_obey_is_not_printed() -> None:
    h = await begun()
    evil = "\x1b]0;owned\x07\x1b[2J \u202egnp.exe \x9b1m fine 🔥"
    found = next(h.cluster.all("incidents"))
    body = {"status": {"message": evil}}
    h.cluster.edit("incidents", "shop", found["metadata"]["name"], body)
    t = Terminal(h)
    await looking.show(t.session, name_of(h))
    await looking.incidents(t.session, every=True)
    assert not {c for c in t.text if c in "\x1b\x07\x9b\u202e"}
    assert "fine 🔥" in t.text


async def test_explain_names_every_guard_in_order_and_what_to_do_about_those_that_hold() -> None:
    h = await begun(suspend=True)
    t = Terminal(h)
    await explain.explain(t.session, name_of(h))
    guards = [line.split()[1] for line in t.lines if line.startswith(("  ok ", "  WAITS", "  NO "))]
    assert guards[:5] == ["paused", "unread", "invalid", "lowered", "source"]
    assert guards[-1] == "approval"
    assert "switched-off" in guards
    assert not any("_" in name for name in guards), "a name of the code is no word for people"
    assert "  WAITS  paused       Suspended: spec.suspend of the policy is true" in t.lines
    assert "What to do: Set it to false where the policy is kept." in t.text


async def test_explain_never_calls_a_guard_ok_that_was_not_asked() -> None:
    h = await begun(suspend=True)
    h.cluster.unreadable.add("horizontalpodautoscalers")
    await h.settle(10)
    t = Terminal(h)
    await explain.explain(t.session, name_of(h))
    unasked = [line.split()[1] for line in t.lines if line.startswith("  -      ") and "not asked: " in line]
    assert unasked == [
        *("ceiling", "node-caps", "owner", "headroom", "disruption", "collateral", "permission", "approval")
    ]


async def test_explain_in_mode_observe_asks_for_no_rights_and_no_approval() -> None:
    h = await begun(mode="Observe", suspend=True)
    t = Terminal(h)
    await explain.explain(t.session, name_of(h))
    assert [line.split()[1] for line in t.lines if "not asked: " in line] == ["permission", "approval"]


async def test_explain_shows_a_missing_right_beside_what_else_holds() -> None:
    h = await begun(suspend=True)
    h.cluster.denied.add("deployments/scale")
    h.clock.advance(601)
    await h.settle(10)
    t = Terminal(h)
    await explain.explain(t.session, name_of(h))
    assert "  NO     permission   PermissionMissing: " in t.text


async def test_explain_of_a_policy_reads_its_conditions() -> None:
    h = await begun()
    conditions = [
        {
            "type": "RuleFound",
            "status": "False",
            "reason": "RuleMissing",
            "message": "no rule",
            "lastTransitionTime": "2026-11-23T12:00:00Z",
        }
    ]
    h.cluster.edit("remediationpolicies", "shop", h.policy["metadata"]["name"], {"status": {"conditions": conditions}})
    t = Terminal(h)
    await explain.explain(t.session, f"policy/{h.policy['metadata']['name']}")
    assert "RuleFound=False (RuleMissing): no rule" in t.text
    assert "What to do: Load the rule into Prometheus" in t.text
    assert name_of(h) in t.lines[-1]


async def test_explain_of_a_target_without_an_incident_names_the_policies() -> None:
    h = await begun()
    t = Terminal(h)
    await explain.explain(t.session, "deployment/other")
    assert "There is no Incident about deployment/other" in t.lines[0]
    assert f"policy/{h.policy['metadata']['name']} on alert" in t.text


async def test_approve_shows_what_it_is_asks_and_waits_until_it_counts() -> None:
    h = await begun(mode="Propose")
    t = Terminal(h, answer=True)
    assert await answering.approve(t.session, name_of(h), step=None, reason="go on", yes=False) == DONE
    assert "scale Deployment shop/api from 3 to 8 replicas" in t.lines[1]
    assert t.asked == ["Approve it?"]
    assert "jane: Approve: counted" in t.text
    await h.settle(20)
    assert h.live()["spec"]["replicas"] == 8
    assert (h.status.approvals[0].by, h.status.approvals[0].reason) == ("jane", "go on")


async def test_whoever_says_no_to_the_question_has_said_nothing() -> None:
    h = await begun(mode="Propose")
    t = Terminal(h, answer=False)
    assert await answering.approve(t.session, name_of(h), step=None, reason="", yes=False) == FAILED
    assert list(h.cluster.all("responses")) == []


async def test_a_script_must_say_that_it_means_it() -> None:
    h = await begun(mode="Propose")
    t = Terminal(h)
    with pytest.raises(Invalid, match="give --yes"):
        await answering.approve(t.session, name_of(h), step=None, reason="", yes=False)
    assert await answering.approve(t.session, name_of(h), step=None, reason="", yes=True) == DONE


async def test_deny_is_taken_at_once_and_the_next_rung_comes() -> None:
    h = await begun(SCALE, RESTART, mode="Propose")
    t = Terminal(h)
    assert await answering.deny(t.session, name_of(h), step=None, reason="not now") == DONE
    assert h.status.steps[0].outcome == "Denied"


async def test_an_answer_where_nothing_is_asked_says_what_was_last() -> None:
    h = await begun(mode="Propose")
    await answering.deny(Terminal(h).session, name_of(h), step=None, reason="")
    with pytest.raises(Invalid, match="asks nothing now: 1-scale is denied by jane"):
        await answering.approve(Terminal(h).session, name_of(h), step=None, reason="", yes=True)
    with pytest.raises(Invalid, match="asks nothing about 9-drain"):
        await answering.deny(Terminal(h).session, name_of(h), step="9-drain", reason="")


async def test_ack_is_on_the_incident_with_the_name() -> None:
    h = await begun()
    t = Terminal(h)
    assert await answering.acknowledge(t.session, name_of(h), reason="looking") == DONE
    assert [(r.by, r.decision, r.reason) for r in h.status.responses] == [("jane", "Acknowledge", "looking")]


async def test_undo_says_what_will_be_put_back_and_ends_the_acting() -> None:
    h = await begun(SCALE, RESTART)
    t = Terminal(h, answer=True)
    assert await answering.undo(t.session, name_of(h), reason="", yes=False) == DONE
    assert "spec.replicas goes from 8 back to 3" in t.text
    assert h.status.handed_over


async def test_an_answer_that_does_not_count_says_why_and_fails() -> None:
    h = await begun()
    h.cluster.user = "system:serviceaccount:ci:robot"
    t = Terminal(h)
    assert await answering.acknowledge(t.session, name_of(h), reason="") == FAILED
    assert "ignored: system:serviceaccount:ci:robot is a system account" in t.text


async def test_without_an_operator_the_word_is_sent_and_that_is_said() -> None:
    h = await begun()
    t = Terminal(h, works=False)
    assert await answering.acknowledge(t.session, name_of(h), reason="") == UNANSWERED
    assert "Goldseam has not answered within 20 s" in t.text


def stopped(h: Harness) -> dict[str, Any]:
    return dict(next(h.cluster.all("pauses"))["spec"])


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        (What(), {}),
        (What(policy="p"), {"policy": "p"}),
        (What(target="deployments/api"), {"target": {"kind": "Deployment", "name": "api"}}),
        (What(cluster=True), {"cluster": True}),
    ],
)
async def test_pause_writes_who_why_what_and_resume_ends_just_that(what: What, fields: dict[str, Any]) -> None:
    h = await begun()
    t = Terminal(h, works=False)
    await pausing.pause(t.session, what, reason="release", everything=False, length=HOURS)
    assert stopped(h) == {"reason": "release", "by": "jane", **fields}
    assert await pausing.resume(t.session, None, What(policy="another")) == FAILED
    assert f"stops {what}".replace("deployments", "Deployment") in t.text
    assert await pausing.resume(t.session, None, what) == DONE
    assert list(h.cluster.all("pauses")) == []


async def test_pause_takes_its_level_and_its_end() -> None:
    h = await begun()
    h.clock.moment = START
    t = Terminal(h, works=False)
    await pausing.pause(t.session, What(), reason="x", everything=True, length=timedelta(minutes=90))
    assert stopped(h)["level"] == "Everything"
    assert stopped(h)["until"] == "2026-11-23T13:30:00.000000Z"
    assert "stops everything, also what is owed" in t.text
    assert "does its pod run?" in t.text


@pytest.mark.parametrize(
    ("what", "length", "problem"),
    [
        (What(target="pod/x"), HOURS, "--target: write KIND/NAME, with KIND one of Deployment"),
        (What(target="worker"), HOURS, "--target: write KIND/NAME"),
        (What(policy="p", cluster=True), HOURS, "names no policy and no target"),
        (What(), timedelta(days=8), "--for: a pause lasts between 1s and 168h"),
    ],
)
async def test_a_pause_that_makes_no_sense_is_refused_before_it_is_sent(
    what: What, length: timedelta, problem: str
) -> None:
    h = await begun()
    with pytest.raises(Invalid, match=problem):
        await pausing.pause(Terminal(h).session, what, reason="x", everything=False, length=length)
    assert list(h.cluster.all("pauses")) == []


async def test_resume_by_name_ends_that_one() -> None:
    h = await begun()
    t = Terminal(h, works=False)
    for reason in ("one", "two"):
        await pausing.pause(t.session, What(), reason=reason, everything=False, length=HOURS)
    name = next(h.cluster.all("pauses"))["metadata"]["name"]
    assert await pausing.resume(t.session, name, What()) == DONE
    assert name not in json.dumps(list(h.cluster.all("pauses")))
    assert len(list(h.cluster.all("pauses"))) == 1


async def test_explain_and_show_say_what_changed_before_the_alert_and_show_has_the_evidence() -> None:
    h = await begun({"collect": {}}, SCALE)
    active = datetime.fromisoformat(next(h.cluster.all("incidents"))["spec"]["alert"]["activeAt"])
    at = (active - timedelta(minutes=3)).isoformat()
    change = {"at": at, "what": "image of container app", "before": "api:1", "after": "api:2", "by": "kubectl-set"}
    h.cluster.edit("incidents", "shop", name_of(h), {"status": {"changes": [change]}})
    words = "3 min before the alert: image of container app: api:1 → api:2, by kubectl-set"
    for told in (explain.explain, looking.show):
        t = Terminal(h)
        await told(t.session, name_of(h))
        assert words in t.text
    assert "Deployment api: no conditions" in t.text
