"""Every reason that the code can give is in the tables, with what to do about it, and the tables hold no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import goldseam
from goldseam.api.conditions import PERMISSION_MISSING
from goldseam.api.incident import ApprovalRecord, Phase
from goldseam.api.outcomes import Outcome
from goldseam.engine import escalation
from goldseam.engine.guards.order import BEFORE_ACTING, BEFORE_UNDOING
from goldseam.engine.lint import findings as f
from goldseam.engine.matching import PolicyKey
from goldseam.engine.reasons.conditions import CONDITIONS
from goldseam.engine.reasons.events import EVENTS
from goldseam.engine.reasons.holds import HOLDS
from goldseam.engine.reasons.people import ANSWERS, DECISIONS, THRESHOLDS
from goldseam.engine.reasons.places import GUARD_OF, SAYS, sentence
from goldseam.engine.reasons.refusals import REFUSALS
from goldseam.services.permissions import identity

SOURCE = Path(goldseam.__file__).parent


def calls(package: str, *names: str) -> Iterator[ast.Call]:
    """The calls of functions of these names in a package."""
    for path in sorted((SOURCE / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if called in names:
                    yield node


def pattern(node: ast.expr) -> str | None:
    """A regular expression for what the expression can be; None where it is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.escape(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(re.escape(str(p.value)) if isinstance(p, ast.Constant) else "[A-Za-z]+" for p in node.values)
    return None


def test_whom_to_bind_a_missing_right_to_is_said_for_policies_without_an_account() -> None:
    """A cluster policy has none."""
    groups = {
        identity(PolicyKey("ClusterRemediationPolicy", "", "nodes"), None)[1][0],
        identity(PolicyKey("RemediationPolicy", "<namespace>", "api"), None)[1][1],
    }
    remedies = [entry.remedy for entry in CONDITIONS if entry.name == PERMISSION_MISSING]
    assert len(remedies) == 2
    assert all(f"`{group}`" in remedy for remedy in remedies for group in groups)


def same(said: set[str], written: set[str]) -> tuple[set[str], set[str]]:
    """What is said and not written down, and what is written down and never said."""
    unwritten = {one for one in said if not any(re.fullmatch(one, w) for w in written)}
    return unwritten, {w for w in written if not any(re.fullmatch(one, w) for one in said)}


def test_the_reasons_of_holds_are_those_of_the_table_with_guard_and_kind() -> None:
    said = set()
    for call in calls("engine", "Hold"):
        guard, kind, reason = (pattern(argument) for argument in call.args[:3])
        if guard is not None:  # the owner guard passes on what an action says
            said.add(f"{guard}/{kind}/{reason}")
    written = {f"{e.source}/{'Refuse' if e.refuses else 'Wait'}/{e.name}" for e in HOLDS}
    assert len(said) > 35
    assert same(said, written) == (set(), set())


def test_the_reasons_of_refusals_are_those_of_the_table() -> None:
    said = {found for call in calls("actions", "refusal", "Refusal") if (found := pattern(call.args[0]))}
    tuples = (
        node
        for path in (SOURCE / "actions").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Tuple) and len(node.elts) == 3 and isinstance(node.elts[1], ast.Name)
    )
    said |= {found for node in tuples if (found := pattern(node.elts[0])) and found[0].isupper()}
    assert len(said) > 15
    assert same(said, {entry.name for entry in REFUSALS}) == (set(), set())


def test_the_reasons_of_conditions_are_those_of_the_table() -> None:
    from goldseam.api import conditions as c

    types = {
        c.READY,
        c.STALLED,
        c.PERMITTED,
        c.SOURCE_REACHABLE,
        c.RULES_EVALUATED,
        c.QUERIES,
        c.HEARTBEAT,
        c.ALERTMANAGER_REACHABLE,
        c.PAGE_GATE,
        c.RULE_FOUND,
        c.PLAUSIBLE,
        c.TARGET_FOUND,
        c.UNCONTESTED,
        c.NODES_FIT,
    }
    used: set[str] = set()
    for path in (SOURCE / "services").glob("*.py"):
        used |= {getattr(c, name) for name in re.findall(r"\bc\.([A-Z_]+)\b", path.read_text())}
    files = [SOURCE / "engine" / "lint" / f"{name}.py" for name in ("alert", "nodes", "times")]
    codes = {getattr(f, name) for path in files for name in re.findall(r"\bf\.([A-Z_]+)\b", path.read_text())}
    used |= codes - {f.UNTOLD} | {f.NO_VALUE}  # what rests on queries that are asked is not said by the operator
    assert used - types == {entry.name for entry in CONDITIONS}
    assert {entry.source for entry in CONDITIONS} == types


