"""What `goldseam lint` prints: for people, as JSON, and as annotations of GitHub Actions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from goldseam.cli.text import plain
from goldseam.engine.lint.findings import Finding

STDIN = "-"


@dataclass(frozen=True)
class Found:
    """One finding, and where it stands."""

    file: str
    line: int
    object: str
    """Such as `RemediationPolicy shop/api`; empty where there is none."""
    finding: Finding


@dataclass(frozen=True)
class Report:
    """All of one run."""

    found: Sequence[Found]
    objects: int
    """How many objects were looked at."""
    source: str | None
    """The URL that they were compared with."""

    def count(self, severity: str) -> int:
        """How many findings are of that severity."""
        return sum(one.finding.severity == severity for one in self.found)

    @property
    def summary(self) -> str:
        """One line."""
        against = f" against {self.source}" if self.source else ", without a source (--source URL)"
        counts = [(self.count("Error"), "error"), (self.count("Warning"), "warning"), (self.count("Note"), "note")]
        said = ", ".join(f"{count} {word}{'s' * (count != 1)}" for count, word in counts if count) or "nothing found"
        return f"{self.objects} object{'s' * (self.objects != 1)} checked{against}: {said}"


def text(report: Report) -> Iterator[str]:
    """Lines for people."""
    for one in report.found:
        finding = one.finding
        words = ": ".join(part for part in (one.object, finding.field, finding.message) if part)
        yield f"{one.file}:{one.line}: {finding.severity} {finding.code}: {words}"
        if finding.instead:
            yield f"    {finding.instead}"
    yield report.summary


def as_json(report: Report) -> Iterator[str]:
    """One JSON object; what stands in it is in docs/how-to/lint.md."""
    findings = [
        {
            "severity": one.finding.severity,
            "code": one.finding.code,
            "file": one.file,
            "line": one.line,
            "object": one.object,
            "field": one.finding.field,
            "message": one.finding.message,
            "instead": one.finding.instead,
        }
        for one in report.found
    ]
    counts = {"errors": report.count("Error"), "warnings": report.count("Warning"), "notes": report.count("Note")}
    whole = {"version": 1, "source": report.source, "objects": report.objects, **counts, "findings": findings}
    yield json.dumps(whole, indent=2)


_COMMANDS = {"Error": "error", "Warning": "warning", "Note": "notice"}


def github(report: Report) -> Iterator[str]:
    """Workflow commands: GitHub shows them on the lines of a pull request (actions/toolkit, `command.ts`)."""
    for one in report.found:
        finding = one.finding
        place = {} if one.file == STDIN else {"file": one.file, "line": str(one.line)}
        named = place | {"title": f"goldseam {finding.code}"}
        properties = ",".join(f"{name}={_property(value)}" for name, value in named.items())
        words = ": ".join(part for part in (one.object, finding.field, finding.message) if part)
        whole = f"{words}. {finding.instead}" if finding.instead else words
        yield f"::{_COMMANDS[finding.severity]} {properties}::{_data(whole)}"
    yield report.summary


def _data(value: str) -> str:
    return plain(value).replace("%", "%25")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


def lines(report: Report, form: str) -> Iterable[str]:
    """The report in the form `text`, `json` or `github`."""
    return {"text": text, "json": as_json, "github": github}[form](report)
