"""An older Kubernetes: the same kinds, admission policies and actions on a control plane that behaves as 1.33."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cluster.conftest import crds, installed, namespace, operator, operator_kubeconfig, source, trouble
from tests.cluster.test_older_crds import (
    older,
    test_an_intent_that_the_crd_cannot_hold_is_not_acted_on_until_the_crds_are_upgraded,
)
from tests.cluster.test_slice import (
    test_a_node_is_drained_under_its_budget_and_comes_back,
    test_an_hpa_is_helped_by_its_floor_and_a_restart_follows,
    test_scale_heals_by_a_query_and_is_undone,
)
from tests.support.plane import Plane, control_plane

__all__ = ["crds", "installed", "namespace", "older", "operator", "operator_kubeconfig"]
__all__ += ["source", "trouble"]
__all__ += [
    "test_a_node_is_drained_under_its_budget_and_comes_back",
    "test_an_hpa_is_helped_by_its_floor_and_a_restart_follows",
    "test_an_intent_that_the_crd_cannot_hold_is_not_acted_on_until_the_crds_are_upgraded",
    "test_scale_heals_by_a_query_and_is_undone",
]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """In place of the usual control plane: one that behaves as the older version."""
    with control_plane(tmp_path_factory.mktemp("plane-133"), 4, "--emulate", "1.33") as plane:
        yield plane


def test_the_control_plane_behaves_as_the_older_version(installed: Plane) -> None:
    version = json.loads(installed.must("get", "--raw", "/version"))
    assert (version["emulationMajor"], version["emulationMinor"]) == ("1", "33")
    assert "resource.k8s.io/v1" not in installed.must("api-versions").split(), "this came with 1.34"
