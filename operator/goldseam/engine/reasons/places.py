"""Which guard says which reasons, and what a guard stands for."""

from __future__ import annotations

from goldseam.engine.guards.hold import Guard
from goldseam.engine.reasons.refusals import REFUSALS

SAYS: dict[str, tuple[str, ...]] = {
    "paused": ("paused/Paused", "paused/Suspended", "paused/Ignored"),
    "unread": ("unread/NotRead",),
    "invalid": ("policy/PolicyInvalid",),
    "lowered": ("mode/ModeLowered",),
    "source": (
        *("source/AlertPending", "source/AlertFiring", "source/AlertCleared", "source/AlertUnknown"),
        *("source/InputsGone", "source/NotEvaluatedSince"),
    ),
    "silenced": ("silenced/Silenced", "silenced/SilenceUnknown"),
    "window": ("window/OutsideWindow",),
    "freeze": ("window/Frozen",),
    "protection": ("permission/ProtectedNamespace",),
    "narrowed": tuple(
        f"policy/{name}"
        for name in ("TargetChanged", "OtherNamespace", "NamespaceNotSelected", "NodeNotSelected", "RungRemoved")
    ),
    "ceiling": ("permission/ActionForbidden",),
    "templates": ("permission/TemplateForbidden",),
    "forcing": ("permission/ForceForbidden",),
    "switched_off": ("permission/OutOfServiceForbidden",),
    "changed": ("history/ChangedLately", "history/ChangesUnknown"),
    "failed": ("history/FailedLately",),
    "busy": (
        "busy/OtherIncident",
        "busy/OtherPolicy",
        "busy/RolloutInProgress",
        "busy/NotAllThere",
        "busy/NeverAllThere",
    ),
    "cooldown": ("cooldown/Cooldown",),
    "turn": ("nodes/NodesInTurn",),
    "budget": ("budget/PolicyBudget", "budget/NamespaceBudget", "budget/ClusterBudget", "budget/LedgerIncomplete"),
    "concurrent": ("budget/Concurrent",),
    "node_caps": ("nodes/NodesAtOnce", "nodes/NodesPerZone"),
    "leased": ("leased/NodeLeaseHeld", "leased/NodeLeaseClosed"),
    "breaker": ("breaker/BreakerTripped", "breaker/BreakerUnknown"),
    "storm": ("storm/AlertStorm",),
    "owner": ("owner/HeldInGit", "owner/HeldDown", *(f"owner/{entry.name}" for entry in REFUSALS)),
    "headroom": ("headroom/TooFewLeft",),
    "disruption": ("headroom/BreaksDisruptionBudget", "headroom/DisruptionUnknown"),
    "collateral": ("collateral/WorkloadPaused", "collateral/WorkloadBusy", "collateral/WorkloadCooldown"),
    "permission": ("permission/IncidentsUnprotected", "permission/PermissionUnknown", "permission/PermissionMissing"),
    "approval": tuple(
        f"approval/{name}" for name in ("ResponsesUnprotected", "ApprovalNeeded", "Denied", "Unanswered")
    ),
    "destructive": tuple(f"destructive/{name}" for name in ("DataLoss", "DataLossUnknown", "Unconfirmed")),
    "everything_paused": ("paused/EverythingPaused",),
    "judged": ("source/Inconclusive", "busy/StillRunning"),
}
"""By the guard's name: what it may write to `status.holds`, as guard/reason. `judged` is no guard: it is verification,
where it cannot be told whether a step helped, or what it has started has not ended."""

GUARD_OF = {tuple(one.split("/")): guard for guard, said in SAYS.items() for one in said}


def title(guard: Guard) -> str:
    """A guard's name for people: `switched-off`."""
    return guard.__name__.replace("_", "-")


def sentence(guard: Guard) -> str:
    """What a guard stands for: its docstring's first sentence, without the full stop."""
    first = " ".join((guard.__doc__ or "").split("\n\n")[0].split())
    return first.partition(". ")[0].rstrip(".")
