"""What is known of an alert: absence is not recovery, presence is no proof."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldseam.engine.alerts import NEVER, ActiveAlert, AlertRule, RulesAnswer
from goldseam.engine.verdict import History, Reading, believed, failed, heartbeat, longest_range, observe, verdict

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
POLL = timedelta(seconds=5)
FIRING = ActiveAlert({"alertname": "A"}, {}, "firing", EPOCH)


def rule(evaluated: float, *alerts: ActiveAlert, **fields: object) -> AlertRule:
    base = AlertRule(
        name="A", group="g", query="up == 0", health="ok", last_error="",
        last_evaluation=EPOCH + timedelta(seconds=evaluated), interval=timedelta(seconds=10),
        hold=timedelta(seconds=30), keep_firing=timedelta(0), labels={}, alerts=alerts,
    )  # fmt: skip
    return replace(base, **fields)  # type: ignore[arg-type]


class Watch:
    """One source, read again and again."""

    def __init__(self) -> None:
        self.history, self.now = History(), 1_000.0

    def read(self, *rules: AlertRule, after: float = 5.0, warnings: tuple[str, ...] = ()) -> Reading:
        self.now += after
        self.history = observe(self.history, RulesAnswer(rules, warnings), self.now)
        return self.reading()

    def fail(self, after: float = 5.0) -> Reading:
        self.now += after
        self.history = failed(self.history, "HTTP 503")
        return self.reading()

    def reading(self) -> Reading:
        return verdict(self.history, "A", lambda alert: True, self.now, EPOCH, POLL)

    def healthy(self, seconds: int, *alerts: ActiveAlert) -> Reading:
        found = self.reading()
        for _ in range(0, seconds, 10):
            found = self.read(rule(self.now, *alerts), after=10)
        return found


def test_before_the_first_answer_nothing_is_known() -> None:
    found = Watch().reading()
    assert (found.state, found.fresh) == ("Unknown", False)


def test_a_rule_that_was_not_asked_for_is_unknown_and_one_that_was_and_is_absent_is_missing() -> None:
    watch = Watch()
    watch.healthy(60)
    for asked, said in (({"B"}, "has not been asked for the rule A yet"), ({"A", "B"}, "has no rule named A")):
        watch.history = observe(watch.history, RulesAnswer((), asked=frozenset(asked)), watch.now)
        found = watch.reading()
        assert (found.state, found.fresh, found.message) == ("Unknown", False, f"the alert source {said}")
        assert watch.history.knows("A") is ("A" in asked)


@given(
    st.sampled_from([15, 30, 60]),
    st.sampled_from([5, 15, 30, 60]),
    st.lists(st.floats(0.9, 1.1), min_size=12, max_size=12),
)
def test_reads_that_are_spread_by_a_tenth_leave_a_rule_fresh_until_the_next(
    interval: int, poll: int, spread: list[float]
) -> None:
    watch = Watch()
    watch.read(rule(watch.now // interval * interval, FIRING, interval=timedelta(seconds=interval)))
    for number, factor in enumerate(spread):
        before = watch.history
        watch.now += poll * factor
        found = verdict(before, "A", lambda _: True, watch.now, EPOCH, timedelta(seconds=poll))
        seen = (number - 1) * 0.9 * poll > interval
        assert found.fresh or not seen, f"stale just before read {number}: {found.message}"
        shown = rule(watch.now // interval * interval, FIRING, interval=timedelta(seconds=interval))
        watch.history = observe(before, RulesAnswer((shown,)), watch.now)


def test_a_firing_alert_is_fresh_once_its_rule_was_seen_to_advance() -> None:
    watch = Watch()
    assert not watch.read(rule(0, FIRING)).fresh
    found = watch.read(rule(10, FIRING))
    assert (found.state, found.fresh) == ("Firing", True)


def test_of_a_server_that_was_started_anew_between_two_reads_the_rule_is_watched_anew() -> None:
    watch = Watch()
    assert watch.healthy(400, FIRING).watched_since is None
    evaluated, anew = watch.now + 15, {"server_started": EPOCH + timedelta(seconds=watch.now + 3)}
    found = watch.read(rule(evaluated, FIRING, **anew), after=15)
    assert (found.state, found.fresh) == ("Firing", False)
    found = watch.read(rule(evaluated + 15, FIRING, **anew), after=15)
    assert (found.fresh, found.watched_since) == (True, EPOCH + timedelta(seconds=evaluated))


def test_rules_of_a_life_that_ended_while_they_were_read_are_watched_since_the_next_began() -> None:
    watch = Watch()
    watch.healthy(400, FIRING)
    evaluated = watch.now + 15
    started = EPOCH + timedelta(seconds=evaluated + 2)
    watch.read(rule(evaluated, FIRING, server_started=started), after=15)
    found = watch.read(rule(evaluated + 15, FIRING, server_started=started), after=15)
    assert (found.fresh, found.watched_since) == (True, started)


@pytest.mark.parametrize("shown", [0.0, None], ids=["evaluated in the life before", "not evaluated yet"])
def test_rules_that_are_read_first_as_a_life_ends_are_watched_since_the_next_began(shown: float | None) -> None:
    """The very first read: nothing was seen before that would show the restart."""
    watch = Watch()
    started = EPOCH + timedelta(seconds=watch.now + 2)
    first = rule(watch.now, FIRING, server_started=started)
    watch.read(first if shown is not None else replace(first, last_evaluation=NEVER))
    evaluated = watch.now + 15
    watch.read(rule(evaluated, FIRING, server_started=started), after=15)
    found = watch.read(rule(evaluated + 5, FIRING, server_started=started), after=5)
    assert (found.fresh, found.watched_since) == (
        True,
        started if shown is not None else EPOCH + timedelta(seconds=evaluated),
    )


def test_a_firing_alert_says_since_when_its_rule_is_watched_until_no_sample_can_be_of_before() -> None:
    watch = Watch()
    begun = watch.now
    watch.read(rule(begun, FIRING))
    assert watch.read(rule(begun + 5, FIRING)).watched_since == EPOCH + timedelta(seconds=begun)
    assert watch.healthy(280, FIRING).watched_since == EPOCH + timedelta(seconds=begun)
    assert watch.healthy(30, FIRING).watched_since is None


def test_what_counts_is_how_far_the_evaluation_that_is_shown_looks_back() -> None:
    """The last one before a slow rule's next may have read samples of before, also when we look much later."""
    watch, slow = Watch(), timedelta(seconds=60)
    watch.read(rule(0, FIRING, interval=slow))
    for evaluated in (60, 120, 180, 240):
        watch.read(rule(evaluated, FIRING, interval=slow), after=60)
    assert watch.read(rule(295, FIRING, interval=slow), after=55).watched_since is not None
    for _ in range(4):
        found = watch.read(rule(295, FIRING, interval=slow), after=10)
        assert found.watched_since is not None, "however late it is: what is shown was evaluated before"
    assert watch.read(rule(355, FIRING, interval=slow), after=20).watched_since is None
    long = "increase(errors_total[15m]) > 0"
    watch = Watch()
    watch.read(rule(0, FIRING, query=long))
    seconds = range(10, 1300, 10)  # from the first read to the one that shows an evaluation of the 10 s before
    found = [watch.read(rule(second, FIRING, query=long), after=10).watched_since is None for second in seconds]
    assert found == [second - 10 > 300 + 900 for second in seconds]


