"""Every error that Goldseam raises, as one tree.

::

    GoldseamError
    ├── Retryable            try again, after `delay` if it is given
    │   ├── Unavailable      no answer, or a 5xx: nothing is known about the effect
    │   ├── Throttled        429 without a disruption budget's cause
    │   └── Conflict         409: the object is not the one that was read
    └── Terminal             trying again with the same input changes nothing
        ├── NotFound         404
        ├── Forbidden        403: a right is missing, or admission refused
        ├── Invalid          400 or 422: the server refused the content
        │   └── Outdated     its CRDs are older than we are, and do not know a field
        ├── AlreadyExists    409 on create
        ├── Gone             410: the list or watch has expired
        └── Fenced           our own epoch rule refused the write: deposed

Foreign errors (HTTP, Kubernetes, Prometheus) are translated once, at the edge, in `goldseam.adapters`.
"""

from __future__ import annotations

from datetime import timedelta


class GoldseamError(Exception):
    """The root of the tree."""


class Retryable(GoldseamError):
    """The same call may succeed later."""

    def __init__(self, message: str, delay: timedelta | None = None) -> None:
        super().__init__(message)
        self.delay = delay


class Unavailable(Retryable):
    """No answer in time, no connection, or a server error. A write may or may not have taken effect."""


class Throttled(Retryable):
    """The server asked us to slow down (429); `delay` is its Retry-After."""


class BudgetExhausted(Retryable):
    """An eviction was refused with the cause DisruptionBudget: the PodDisruptionBudget allows none now."""


class NotItsTurn(Retryable):
    """An eviction was not asked for: the pod has become ready, and has to wait until others are."""


class Conflict(Retryable):
    """The object has another uid or resourceVersion than the one that was read: read again, decide again."""


class Terminal(GoldseamError):
    """Trying again with the same input changes nothing."""


class NotFound(Terminal):
    """The object does not exist."""


class Forbidden(Terminal):
    """RBAC or an admission policy refused."""


class Invalid(Terminal):
    """The server refused the content."""


class Outdated(Invalid):
    """The CRD does not know a field that we write: it is of an older version. Nothing is done without its record."""


class AlreadyExists(Terminal):
    """An object of that name is there already."""


class Gone(Terminal):
    """The list's continue token or the watch's resourceVersion has expired: list again."""


class Fenced(Terminal):
    """The epoch rule of the Incident refused the write: another leader has taken over. Stop."""
