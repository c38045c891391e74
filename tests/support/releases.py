"""What each release left in clusters: its CRDs, the examples that people copied, and Incidents as it wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.support.plane import ROOT

Json = dict[str, Any]

RELEASES = sorted((ROOT / "tests" / "data" / "releases").iterdir())
"""A later release adds its folder; nothing in the older ones is changed."""


def crds(folder: Path) -> list[Json]:
    """The CRDs in a folder, without the kustomization."""
    found = [yaml.safe_load(file.read_text()) for file in sorted(folder.glob("*.yaml"))]
    return [obj for obj in found if obj["kind"] == "CustomResourceDefinition"]


def examples(release: Path) -> list[Json]:
    """The objects of a release's examples."""
    files = sorted((release / "examples").glob("*.yaml"))
    return [obj for file in files for obj in yaml.safe_load_all(file.read_text()) if obj]


def incidents() -> list[Path]:
    """Every stored Incident of every release."""
    return [file for release in RELEASES for file in sorted((release / "incidents").glob("*.json"))]


def incident(file: Path) -> Json:
    """One stored Incident, as the API server returned it."""
    found: Json = json.loads(file.read_text())
    return found


def title(file: Path) -> str:
    """The release and the name of a stored Incident."""
    return f"{file.parent.parent.name}-{file.stem}"
