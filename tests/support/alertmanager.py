"""An Alertmanager in memory, with the rules of the real one for silences, on the tests' clock."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from goldseam.errors import Invalid, Unavailable
from goldseam.ports import Call, Clock, KnownAlert, KnownSilence, Matcher

SECOND = timedelta(seconds=1)


@dataclass
class FakeAlertmanager:
    """The port `Alertmanager`. Those that share `members` share `kept`, as gossip would have it."""

    clock: Clock
    url: str = "http://am"
    known: list[KnownAlert] = field(default_factory=list)
    kept: dict[str, KnownSilence] = field(default_factory=dict)
    members: frozenset[str] = frozenset()
    down: str = ""
    """Why it does not answer."""
    refuses: str = ""
    """Why it takes no silence, and no alert."""
    hangs: bool = False
    asked: list[str] = field(default_factory=list)
    posted: list[tuple[Mapping[str, str], timedelta]] = field(default_factory=list)

    async def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.hangs:
            await asyncio.Event().wait()
        if self.down:
            raise Unavailable(self.down)

    async def peers(self) -> frozenset[str]:
        await self._ask("peers")
        return self.members

    async def alerts(self, labels: Mapping[str, str]) -> tuple[KnownAlert, ...]:
        await self._ask("alerts")
        found = [alert for alert in self.known if labels.items() <= alert.labels.items()]
        return tuple(replace(a, silenced_by=(*a.silenced_by, *self._silencing(a.labels))) for a in found)

    def _silencing(self, labels: Mapping[str, str]) -> list[str]:
        return [s.id for s in self.kept.values() if self._now(s).active and silences(s, labels)]

    def _now(self, silence: KnownSilence) -> KnownSilence:
        left = silence.ends_at - self.clock.now()
        return replace(silence, active=silence.active and left > timedelta(0), left=left)

    async def silences(self, labels: Mapping[str, str]) -> tuple[KnownSilence, ...]:
        await self._ask("silences")
        wanted = {Matcher(name, value) for name, value in labels.items()}
        return tuple(self._now(s) for s in self.kept.values() if wanted <= set(s.matchers))

    async def silence(self, identifier: str) -> KnownSilence | None:
        await self._ask("silence")
        found = self.kept.get(identifier)
        return self._now(found) if found else None

    async def keep(
        self, matchers: Sequence[Matcher], created_by: str, comment: str, lasts: timedelta, old: KnownSilence | None
    ) -> str:
        await self._ask("renew" if old else "create")
        if self.refuses:
            raise Unavailable(self.refuses)
        identifier = old.id if old else f"silence-{len(self.kept) + 1}"
        if old is not None and (not self._now(self.kept[old.id]).active or old.matchers != tuple(matchers)):
            raise Invalid("the real one would make another")
        starts, ends = old.starts_at if old else str(self.clock.now()), self.clock.now() + lasts
        made = KnownSilence(identifier, tuple(matchers), starts, ends, created_by, comment, True, lasts)
        self.kept[identifier] = made
        return identifier

    async def end(self, identifier: str) -> None:
        await self._ask("end")
        self.kept[identifier] = replace(self.kept[identifier], active=False)

    async def post(self, calls: Sequence[Call], lasts: timedelta) -> None:
        await self._ask("post")
        if self.refuses:
            raise Invalid(self.refuses)
        self.posted += [(call.labels, lasts) for call in calls]

    @property
    def holding(self) -> list[KnownSilence]:
        """The silences that hold now."""
        return [found for silence in self.kept.values() if (found := self._now(silence)).active]


def silences(silence: KnownSilence, labels: Mapping[str, str]) -> bool:
    """Whether a silence whose matchers are all of equality matches an alert."""
    return all(labels.get(m.name, "") == m.value for m in silence.matchers)
