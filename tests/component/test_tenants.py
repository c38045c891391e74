"""A source may be closed to the policies of some namespaces, and to their queries."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam.api.alertsource import AlertSourceSpec
from goldseam.errors import Unavailable
from goldseam.services.tenants import Tenants
from tests.component.test_opener import Stage
from tests.component.test_waking import Court, at_work
from tests.support.harness import policy
from tests.support.toycluster import ToyCluster

ONLY_TRUSTED = {"allowedNamespaces": {"selector": {"matchLabels": {"team": "trusted"}}}}
QUERY = {"verify": {"queries": [{"expr": "up", "above": "0"}]}}


def source(**fields: Any) -> AlertSourceSpec:
    return AlertSourceSpec.model_validate({"url": "http://p"} | fields)


def namespace(cluster: ToyCluster, name: str, **labels: str) -> None:
    cluster.add("namespaces", {"metadata": {"name": name, "labels": labels}})


def conditions(body: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {e["type"]: (e["status"], e["reason"]) for e in body["status"]["conditions"]}


async def test_a_policy_of_a_namespace_that_is_not_allowed_opens_nothing_until_it_is() -> None:
    stage = Stage()
    namespace(stage.cluster, "shop", team="strangers")
    await stage.tenants.put("default", source(**ONLY_TRUSTED))
    stage.fire(deployment="api")
    assert await stage.turn(5) == []
    stage.cluster.edit("namespaces", "", "shop", {"metadata": {"labels": {"team": "trusted"}}})
    await stage.tenants.put("default", source(**ONLY_TRUSTED))
    assert len(await stage.turn()) == 1


async def test_a_namespace_that_lost_its_label_a_second_ago_opens_nothing() -> None:
    stage = Stage()
    namespace(stage.cluster, "shop", team="trusted")
    await stage.tenants.put("default", source(**ONLY_TRUSTED))
    stage.fire(deployment="api")
    assert await stage.turn(1) == [], "it is not fresh yet"
    stage.cluster.edit("namespaces", "", "shop", {"metadata": {"labels": {"team": "strangers"}}})
    assert await stage.turn(1) == []
    asked: list[Any] = []
    stage.cluster.get = lambda *args: asked.append(args)  # type: ignore[method-assign,assignment,return-value]
    assert await stage.turn(5) == []
    assert asked == [], "where it is known to be closed, nothing is asked"


async def test_what_a_namespace_is_labelled_that_cannot_be_read_opens_nothing() -> None:
    stage = Stage()
    namespace(stage.cluster, "shop", team="trusted")
    await stage.tenants.put("default", source(**ONLY_TRUSTED))
    stage.cluster.unreadable = {"namespaces"}
    stage.fire(deployment="api")
    assert await stage.turn(5) == []
    stage.cluster.unreadable = set()
    assert len(await stage.turn()) == 1


async def test_where_queries_are_refused_a_policy_that_asks_them_opens_nothing_and_another_does() -> None:
    asking = Stage(ladder=[{"restart": {}, **QUERY}])
    await asking.tenants.put("default", source(tenantQueries="Refused"))
    asking.fire(deployment="api")
    assert await asking.turn(5) == []
    plain = Stage()
    await plain.tenants.put("default", source(tenantQueries="Refused"))
    plain.fire(deployment="api")
    assert len(await plain.turn()) == 1


async def test_a_policy_of_the_cluster_is_its_admins_and_nothing_is_closed_to_it() -> None:
    tenants = Tenants(ToyCluster(now=lambda: "now"), lambda _: None)
    await tenants.put("default", source(**ONLY_TRUSTED, tenantQueries="Refused"))
    assert tenants.refusal("default", "", queries=True) == ""
    assert "its allowedNamespaces do not select it" in tenants.refusal("default", "shop", queries=False)


async def test_who_is_allowed_changes_what_policies_say_and_nobody_is_told_of_what_did_not_change() -> None:
    cluster, told = ToyCluster(now=lambda: "now"), list[str]()
    namespace(cluster, "shop", team="trusted")
    tenants = Tenants(cluster, told.append)
    await tenants.put("open", source())
    await tenants.put("closed", source(**ONLY_TRUSTED))
    await tenants.put("closed", source(**ONLY_TRUSTED, interval="1m"))
    await tenants.look("closed", "shop")
    assert told == ["closed"]
    cluster.remove("namespaces", "", "shop")
    await tenants.look("closed", "shop")
    assert told == ["closed", "closed"]
    assert tenants.refusal("closed", "shop", queries=False)


async def test_what_was_allowed_stays_so_where_the_namespaces_cannot_be_listed() -> None:
    cluster = ToyCluster(now=lambda: "now")
    namespace(cluster, "shop", team="trusted")
    tenants = Tenants(cluster, lambda _: None)
    await tenants.put("default", source(**ONLY_TRUSTED))
    cluster.unreadable = {"namespaces"}
    with pytest.raises(Unavailable):
        await tenants.put("default", source(**ONLY_TRUSTED, interval="1m"))
    assert tenants.refusal("default", "shop", queries=False) == ""
    assert tenants.refusal("default", "other", queries=False) != ""


async def test_the_policy_says_that_its_source_is_closed_and_never_that_it_is_stalled() -> None:
    court = Court({"Trouble"})
    namespace(court.cluster, "shop", team="strangers")
    with at_work(court):
        court.see("api")
        await court.settled()
        assert conditions(court.bodies()[0])["Ready"] == ("True", "Armed")
        await court.tenants.put("default", source(**ONLY_TRUSTED))
        await court.settled()
        said = conditions(court.bodies()[0])
        assert (said["Ready"], said["RuleFound"]) == (("False", "SourceRefused"), ("Unknown", "SourceRefused"))
        assert "Stalled" not in said
        writes = len(court.cluster.writes)
        court.judging.changed(court.catalogue.armed)
        assert await court.settled() == writes, "what is said already costs no write"
        await court.tenants.put("default", source())
        court.see("api", court.bodies()[0])
        await court.settled()
        assert conditions(court.bodies()[0])["Ready"] == ("True", "Armed")


async def test_a_policy_that_asks_refused_queries_says_which_field_is_to_be_removed() -> None:
    court = Court({"Trouble"})
    await court.tenants.put("default", source(tenantQueries="Refused"))
    with at_work(court):
        court.see("api", court.cluster.add("remediationpolicies", policy({"restart": {}, **QUERY})))
        await court.settled()
    (ready,) = (e for e in court.bodies()[0]["status"]["conditions"] if e["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "SourceRefused")
    assert "remove verify.queries" in ready["message"]
