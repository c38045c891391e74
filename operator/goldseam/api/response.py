"""Response: one person's word on one incident. Immutable, so that what was said cannot be changed afterwards."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from goldseam.api.base import Model, Name, Rule, Text

Decision = Literal["Approve", "Deny", "Acknowledge", "Undo"]


class IncidentRef(Model):
    """The incident that is meant."""

    name: Name
    """The Incident's name, in the Response's own namespace."""
    uid: Annotated[str, Field(min_length=1, max_length=64)]
    """The Incident's uid: an answer to another incident of the same name does not count."""


class ResponseSpec(Model):
    """What is said, on what, and by whom. `goldseam approve`, `deny`, `ack` and `undo` write it."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule("self == oldSelf", "a Response never changes: create another one", lambda _: True),
        Rule(
            "(self.decision in ['Approve', 'Deny']) == has(self.step)",
            "step: Approve and Deny name a step of the Incident's status.approvals; Acknowledge and Undo name none",
            lambda s: (s.decision in ("Approve", "Deny")) == (s.step is not None),
        ),
        Rule(
            "has(self.step) == has(self.planHash)",
            "planHash: goes with step: copy both from the Incident's status.approvals",
            lambda s: (s.step is None) == (s.plan_hash is None),
        ),
    )

    incident_ref: IncidentRef
    """The incident that is meant."""
    decision: Decision
    """`Approve` or `Deny` the step that the incident asks for; `Acknowledge`: people have seen it; `Undo`: people take
    over, nothing more is tried, and what Goldseam changed is put back as soon as the alert is gone."""
    step: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """The step that is meant, as the Incident's `status.approvals` has it."""
    plan_hash: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """What was seen when it was decided, as the Incident's `status.approvals` has it."""
    reason: Text = ""
    """Why; shown on the incident."""
    by: Annotated[str, Field(min_length=1, max_length=253)]
    """Who says so: the user that the API server sees (`kubectl auth whoami`)."""
