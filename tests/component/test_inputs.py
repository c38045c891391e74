"""Asking for the inputs of an absent alert: as little as will do; where it is not answered, nothing is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from goldseam.api.alertsource import AlertSourceSpec
from goldseam.api.incident import ObjectRef
from goldseam.engine.alerts import AlertRule, Samples
from goldseam.engine.verdict import Reading
from goldseam.errors import Invalid, Unavailable
from goldseam.services.inputs import AT_ONCE, KEPT, NOT_YET, Inputs
from tests.support.harness import VirtualClock

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
CLEARED = Reading("Cleared", True, "the rule is healthy and the alert is gone")
LABELS = {"alertname": "Backlog", "namespace": "shop", "deployment": "api"}
TARGET = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="api", uid="u")
NARROW = 'queue_size{namespace=~"|shop",deployment=~"|api"}'
THEN = f"@ {(EPOCH + timedelta(seconds=60)).timestamp():.3f}"
"""When the rule was last evaluated."""
HAS = f"count({NARROW} {THEN})"
DOWN = f"(up {THEN} == 0)"


@dataclass
class Server:
    """Answers each question by its text: how many, or how it fails."""

    answers: Callable[[str], float | Exception | Samples]
    asked: list[str] = field(default_factory=list)
    looks_again: list[float] = field(default_factory=list)
    """In how many seconds its rules are to be read again."""

    async def query(self, expression: str) -> Samples:
        self.asked.append(expression)
        await asyncio.sleep(0)
        found = self.answers(expression)
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, Samples) else Samples((found,) if found else ())


def made(server: Server, query: str = "queue_size > 10") -> tuple[Inputs, Any, VirtualClock]:
    """The service, the incident, and the clock."""
    rule = AlertRule(
        name="Backlog", group="g", query=query, health="ok", last_error="", interval=timedelta(seconds=10),
        last_evaluation=EPOCH + timedelta(seconds=60), hold=timedelta(0), keep_firing=timedelta(0),
        labels={"severity": "critical"}, alerts=(),
    )  # fmt: skip
    spec = AlertSourceSpec.model_validate({"url": "http://prometheus:9090", "timeout": "1s"})
    again = server.looks_again.append
    source = SimpleNamespace(name="default", promql=server, spec=spec, rules_of=lambda _: (rule,), hint_later=again)
    alert = SimpleNamespace(labels=LABELS, active_at=EPOCH)
    incident = SimpleNamespace(uid="i", spec=SimpleNamespace(target=TARGET, alert=alert))
    clock = VirtualClock()
    return Inputs(lambda _: source, clock), incident, clock  # type: ignore[arg-type, return-value]


SPEC: Any = SimpleNamespace(source_ref=SimpleNamespace(name="default"), alert=SimpleNamespace(name="Backlog"))


async def judged(server: Server, query: str = "queue_size > 10") -> Reading:
    inputs, incident, _ = made(server, query)
    return await inputs.judged(incident, SPEC, CLEARED)


async def test_an_input_with_data_whose_target_is_not_down_is_asked_for_by_two_questions() -> None:
    server = Server(lambda question: 3 if question == HAS else 0)
    assert await judged(server) == CLEARED
    assert len(server.asked) == 2
    assert server.asked[1].endswith(f"and on (job, instance) {DOWN})")


async def test_a_dead_exporter_is_no_recovery_and_the_message_names_the_input() -> None:
    found = await judged(Server(lambda question: 1 if DOWN in question else 0))
    assert (found.state, found.fresh, found.inputs_gone) == ("Unknown", False, True)
    assert found.message == "no alert is shown, but its input queue_size has no data: its target is down"


async def test_the_first_scrape_after_one_that_failed_does_not_speak_for_what_was_evaluated_between_the_two() -> None:
    """Its data is there again, and no target is down any more; as the rule was evaluated it was otherwise."""
    found = await judged(Server(lambda question: DOWN in question if " @ " in question else "== 0" not in question))
    assert (found.state, found.inputs_gone) == ("Unknown", True)


async def test_of_servers_of_a_pair_each_is_asked_about_as_it_evaluated_its_rule() -> None:
    server = Server(lambda question: question.startswith(f"count({NARROW}"))
    inputs, incident, _ = made(server)
    source = inputs._source("default")
    assert source is not None
    (one,) = source.rules_of("Backlog")
    two = replace(one, replica=1, last_evaluation=EPOCH + timedelta(seconds=67))
    source.rules_of = lambda _: (one, two)  # type: ignore[method-assign]
    assert await inputs.judged(incident, SPEC, CLEARED) == CLEARED
    assert [HAS.replace(THEN, THEN[:-5] + "7.000") in server.asked, HAS in server.asked] == [True, True]


async def test_a_series_that_carries_the_targets_name_only_in_the_query_is_looked_for_without_it() -> None:
    server = Server(lambda question: 2 if question == f"count(queue_size {THEN})" else 0)
    assert await judged(server) == CLEARED
    assert server.asked[0] == HAS


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Unavailable("no answer within 1 s"), "could not be asked: no answer within 1 s"),
        (Invalid("parse error"), "could not be asked: parse error"),
        (Samples((1.0,), ("a store is down",)), "could not be asked: the answer is partial: a store is down"),
        (Samples((float("nan"),)), "could not be asked: the answer is not a number"),
    ],
)
async def test_what_is_not_answered_in_full_is_not_known(answer: Exception | Samples, why: str) -> None:
    found = await judged(Server(lambda _: answer))
    assert (found.state, found.inputs_gone) == ("Unknown", True)
    assert why in found.message


async def test_a_server_that_never_answers_is_waited_for_a_bounded_time() -> None:
    class Silent(Server):
        async def query(self, expression: str) -> Samples:
            await asyncio.Event().wait()
            raise AssertionError

    found = await judged(Silent(lambda _: 0))
    assert "was not answered within 2 s" in found.message


async def test_a_query_that_cannot_be_followed_and_one_with_too_many_inputs_are_said() -> None:
    silent = Server(lambda _: 1)
    assert "cannot be found in its query: 'b' stands where" in (await judged(silent, "a b")).message
    assert "read 21 inputs" in (await judged(silent, " + ".join(f"m{n}" for n in range(21)))).message
    assert silent.asked == []


async def test_a_branch_without_data_counts_only_where_the_past_is_not_known() -> None:
    query = "queue_size > 10 or never_seen"

    def remembering(question: str) -> float:
        if "offset 61s" in question and "up[" in question:
            return 5
        return 1 if question == HAS else 0

    assert await judged(Server(remembering), query) == CLEARED
    forgetful = Server(lambda question: 1 if question == HAS else 0)
    assert "its input never_seen has no data, and whether it had any" in (await judged(forgetful, query)).message


async def test_while_the_alert_stays_away_it_is_asked_again_only_after_a_while() -> None:
    server = Server(lambda question: 1 if question == HAS else 0)
    inputs, incident, clock = made(server)
    for _ in range(5):
        clock.advance(KEPT / 10)
        assert await inputs.judged(incident, SPEC, CLEARED) == CLEARED
    assert len(server.asked) == 2
    clock.advance(KEPT)
    server.answers = lambda question: 1 if DOWN in question else 0
    assert (await inputs.judged(incident, SPEC, CLEARED)).state == "Unknown"
    assert inputs.as_last_judged(incident, CLEARED).state == "Unknown", "nothing new: it need not be looked at"


async def test_an_alert_that_is_back_is_asked_for_anew_when_it_is_gone_again() -> None:
    server = Server(lambda question: 1 if question == HAS else 0)
    inputs, incident, _ = made(server)
    firing = Reading("Firing", True, "the alert is firing")
    assert await inputs.judged(incident, SPEC, CLEARED) == CLEARED
    assert await inputs.judged(incident, SPEC, firing) == firing
    assert len(server.asked) == 2, "nothing is asked while it fires"
    server.answers = lambda question: 1 if DOWN in question else 0
    assert (await inputs.judged(incident, SPEC, CLEARED)).state == "Unknown"


FIRING = Reading("Firing", True, "the alert is firing")
ANEW = replace(FIRING, watched_since=EPOCH + timedelta(seconds=30))
OLD = f"count(timestamp({NARROW} {THEN}) < {(EPOCH + timedelta(seconds=30)).timestamp():.3f})"


async def test_an_alert_that_fires_and_is_watched_for_long_is_believed_without_a_question() -> None:
    server = Server(lambda _: 1)
    inputs, incident, _ = made(server)
    assert await inputs.judged(incident, SPEC, FIRING) == FIRING
    assert server.asked == []


async def test_an_alert_that_fires_on_samples_of_before_its_rule_was_watched_is_stale_until_they_are_newer() -> None:
    old = True
    server = Server(lambda question: (question == OLD and old) or question == HAS)
    inputs, incident, clock = made(server)
    found = await inputs.judged(incident, SPEC, ANEW)
    assert (found.state, found.fresh) == ("Firing", False)
    assert "on what was scraped before" in found.message
    assert server.looks_again == [10.0], "after the rule's next evaluation, and not at the next regular read"
    old = False
    assert not (await inputs.judged(incident, SPEC, ANEW)).fresh, "asked a moment ago"
    assert not inputs.as_last_judged(incident, ANEW).fresh
    clock.advance(NOT_YET + 1)
    assert await inputs.judged(incident, SPEC, ANEW) == ANEW
    asked = len(server.asked)
    clock.advance(1000)
    assert await inputs.judged(incident, SPEC, ANEW) == ANEW
    assert len(server.asked) == asked, "what was scraped since then, stays so"
    assert server.looks_again == [10.0]


async def test_the_first_new_sample_does_not_speak_for_what_was_evaluated_without_it() -> None:
    """The server has only new samples by now; what is shown was evaluated on the old ones."""
    server = Server(
        lambda question: question in (OLD, HAS) if " @ " in question else not question.startswith("count(t")
    )
    inputs, incident, _ = made(server)
    assert not (await inputs.judged(incident, SPEC, ANEW)).fresh


async def test_after_another_break_it_is_asked_anew() -> None:
    server = Server(lambda question: question == HAS)
    inputs, incident, _ = made(server)
    assert await inputs.judged(incident, SPEC, ANEW) == ANEW
    asked = len(server.asked)
    assert await inputs.judged(incident, SPEC, replace(ANEW, watched_since=EPOCH + timedelta(seconds=90)))
    assert len(server.asked) > asked


async def test_an_alert_that_fires_is_stale_while_it_cannot_be_asked_on_what() -> None:
    inputs, incident, _ = made(Server(lambda _: Unavailable("no answer within 1 s")))
    found = await inputs.judged(incident, SPEC, ANEW)
    assert (found.state, found.fresh) == ("Firing", False)
    assert "could not be asked: no answer within 1 s" in found.message


async def test_an_answer_about_an_alert_that_was_away_says_nothing_of_one_that_fires() -> None:
    server = Server(lambda question: 1 if DOWN in question or question == HAS else 0)
    inputs, incident, _ = made(server)
    assert (await inputs.judged(incident, SPEC, CLEARED)).state == "Unknown"
    assert inputs.as_last_judged(incident, ANEW) == ANEW
    assert await inputs.judged(incident, SPEC, ANEW) == ANEW


async def test_an_alert_whose_inputs_have_no_data_is_stale_unless_that_is_what_it_fires_on() -> None:
    for query, fresh in (("queue_size > 10", False), ("absent(queue_size)", True), ("vector(1)", True)):
        inputs, incident, _ = made(Server(lambda _: 0), query)
        found = await inputs.judged(incident, SPEC, ANEW)
        assert (found.state, found.fresh) == ("Firing", fresh)


async def test_a_source_that_does_not_answer_holds_up_the_questions_to_no_other() -> None:
    class Silent(Server):
        async def query(self, expression: str) -> Samples:
            await asyncio.Event().wait()
            raise AssertionError

    inputs, incident, _ = made(Server(lambda question: question == HAS))
    good = inputs._source("default")
    assert good is not None
    bad = SimpleNamespace(**vars(good) | {"name": "bad", "promql": Silent(lambda _: 0)})
    inputs._source = {"default": good, "bad": bad}.get  # type: ignore[assignment]
    spec: Any = SimpleNamespace(source_ref=SimpleNamespace(name="bad"), alert=SPEC.alert)
    asking = [asyncio.create_task(inputs.judged(incident, spec, ANEW)) for _ in range(AT_ONCE + 1)]
    await asyncio.sleep(0)
    assert await asyncio.wait_for(inputs.judged(incident, SPEC, ANEW), 1) == ANEW
    for task in asking:
        task.cancel()
