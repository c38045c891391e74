"""The example, broken and stalled manifests, as tests see them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"


@dataclass(frozen=True)
class Manifest:
    """One file with one object."""

    path: Path
    text: str

    @property
    def object(self) -> dict[str, Any]:
        """What the file says; times stay texts, as in JSON."""
        loaded: dict[str, Any] = json.loads(json.dumps(yaml.load(self.text, Loader=_Loader)))
        return loaded

    @property
    def reason(self) -> str:
        """The first line: why it is broken."""
        return self.text.splitlines()[0].removeprefix("# ")

    @property
    def expected(self) -> tuple[str, ...]:
        """The second line: what both judges say, as words in any case."""
        return tuple(self.text.splitlines()[1].removeprefix("# expect: ").lower().split(", "))

    def missing(self, message: str) -> list[str]:
        """Which of the expected words a judge did not say."""
        return [words for words in self.expected if words not in message.lower()]


class _Loader(yaml.SafeLoader):
    """Reads times as texts and nothing else differently."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def manifests(directory: Path) -> list[Manifest]:
    """All manifests of a directory, by name."""
    found = [Manifest(path, path.read_text()) for path in sorted(directory.glob("*.yaml"))]
    assert found, f"no manifests in {directory}"
    return found


EXAMPLES = manifests(ROOT / "deploy" / "examples")
BROKEN = manifests(DATA / "broken")
STALLED = manifests(DATA / "stalled")


def name_of(manifest: Manifest) -> str:
    """The name of a parametrized test."""
    return manifest.path.stem