def test_a_server_that_was_away_is_watched_since_its_first_evaluation() -> None:
    watch = Watch()
    watch.healthy(600, FIRING)
    watch.fail()
    never = datetime.min.replace(tzinfo=UTC)
    watch.read(rule(0, FIRING, last_evaluation=never))
    begun = watch.now + 5
    assert watch.read(rule(begun, FIRING)).watched_since == EPOCH + timedelta(seconds=begun)


def test_of_a_pair_one_that_is_watched_for_long_is_enough() -> None:
    watch = Watch()
    for _ in range(40):
        watch.read(rule(watch.now, FIRING, replica="a"), after=10)
    for _ in range(3):
        watch.read(rule(watch.now, FIRING, replica="a"), rule(watch.now, FIRING, replica="b"), after=10)
    assert watch.reading().fresh
    assert watch.reading().watched_since is None


def test_the_evaluation_came_after_the_last_read_that_did_not_show_it() -> None:
    watch = Watch()
    watch.read(rule(0, FIRING))
    found = watch.read(rule(10, FIRING), after=7)
    assert found.evaluated_after == EPOCH - timedelta(seconds=7)


@pytest.mark.parametrize("alerts", [(FIRING,), ()])
def test_an_evaluation_that_took_long_shows_what_was_when_it_began(alerts: tuple[ActiveAlert, ...]) -> None:
    watch = Watch()
    watch.healthy(100, *alerts)
    found = watch.read(rule(watch.now, *alerts, evaluation_time=timedelta(seconds=4)), after=7)
    assert found.fresh
    assert found.evaluated_after == EPOCH - timedelta(seconds=7 + 4)


