"""The documents say what is: their examples are valid, their links lead somewhere, their commands exist."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from goldseam.__main__ import _parser
from goldseam.api.kinds import BY_NAME
from goldseam.api.problems import read_spec
from goldseam.engine import cordons
from goldseam.engine.objects import INCIDENT, TOKEN

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += sorted((ROOT / "deploy").rglob("README.md"))


def examples() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        text = page.read_text()
        blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) + re.findall(r"<<YAML\n(.*?)\nYAML", text, re.DOTALL)
        for number, block in enumerate(blocks, 1):
            if "goldseam.dev/" in block:
                yield f"{page.relative_to(ROOT)}:{number}", block


@pytest.mark.parametrize(("where", "block"), list(examples()), ids=[where for where, _ in examples()])
def test_an_example_in_a_document_is_valid(where: str, block: str) -> None:
    for obj in yaml.safe_load_all(block):
        assert obj["kind"] in BY_NAME
        read_spec(obj["kind"], obj)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_to_a_page_and_a_heading_that_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            path, _, heading = target.partition("#")
            found = (page.parent / path).resolve() if path else page
            assert found.exists(), target
            assert not heading or heading in headings(found), target


@pytest.mark.parametrize("mark", [TOKEN, INCIDENT, cordons.DEADLINE, cordons.AT_DEADLINE])
def test_what_a_drain_writes_on_a_node_stands_whole_in_its_document(mark: str) -> None:
    assert f"`{mark}`" in (ROOT / "docs/actions/drain.md").read_text()


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands() -> dict[str, argparse.ArgumentParser]:
    (found,) = (a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(found.choices)


def test_every_command_and_option_is_documented_and_no_other() -> None:
    page = (ROOT / "docs" / "reference" / "command-line.md").read_text()
    rows = {m[1]: m[0] for m in re.finditer(r"^\| `goldseam (\w+)(?:[^|\\]|\\.)*", page, re.MULTILINE)}
    assert set(rows) == set(commands())
    for name, parser in commands().items():
        options = {o for action in parser._actions for o in action.option_strings if o.startswith("--")}
        own = options - {"--help", "--namespace", "--context", "--kubeconfig", "--all-namespaces"}
        assert {o for o in re.findall(r"--[a-z-]+", rows[name]) if o != "--all-namespaces"} == own, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_command_in_a_document_can_be_typed(page: Path) -> None:
    for line in re.findall(r"^goldseam .*$", page.read_text(), re.MULTILINE):
        words = re.sub(r'"[^"]*"', "text", line.split("#")[0]).split()[1:]
        _parser().parse_args(words)


def named_tests() -> list[str]:
    """The tests that documents name, as `cluster/test_kills.py::test_a_restart_takes_effect_once`."""
    pages = (ROOT / "docs").rglob("*.md")
    return sorted({name for page in pages for name in re.findall(r"`(\w+/test_\w+\.py::\w+)`", page.read_text())})


@pytest.mark.parametrize("named", named_tests())
def test_a_test_that_a_document_names_exists(named: str) -> None:
    file, _, test = named.partition("::")
    assert re.search(rf"^(async )?def {test}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE), named


def test_every_fault_has_a_result_and_what_is_proven_has_a_test() -> None:
    table = re.findall(r"^\| (\d+) \|(.*)\|(.*)\|$", (ROOT / "docs" / "faults.md").read_text(), re.MULTILINE)
    assert [int(number) for number, _, _ in table] == list(range(1, 36))
    for number, row, result in table:
        assert re.match(r" (proven|partly|not covered)\b", result), number
        assert "::" in row or result.startswith(" not covered"), number
        assert result.startswith(" proven") or re.search(r"Missing: |Not covered: |not covered: ", result), number


NEIGHBOURS = {
    "kustomize-controller": "github.com/fluxcd/kustomize-controller",
    "argo-rollouts": "github.com/argoproj/argo-rollouts",
    "keda": "github.com/kedacore/keda/v2",
    "kube": "k8s.io/kubernetes",
}


@pytest.mark.parametrize(("tool", "module"), NEIGHBOURS.items())
def test_the_neighbours_are_named_with_the_versions_that_are_built(tool: str, module: str) -> None:
    required = (ROOT / "deploy" / "local" / "tools" / tool / "go.mod").read_text()
    (version,) = re.findall(rf"^(?:require)?\s*{re.escape(module)} v(\S+)", required, re.MULTILINE)
    page = (ROOT / "docs" / "reference" / "neighbours.md").read_text()
    assert re.search(rf"[ v]{re.escape(version)}\b", page)


def test_what_is_said_about_neighbours_has_its_tests_and_each_test_is_there() -> None:
    page = (ROOT / "docs" / "reference" / "neighbours.md").read_text()
    files = (ROOT / "tests" / "interop").glob("test_*.py")
    written = {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)}
    assert set(re.findall(r"`(test_\w+)`", page)) == written
