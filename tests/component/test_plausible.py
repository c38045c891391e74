"""The condition `Plausible`: what the rules say against a policy, written once, and again only when they change."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from goldseam.api.alertsource import AlertSourceSpec
from goldseam.engine.alerts import ActiveAlert, AlertRule, RulesAnswer
from goldseam.engine.verdict import History, observe
from goldseam.services.inbox import Inbox
from goldseam.services.registrar import Registrar
from tests.component.test_waking import Court, at_work, condition_of
from tests.support.harness import START, policy
from tests.unit.test_lint import rule

SECOND = timedelta(seconds=1)
FITTING = rule(labels={"namespace": "shop", "deployment": "api"}, interval=SECOND)
ELSEWHERE = rule(labels={"namespace": "bank", "deployment": "api"}, interval=SECOND)


class Judged(Court):
    """Policies, judged by the rules that the source shows."""

    def __init__(self, *rules: AlertRule, matchers: list[str] | None = None) -> None:
        super().__init__(set(), matchers)
        assert self.source is not None
        self.source.history = History()
        nobody: Any = None
        told = (self.judging, self.tenants, nobody, "home")
        self.registrar = Registrar(Inbox(), self.catalogue, nobody, self.statuses, *told)
        self.registrar._recheck = self._unasked  # type: ignore[method-assign]
        self.show(*rules)

    async def _unasked(self, *_: str) -> None:
        """The source's own status is not looked at here."""

    def show(self, *rules: AlertRule) -> None:
        """What the next reads show."""
        assert self.source is not None
        self.source.history = observe(self.source.history, RulesAnswer(rules), self.clock.monotonic())

    async def answered(self) -> int:
        """The source was read. Returns how many writes there were in all."""
        assert self.source is not None
        await self.registrar.answered(self.source)
        writes = await self.settled()
        for body in self.bodies():  # the watch brings what was written
            self.see(body["metadata"]["name"], body)
        return writes + await self.settled() - writes

    def said(self) -> tuple[str, str, str]:
        """Status, reason and message of the one policy."""
        (body,) = self.bodies()
        (found,) = [entry for entry in body["status"]["conditions"] if entry["type"] == "Plausible"]
        return found["status"], found["reason"], found["message"]


async def test_a_policy_that_cannot_match_is_armed_and_says_why() -> None:
    court = Judged(ELSEWHERE)
    with at_work(court):
        court.see("a")
        await court.answered()
    status, reason, message = court.said()
    assert (status, reason) == ("False", "OtherNamespace")
    assert 'sees only alerts of its own namespace shop, and the rule sets namespace="bank" (put the policy' in message
    (body,) = court.bodies()
    assert condition_of(body, "Ready") == "True"
    assert "Stalled" not in str(body["status"])


async def test_a_rule_that_is_changed_is_judged_anew_and_nothing_is_written_while_it_stays() -> None:
    court = Judged(ELSEWHERE)
    with at_work(court):
        court.see("a")
        assert await court.answered() == 1
        for _ in range(3):
            alert = ActiveAlert({"alertname": "Trouble", "namespace": "bank"}, {}, "firing", START)
            court.show(replace(ELSEWHERE, alerts=(alert,), last_evaluation=START))
            assert await court.answered() == 1, "alerts come and go"
        court.show(FITTING)
        assert await court.answered() == 2
        assert court.said()[:2] == ("True", "Fits")
        court.show(FITTING, replace(ELSEWHERE, group="h"))
        assert await court.answered() == 3
        assert court.said()[:2] == ("True", "Fits")


async def test_after_a_restart_only_a_rule_that_was_changed_meanwhile_is_judged() -> None:
    first = Judged(ELSEWHERE, replace(FITTING, name="Other"))
    body = policy({"restart": {}}, alert={"name": "Other"})
    body["metadata"]["name"] = "b"
    with at_work(first):
        first.see("a")
        first.see("b", first.cluster.add("remediationpolicies", body))
        assert await first.answered() == 2
    again = Judged(FITTING, replace(FITTING, name="Other"))
    again.cluster = first.cluster
    again.statuses._cluster = first.cluster
    with at_work(again):
        for body in first.bodies():
            again.see(body["metadata"]["name"], body)
        assert await again.answered() == 3
    assert {condition_of(body, "Plausible") for body in again.bodies()} == {"True"}


async def test_a_rule_that_is_missing_and_a_source_that_is_not_read_are_said_as_such() -> None:
    court = Judged()
    with at_work(court):
        court.see("a")
        await court.answered()
        assert court.said()[:2] == ("False", "AlertNotDefined")
        assert court.source is not None
        court.source.history = History()
        court.see("b")
        await court.settled()
    found = next(body for body in court.bodies() if body["metadata"]["name"] == "b")
    assert condition_of(found, "Plausible") == "Unknown"


async def test_both_servers_of_a_pair_are_one_rule_and_the_matchers_of_the_source_count() -> None:
    pair = (FITTING, replace(FITTING, replica=1))
    court = Judged(*pair, matchers=['cluster="prod"'])
    with at_work(court):
        court.see("a")
        await court.answered()
    assert court.said()[:2] == ("True", "Fits"), "whether the label cluster is there cannot be told"
    court = Judged(
        *(replace(one, labels={**one.labels, "cluster": "dev"}) for one in pair), matchers=['cluster="prod"']
    )
    with at_work(court):
        court.see("a")
        await court.answered()
    assert court.said()[1] == "OtherCluster"
    assert "none of the" not in court.said()[2]


async def test_a_policy_that_a_source_is_closed_to_is_told_nothing_of_its_rules_and_is_judged_once() -> None:
    court = Judged(ELSEWHERE)
    spec = {"url": "http://p", "allowedNamespaces": {"selector": {"matchLabels": {"a": "b"}}}}
    await court.tenants.put("default", AlertSourceSpec.model_validate(spec))
    with at_work(court):
        court.see("a")
        assert await court.answered() == 1
        assert court.said()[:2] == ("Unknown", "SourceRefused")
        asked: list[str] = []
        court.statuses.policy = lambda kind, _: asked.append(kind)  # type: ignore[method-assign,assignment,return-value]
        court.see("a", court.bodies()[0])
        court.judging.changed(court.catalogue.armed)
        await court.settled()
        assert asked == []


@pytest.mark.parametrize("count", [1, 40])
async def test_whatever_is_found_fits_into_the_condition(count: int) -> None:
    queries = [{"expr": f"rate({'x' * 400}[3h])", "below": "1", "for": "2h"}]
    rungs = [{"restart": {}, "name": f"r{n}", "timeout": "1m", "verify": {"queries": queries * 4}} for n in range(8)]
    court = Judged(rule(labels={"namespace": "x" * 60 * count}))
    with at_work(court):
        body = policy(*rungs)
        court.see("api", court.cluster.add("remediationpolicies", body))
        await court.answered()
    message = court.said()[2]
    assert len(message) <= 1024
    assert message.endswith(f"(rules {court.statuses.plausibility.basis('default', 'Trouble')})")