def test_a_rule_that_is_not_evaluated_any_more_is_stale_though_it_fires() -> None:
    watch = Watch()
    watch.read(rule(0, FIRING))
    watch.read(rule(10, FIRING))
    for _ in range(12):
        found = watch.read(rule(10, FIRING))
    assert (found.state, found.fresh) == ("Firing", False)


def test_a_failing_rule_is_stale_though_its_evaluation_advances() -> None:
    watch = Watch()
    watch.healthy(40, FIRING)
    found = watch.read(rule(5_000, FIRING, health="err", last_error="many-to-many"))
    assert (found.state, found.fresh) == ("Firing", False)
    assert "many-to-many" in found.message


def test_a_missing_rule_is_unknown() -> None:
    watch = Watch()
    watch.healthy(100)
    assert watch.read(rule(9_000, name="B")).state == "Unknown"


def test_absence_is_cleared_only_after_watching_longer_than_for_and_two_intervals() -> None:
    watch = Watch()
    assert watch.healthy(50).state == "Unknown"
    assert watch.healthy(30).state == "Cleared"


def test_a_pending_alert_is_not_cleared() -> None:
    watch = Watch()
    pending = replace(FIRING, state="pending")
    assert watch.healthy(100, pending).state == "Pending"


def test_a_failed_read_is_unknown_at_once_and_watching_begins_anew() -> None:
    watch = Watch()
    assert watch.healthy(100).state == "Cleared"
    assert watch.fail().state == "Unknown"
    assert watch.healthy(10).state == "Unknown"
    assert watch.healthy(100).state == "Cleared"


def test_a_firing_alert_is_stale_while_the_source_does_not_answer() -> None:
    watch = Watch()
    watch.healthy(30, FIRING)
    found = watch.fail()
    assert (found.state, found.fresh) == ("Firing", False)
    assert "503" in found.message


def test_a_partial_answer_proves_presence_but_not_absence() -> None:
    watch = Watch()
    watch.healthy(100)
    found = watch.read(rule(9_000), warnings=("a store is down",))
    assert found.state == "Unknown"
    assert "a store is down" in found.message


def test_an_evaluation_that_goes_back_means_that_the_server_was_restarted() -> None:
    watch = Watch()
    watch.healthy(100)
    assert watch.read(rule(1)).state == "Unknown"


def test_of_two_rules_of_one_name_both_must_be_trusted() -> None:
    watch = Watch()
    for second in range(0, 120, 10):
        found = watch.read(rule(second), rule(0, query="other"), after=10)
    assert found.state == "Unknown"


def test_a_rule_hides_none_that_differs_from_it_in_its_labels_only() -> None:
    watch = Watch()
    warning, critical = ({"severity": severity} for severity in ("warning", "critical"))
    for second in range(0, 120, 10):
        found = watch.read(rule(second, FIRING, labels=warning), rule(second, labels=critical), after=10)
    assert (found.state, found.fresh) == ("Firing", True)
    assert len(watch.history.rules) == 2


