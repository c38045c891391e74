"""Can the rungs for nodes do their work in the order in which they stand?"""

from __future__ import annotations

from collections.abc import Iterator

from goldseam.engine.lint import findings as f
from goldseam.engine.lint.findings import Finding, Known, Policy
from goldseam.engine.reboots import NOT_CORDONED, uncordoned


def emptied_before(policy: Policy, known: Known | None) -> Iterator[Finding]:
    """A reboot of a node that no rung has taken out of service: it is refused, unless people have cordoned it."""
    for place in uncordoned(policy.spec.ladder):
        fix = "put a rung with drain before it, or cordon such nodes by hand first"
        yield Finding("Warning", f.NOT_CORDONED, f"spec.ladder[{place}].reboot", NOT_CORDONED, fix)
