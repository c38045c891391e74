"""The checks, in the order in which people read what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from goldseam.engine.lint import alert, asked, nodes, times
from goldseam.engine.lint.findings import Finding, Known, Policy

Check = Callable[[Policy, Known], Iterator[Finding]]

OF_THE_SPEC: tuple[Callable[[Policy, Known | None], Iterator[Finding]], ...] = (
    times.passing,
    times.queries_look_back,
    nodes.emptied_before,
)
"""They need no source, and tell more with one."""
AGAINST_THE_SOURCE: tuple[Check, ...] = (
    alert.defined,
    alert.matched,
    alert.named,
    times.rule_looks_back,
    asked.with_values,
    asked.with_data,
    alert.told,
)
"""They compare the policy with what its alert source has."""


def lint(policy: Policy, known: Known | None = None) -> tuple[Finding, ...]:
    """All that is found: Errors first, then Warnings, then Notes. Without `known`, only what needs no source."""
    found = [finding for check in OF_THE_SPEC for finding in check(policy, known)]
    if known is not None:
        found = [finding for check in AGAINST_THE_SOURCE for finding in check(policy, known)] + found
    return tuple(sorted(found, key=lambda finding: ("Error", "Warning", "Note").index(finding.severity)))
