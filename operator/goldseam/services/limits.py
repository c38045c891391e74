"""The limits in force: the Guardrails' spec, or the last valid one while it cannot be understood."""

from __future__ import annotations

from pydantic import ValidationError

from goldseam.api.guardrails import GuardrailsSpec
from goldseam.api.problems import InvalidSpec, read_spec
from goldseam.api.status import GuardrailsStatus
from goldseam.ports import Json

UNKNOWN = "guardrails/cluster (its spec is invalid, and no valid one is known: see its condition Stalled)"


def in_force(obj: Json | None) -> tuple[GuardrailsSpec, str]:
    """The limits of a Guardrails object (None: there is none, so the defaults), and why they are not known.

    While the spec is invalid, `status.effective` holds; without that nothing is known.
    """
    if obj is None:
        return GuardrailsSpec(), ""
    try:
        spec = read_spec("Guardrails", obj)
        assert isinstance(spec, GuardrailsSpec)
    except InvalidSpec:
        return _last_valid(obj)
    return spec, ""


def _last_valid(obj: Json) -> tuple[GuardrailsSpec, str]:
    effective = (obj.get("status") or {}).get("effective")
    try:
        return (GuardrailsSpec.model_validate(effective), "") if effective else (GuardrailsSpec(), UNKNOWN)
    except ValidationError:
        return GuardrailsSpec(), UNKNOWN


def status(obj: Json | None) -> GuardrailsStatus:
    """The Guardrails' status; an unreadable one is empty."""
    try:
        return GuardrailsStatus.model_validate((obj or {}).get("status") or {})
    except ValidationError:
        return GuardrailsStatus()
