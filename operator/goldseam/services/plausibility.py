"""The condition `Plausible` of policies: what `goldseam lint` finds, as far as the source's rules decide it.

Active alerts and queries come and go; they are left out, so that the condition does not flap.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import datetime

from goldseam.api import conditions as c
from goldseam.api.conditions import Condition, condition
from goldseam.engine.alerts import AlertRule
from goldseam.engine.lint import findings as f
from goldseam.engine.lint.findings import Finding, Known, Policy
from goldseam.engine.lint.order import lint
from goldseam.engine.matching import PolicyKey, PolicySpec
from goldseam.engine.naming import digest
from goldseam.services.sources import Source

LONGEST = 900
"""Characters of what is found; a condition's message has room for 1024."""
_BASIS = re.compile(r"\(rules ([0-9a-f]{8})\)$")


def basis_said(message: str) -> str:
    """On which definitions of the rules the condition was judged; empty where there were none."""
    found = _BASIS.search(message)
    return found[1] if found else ""


class Plausibility:
    """Holds policies against the rules of their sources."""

    def __init__(self, source: Callable[[str], Source | None]) -> None:
        self._source = source

    def definitions(self, source: str, alert: str) -> Hashable:
        """What decides about the condition, for seeing whether it has changed; None where it was not read yet."""
        found = self._source(source)
        if found is None or not found.history.knows(alert):
            return None
        return frozenset(map(_definition, found.rules_of(alert))), tuple(found.spec.matchers)

    def basis(self, source: str, alert: str) -> str | None:
        """The same in 8 hex digits, for the message; empty where there is no rule, None where it was not read yet."""
        found = self._source(source)
        if found is None or not found.history.knows(alert):
            return None
        rules = sorted({repr(_definition(rule)) for rule in found.rules_of(alert)})
        return digest(*rules, *found.spec.matchers, size=8) if rules else ""

    def condition(self, key: PolicyKey, spec: PolicySpec, rule: Condition, now: datetime) -> Condition:
        """Whether the policy can do what it says; `rule` is its condition `RuleFound`."""
        generation = rule.observed_generation
        source = self._source(spec.source_ref.name)
        if rule.status == "Unknown" or source is None:
            return condition(c.PLAUSIBLE, None, rule.reason, rule.message, generation, now)
        if rule.status == "False":
            return condition(c.PLAUSIBLE, False, f.NOT_DEFINED, rule.message, generation, now)
        rules = {_definition(one): replace(one, alerts=()) for one in source.rules_of(spec.alert.name)}
        known = Known(f"AlertSource {source.name}", tuple(rules.values()), matchers=tuple(source.spec.matchers))
        found = [one for one in lint(Policy(spec, key.namespace), known) if one.severity != "Note"]
        basis = f" (rules {self.basis(source.name, spec.alert.name)})"
        if not found:
            return condition(c.PLAUSIBLE, True, c.FITS, f"nothing speaks against it{basis}", generation, now)
        return condition(c.PLAUSIBLE, False, found[0].code, _words(found)[:LONGEST] + basis, generation, now)


def _definition(rule: AlertRule) -> tuple[Hashable, ...]:
    """The part of a rule that does not change by itself."""
    return rule.query, tuple(sorted(rule.labels.items())), rule.keep_firing, rule.interval


def _words(found: list[Finding]) -> str:
    return "; ".join(f"{one.field}: {one.message} ({one.instead})" for one in found)
