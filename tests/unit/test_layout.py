"""The house rules that no linter knows."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "operator" / "goldseam"
SOURCES = sorted(
    [*PACKAGE.rglob("*.py"), *(ROOT / "deploy" / "local").rglob("*.py"), *(ROOT / "deploy" / "demo").rglob("*.py")]
)
FILE_LINES, BODY_LINES = 400, 40
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager", "misc"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_operator_is_a_source_root_and_no_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists(), "it would shadow the standard library's operator"
    assert not list((ROOT / "tests").glob("**/operator/__init__.py"))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_are_short_and_named_for_what_they_hold(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES
    assert path.stem not in FORBIDDEN_NAMES
    assert path.stem not in sys.stdlib_module_names - {"__main__", "operator", "build"}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_function_bodies_are_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            length = (node.end_lineno or 0) - first.lineno + 1
            assert length <= BODY_LINES, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_everything_public_is_documented(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the module says nothing of itself"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} says nothing of itself"


@pytest.mark.parametrize("package", sorted(PACKAGE.rglob("__init__.py")), ids=name_of)
def test_a_package_says_what_belongs_there_and_holds_no_code(package: Path) -> None:
    tree = ast.parse(package.read_text())
    assert ast.get_docstring(tree)
    assert len(tree.body) == 1


def test_the_locks_name_no_index_and_no_machine() -> None:
    for lock in (*(ROOT / "requirements").glob("*.txt"), ROOT / "deploy" / "local" / "requirements-go.txt"):
        text = lock.read_text()
        assert "--hash=sha256:" in text
        assert not re.search(r"https?://|--index|--find-links|file:", text), lock


def test_every_dependency_has_a_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {re.split(r"[<>=\[ ]", entry)[0].lower() for group in groups for entry in group} - {"goldseam"}
    reasons = (ROOT / "docs" / "decisions" / "0003-dependencies.md").read_text().lower()
    missing = {name for name in names if name not in reasons and not name.startswith("types-")}
    assert not missing


def test_the_slow_proofs_can_be_imported_though_nothing_here_runs_them() -> None:
    for path in sorted((ROOT / "tests" / "faults").glob("test_*.py")):
        importlib.import_module(f"tests.faults.{path.stem}")
