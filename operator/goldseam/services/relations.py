"""What belongs to an incident: its alert source, what that shows of its alert, its runbook, and the other incidents."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import ValidationError

from goldseam.api.runbook import RunbookSpec, When
from goldseam.engine.matching import PolicySpec, asks_queries
from goldseam.engine.silences import Labels
from goldseam.engine.situation import Other, Situation
from goldseam.engine.verdict import Reading
from goldseam.engine.views import IncidentView
from goldseam.ports import Metrics
from goldseam.services.book import IncidentBook
from goldseam.services.catalogue import Catalogue
from goldseam.services.inputs import Inputs
from goldseam.services.sources import Source, Sources
from goldseam.services.targets import Targets
from goldseam.services.tenants import Tenants


@dataclass(frozen=True)
class Relations:
    """Looks it up; nothing is kept here."""

    sources: Sources
    tenants: Tenants
    inputs: Inputs
    targets: Targets
    catalogue: Catalogue
    book: IncidentBook

    def source(self, spec: PolicySpec, namespace: str) -> Source | str:
        """The source that a policy of that namespace uses, or why there is none for it."""
        name = spec.source_ref.name
        refusal = self.tenants.refusal(name, namespace, queries=asks_queries(spec))
        return refusal or self.sources.get(name) or f"AlertSource {name} does not exist or is invalid"

    def promql(self, s: Situation) -> Metrics | str:
        """The alert source that a situation's queries are for, or why there is none."""
        source = self.source(s.pinned, s.spec.policy_ref.namespace)
        return source if isinstance(source, str) else source.promql

    def source_of(self, incident: IncidentView) -> Source | None:
        """The source of an incident; none where its policy may use none, or its snapshot is not one that we wrote."""
        if incident.status is None or incident.status.policy_snapshot is None:
            return None
        try:
            found = self.source(incident.pinned, incident.spec.policy_ref.namespace)
        except ValidationError:
            return None
        return None if isinstance(found, str) else found

    def alerts(self, incident: IncidentView) -> list[Labels]:
        """The labels of the incident's alerts."""
        source = self.source_of(incident)
        return self.targets.alerts_of(incident, source) if source is not None else []

    def reading(self, incident: IncidentView, spec: PolicySpec) -> Reading:
        """What the source shows of the incident's alert."""
        source = self.source(spec, incident.spec.policy_ref.namespace)
        if isinstance(source, str):
            return Reading("Unknown", False, source)
        return source.reading(
            spec.alert.name,
            lambda alert: self.targets.concerned(spec, source.spec.matchers, incident, alert),
            incident.spec.target.namespace or None,
            likely=incident.spec.alert.labels,
        )

    async def judged(self, incident: IncidentView, spec: PolicySpec) -> Reading:
        """The same, once it is known what its alerts are about, and as far as its inputs let it be believed."""
        reading = self.reading(incident, spec)
        if reading.unclear:
            source = self.source(spec, incident.spec.policy_ref.namespace)
            if isinstance(source, Source) and await self.targets.looked_up(spec, incident, source):
                reading = self.reading(incident, spec)
        return await self.inputs.judged(incident, spec, reading)

    def as_last_judged(self, incident: IncidentView) -> Reading:
        """The same, with what its inputs were last found to be; nothing is asked."""
        return self.inputs.as_last_judged(incident, self.reading(incident, incident.pinned))

    def runbook(self, incident: IncidentView) -> RunbookSpec | None:
        """The incident's runbook as it is now; None where there is none."""
        if incident.status is None:
            return None
        ref = incident.pinned.runbook_ref
        return self.catalogue.runbook(ref.name if ref else None)

    def asks(self, incident: IncidentView) -> bool:
        """Whether a threshold of its runbook asks a query."""
        return any(when.query for when in self._conditions(incident))

    def counts(self, incident: IncidentView) -> bool:
        """Whether a threshold of its runbook counts how many systems are affected."""
        return any(when.open_systems for when in self._conditions(incident))

    def _conditions(self, incident: IncidentView) -> list[When]:
        runbook = self.runbook(incident)
        return [t.when for t in runbook.thresholds if t.when is not None] if runbook else []

    def others(self, incident: IncidentView) -> tuple[Other, ...]:
        """All other open incidents, and of those about its target the age of their policies."""
        armed = self.catalogue.armed
        others = self.book.others(incident)
        uid = incident.spec.target.uid
        return tuple(
            replace(o, policy_created=armed[o.policy].created) if o.target_uid == uid and o.policy in armed else o
            for o in others
        )