def test_a_silent_source_is_unknown_though_its_last_answer_was_good() -> None:
    watch = Watch()
    watch.healthy(100)
    watch.now += 3_600
    assert watch.reading().state == "Unknown"


def test_somebody_elses_alert_does_not_count() -> None:
    watch = Watch()
    watch.healthy(100, FIRING)
    found = verdict(watch.history, "A", lambda alert: False, watch.now, EPOCH, POLL)
    assert found.state == "Cleared"


def test_the_same_evaluation_read_twice_breaks_nothing() -> None:
    watch = Watch()
    watch.healthy(100)
    last = watch.history.rules[next(iter(watch.history.rules))].rule
    assert watch.read(last).state == "Cleared"


def test_a_break_of_more_than_three_intervals_and_a_minute_begins_the_watching_anew() -> None:
    for seconds, state in ((90, "Cleared"), (91, "Unknown")):
        watch = Watch()
        watch.healthy(100)
        assert watch.read(rule(watch.now), after=seconds).state == state


def test_a_source_that_is_read_seldom_as_its_admin_says_is_believed_all_the_same() -> None:
    history, now, poll = History(), 1_000.0, timedelta(minutes=5)
    for alerts, state in (((FIRING,), "Firing"), ((), "Cleared")):
        for _ in range(4):
            now += 300
            history = observe(history, RulesAnswer((rule(now, *alerts),)), now, poll)
        found = verdict(history, "A", lambda alert: True, now, EPOCH, poll)
        assert (found.state, found.fresh) == (state, True)


def test_a_rule_is_in_time_for_two_intervals_and_the_time_between_the_reads_that_showed_it() -> None:
    watch = Watch()
    watch.healthy(40, FIRING)
    last = watch.history.rules[next(iter(watch.history.rules))].rule
    assert watch.read(last, after=30).fresh
    found = watch.read(last, after=1)
    assert not found.fresh
    assert "not been seen to be evaluated again" in found.message, "the watching has begun anew"


def test_a_rule_that_is_evaluated_often_has_three_seconds() -> None:
    watch, often = Watch(), timedelta(seconds=0.5)
    for second in range(5):
        watch.read(rule(second, FIRING, interval=often), after=0.5)
    assert watch.read(rule(4, FIRING, interval=often), after=3).fresh
    assert not watch.read(rule(4, FIRING, interval=often), after=0.1).fresh


def test_between_two_reads_a_firing_alert_becomes_stale_by_itself() -> None:
    watch, often = Watch(), timedelta(seconds=1)
    for second in range(5):
        watch.read(rule(second, FIRING, interval=often), after=1)
    assert watch.reading().fresh
    watch.now += 5
    found = watch.reading()
    assert not found.fresh
    assert "not been evaluated lately" in found.message


@pytest.mark.parametrize(("poll", "seconds"), [(5, 15), (1, 10)])
def test_a_source_is_silent_after_three_polls_and_never_before_ten_seconds(poll: int, seconds: int) -> None:
    watch = Watch()
    watch.healthy(100)

    def state(after: float) -> str:
        return verdict(watch.history, "A", lambda _: True, watch.now + after, EPOCH, timedelta(seconds=poll)).state

    assert (state(seconds), state(seconds + 0.1)) == ("Cleared", "Unknown")


def test_watched_for_exactly_long_enough_is_not_long_enough() -> None:
    watch = Watch()
    watch.healthy(60)
    assert watch.reading().state == "Unknown"
    assert watch.read(rule(watch.now), after=1).state == "Cleared"


def test_absence_needs_two_evaluations_also_after_a_restart_of_the_server() -> None:
    watch, quick = Watch(), {"interval": timedelta(seconds=1), "hold": timedelta(0)}
    states = [watch.read(rule(second, **quick), after=3).state for second in (100, 103, 106)]
    assert states == ["Unknown", "Unknown", "Cleared"]
    states = [watch.read(rule(second, **quick), after=3).state for second in (1, 4, 7)]
    assert states == ["Unknown", "Unknown", "Cleared"]


