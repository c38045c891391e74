"""A cluster without the admission policy that protects Incidents, for a while."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import yaml

from tests.support.plane import Plane, eventually

BINDING = "validatingadmissionpolicybinding/goldseam-incidents"


@contextmanager
def without_protection(plane: Plane) -> Iterator[None]:
    """Nothing keeps others from writing Incidents; afterwards it is in force again."""
    kept = yaml.safe_load(plane.must("get", BINDING, "-o", "yaml"))
    kept["metadata"] = {"name": kept["metadata"]["name"], "labels": kept["metadata"]["labels"]}
    plane.must("delete", BINDING)
    try:
        yield
    finally:
        plane.must("apply", "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(kept))
        eventually(lambda: _refuses(plane), "the admission policy to be in force again")


def _refuses(plane: Plane) -> bool:
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default", "name": "x", "uid": "x"}
    probe = {
        "apiVersion": "goldseam.dev/v1alpha1",
        "kind": "Incident",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {
            "policyRef": {"kind": "RemediationPolicy", "namespace": "default", "name": "heal", "uid": "x"},
            "target": ref,
            "alert": {"name": "Trouble", "activeAt": "2026-01-01T00:00:00Z"},
        },
    }
    done = plane.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(probe))
    return "goldseam-incidents" in done.stderr
