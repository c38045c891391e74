"""Guard: what `template` makes must be of a kind, and in a namespace, that the Guardrails list."""

from __future__ import annotations

from datetime import datetime

from goldseam.engine.guards.hold import Hold
from goldseam.engine.situation import Situation
from goldseam.engine.templates import why_not


def templates(s: Situation, now: datetime) -> Hold | None:
    """The Guardrails do not list the kind that a `template` makes, or not in that namespace."""
    if s.rung is None or s.rung.template is None:
        return None
    why = why_not(s.rung.template, s.guardrails, s.operator_namespace)
    return Hold("permission", "Refuse", "TemplateForbidden", why) if why else None