def test_only_what_is_known_for_sure_is_fresh() -> None:
    watch = Watch()
    assert not watch.healthy(10, replace(FIRING, state="pending")).fresh
    assert not watch.healthy(20).fresh
    assert not watch.read(rule(9_000, name="B")).fresh
    cleared = Watch().healthy(100)
    assert (cleared.state, cleared.fresh) == ("Cleared", True)


def test_a_rule_that_fails_says_why_though_no_alert_is_shown() -> None:
    watch = Watch()
    watch.healthy(100)
    assert "many-to-many" in watch.read(rule(9_000, health="err", last_error="many-to-many")).message


def test_a_rule_looks_back_as_long_as_its_query_its_keeping_and_two_intervals() -> None:
    found = Watch().read(rule(0, FIRING, query="rate(x[5m])", keep_firing=timedelta(minutes=1)))
    assert found.look_back == timedelta(minutes=6, seconds=20)


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("up == 0", 0),
        ("rate(x[5m]) > 1", 300),
        ('rate(x{a="[5h]"}[5m] offset 1h30m) > 1', 5_400),
        ("max_over_time(rate(x[5m])[1h:1m])", 3_600),
        ("x offset -1d", 86_400),
        ("x[45s]", 45),
        ("x[500ms]", 0.5),
        ("x[2w]", 1_209_600),
        ("x[1y]", 30 * 86_400),
    ],
)
def test_the_look_back_is_the_longest_time_in_the_query_and_a_month_at_most(query: str, seconds: float) -> None:
    assert longest_range(query) == timedelta(seconds=seconds)


@given(st.lists(st.sampled_from(["good", "stuck", "failing", "missing", "down", "partial"]), max_size=30))
def test_cleared_needs_an_unbroken_run_of_good_answers(events: list[str]) -> None:
    watch, evaluated, run = Watch(), 0.0, 0
    for event in events:
        evaluated += 10 if event in ("good", "failing", "partial") else 0
        if event == "down":
            found = watch.fail(10)
        elif event == "missing":
            found = watch.read(after=10)
        else:
            health = "err" if event == "failing" else "ok"
            warnings = ("partial",) if event == "partial" else ()
            found = watch.read(rule(evaluated, health=health), after=10, warnings=warnings)
        run = run + 1 if event in ("good", "stuck") else 0
        if found.state == "Cleared":
            assert run >= 5, events


WORSE = ("stuck", "failing", "missing", "down", "partial")


def after(events: list[tuple[str, bool]]) -> Reading:
    """The verdict after reads of these kinds; each with whether the rule would show the alert then."""
    watch, evaluated, shown = Watch(), 0.0, False
    for kind, fires in events:
        if kind != "stuck":
            evaluated += 10
        if kind in ("good", "partial"):
            shown = fires
        alerts = (FIRING,) if shown else ()
        if kind == "down":
            watch.fail(10)
        elif kind == "missing":
            watch.read(after=10)
        else:
            health = "err" if kind == "failing" else "ok"
            warnings = ("a store is down",) if kind == "partial" else ()
            watch.read(rule(evaluated, *alerts, health=health), after=10, warnings=warnings)
    return watch.reading()


EVENTS = st.lists(st.tuples(st.sampled_from(("good", "good", "good", *WORSE)), st.booleans()), min_size=1, max_size=16)


@settings(deadline=None)
@given(EVENTS, st.data())
def test_stale_or_missing_data_never_turns_a_verdict_into_cleared_nor_into_one_to_act_on(
    events: list[tuple[str, bool]], data: st.DataObject
) -> None:
    """One read is made worse: what was not known before is not known now, and nobody acts who did not."""
    which = data.draw(st.integers(0, len(events) - 1))
    kind = data.draw(st.sampled_from(WORSE if events[which][0] == "good" else (events[which][0],)))
    before = after(events)
    found = after([*events[:which], (kind, events[which][1]), *events[which + 1 :]])
    assert found.state != "Cleared" or before.state == "Cleared", (before, found)
    if kind != "stuck":  # the same evaluation once more: as if the read had come a little earlier
        acts = found.state == "Firing" and found.fresh
        assert not acts or (before.state == "Firing" and before.fresh), (before, found)


