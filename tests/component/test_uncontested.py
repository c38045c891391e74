"""The condition `Uncontested`: who would undo what the ladder does, said on the policy before there is any incident."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam.services import judging
from tests.component.test_waking import Court, at_work, condition_of
from tests.support.harness import deployment, policy
from tests.support.objects import hpa, scaled_object
from tests.support.toycluster import Json

SCALE = {"scale": {"replicas": 12}}


class Policies(Court):
    """Policies, and what they are about."""

    def __init__(self, target: Json | None = None, **objects: list[Json]) -> None:
        super().__init__({"Trouble"})
        for plural, found in {"deployments": [target] if target else [], **objects}.items():
            for obj in found:
                self.cluster.add(plural, obj)

    async def judged(self, *ladder: Json, name: str = "a", **spec: Any) -> Json:
        """The conditions of a policy, by their types, once it was judged."""
        body = policy(*ladder, **spec)
        body["metadata"]["name"] = name
        with at_work(self):
            self.see(name, self.cluster.add("remediationpolicies", body))
            await self.settled()
        return self.conditions(name)

    def conditions(self, name: str = "a") -> Json:
        body = next(body for body in self.bodies() if body["metadata"]["name"] == name)
        return {entry["type"]: entry for entry in body["status"]["conditions"]}

    async def looked_again(self) -> int:
        """It is time to look for new owners. Returns how many writes there were for that."""
        before = len(self.cluster.writes)
        with at_work(self):
            self.judging.recheck_owners()
            return await self.settled() - before


def owned(court: Policies, manager: str = "argocd-controller") -> None:
    court.cluster.edit("deployments", "shop", "api", {"spec": {"replicas": 3}}, manager)


async def test_what_nobody_else_owns_is_said_to_be_so() -> None:
    found = await Policies(deployment(3)).judged(SCALE)
    assert (found["Uncontested"]["status"], found["Uncontested"]["reason"]) == ("True", "NobodyElse")


async def test_replicas_that_argo_cd_owns_are_warned_of_with_the_lines_to_add_and_the_policy_is_armed() -> None:
    court = Policies(deployment(20))
    owned(court)
    found = await court.judged(SCALE, mode="Observe")
    assert (found["Uncontested"]["status"], found["Uncontested"]["reason"]) == ("False", "OwnedByGitOps")
    message = found["Uncontested"]["message"]
    assert message.startswith("rung 1: Argo CD Application owns spec.replicas of Deployment shop/api")
    assert "ignoreDifferences: [{group: apps, kind: Deployment, managedFieldsManagers: [goldseam]}]" in message
    assert found["Ready"]["status"] == "True"


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ({"horizontalpodautoscalers": [hpa(2, 8)]}, "AboveHpaMaximum"),
        ({"horizontalpodautoscalers": [hpa(2, 20), hpa(2, 20, name="b")]}, "TwoAutoscalers"),
        ({"scaledobjects": [scaled_object(2, 20, annotations={"autoscaling.keda.sh/paused": "true"})]}, "KedaPaused"),
        ({"scaledobjects": [scaled_object(2, 20)]}, "NobodyElse"),
        ({"horizontalpodautoscalers": [hpa(12, 20)]}, "NobodyElse"),
    ],
)
async def test_whoever_else_scales_it_is_looked_at(objects: dict[str, list[Json]], reason: str) -> None:
    found = await Policies(deployment(3), **objects).judged(SCALE)
    assert found["Uncontested"]["reason"] == reason


async def test_each_rung_that_would_be_refused_is_numbered() -> None:
    court = Policies(deployment(3), horizontalpodautoscalers=[hpa(2, 8)])
    message = (await court.judged({"scale": {"replicas": 5}}, {"restart": {}}, SCALE))["Uncontested"]["message"]
    assert message.startswith("rung 3: HorizontalPodAutoscaler shop/api allows at most 8")


@pytest.mark.parametrize(
    ("ladder", "spec"),
    [(SCALE, {"target": {}}), ({"restart": {}}, {}), ({"wait": {"duration": "5m"}}, {})],
)
async def test_where_it_cannot_be_told_nothing_is_read_and_nothing_is_said(ladder: Json, spec: Json) -> None:
    court = Policies(deployment(3))
    court.cluster.unreadable = {"deployments", "horizontalpodautoscalers"}
    found = await court.judged(ladder, **spec)
    assert found["Ready"]["status"] == "True"
    assert "Uncontested" not in found
    assert await court.looked_again() == 0


async def test_a_target_that_is_not_there_yet_or_cannot_be_read_is_said_as_that() -> None:
    found = (await Policies().judged(SCALE))["Uncontested"]
    assert (found["status"], found["reason"]) == ("Unknown", "NoTarget")
    court = Policies(deployment(3))
    court.cluster.unreadable = {"deployments"}
    found = (await court.judged(SCALE))["Uncontested"]
    assert (found["status"], found["reason"]) == ("Unknown", "Unreachable")
    assert "deployments/api" in found["message"]


async def test_an_owner_who_comes_later_is_noticed_and_nothing_is_written_while_nothing_changes() -> None:
    court = Policies(deployment(3))
    await court.judged(SCALE)
    assert await court.looked_again() == 0
    owned(court, "kubectl-edit")
    assert await court.looked_again() == 0
    owned(court)
    assert await court.looked_again() == 1
    assert court.conditions()["Uncontested"]["reason"] == "OwnedByGitOps"
    assert await court.looked_again() == 0
    assert condition_of(court.bodies()[0], "Ready") == "True"


async def test_of_many_policies_some_are_looked_at_in_each_turn_and_all_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(judging, "TURNS", 4)
    court = Policies(deployment(3))
    for number in range(8):
        await court.judged(SCALE, name=f"p{number}")
    owned(court)
    assert [await court.looked_again() for _ in range(5)] == [2, 2, 2, 2, 0]
    monkeypatch.setattr(judging, "OWNERS_AT_ONCE", 1)
    owned(court, "kubectl-edit")
    assert await court.looked_again() == 1
