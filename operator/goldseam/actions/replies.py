"""What all actions answer with: bounded, so that it fits an Incident whatever the objects are called."""

from __future__ import annotations

from goldseam.api.incident import Obligation
from goldseam.engine.proposal import Effect, NothingToDo, Refusal
from goldseam.engine.record import cut

GONE = Refusal("TargetGone", "the target is gone")


def refusal(reason: str, message: str) -> Refusal:
    """The action cannot be done on this target."""
    return Refusal(reason, cut(message))


def nothing(message: str, debts: tuple[Obligation, ...] = ()) -> NothingToDo:
    """The target is already as the action would make it."""
    return NothingToDo(cut(message), obligations=debts)


def effect(done: bool, message: str, trouble: str = "") -> Effect:
    """Whether the action has run its course, how far it is, and what keeps it."""
    return Effect(done, cut(message + trouble), trouble=bool(trouble))


def pods(count: int) -> str:
    """So many pods, for people."""
    return "1 pod" if count == 1 else f"{count} pods"


def bounded(names: list[str]) -> str:
    """The first few names, each cut, and how many more there are."""
    return listed([cut(name, 100) for name in names])


def listed(names: list[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
