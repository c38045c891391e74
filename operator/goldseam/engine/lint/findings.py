"""What a check finds, and what it is told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from goldseam.engine.alerts import AlertRule, Samples
from goldseam.engine.matching import PolicySpec

Severity = Literal["Error", "Warning", "Note"]
"""`Error`: as it is written, it cannot work. `Warning`: it may not do what was meant. `Note`: it cannot be told."""

INVALID = "InvalidSpec"
"""The object is not one that the API server, or the operator, would take."""
NOT_READ = "NotRead"
"""The text is not YAML, or not an object of Kubernetes."""
NOT_DEFINED = "AlertNotDefined"
"""No rule of the source has the alert's name."""
NEVER_MATCHES = "MatcherNeverMatches"
"""No alert of that name can satisfy one of the matchers."""
OTHER_NAMESPACE = "OtherNamespace"
"""No alert of that name can be one of the policy's own namespace."""
OTHER_CLUSTER = "OtherCluster"
"""No alert of that name can satisfy the matchers of the AlertSource."""
NO_TARGET = "TargetNeverNamed"
"""The alert carries no label that names the target."""
LOOKS_BACK = "LooksBackTooFar"
"""The rule or a query looks back further than the rung has time."""
NEVER_PASSES = "NeverPasses"
"""The rung's own times leave no room for it to pass."""
NOT_CORDONED = "NotCordoned"
"""A node would be rebooted that no rung before has cordoned or drained."""
BROKEN_QUERY = "QueryInvalid"
"""The server does not take a query of `verify` or of a threshold, or its result is not one that can be compared."""
NO_DATA = "QueryWithoutData"
"""A query of `verify` or of a threshold has no data now, or NaN."""
FAILED_QUERY = "QueryFailed"
"""The server does not answer a query of `verify` or of a threshold now."""
WARNED = "QueryWarns"
"""The server answers a query of `verify` or of a threshold with warnings."""
NO_VALUE = "VariableNeverFilled"
"""A variable in a query of `verify` never has a value: the query is never asked."""
UNTOLD = "CannotBeTold"
"""Whether the alert carries a label can be told neither by its rule nor by an alert that is active."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or cannot be told."""

    severity: Severity
    code: str
    """One of the constants of this module."""
    field: str
    """The place, such as `spec.ladder[1].timeout`."""
    message: str
    """What is wrong."""
    instead: str = ""
    """What to write instead."""


@dataclass(frozen=True)
class Policy:
    """The policy that is looked at."""

    spec: PolicySpec
    namespace: str | None
    """Its namespace; empty for a ClusterRemediationPolicy, None where the file does not say it."""


@dataclass(frozen=True)
class Asked:
    """What the server said to a query: samples, why it does not take it, or why it did not answer."""

    samples: Samples | None = None
    refusal: str = ""
    failure: str = ""
    partly: bool = False
    """Whether a variable had no value, and any text was put in: what was found says nothing."""


@dataclass(frozen=True)
class Known:
    """What is known of the policy's alert source."""

    source: str
    """What it is called in messages."""
    rules: tuple[AlertRule, ...]
    """The rules of the alert's name."""
    names: Collection[str] = ()
    """The names of all its rules, for finding what may have been meant."""
    matchers: tuple[str, ...] = ()
    """`spec.matchers` of the AlertSource."""
    answers: Mapping[str, Asked] = field(default_factory=dict)
    """By expression, for the queries that were asked."""
