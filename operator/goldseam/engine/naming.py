"""Names that follow from what they stand for: incidents, steps, tokens."""

from __future__ import annotations

import hashlib
import re


def digest(*parts: str, size: int = 16) -> str:
    """`size` hex digits that follow from the parts, in order."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:size]


def incident_name(policy: str, policy_uid: str, target_uid: str, predecessor: str) -> str:
    """The incident's name: the policy's name and 16 hex digits. Two operators that open it collide, and one adopts."""
    readable = re.sub(r"[^a-z0-9-]", "-", policy.lower())[:40].strip("-")
    return f"{readable}-{digest(policy_uid, target_uid, predecessor)}"


def step_id(number: int, action: str) -> str:
    """The name of an incident's step."""
    return f"{number}-{action}"


def token(incident_uid: str, step: str) -> str:
    """What marks a step's effect on an object. No randomness: a restarted operator makes the same."""
    return digest("step", incident_uid, step)


def label(value: str) -> str:
    """A label value that stands for a text of any length."""
    return digest("label", value)
