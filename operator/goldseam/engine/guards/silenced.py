"""Guard: people have silenced the alert, or another alert inhibits it."""

from __future__ import annotations

from datetime import datetime

from goldseam.engine.guards.hold import Hold
from goldseam.engine.situation import Situation


def silenced(s: Situation, now: datetime) -> Hold | None:
    """Alertmanager silences or inhibits the alert, other than by our own page gate; or it cannot be asked."""
    if s.silence.state == "Silenced":
        return Hold("silenced", "Wait", "Silenced", s.silence.message, s.silence.until)
    if s.silence.state == "Unknown":
        return Hold("silenced", "Wait", "SilenceUnknown", s.silence.message)
    return None