def test_what_happens_is_in_the_table_under_the_name_that_people_see() -> None:
    said = {found for call in calls("engine", "note") if len(call.args) > 2 and (found := pattern(call.args[2]))}
    said |= {found for call in calls("services", "note") if len(call.args) > 2 and (found := pattern(call.args[2]))}
    said |= {found for call in calls("services", "warn", "record", "_note") if len(call.args) > 2 for a in call.args[:3]
             if (found := pattern(a)) and found[0].isupper() and found != "Warning"}  # fmt: skip
    said |= {*get_args(Phase), *get_args(Outcome), "Approved", "Denied", "Paid", "Void", "Lost"}
    assert same(said, {entry.name for entry in EVENTS}) == (set(), set())


def test_every_threshold_at_which_people_are_told_is_in_the_table() -> None:
    named = {value for name, value in vars(escalation).items() if name.isupper() and isinstance(value, str)}
    texts = [node for call in calls("engine", "told") for a in call.args[2:3] for node in ast.walk(a)]
    built = [pattern(node) for node in texts if isinstance(node, ast.JoinedStr)]
    assert r"notify\-[A-Za-z]+" in built
    (question,) = [node for call in calls("engine", "told") for node in call.args[2:3] if "about" in ast.unparse(node)]
    assert "%H%M%S" in ast.unparse(question), "escalation.asked adds the time to the step's name"
    assert named | {"notify-STEP", "approval-STEP-TIME"} == {entry.name for entry in THRESHOLDS}


def test_every_state_of_a_question_and_of_an_answer_is_in_the_table() -> None:
    questions = get_args(ApprovalRecord.model_fields["state"].annotation)
    assert {entry.name for entry in ANSWERS if entry.source == "approval"} == set(questions)
    written = (SOURCE / "services" / "words.py").read_text()
    answers = {entry.name for entry in ANSWERS if entry.source == "Response"}
    assert answers == set(re.findall(r'"state": "(\w+)" if ignored else "(\w+)"', written)[0])


def test_every_reason_of_the_metric_of_decisions_is_a_holds_or_in_the_table() -> None:
    said = set()
    for call in calls("engine", "answer", "Decision"):
        if len(call.args) > 1:
            said |= {found for node in ast.walk(call.args[1]) if (found := pattern(node)) and found[0].isupper()}
    assert len(said) > 20
    assert same(said, {entry.name for entry in DECISIONS}) == (set(), set())


def test_every_guard_says_in_its_first_sentence_when_it_holds_and_in_the_table_what() -> None:
    asked = [guard.__name__ for guard in (*BEFORE_ACTING, *BEFORE_UNDOING)]
    assert set(asked) | {"judged"} == set(SAYS)
    assert all(20 < len(sentence(guard)) < 120 for guard in (*BEFORE_ACTING, *BEFORE_UNDOING))
    known = {(e.source, e.name) for e in HOLDS} | {("owner", e.name) for e in REFUSALS}
    assert set(GUARD_OF) == known


def test_every_reason_that_holds_work_says_what_to_do() -> None:
    for entry in (*HOLDS, *REFUSALS, *THRESHOLDS):
        assert entry.meaning.endswith("."), entry
        assert entry.remedy.endswith("."), entry
    names = [(e.source, e.name) for e in (*HOLDS, *CONDITIONS)] + [("event", e.name) for e in EVENTS]
    assert len(names) == len(set(names))
