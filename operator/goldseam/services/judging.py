"""Which policies have to be judged, and when: their conditions say already what most of them are, also after a restart.

Rights come and go without an event. Those that are missing are asked for again from time to time, by one policy of each
namespace and ladder: when it has them now, all of its kind are judged. So do the owners of targets: those are looked at
in turns.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import structlog

from goldseam.api import conditions as c
from goldseam.api.runbook import RunbookSpec
from goldseam.engine.matching import PolicyKey, PolicySpec
from goldseam.errors import GoldseamError
from goldseam.ports import LINE, Json, Line
from goldseam.services.catalogue import Armed, Catalogue
from goldseam.services.plausibility import basis_said
from goldseam.services.reach import NOBODY
from goldseam.services.statuses import Statuses

log = structlog.get_logger("goldseam.judging")

RETRY = 10.0
RECHECK = 60.0
AT_ONCE = 4
TURNS, OWNERS_AT_ONCE = 10, 30
"""In how many turns all targets are looked at for new owners, and how many of them in one turn at most."""
KEPT = 200
"""Bodies of policies that wait to be judged; any other is read again when its turn comes. A body takes 10 kB."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the conditions of a policy say, for the generation that it has."""

    stalled: bool
    permitted: str
    rule: str
    """The reason of RuleFound."""
    target: str
    """Why its alert opens nothing, where it says so."""
    basis: str
    """On which definitions of its alert's rules it was judged."""
    untold: bool | None
    """Whether Ready says that nobody can be told; None where it has something else to say."""


def said(body: Json) -> Said | None:
    """What the policy's conditions say; None where they are about another generation, or there are none."""
    status = body.get("status") or {}
    found = {entry.get("type"): entry for entry in status.get("conditions") or []}
    if c.READY not in found or status.get("observedGeneration") != body["metadata"].get("generation"):
        return None

    def of(kind: str, field: str = "status") -> str:
        return str(found.get(kind, {}).get(field, ""))

    basis = basis_said(of(c.PLAUSIBLE, "message"))
    target = of(c.TARGET_FOUND, "message")
    untold = NOBODY in of(c.READY, "message") if of(c.READY) == "True" else None
    return Said(of(c.STALLED) == "True", of(c.PERMITTED), of(c.RULE_FOUND, "reason"), target, basis, untold)


class Judging:
    """Judges policies, a few at a time, and no more of them than need it."""

    def __init__(self, statuses: Statuses, catalogue: Catalogue) -> None:
        self._statuses, self._catalogue = statuses, catalogue
        self._waiting: dict[PolicyKey, Json | None] = {}
        self._filled = asyncio.Event()
        self._said: dict[PolicyKey, Said] = {}
        self._lacking: dict[Hashable, dict[PolicyKey, None]] = defaultdict(dict)
        self._group: dict[PolicyKey, Hashable] = {}
        self._turn = -1

    def seen(self, key: PolicyKey, body: Json, spec: PolicySpec | None) -> None:
        """A policy was seen; `spec` is None where it is invalid."""
        known = said(body)
        self.forget(key)
        if known is not None:
            self._said[key] = known
        if known is not None and spec is not None and known.permitted != "True":
            self._group[key] = self._statuses.group(key, spec)
            self._lacking[self._group[key]][key] = None
        if known is None or (known.stalled if spec is not None else not known.stalled) or self._is_news(key, known):
            self._put(key, body)

    def forget(self, key: PolicyKey) -> None:
        """A policy is gone, or is about to be looked at anew."""
        self._said.pop(key, None)
        self._waiting.pop(key, None)
        group = self._group.pop(key, None)
        if group is not None:
            del self._lacking[group][key]
            if not self._lacking[group]:
                del self._lacking[group]

    def _is_news(self, key: PolicyKey, known: Said) -> bool:
        """Whether its conditions have to say something else by now. What is not known yet is no news."""
        armed = self._catalogue.armed.get(key)
        if armed is None:
            return False
        rule = self._statuses.rule(armed)
        changed = rule is not None and known.rule != rule
        if rule == c.RULE_PRESENT:
            changed |= known.basis != self._statuses.plausibility.basis(armed.source, armed.alert)
        changed |= self._reach_is_news(armed, known, self._catalogue.runbook(armed.runbook))
        return changed or known.target != self._statuses.problems.get(key, "")

    def _reach_is_news(self, armed: Armed, known: Said, runbook: RunbookSpec | None) -> bool:
        untold = self._statuses.untold(armed, runbook)
        return None not in (untold, known.untold) and untold != known.untold

    def runbook_changed(self, name: str, runbook: RunbookSpec | None) -> None:
        """Who can be told stands on the policies. One that is gone, or invalid, names nobody."""
        for key, armed in self._catalogue.armed.items():
            known = self._said.get(key)
            if armed.runbook == name and known and self._reach_is_news(armed, known, runbook or RunbookSpec()):
                self._put(key, None)

    def changed(self, keys: Iterable[PolicyKey]) -> None:
        """Something that these policies' conditions speak of may have changed."""
        for key in keys:
            known = self._said.get(key)
            if known is None or self._is_news(key, known):
                self._put(key, None)

    def limits_changed(self) -> None:
        """What the Guardrails allow on nodes, and which kinds may be made, stands on the policies that want it."""
        for key, armed in self._catalogue.armed.items():
            if armed.makes or (armed.contestable and armed.target_kind == "Node"):
                self._put(key, None)

    def _put(self, key: PolicyKey, body: Json | None) -> None:
        self._waiting[key] = body if len(self._waiting) < KEPT else None
        self._filled.set()

    async def run(self) -> None:
        """Judge what waits, for ever."""
        LINE.set(Line.TELLING)
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            await self._filled.wait()
            if not self._waiting:
                self._filled.clear()
                continue
            key = next(iter(self._waiting))
            await self._judge(key, self._waiting.pop(key))

    async def _judge(self, key: PolicyKey, body: Json | None) -> None:
        try:
            body = body or await self._statuses.read(key.kind, key.namespace, key.name)
            if body is not None:
                await self._statuses.policy(key.kind, body)
        except GoldseamError as error:
            log.warning("not_judged", policy=str(key), problem=str(error))
            asyncio.get_running_loop().call_later(RETRY, self._put, key, None)
        except Exception:
            log.exception("not_judged", policy=str(key))

    async def keep_checking(self) -> None:
        """Ask for missing rights again, for ever."""
        LINE.set(Line.TELLING)
        while True:
            await asyncio.sleep(RECHECK)
            for keys in list(self._lacking.values()):
                await self._recheck(keys)
            self.recheck_owners()

    def recheck_owners(self) -> None:
        """Judge some of the policies anew whose target others may have taken over: each once in ten minutes, but not
        more than a few a minute."""
        keys = sorted((key for key, armed in self._catalogue.armed.items() if armed.contestable), key=str)
        for _ in range(min(math.ceil(len(keys) / TURNS), OWNERS_AT_ONCE)):
            self._turn = (self._turn + 1) % len(keys)
            self._put(keys[self._turn], None)

    async def _recheck(self, keys: dict[PolicyKey, None]) -> None:
        """One of them, another each time; when it is permitted by now, then its kind."""
        key = next(iter(keys))
        del keys[key]
        keys[key] = None
        body = await self._statuses.refreshed(key.kind, key.namespace, key.name)
        if body is not None and await self._statuses.permitted(key, body):
            for each in list(keys):
                self._put(each, None)