class Pair:
    """Two servers that evaluate the same rule, read together; each shows an alert, nothing, or is away."""

    def __init__(self) -> None:
        self.history, self.now = History(), 1_000.0

    def read(self, *shown: ActiveAlert | str | None, times: int = 1) -> Reading:
        for _ in range(times):
            self.now += 10
            answered = [(number, one) for number, one in enumerate(shown) if not isinstance(one, str)]
            rules = tuple(rule(self.now, *([one] if one else []), replica=number) for number, one in answered)
            missing = "; ".join(one for one in shown if isinstance(one, str))
            answer = RulesAnswer(rules, missing=missing, servers=len(answered))
            self.history = observe(self.history, answer, self.now)
        return verdict(self.history, "A", lambda alert: True, self.now, EPOCH, POLL)


AWAY = "http://b: no answer within 10 s"


def test_of_a_pair_one_that_shows_the_alert_is_enough() -> None:
    pair = Pair()
    pair.read(None, None, times=20)
    for shown in ((FIRING, None), (None, FIRING)):
        found = pair.read(*shown)
        assert (found.state, found.fresh) == ("Firing", True)


def test_of_a_pair_one_that_is_away_hides_nothing_that_the_other_shows() -> None:
    pair = Pair()
    pair.read(FIRING, FIRING, times=3)
    found = pair.read(FIRING, AWAY)
    assert (found.state, found.fresh) == ("Firing", True)


def test_of_a_pair_one_that_is_away_lets_nothing_be_over() -> None:
    pair = Pair()
    pair.read(FIRING, FIRING, times=3)
    found = pair.read(None, AWAY, times=30)
    assert (found.state, found.fresh) == ("Unknown", False)
    assert AWAY in found.message
    assert pair.read(None, None).state == "Unknown", "it was not watched meanwhile"
    assert pair.read(None, None, times=10).state == "Cleared"


def test_a_pair_is_over_when_both_have_shown_nothing_for_long_enough() -> None:
    pair = Pair()
    pair.read(FIRING, FIRING, times=3)
    assert pair.read(None, FIRING).state == "Firing", "one is later than the other"
    assert pair.read(None, None, times=10).state == "Cleared"


def test_of_a_pair_a_restarted_one_that_has_forgotten_everything_clears_nothing() -> None:
    pair = Pair()
    pair.read(FIRING, FIRING, times=20)
    pair.history = replace(pair.history, rules={k: w for k, w in pair.history.rules.items() if w.rule.replica == 0})
    assert pair.read(FIRING, None).state == "Firing"
    assert pair.read(None, None).state == "Unknown"


def test_of_a_pair_one_that_lacks_the_rule_lets_nothing_be_over() -> None:
    pair = Pair()
    pair.read(FIRING, FIRING, times=3)
    for _ in range(30):
        pair.now += 10
        pair.history = observe(pair.history, RulesAnswer((rule(pair.now, replica=0),), servers=2), pair.now)
    found = verdict(pair.history, "A", lambda alert: True, pair.now, EPOCH, POLL)
    assert (found.state, "only 1 of 2 servers have the rule A" in found.message) == ("Unknown", True)


BEAT = ActiveAlert({"alertname": "Watchdog"}, {}, "firing", EPOCH)


def beating(watch: Watch, alert: ActiveAlert | None, *beats: AlertRule, times: int = 20) -> Reading:
    """The verdict of a source with a heartbeat, after some reads of the alert's rule and the heartbeat's."""
    found = watch.reading()
    for _ in range(times):
        shown = rule(watch.now + 10, *([alert] if alert else []))
        moving = (replace(one, last_evaluation=EPOCH + timedelta(seconds=watch.now + 10)) for one in beats)
        found = watch.read(shown, *moving, after=10)
    return believed(found, heartbeat(watch.history, "Watchdog", watch.now))


WATCHDOG = rule(0, BEAT, name="Watchdog", query="vector(1)")
SILENT = rule(0, name="Watchdog", query="vector(1)")
FAILING = rule(0, BEAT, name="Watchdog", query="vector(1)", health="err")


