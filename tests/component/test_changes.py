"""What changed before an alert stands on the incident, and speaks against rungs that would be of no use."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from goldseam.api.runbook import RunbookSpec
from goldseam.errors import Conflict
from goldseam.ports import Json
from goldseam.services import correlating, look
from goldseam.services.gather import Opened
from goldseam.services.live_policies import live_policy
from tests.support.harness import START, Harness, deployment, policy
from tests.support.objects import pod_template, revision

RESTART: Json = {"restart": {}}
WARY: Json = {**RESTART, "skipIfChangedWithin": "30m"}
SCALE: Json = {"scale": {"replicas": 8}}
SELECTOR = {"matchLabels": {"app": "api"}}
WORDS = "3 min before the alert: image of container app: api:1 → api:2"


def before(minutes: float) -> str:
    return (START - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def harness(*ladder: Json, changed: float | None = 3, runbook: RunbookSpec | None = None, **spec: object) -> Harness:
    """A Deployment whose image was changed so many minutes before the alert; None: nobody changed it."""
    target = deployment(3)
    target["spec"]["selector"] = SELECTOR
    h = Harness(policy(*ladder, **spec), target, "deployments", runbook=runbook)
    uid = h.target["metadata"]["uid"]
    h.cluster.add("replicasets", revision(1, before(4_000), pod_template("api:1"), owner=uid))
    if changed is not None:
        h.cluster.add("replicasets", revision(2, before(changed), pod_template("api:2"), owner=uid))
    return h


async def opened(*ladder: Json, **fields: object) -> Harness:
    h = harness(*ladder, **fields)  # type: ignore[arg-type]
    await h.start()
    await h.open()
    return h


def outcomes(h: Harness) -> list[tuple[str, str | None]]:
    return [(step.action, step.outcome) for step in h.status.steps]


async def test_what_changed_is_on_the_incident_and_in_its_timeline_before_anything_is_done() -> None:
    h = await opened(SCALE)
    await h.settle(20)
    assert [(c.before, c.after) for c in h.status.changes or []] == [("api:1", "api:2")]
    kinds = [entry.kind for entry in h.status.timeline]
    assert kinds.index("Changed") < kinds.index("Intent")
    assert next(e.message for e in h.status.timeline if e.kind == "Changed") == WORDS
    assert kinds.count("Changed") == 1


FLUX = {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "apps"}


def delivered(h: Harness, lists: str) -> None:
    """A Kustomization that has delivered a revision two minutes before the alert, and lists this."""
    history = [{"firstReconciled": before(2), "metadata": {"revision": "main@sha1:bbb"}}]
    status = {"history": history, "inventory": {"entries": [{"id": lists}]}}
    h.cluster.add("kustomizations", {"metadata": {"namespace": "apps", "name": "shop"}, "status": status})
    h.cluster.edit("deployments", "shop", "api", {"metadata": {"labels": FLUX}})


@pytest.mark.parametrize(("lists", "told"), [("shop_api_apps_Deployment", True), ("other_api_apps_Deployment", False)])
async def test_the_git_revision_is_told_where_what_delivered_it_lists_the_target(lists: str, told: bool) -> None:
    h = harness(SCALE)
    delivered(h, lists)
    await h.start()
    await h.open()
    await h.settle(20)
    revision = "Git revision: ? → main@sha1:bbb, by Flux Kustomization apps/shop"
    words = next(e.message for e in h.status.timeline if e.kind == "Changed")
    assert (revision in words) == told
    assert WORDS in words


@pytest.mark.parametrize("trouble", ["forbidden", "unreadable", "absent"])
async def test_nothing_waits_for_the_git_revision(trouble: str) -> None:
    h = harness(SCALE)
    delivered(h, "shop_api_apps_Deployment")
    getattr(h.cluster, trouble).add("kustomizations")
    await h.start()
    await h.open()
    await h.settle(20)
    assert h.live()["spec"]["replicas"] == 8
    assert [c.what for c in h.status.changes or []] == ["image of container app"]


async def test_it_is_looked_for_once_and_in_mode_observe_too() -> None:
    h = await opened(SCALE, mode="Observe")
    await h.settle(20)
    assert len(h.status.changes or []) == 1
    h.cluster.objects.pop(("replicasets", "shop", "api-2"))
    await h.start()
    await h.settle(20)
    assert len(h.status.changes or []) == 1


async def test_people_who_are_called_are_told_of_it() -> None:
    h = await opened({"escalate": {}})
    await h.settle(20)
    (call,) = h.status.escalations
    assert WORDS in call.message


async def test_that_the_revisions_cannot_be_read_holds_nothing_up_and_claims_nothing() -> None:
    h = harness(SCALE)
    h.cluster.unreadable.add("replicasets")
    await h.start()
    await h.open()
    await h.settle(20)
    assert h.live()["spec"]["replicas"] == 8
    assert h.status.changes is None


async def just_opened(*ladder: Json, **fields: object) -> tuple[Harness, list[str]]:
    """As the opener leaves it: its first look has not been. And what is asked of the cluster, in order."""
    h = harness(*ladder, **fields)  # type: ignore[arg-type]
    delivered(h, "shop_api_apps_Deployment")
    await h.start()
    await h.open(begun=False)
    uid = h.book.all()[0].uid
    h.looker.newly.opened(uid, Opened(h.clock.monotonic(), live_policy("RemediationPolicy", h.policy), h.live()))
    asked: list[str] = []
    for verb in ("get", "list", "patch"):
        setattr(h.cluster, verb, noting(getattr(h.cluster, verb), verb, asked))
    return h, asked


def noting(call: Any, verb: str, asked: list[str]) -> Any:
    async def called(*args: Any, **options: Any) -> Any:
        asked.append(f"{verb} {args[0].plural}")
        await asyncio.sleep(0)
        return await call(*args, **options)

    return called


@pytest.mark.parametrize("rung", [SCALE, RESTART], ids=["scale", "restart"])
async def test_of_what_was_opened_just_now_what_changed_is_read_beside_the_writing_and_is_not_what_we_did(
    rung: Json,
) -> None:
    h, asked = await just_opened(rung)
    await h.look()
    assert "Done" in {write.state for write in h.status.steps[0].writes}
    assert {c.what for c in h.status.changes or []} == {"image of container app", "Git revision"}
    assert asked.index("patch guardrails") < asked.index("get kustomizations")
    assert "list replicasets" in asked
    await h.settle(20)
    assert [entry.kind for entry in h.status.timeline].count("Changed") == 1


async def test_people_who_are_asked_at_the_first_look_are_told_what_changed() -> None:
    h, _ = await just_opened(SCALE, mode="Propose")
    await h.look()
    assert h.status.phase == "AwaitingApproval"
    assert {c.what for c in h.status.changes or []} == {"image of container app", "Git revision"}


async def test_an_act_does_not_wait_for_long_to_learn_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    h, _ = await just_opened(SCALE)
    monkeypatch.setattr(correlating, "PATIENCE", 0.01)
    listing = h.cluster.list

    async def hang(*args: Any, **options: Any) -> Any:
        if args[0].plural == "replicasets":
            await asyncio.Event().wait()
        return await listing(*args, **options)

    monkeypatch.setattr(h.cluster, "list", hang)
    async with asyncio.timeout(20):
        await h.look()
    assert h.live()["spec"]["replicas"] == 8
    assert h.status.changes is None, "what is read later might be our own"


async def test_what_was_read_too_late_is_not_told_by_a_later_rung(monkeypatch: pytest.MonkeyPatch) -> None:
    h, _ = await just_opened({**RESTART, "timeout": "20s"}, WARY, changed=None)
    monkeypatch.setattr(correlating, "correlated", lambda _, s: asyncio.create_task(asyncio.sleep(0, s)))
    monkeypatch.setattr(look, "correlated", correlating.correlated)
    await h.look()
    monkeypatch.undo()
    await h.settle(60, until=lambda status: status.rung == 1)
    await h.settle(20)
    assert len(h.status.steps) == 2, outcomes(h)
    assert h.status.changes is None


async def conflicting(*_: Any) -> None:
    raise Conflict("the counter was written by somebody else")


async def test_where_nothing_comes_about_nobody_reads_on_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    h, _ = await just_opened(SCALE)
    begun: list[asyncio.Task[Any]] = []

    def hanging(*_: Any) -> asyncio.Task[Any]:
        begun.append(asyncio.create_task(asyncio.Event().wait()))
        return begun[0]

    monkeypatch.setattr(look, "correlated", hanging)
    monkeypatch.setattr(h.looker.ledger, "spend", conflicting)
    await h.look()
    async with asyncio.timeout(5):
        assert isinstance((await asyncio.gather(begun[0], return_exceptions=True))[0], asyncio.CancelledError)
    assert h.live()["spec"]["replicas"] == 3


async def test_a_target_that_was_changed_just_before_is_not_restarted_and_the_next_rung_comes() -> None:
    h = await opened(WARY, SCALE)
    await h.settle(20)
    assert outcomes(h) == [("restart", "Refused"), ("scale", None)]
    assert h.status.steps[0].message == f"skipIfChangedWithin is 30m: {WORDS}"
    assert [path for _, path, _, _ in h.cluster.writes if path == "deployments/shop/api"] == []


@pytest.mark.parametrize("changed", [31, None])
async def test_one_that_was_not_changed_lately_is_restarted(changed: float | None) -> None:
    h = await opened(WARY, changed=changed)
    await h.settle(20)
    assert outcomes(h) == [("restart", None)]


async def test_a_rung_that_is_judged_by_changes_waits_while_they_cannot_be_read() -> None:
    h = harness(WARY, changed=None)
    h.cluster.unreadable.add("replicasets")
    await h.start()
    await h.open()
    await h.settle(20)
    assert h.status.steps == []
    assert h.status.holds[0].reason == "NotRead"
    assert "replicasets" in h.status.holds[0].message
    h.cluster.unreadable.clear()
    await h.settle(20)
    assert outcomes(h) == [("restart", None)]


async def test_a_rung_whose_target_shows_no_revision_waits_and_people_are_told() -> None:
    h = harness(WARY, changed=None, unknownTimeout="30s")
    h.cluster.objects.pop(("replicasets", "shop", "api-1"))
    await h.start()
    await h.open()
    await h.settle(60)
    assert h.status.steps == []
    assert [hold.reason for hold in h.status.holds] == ["ChangesUnknown"]
    assert "no revision of its own" in h.status.escalations[0].message


async def test_an_incident_whose_snapshot_forgets_the_field_restarts_nothing() -> None:
    h = await opened(WARY, {"escalate": {}})
    forged = next(h.cluster.all("incidents"))
    ladder = [{key: value for key, value in rung.items() if key != "skipIfChangedWithin"}
              for rung in forged["status"]["policySnapshot"]["spec"]["ladder"]]  # fmt: skip
    forged["status"]["policySnapshot"]["spec"]["ladder"] = ladder
    await h.start()
    await h.settle(20)
    assert outcomes(h)[0] == ("restart", "Refused")
    assert "does not allow restart any more" in h.status.steps[0].message


async def test_a_change_between_the_intent_and_the_act_of_a_killed_operator_is_seen() -> None:
    h = harness(WARY, {"escalate": {}}, changed=None)
    await h.start()
    await h.open()
    h.cluster.mute.add("deployments/shop/api")
    await h.settle(4)
    assert h.status.steps[0].phase == "Intended"
    h.cluster.mute.clear()
    young = revision(2, h.cluster.now(), pod_template("api:2"), owner=h.target["metadata"]["uid"])
    h.cluster.add("replicasets", young)
    await h.start()
    await h.settle(20)
    assert outcomes(h)[0] == ("restart", "NotTaken")
    assert "skipIfChangedWithin" in h.status.steps[0].message


AGAIN: Json = {**RESTART, "skipIfFailedWithin": "2h", "timeout": "20s"}
FREE: Json = {"limits": {"cooldown": "0s", "actions": [{"count": 9, "per": "1h"}]}, "flapWindow": "1s"}


async def failed_once(*ladder: Json) -> Harness:
    """An incident in which the first rung did not help, and that is over."""
    h = await opened(*(ladder or (AGAIN, SCALE)), changed=None, **FREE)
    await h.settle(60, until=lambda status: status.rung == 1)
    assert outcomes(h)[0] == ("restart", "Failed")
    h.alert_state = "Cleared"
    await h.settle(120)
    assert h.status.closed_at is not None
    h.alert_state = "Firing"
    return h


async def opened_again(h: Harness) -> None:
    uid = next(h.cluster.all("incidents"))["metadata"]["uid"]
    await h.start()  # a new process: nothing is remembered but what the cluster holds
    await h.open(predecessor=uid)
    await h.settle_all(20)


async def test_what_failed_in_an_earlier_incident_is_not_tried_again_not_even_by_a_new_process() -> None:
    h = await failed_once()
    name = next(h.cluster.all("incidents"))["metadata"]["name"]
    await opened_again(h)
    step = h.statuses()[1].steps[0]
    assert (step.action, step.outcome) == ("restart", "Refused")
    assert f"Incident shop/{name}" in step.message
    assert "skipIfFailedWithin is 2h" in step.message


async def test_after_that_time_it_is_tried_again() -> None:
    h = await failed_once()
    h.clock.advance(7_200)
    await opened_again(h)
    assert h.statuses()[1].steps[0].outcome is None


async def test_a_rung_that_is_judged_by_the_past_waits_while_that_cannot_be_read() -> None:
    h = await failed_once()
    uid = next(h.cluster.all("incidents"))["metadata"]["uid"]
    await h.start()
    await h.open(predecessor=uid)
    real, asked = h.cluster.list, []

    async def fails(resource, namespace="", **which):  # type: ignore[no-untyped-def]
        asked.append(resource.plural)
        if resource.plural == "incidents" and which.get("labels"):
            from goldseam.errors import Unavailable

            raise Unavailable("HTTP 503")
        return await real(resource, namespace, **which)

    h.cluster.list = fails  # type: ignore[method-assign]
    await h.settle_all(20)
    assert h.statuses()[1].steps == []
    assert h.statuses()[1].holds[0].reason == "NotRead"
    assert "incidents" in h.statuses()[1].holds[0].message


async def test_without_the_field_the_past_is_not_read() -> None:
    h = await opened(RESTART, changed=None)
    real, asked = h.cluster.list, []

    async def noted(resource, namespace="", **which):  # type: ignore[no-untyped-def]
        asked.append((resource.plural, which.get("labels", "")))
        return await real(resource, namespace, **which)

    h.cluster.list = noted  # type: ignore[method-assign]
    await h.settle(30)
    assert [labels for plural, labels in asked if plural == "incidents"] == []
    assert len([plural for plural, _ in asked if plural == "replicasets"]) <= 2, "and the changes once"
