"""Runbook: contacts, levels and escalation thresholds, each with the line of the team's text that says so."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from goldseam.api.alertsource import Url
from goldseam.api.base import Duration, Matcher, Model, Rule, ShortName, Text, unique
from goldseam.api.secret_refs import SecretKeyRef
from goldseam.api.verifying import Bounded


class Webhook(Model):
    """A URL that gets a JSON message by POST, signed as the Standard Webhooks specification says."""

    url: Url
    """Where the message is sent. Redirects are not followed."""
    signing_secret_ref: SecretKeyRef | None = None
    """The key for the header `webhook-signature`. Without one the message is not signed."""


class Channel(Model):
    """One way to reach a contact."""

    webhook: Webhook
    """A signed JSON webhook."""


class Contact(Model):
    """One person or group. Whoever is told, a Kubernetes Event is always written besides."""

    name: ShortName
    """The contact's name."""
    person: Text = ""
    """Who that is, and how people reach them, such as `Platform team lead, +1 555 0100`; used in messages."""
    channels: Annotated[list[Channel], Field(max_length=8)] = []
    """How Goldseam reaches them."""


class Level(Model):
    """A step of the escalation, such as Primary, Secondary, Emergency."""

    name: ShortName
    """The level's name."""
    contact: ShortName
    """The contact who is told at this level."""


class System(Model):
    """A critical system: an open incident whose alert matches counts as this system being affected."""

    name: ShortName
    """The system's name."""
    matchers: Annotated[list[Matcher], Field(min_length=1, max_length=8)]
    """Label matchers for the incident's alert, such as `deployment="aurum-api"`; all must hold."""


class Source(Model):
    """Where in the team's runbook it is written."""

    file: Annotated[str, Field(min_length=1, max_length=253)]
    """The file's name."""
    line: Annotated[int, Field(ge=1, le=1_000_000, json_schema_extra={"format": "int32"})]
    """The line's number."""
    text: Annotated[str, Field(min_length=1, max_length=512)]
    """The line itself, as it stands there."""


class When(Model):
    """What crosses the threshold: exactly one of these."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.unresolvedFor) ? 1 : 0) + (has(self.openSystems) ? 1 : 0) + (has(self.query) ? 1 : 0)"
            " + (has(self.ladderExhausted) ? 1 : 0) == 1",
            "write exactly one of unresolvedFor, openSystems, query, ladderExhausted",
            lambda w: [w.unresolved_for, w.open_systems, w.query, w.ladder_exhausted].count(None) == 3,
        ),
    )

    unresolved_for: Duration | None = None
    """The alert has been active for this long, counted from its `activeAt`, without the time that it was paused."""
    open_systems: Annotated[int, Field(ge=1, le=64, json_schema_extra={"format": "int32"})] | None = None
    """So many of the `systems` have an open incident at once."""
    query: Bounded | None = None
    """What this PromQL query finds keeps its bounds, such as `above: "0.5"`. The policy's alert source is asked, at
    least once a minute while the incident's alert is not over. An answer that cannot be told crosses nothing, and
    stands once in the incident's timeline: put a threshold by time beside it."""
    ladder_exhausted: Literal[True] | None = None
    """The ladder is used up and the alert still fires."""


class Threshold(Model):
    """One condition, and the level that is told when it is met."""

    name: ShortName
    """The threshold's name."""
    state: Literal["Bound", "Unbound"] = "Bound"
    """`Bound` (default): `when` says what is checked. `Unbound`: the text gives nothing to check; it is shown to people
    and never crossed."""
    when: When | None = None
    """What crosses it; required where Bound."""
    level: ShortName
    """The level that is told."""
    acting: Literal["Continue", "Stop"] | None = None
    """Whether acting goes on after it. Default: Continue; Stop for ladderExhausted, and where dataLoss is true."""
    data_loss: bool = False
    """Whether it means that data is lost or corrupt: nothing destructive is run from then on, whatever `acting` says.
    Default: false."""
    source: Source | None = None
    """Where in the team's runbook it is written; the line is quoted in the message."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(self.state == 'Bound') == has(self.when)",
            "when: required for a Bound threshold, not allowed for an Unbound one",
            lambda t: (t.state == "Bound") == (t.when is not None),
        ),
    )

    @property
    def stops(self) -> bool:
        """Whether acting ends when it is crossed."""
        exhausted = self.when is not None and self.when.ladder_exhausted is not None
        return (self.acting or ("Stop" if exhausted or self.data_loss else "Continue")) == "Stop"


def _contacts_exist(spec: Any) -> bool:
    return {level.contact for level in spec.levels} <= {contact.name for contact in spec.contacts}


def _levels_exist(spec: Any) -> bool:
    return {threshold.level for threshold in spec.thresholds} <= {level.name for level in spec.levels}


_MAP = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


class RunbookSpec(Model):
    """The team's on-call runbook, as far as a machine can follow it."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.levels)"
            " || self.levels.all(l, has(self.contacts) && self.contacts.exists(c, c.name == l.contact))",
            "levels: a level names a contact that is not in contacts; add it there, or correct the name",
            _contacts_exist,
        ),
        Rule(
            "!has(self.thresholds)"
            " || self.thresholds.all(t, has(self.levels) && self.levels.exists(l, l.name == t.level))",
            "thresholds: a threshold names a level that is not in levels; add it there, or correct the name",
            _levels_exist,
        ),
        *(
            Rule(
                "",  # lists of type map
                f"{field}: duplicate: two entries have the same name; give each its own",
                lambda s, field=field: unique([entry.name for entry in getattr(s, field)]),  # type: ignore[misc]
            )
            for field in ("contacts", "systems", "thresholds")
        ),
        Rule(
            "!has(self.levels) || self.levels.all(a, self.levels.exists_one(b, a.name == b.name))",
            "levels: two entries have the same name; give each its own",
            lambda s: unique([level.name for level in s.levels]),
        ),
    )

    contacts: Annotated[list[Contact], Field(max_length=32, json_schema_extra=_MAP)] = []
    """Who can be told, and how."""
    levels: Annotated[list[Level], Field(max_length=8, json_schema_extra={"x-kubernetes-list-type": "atomic"})] = []
    """The levels of escalation, first one first."""
    systems: Annotated[list[System], Field(max_length=32, json_schema_extra=_MAP)] = []
    """The critical systems, for thresholds that count them."""
    thresholds: Annotated[list[Threshold], Field(max_length=32, json_schema_extra=_MAP)] = []
    """When to call people."""

    def level(self, name: str | None) -> Level | None:
        """The level of that name, or the first one."""
        if name is None:
            return self.levels[0] if self.levels else None
        return next((level for level in self.levels if level.name == name), None)

    def contact(self, name: str) -> Contact | None:
        """The contact of that name."""
        return next((contact for contact in self.contacts if contact.name == name), None)