def test_while_the_heartbeat_fires_the_source_is_believed() -> None:
    assert beating(Watch(), FIRING, WATCHDOG).fresh
    assert beating(Watch(), None, WATCHDOG).state == "Cleared"


@pytest.mark.parametrize("beats", [(), (SILENT,), (FAILING,)])
def test_without_its_heartbeat_nothing_that_a_source_says_is_believed(beats: tuple[AlertRule, ...]) -> None:
    firing, absent = beating(Watch(), FIRING, *beats), beating(Watch(), None, *beats)
    assert (firing.state, firing.fresh, absent.state, absent.fresh) == ("Firing", False, "Unknown", False)
    for found in (firing, absent):
        assert "the heartbeat Watchdog does not fire freshly" in found.message
    pending = replace(FIRING, state="pending")
    assert beating(Watch(), pending, *beats).state == "Unknown"


def test_a_heartbeat_that_stands_still_is_none() -> None:
    watch = Watch()
    beating(watch, FIRING, WATCHDOG)
    still = replace(WATCHDOG, last_evaluation=EPOCH + timedelta(seconds=watch.now))
    for _ in range(5):
        found = watch.read(rule(watch.now + 10, FIRING), still, after=10)
    assert not believed(found, heartbeat(watch.history, "Watchdog", watch.now)).fresh


def test_of_a_pair_one_heartbeat_is_enough_to_act_but_not_to_be_over() -> None:
    def of_pair(alert: ActiveAlert | None) -> Reading:
        history, now = History(), 1_000.0
        for _ in range(20):
            now += 10
            shown = [rule(now, *([alert] if alert else []), replica=number) for number in (0, 1)]
            beat = rule(now, BEAT, name="Watchdog", replica=0)
            history = observe(history, RulesAnswer((*shown, beat), servers=2), now)
        found = verdict(history, "A", lambda alert: True, now, EPOCH, POLL)
        return believed(found, heartbeat(history, "Watchdog", now))

    assert of_pair(FIRING).fresh
    assert of_pair(None).state == "Unknown"


def _of(number: int, state: str = "firing") -> ActiveAlert:
    return ActiveAlert({"alertname": "A", "node": f"n{number}"}, {}, state, EPOCH)


def test_of_many_alerts_the_likely_one_is_asked_about_first() -> None:
    watch, asked = Watch(), []
    watch.healthy(60, *map(_of, range(1_000)))

    def ours(alert: ActiveAlert) -> bool:
        asked.append(alert)
        return alert.labels["node"] == "n700"

    found = verdict(watch.history, "A", ours, watch.now, EPOCH, POLL, likely=_of(700).labels)
    assert (found.state, len(asked)) == ("Firing", 1)


@given(
    shown=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["firing", "pending"])), max_size=4),
    answers=st.tuples(*[st.sampled_from([True, False, None])] * 4),
    likely=st.integers(0, 5),
)
def test_which_alert_is_likely_changes_nothing_that_is_found(
    shown: list[tuple[int, str]], answers: tuple[bool | None, ...], likely: int
) -> None:
    watch = Watch()
    watch.healthy(60, *(_of(*one) for one in shown))
    asked = watch.history, "A", lambda alert: answers[int(alert.labels["node"][1:])], watch.now, EPOCH, POLL
    assert verdict(*asked, likely=_of(likely).labels) == verdict(*asked)


def test_an_alert_of_another_namespace_is_not_the_one_that_is_likely() -> None:
    watch = Watch()
    elsewhere = ActiveAlert({"alertname": "A", "namespace": "shop"}, {}, "firing", EPOCH)
    watch.healthy(60, elsewhere)

    def seen(namespace: str | None) -> str:
        asked = watch.history, "A", lambda _: True, watch.now, EPOCH, POLL, namespace
        return verdict(*asked, likely=elsewhere.labels).state

    assert [seen(namespace) for namespace in ("shop", None)] == ["Firing", "Firing"]
    assert "Firing" not in [seen(namespace) for namespace in ("other", "")]
