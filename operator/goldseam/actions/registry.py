"""All actions that write, by name."""

from __future__ import annotations

from collections.abc import Mapping

from goldseam.actions import cordon, drain, restart, scale, uncordon
from goldseam.engine.proposal import Action

ACTIONS: Mapping[str, Action] = {
    "scale": scale.ACTION,
    "restart": restart.ACTION,
    "cordon": cordon.ACTION,
    "drain": drain.ACTION,
    "uncordon": uncordon.ACTION,
}
