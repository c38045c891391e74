"""Pieces of rights that are bound by hand, in a namespace, to the operator and to an account."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.plane import Plane

Json = dict[str, Any]
COMPONENTS = Path(__file__).resolve().parents[2] / "deploy" / "kustomize" / "components"
ACCOUNT = "remediator"
OPERATOR: Json = {"kind": "ServiceAccount", "name": "goldseam", "namespace": "goldseam-system"}
RBAC = "rbac.authorization.k8s.io"


@contextmanager
def piece(plane: Plane, name: str) -> Iterator[None]:
    """The piece's ClusterRole and its admission policy, where it has one, as long as the context lasts."""
    parts = [COMPONENTS / name / f"{part}.yaml" for part in ("rights", "limits")]
    files = [flag for part in parts if part.exists() for flag in ("-f", str(part))]
    plane.must("apply", "--server-side", *files)
    try:
        yield
    finally:
        plane.must("delete", "--ignore-not-found", *files)


def account(namespace: str, *pieces: str, operator: tuple[str, ...] = (), name: str = ACCOUNT) -> list[Json]:
    """A ServiceAccount that has these pieces in the namespace; the operator gets those of `operator` there."""
    meta = {"name": name, "namespace": namespace}
    own = {"kind": "ServiceAccount", **meta}
    found: list[Json] = [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}]
    for one in pieces:
        subjects = [own, *([OPERATOR] if one in operator else [])]
        found.append(bound(namespace, f"{name}-{one}", {"kind": "ClusterRole", "name": f"goldseam-{one}"}, subjects))
    return found


def bound(namespace: str, name: str, role: Json, subjects: list[Json]) -> Json:
    """A RoleBinding."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": RBAC, **role},
        "subjects": subjects,
    }
