"""What is told of a node that a drain has left cordoned."""

from __future__ import annotations

from typing import Any

import pytest

from goldseam.api.incident import ObjectRef
from goldseam.engine import cordons
from tests.unit.test_guards import situation
from tests.unit.test_obligations import debt

NODE = ObjectRef(api_version="v1", kind="Node", name="n1", uid="u")
CORDONED = {"metadata": {"name": "n1"}, "spec": {"unschedulable": True}}
SAID = cordons.left_with(NODE, "2 of 3 pods are still on Node n1")


def left(target: Any = None, **owed: Any) -> str:
    owed = {"kind": "Uncordon", "state": "Void", "message": SAID} | owed
    return cordons.left(situation().status.model_copy(update={"obligations": [debt(**owed)]}), target)


@pytest.mark.parametrize("target", [None, CORDONED], ids=["not read", "cordoned still"])
def test_it_is_what_to_do_and_then_why(target: Any) -> None:
    assert left(target) == (
        "Node n1 stays cordoned (atDeadline: LeaveCordoned): `kubectl uncordon n1` once it is mended. Its drain has"
        " failed: 2 of 3 pods are still on Node n1"
    )


def test_nobody_is_sent_to_uncordon_what_was_not_left_or_is_not_cordoned_any_more() -> None:
    assert left({"metadata": {"name": "n1"}, "spec": {}}) == ""
    assert left(state="Open") == ""
    assert left(message="Node n1 is gone or was replaced") == ""
    assert left(kind="ScaleBack") == ""
