"""Whose alert it is: one about something else, or about what was not looked up yet, is no proof that ours fires."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam.engine.alerts import ActiveAlert
from goldseam.engine.matching import PolicySpec
from goldseam.engine.verdict import UNCLEAR, Reading
from goldseam.engine.views import IncidentView
from goldseam.services.live_policies import live_policy
from goldseam.services.relations import Relations
from tests.component.test_node_names import Nodes
from tests.component.test_opener import Stage
from tests.support.harness import START

Json = dict[str, Any]


class _Believing:
    """The inputs of every rule are there."""

    async def judged(self, incident: IncidentView, spec: PolicySpec, reading: Reading) -> Reading:
        return reading


async def opened(stage: Stage, **labels: str) -> tuple[Relations, IncidentView, PolicySpec]:
    """An incident that was opened for these labels, and what is about it by now: nothing fires."""
    stage.fire(**labels)
    await stage.turn(3)
    (incident,) = stage.book.all()
    stage.alerts.clear()
    await stage.turn(5)
    sources: Any = {"default": stage.source}
    targets = type(stage.opener.targets)(stage.cluster)  # as of a process that has looked up nothing yet
    believing: Any = _Believing()
    relations = Relations(sources, stage.tenants, believing, targets, stage.catalogue, stage.book)
    (armed,) = stage.catalogue.armed.values()
    plural = "remediationpolicies" if armed.key.namespace else "clusterremediationpolicies"
    policy = live_policy(armed.key.kind, stage.cluster.objects[plural, armed.key.namespace, armed.key.name])
    assert policy.spec is not None
    return relations, incident, policy.spec


async def seen(stage: Stage, state: str, *shown: Json) -> None:
    """The source shows alerts with these labels, and nobody opens anything, nor looks up what they are about."""
    every = ({"alertname": "Trouble", "namespace": "shop"} | labels for labels in shown)
    stage.alerts += [ActiveAlert(labels, {}, state, START) for labels in every]
    for _ in range(3):
        await stage.source.read()
        stage.clock.advance(1)


def deployment_pod(stage: Stage, pod: str, owner: str) -> None:
    top = {"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": owner, "controller": True}
    stage.cluster.add("pods", {"metadata": {"name": pod, "namespace": "shop", "ownerReferences": [top]}})


CASES = pytest.mark.parametrize(
    ("make", "mine", "other"), [(Nodes, {"node": "n1"}, {"node": "n2"}), (Stage, {"pod": "a-1"}, {"pod": "b-1"})]
)


async def scene(make: type[Stage], mine: Json) -> tuple[Stage, Relations, IncidentView, PolicySpec]:
    stage = make()
    deployment_pod(stage, "a-1", "api")
    deployment_pod(stage, "b-1", "other")
    return stage, *await opened(stage, **mine)


@CASES
@pytest.mark.parametrize("state", ["pending", "firing"])
async def test_an_alert_about_something_else_that_was_not_looked_up_does_not_make_ours_fire_again(
    make: type[Stage], mine: Json, other: Json, state: str
) -> None:
    stage, relations, incident, spec = await scene(make, mine)
    assert relations.reading(incident, spec).state == "Cleared"
    await seen(stage, state, other)
    before = relations.reading(incident, spec)
    assert (before.state, before.fresh, before.message) == ("Unknown", False, f"no alert is shown, but {UNCLEAR}")
    after = await relations.judged(incident, spec)
    assert (after.state, after.fresh) == ("Cleared", True), "it was looked up, and is about something else"
    assert relations.reading(incident, spec) == after


@CASES
async def test_what_cannot_be_looked_up_is_not_known_to_be_ours_nor_gone(
    make: type[Stage], mine: Json, other: Json
) -> None:
    stage, relations, incident, spec = await scene(make, mine)
    await seen(stage, "firing", other)
    stage.cluster.unreadable = {"nodes", "pods"}
    found = await relations.judged(incident, spec)
    assert (found.state, found.fresh) == ("Unknown", False)


@CASES
async def test_the_alert_for_which_it_was_opened_is_ours_also_where_its_object_is_gone(
    make: type[Stage], mine: Json, other: Json
) -> None:
    stage, relations, incident, spec = await scene(make, mine)
    stage.cluster.objects = {key: obj for key, obj in stage.cluster.objects.items() if key[0] not in ("nodes", "pods")}
    await seen(stage, "firing", mine)
    assert (await relations.judged(incident, spec)).state == "Firing"


@CASES
async def test_ours_that_fires_is_not_doubted_for_what_else_is_not_known(
    make: type[Stage], mine: Json, other: Json
) -> None:
    stage, relations, incident, spec = await scene(make, mine)
    await seen(stage, "firing", other, mine)
    found = relations.reading(incident, spec)
    assert (found.state, found.fresh, found.unclear) == ("Firing", True, False)
