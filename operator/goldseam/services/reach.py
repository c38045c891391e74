"""Whether there is a way to people, said on a policy before there is any incident."""

from __future__ import annotations

from goldseam.api.problems import InvalidSpec, read_spec
from goldseam.api.runbook import RunbookSpec
from goldseam.engine.matching import PolicySpec
from goldseam.ports import Cluster, Json
from goldseam.resources import OURS
from goldseam.services.reads import Reads
from goldseam.services.sources import Source

NOBODY = "nobody can be told of its incidents"
DEFAULT = "default"
"""The Runbook of a policy that names none."""


def runbook_of(spec: PolicySpec) -> str:
    """The name of the policy's Runbook."""
    return spec.runbook_ref.name if spec.runbook_ref else DEFAULT


def names_nobody(runbook: RunbookSpec) -> bool:
    """Whether none of its contacts has a channel."""
    return not any(contact.channels for contact in runbook.contacts)


async def no_way(cluster: Cluster, spec: PolicySpec, source: Source | None) -> str:
    """Why nobody can be told of the policy's incidents; empty where somebody can, or where that is not known.

    The Runbook is read: one that no watch has brought yet is not one that is missing.
    """
    if spec.mode == "Observe" or source is None or source.alertmanagers is not None:
        return ""
    name, reads = runbook_of(spec), Reads(cluster)
    why = _why(name, await reads.one(OURS["Runbook"], "", name))
    if reads.unknown or not why:
        return ""
    return f"{NOBODY}: {why}, and AlertSource {spec.source_ref.name} names no Alertmanager"


def _why(name: str, obj: Json | None) -> str:
    if obj is None:
        return f"there is no Runbook {name}"
    try:
        runbook = read_spec("Runbook", obj)
    except InvalidSpec:
        return f"Runbook {name} is invalid"
    assert isinstance(runbook, RunbookSpec)
    return f"no contact of Runbook {name} has a channel" if names_nobody(runbook) else ""
