"""The lying Prometheus: whatever it says or leaves out, nothing is over, climbs, passes or is done again on its word.

Each test: an incident was acted on and is being verified; then comes the lie; nothing moves, and the incident says what
is not known; then the truth again, and it goes on. docs/concepts/lying-prometheus.md is the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import gateway as lies
from tests.support.gateway import Lie, RemoteStore, gateway
from tests.support.lying import EXPR, VERIFIED_FOR, World, rule, world
from tests.support.operator_process import OperatorProcess
from tests.support.operator_process import running as running_operator
from tests.support.own_prometheus import own_prometheus
from tests.support.plane import Plane, eventually
from tests.support.wrong_clock import WrongClock

NO_ALERT = "no alert is shown, but "


@pytest.fixture
def troubled(installed: Plane, namespace: str, operator: OperatorProcess, tmp_path: Path) -> Iterator[World]:
    """The world, with the incident being verified."""
    with world(installed, namespace, operator, tmp_path / "prometheus") as found:
        found.begin()
        yield found


def test_an_exporter_that_is_killed_is_no_recovery(troubled: World) -> None:
    troubled.exporter.kill()
    eventually(lambda: not troubled.prometheus.shown(), "the alert to be gone")
    troubled.stands_still(NO_ALERT + r"its input queue_size has no data: its target is down")
    troubled.queue(1)
    troubled.exporter.start()
    troubled.heals()


def test_a_scrape_that_failed_is_no_recovery_though_the_next_one_did_not(
    installed: Plane, namespace: str, operator: OperatorProcess, tmp_path: Path
) -> None:
    """The rule was evaluated between the two: it is healthy, shows no alert, and its data is there again."""
    with world(installed, namespace, operator, tmp_path / "prometheus") as troubled:
        troubled.prometheus.rules(*troubled.rules, interval="6s")
        troubled.begin(timeout="10m", patience="30s")
        for _ in range(3):
            with troubled.gateway.held():
                troubled.exporter.kill()
                eventually(lambda: not troubled.prometheus.shown(), "the alert to be gone")
                troubled.exporter.start()
                eventually(lambda: troubled.prometheus.ask("queue_size"), "data again")
            troubled.goes_on_until(troubled.firing, "the alert again")
        assert troubled.failed_reads() == 0
        troubled.heals()


def test_a_metric_with_a_new_name_is_no_recovery(troubled: World) -> None:
    troubled.queue(50, name="queue_length")
    eventually(lambda: not troubled.prometheus.shown(), "the alert to be gone")
    troubled.stands_still(NO_ALERT + r"its input queue_size has no data, though its target is up")
    troubled.heals()


def test_a_target_that_is_no_longer_scraped_is_no_recovery(troubled: World) -> None:
    troubled.prometheus.targets()
    eventually(lambda: not troubled.prometheus.ask("up"), "the target to be forgotten")
    troubled.stands_still(NO_ALERT + r"its input queue_size has no data, and what showed it is not there any more")
    troubled.prometheus.targets(troubled.exporter.port)
    troubled.heals()


def test_a_rule_that_is_taken_away_is_no_recovery(troubled: World) -> None:
    troubled.prometheus.rules()
    troubled.stands_still("the alert source has no rule named Trouble")
    troubled.prometheus.rules(*troubled.rules)
    troubled.heals()


def test_a_rule_with_a_new_name_is_no_recovery(troubled: World) -> None:
    troubled.prometheus.rules(rule(alert="Backlog"))
    eventually(troubled.firing, "it to fire by its new name")
    troubled.stands_still("the alert source has no rule named Trouble")
    troubled.prometheus.rules(*troubled.rules)
    troubled.heals()


def test_a_rule_that_begins_to_fail_proves_nothing_though_it_shows_its_old_alert(troubled: World) -> None:
    troubled.queue(1, 'capacity{namespace="NAMESPACE",of="another"} 1')
    troubled.stands_still("the alert was firing when last seen, but rule Trouble is in health err")
    assert troubled.firing(), "the server goes on showing it"
    troubled.heals()


def test_a_group_over_its_limit_shows_no_alert_and_that_is_no_recovery(
    installed: Plane, namespace: str, operator: OperatorProcess, tmp_path: Path
) -> None:
    with world(installed, namespace, operator, tmp_path / "prometheus") as troubled:
        troubled.prometheus.rules(*troubled.rules, limit=1)
        troubled.begin()
        troubled.queue(50, 'queue_size{namespace="NAMESPACE",deployment="other"} 50')
        eventually(lambda: not troubled.prometheus.shown(), "the alerts to be dropped")
        troubled.stands_still("rule Trouble is in health err: exceeded limit of 1")
        troubled.heals()


def test_a_server_that_is_killed_and_replays_its_log_has_forgotten_its_alerts(
    installed: Plane, namespace: str, operator: OperatorProcess, tmp_path: Path
) -> None:
    """Alerts whose `for` is below 10 minutes are not restored: they are pending, or not shown at all, for a while."""
    with world(installed, namespace, operator, tmp_path / "prometheus", rule(**{"for": "30s"})) as troubled:
        troubled.begin()
        troubled.prometheus.kill()
        troubled.stands_still("HTTP 502")
        troubled.prometheus.start()
        eventually(lambda: troubled.prometheus.shown(), "the alert to be pending again")
        assert not troubled.firing()
        troubled.stands_still("the alert is pending", reads=3)
        troubled.heals()


def test_a_server_that_was_killed_fires_on_samples_of_before_and_that_proves_nothing(troubled: World) -> None:
    """It takes them for 5 minutes, and does not know any more which series an exporter had that is dead since."""
    troubled.prometheus.kill()
    troubled.exporter.kill()
    troubled.prometheus.start()
    eventually(troubled.firing, "the alert to fire on old samples")
    troubled.stands_still("the alert is firing, but it may do so on what was scraped before its rule was watched")
    assert troubled.firing()
    troubled.queue(1)
    troubled.exporter.start()
    troubled.heals()


def test_a_server_that_is_back_before_anybody_looks_fires_on_samples_of_before_and_that_proves_nothing(
    installed: Plane, namespace: str, operator: OperatorProcess, tmp_path: Path
) -> None:
    with world(installed, namespace, operator, tmp_path / "prometheus") as troubled:
        troubled.begin(patience="20s")
        with troubled.gateway.held():
            troubled.prometheus.kill()
            troubled.exporter.kill()
            troubled.prometheus.start()
        eventually(troubled.firing, "the alert to fire on old samples")
        troubled.stands_still("the alert is firing, but it may do so on what was scraped before its rule was watched")
        assert troubled.failed_reads() == 0, "no read has shown that it was away"
        troubled.queue(1)
        troubled.exporter.start()
        troubled.heals()


def test_a_server_that_has_lost_its_data_does_not_know_what_an_alert_was_made_from(troubled: World) -> None:
    troubled.prometheus.kill()
    troubled.prometheus.forget()
    troubled.exporter.kill()
    troubled.prometheus.start()
    eventually(lambda: troubled.prometheus.ask("up == 0"), "the exporter to be scraped in vain")
    troubled.stands_still(r"its input queue_size has no data, and whether it had any")
    troubled.queue(1)
    troubled.exporter.start()
    troubled.heals()


AFAR = f'{EXPR} and on () holds{{from="afar"}}'


@pytest.fixture
def afar(
    installed: Plane, namespace: str, operator: OperatorProcess, tmp_path: Path
) -> Iterator[tuple[World, RemoteStore]]:
    """A rule one of whose inputs lies in a remote storage."""
    store = RemoteStore("holds")
    more = {"remote_read": [store.config]}
    try:
        with world(installed, namespace, operator, tmp_path / "prometheus", rule(AFAR), **more) as found:
            found.begin()
            yield found, store
    finally:
        store.close()


def test_a_rule_that_got_half_its_data_from_afar_is_healthy_and_shows_nothing(afar: tuple[World, RemoteStore]) -> None:
    troubled, store = afar
    store.fails = True
    eventually(lambda: not troubled.prometheus.shown(), "the alert to be gone")
    troubled.stands_still(
        NO_ALERT + "whether its inputs have data could not be asked: the answer is partial: remote_read"
    )
    store.fails = False
    troubled.heals()


def test_a_rule_that_is_evaluated_more_slowly_than_its_interval_is_not_believed(
    afar: tuple[World, RemoteStore],
) -> None:
    troubled, store = afar
    store.delay = 8.0
    eventually(lambda: store.busy, "a slow evaluation to begin")
    troubled.queue(1)  # what it shows, for 8 s still, is how things were before
    troubled.stands_still("rule( Trouble)? has not been ", reads=20)
    store.delay = 0.0
    troubled.heals()


@pytest.mark.parametrize(
    ("lie", "says"),
    [
        (lies.half, "the answer is not JSON"),
        (lies.login, "the answer is not JSON"),
        (lies.silence, "no answer within 3 s"),
        (lies.without_a_shard, "the answer is partial: No StoreAPIs matched"),
    ],
    ids=["half-a-body", "login-page", "silence", "a-shard-away"],
)
def test_an_answer_that_is_none_proves_nothing(troubled: World, lie: Lie, says: str) -> None:
    troubled.gateway.lie = lie
    troubled.stands_still(says)
    troubled.is_over()
    troubled.gateway.lie = None
    troubled.heals()


def test_a_redirect_to_a_host_where_all_is_well_is_not_followed(troubled: World) -> None:
    with gateway(troubled.prometheus.url, lies.all_is_well) as elsewhere:
        troubled.gateway.lie = lies.redirect(elsewhere.url)
        troubled.stands_still("HTTP 307: redirects are not followed")
        assert elsewhere.asked == 0
        troubled.is_over()
        troubled.gateway.lie = None
        troubled.heals()


def test_of_two_that_disagree_the_one_that_shows_the_alert_is_believed(
    installed: Plane, namespace: str, operator: OperatorProcess, tmp_path: Path
) -> None:
    """The other has never scraped the exporter: its rule is healthy, and it shows nothing."""
    with (
        world(installed, namespace, operator, tmp_path / "prometheus") as troubled,
        own_prometheus(tmp_path / "other", installed.program("prometheus"), rule()) as other,
    ):
        troubled.begin(timeout=VERIFIED_FOR, replicas=(other.url,))
        assert not other.shown()
        troubled.prometheus.kill()
        troubled.stands_still(NO_ALERT + f"{troubled.gateway.url}: HTTP 502")
        troubled.queue(1)
        troubled.prometheus.forget()  # what it last scraped would fire until it has scraped anew
        troubled.prometheus.start()
        troubled.heals()


@pytest.mark.parametrize("minutes", [5, -5], ids=["ahead", "behind"])
def test_a_dead_exporter_is_no_recovery_whatever_the_operators_clock_says(
    minutes: int,
    installed: Plane,
    namespace: str,
    source: str,
    operator_kubeconfig: Path,
    tmp_path: Path,
) -> None:
    clock = WrongClock(tmp_path, minutes=minutes)
    with (
        running_operator(operator_kubeconfig, tmp_path / "operator.log", env=clock.env) as operator,
        world(installed, namespace, operator, tmp_path / "prometheus") as troubled,
    ):
        clock.shown_by(operator)
        troubled.begin()
        troubled.exporter.kill()
        troubled.stands_still(NO_ALERT + "its input queue_size has no data: its target is down")
        troubled.queue(1)
        troubled.exporter.start()
        troubled.heals()


def test_an_operator_that_is_started_anew_knows_still_what_the_alert_was_made_from(
    installed: Plane, namespace: str, source: str, operator_kubeconfig: Path, tmp_path: Path
) -> None:
    with running_operator(operator_kubeconfig, tmp_path / "first.log") as first:
        with world(installed, namespace, first, tmp_path / "prometheus") as troubled:
            troubled.begin()
            first.kill()
            troubled.exporter.kill()
            eventually(lambda: not troubled.prometheus.shown(), "the alert to be gone")
            with running_operator(operator_kubeconfig, tmp_path / "second.log") as second:
                troubled.operator = second
                troubled.stands_still(NO_ALERT + "its input queue_size has no data: its target is down")
                troubled.queue(1)
                troubled.exporter.start()
                troubled.heals()
