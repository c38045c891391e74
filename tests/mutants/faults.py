"""Which faults there are."""

from __future__ import annotations

import ast
import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

OPERATORS = (
    *("AddNot", "ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue"),
    *("NumberReplacer", "ZeroIterationForLoop", "ReplaceBreakWithContinue", "ReplaceContinueWithBreak"),
    *("ExceptionReplacer", "RemoveDecorator", "ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_USub_UAdd"),
    *(f"ReplaceComparisonOperator_{a}_{b}" for a, b in (("Eq", "NotEq"), ("NotEq", "Eq"), ("Is", "IsNot"))),
    *(f"ReplaceComparisonOperator_{a}_{b}" for a, b in (("IsNot", "Is"), ("Lt", "LtE"), ("Lt", "GtE"))),
    *(f"ReplaceComparisonOperator_{a}_{b}" for a, b in (("LtE", "Lt"), ("LtE", "Gt"), ("Gt", "GtE"), ("Gt", "LtE"))),
    *(f"ReplaceComparisonOperator_{a}_{b}" for a, b in (("GtE", "Gt"), ("GtE", "Lt"))),
    *(f"ReplaceBinaryOperator_{a}_{b}" for a, b in (("Add", "Sub"), ("Sub", "Add"), ("Mul", "Div"), ("Div", "Mul"))),
    *(f"ReplaceBinaryOperator_{a}_{b}" for a, b in (("BitOr", "BitAnd"), ("BitAnd", "BitOr"), ("Mod", "Add"))),
)
"""Each comparison becomes its opposite and the one a step away; the many others of cosmic-ray say the same again."""

Span = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Fault:
    """One change of one module."""

    module: Path
    operator: str
    line: int
    reach: range
    """The lines of the statement that it is in."""
    code: str
    """The whole module with it."""

    @property
    def rank(self) -> str:
        """An order that is the same each time, and has nothing to do with the place in the file."""
        return hashlib.sha256(f"{self.module.name} {self.operator} {self.code}".encode()).hexdigest()

    def diff(self) -> str:
        """The lines that differ."""
        lines = difflib.unified_diff(self.module.read_text().splitlines(), self.code.splitlines(), n=0, lineterm="")
        return "\n".join(line for line in lines if line[:3] not in ("---", "+++") and line[:2] != "@@")


def faults(module: Path) -> list[Fault]:
    """All faults of a module, each text once."""
    source = module.read_text()
    tree, parsed = ast.parse(source), get_ast(source)
    found: dict[str, Fault] = {}
    skipped, reaches = list(unread(tree)), statements(tree)
    for name in OPERATORS:
        operator = get_operator(f"core/{name}")()
        spans = (span for node in ast_nodes(parsed) for span in operator.mutation_positions(node))
        for occurrence, (start, end) in enumerate(spans):
            if any(inside((start, end), span) for span in skipped):
                continue
            code = mutate_code(source, operator, occurrence)
            if code is not None and code != source:
                found.setdefault(
                    code, Fault(module, name, start[0], reaches.get(start[0], range(start[0], start[0] + 1)), code)
                )
    return sorted(found.values(), key=lambda fault: (fault.line, fault.rank))


def unread(tree: ast.AST) -> Iterator[Span]:
    """Annotations, which are never computed, and assertions, which say what mypy cannot see."""
    for node in ast.walk(tree):
        annotations = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        for part in (*annotations, node if isinstance(node, ast.Assert) else None):
            if isinstance(part, ast.expr | ast.stmt):
                yield (part.lineno, part.col_offset), (part.end_lineno or 0, part.end_col_offset or 0)


def inside(inner: Span, outer: Span) -> bool:
    """Whether a part of the text lies within another."""
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def statements(tree: ast.AST) -> dict[int, range]:
    """By line, the lines of the innermost statement there; of one with a body, its head."""
    found = {}
    for node in ast.walk(tree):  # inner statements come later
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            end = body[0].lineno - 1 if body else (node.end_lineno or node.lineno)
            lines = range(node.lineno, max(end, node.lineno) + 1)
            found.update(dict.fromkeys(lines, lines))
    return found
