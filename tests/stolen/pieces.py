"""What is installed: the base and each piece of `deploy/kustomize`, with the rights that it grants and what it says."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.pieces import OPERATOR, bound

ROOT = Path(__file__).resolve().parents[2]
KUSTOMIZE = ROOT / "deploy" / "kustomize"
PIECES = sorted(path.parent.name for path in (KUSTOMIZE / "components").glob("*/rights.yaml"))
"""The components that grant rights."""
READING = {"get", "list", "watch"}
BY_HAND = "stolen"
"""The namespace in which pieces are bound that are bound to nobody."""

Json = dict[str, Any]
Grant = tuple[str, str, str, tuple[str, ...], str]
"""Verb, group, resource, names, and the namespace; empty for the whole cluster."""


def rendered(directory: Path) -> list[Json]:
    """What kustomize makes of a directory: all objects of its resources and components."""
    (made,) = documents(directory / "kustomization.yaml")
    objects: list[Json] = []
    for entry in [*made.get("resources", []), *made.get("components", [])]:
        path = (directory / entry).resolve()
        objects += rendered(path) if path.is_dir() else copy.deepcopy(documents(path))
    return objects


@cache
def documents(path: Path) -> list[Json]:
    """What a file has, read once: the table asks for each piece hundreds of times."""
    return [found for found in yaml.safe_load_all(path.read_text()) if found]


BASE = rendered(KUSTOMIZE / "base")


def files(piece: str) -> list[Path]:
    """The manifests of a component."""
    directory = KUSTOMIZE / "components" / piece
    (made,) = documents(directory / "kustomization.yaml")
    return [directory / name for name in made["resources"]]


def of_piece(piece: str) -> list[Json]:
    """The objects of a component, and the binding that people write for one that is bound to nobody."""
    return [*rendered(KUSTOMIZE / "components" / piece), *by_hand(piece)]


def by_hand(piece: str) -> list[Json]:
    """What people bind, in a namespace, of a component that leaves it to them."""
    objects = rendered(KUSTOMIZE / "components" / piece)
    if any(obj["kind"] in ("ClusterRoleBinding", "RoleBinding") for obj in objects):
        return []
    name = f"goldseam-{piece}"
    return [bound(BY_HAND, name, {"kind": "ClusterRole", "name": name}, [OPERATOR])]


def in_overlay() -> list[str]:
    """The pieces that `overlays/all` installs."""
    (overlay,) = documents(KUSTOMIZE / "overlays" / "all" / "kustomization.yaml")
    return sorted(Path(path).name for path in overlay["components"])


def granted(objects: list[Json], subject: dict[str, str]) -> set[Grant]:
    """What the bindings among the objects grant to a subject."""
    roles = {(role["kind"], role["metadata"]["name"]): role for role in objects if role["kind"].endswith("Role")}
    found: set[Grant] = set()
    for binding in (o for o in objects if o["kind"] in ("RoleBinding", "ClusterRoleBinding")):
        if any(subject.items() <= entry.items() for entry in binding["subjects"]):
            namespace = binding["metadata"].get("namespace", "")
            rules = roles[binding["roleRef"]["kind"], binding["roleRef"]["name"]]["rules"]
            found |= {grant for rule in rules for grant in grants(rule, namespace)}
    return found


def grants(rule: Json, namespace: str) -> Iterator[Grant]:
    """What one rule of a role grants."""
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                yield verb, group, resource, tuple(rule.get("resourceNames", ())), namespace


def said(objects: list[Json], what: str) -> list[str]:
    """What the objects say of themselves in an annotation: `lets-through`, `leaves`, `serves`, `off-by-default`."""
    annotations = [obj["metadata"].get("annotations", {}).get(f"goldseam.dev/{what}") for obj in objects]
    return [sentence for sentence in annotations if sentence]
