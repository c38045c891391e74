"""How a step, an obligation and an alert stand, in one word each."""

from __future__ import annotations

from typing import Literal

StepPhase = Literal["Intended", "Acted", "Done"]
Outcome = Literal[
    "Passed",
    "Failed",
    "Inconclusive",
    "Refused",
    "NothingToDo",
    "NotTaken",
    "Superseded",
    "Observed",
    "Undone",
    "Collected",
    "Told",
    "WentOn",
    "Denied",
    "Unanswered",
]
ObligationKind = Literal[
    "ScaleBack", "FloorBack", "CeilingBack", "ConfigBack", "ResourcesBack", "Uncordon", "Untaint", "Remove"
]
VerdictState = Literal["Firing", "Pending", "Cleared", "Unknown"]
