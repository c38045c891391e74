"""The Git revision that came before an alert: from the GitOps object that delivers the target, if that says so too."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam.engine.changes import changes, in_words
from goldseam.engine.delivery import delivered, delivers
from tests.support.objects import workload
from tests.unit.test_changes import ACTIVE, at

BY_FLUX = {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "apps"}
OURS = {"id": "shop_api_apps_Deployment", "v": "v1"}


def tracked(application: str) -> Any:
    mark = f"{application}:apps/Deployment:shop/api"
    return workload(metadata={"annotations": {"argocd.argoproj.io/tracking-id": mark}})


def kustomization(*history: tuple[str, str], entries: Any = (OURS,)) -> Any:
    """A Flux Kustomization; of each revision when it came, the newest first."""
    kept = [{"firstReconciled": at(clock), "metadata": {"revision": revision}} for clock, revision in history]
    status = {"inventory": {"entries": list(entries)}, "history": kept}
    return {"metadata": {"namespace": "apps", "name": "shop"}, "status": status}


def application(*history: Any, name: str = "api") -> Any:
    """An Argo CD Application; its history has the newest last."""
    resources = [{"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "shop", "name": name}]
    return {
        "metadata": {"namespace": "argocd", "name": "shop"},
        "status": {"resources": resources, "history": [*history]},
    }


def synced(clock: str, **more: Any) -> Any:
    return {"deployedAt": at(clock), **more}


def said(target: Any, git: Any) -> str:
    return in_words(changes(target, [], ACTIVE, git), ACTIVE)


@pytest.mark.parametrize(
    ("target", "named"),
    [
        (workload(), None),
        (workload(metadata={"labels": BY_FLUX}), ("Kustomization", "apps", "shop")),
        (workload(metadata={"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}), None),
        (tracked("shop"), ("Application", "argocd", "shop")),
        (tracked("team-a_shop"), ("Application", "team-a", "shop")),
        (tracked(""), None),
    ],
)
def test_a_workload_says_what_delivers_it(target: Any, named: Any) -> None:
    assert delivers(target) == named


def test_the_revision_that_flux_delivered_is_named_with_the_one_before() -> None:
    git = kustomization(("11:56", "main@sha1:bbb"), ("09:00", "main@sha1:aaa"))
    words = "4 min before the alert: Git revision: main@sha1:aaa → main@sha1:bbb, by Flux Kustomization apps/shop"
    assert said(workload(), git) == words


def test_a_revision_that_failed_at_first_counts_from_then() -> None:
    git = kustomization(("11:58", "main@sha1:bbb"), ("11:50", "main@sha1:bbb"), ("09:00", "main@sha1:aaa"))
    assert [one.at.minute for one in delivered(workload(), git)] == [50, 0]


def test_the_revision_that_argo_cd_delivered_is_named_with_who_asked_for_it() -> None:
    by_jane = synced("11:57", revision="bbb", initiatedBy={"username": "jane"})
    git = application(synced("09:00", revision="aaa", initiatedBy={"automated": True}), by_jane)
    words = "3 min before the alert: Git revision: aaa → bbb, by Argo CD Application shop (jane)"
    assert said(workload(), git) == words


def test_of_an_application_with_several_sources_all_revisions_are_named() -> None:
    git = application(synced("11:57", revisions=["aaa", "v1.2.0"]))
    assert said(workload(), git) == "3 min before the alert: Git revision: ? → aaa, v1.2.0, by Argo CD Application shop"


@pytest.mark.parametrize(
    "git",
    [
        None,
        {},
        {"metadata": {}, "status": {}},
        kustomization(("11:56", "main@sha1:bbb"), entries=()),
        kustomization(("11:56", "main@sha1:bbb"), entries=({"id": "shop_web_apps_Deployment"},)),
        application(synced("11:57", revision="bbb"), name="web"),
        kustomization(("10:56", "main@sha1:bbb")),
        kustomization(),
        application(),
    ],
)
def test_one_that_does_not_list_the_workload_or_came_long_before_says_nothing(git: Any) -> None:
    assert said(workload(), git) == ""
