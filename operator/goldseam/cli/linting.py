"""`goldseam lint`: what of the objects in files cannot work, by themselves and by what their alert source has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from goldseam.api.alertsource import AlertSourceSpec
from goldseam.api.base import API_VERSION, Model
from goldseam.api.kinds import BY_NAME
from goldseam.api.policy import AnyPolicySpec
from goldseam.api.problems import InvalidSpec, read_spec
from goldseam.api.runbook import RunbookSpec
from goldseam.cli import report
from goldseam.cli.asking import AskedSource
from goldseam.cli.documents import Document, NotYaml, documents, read
from goldseam.cli.report import Found, Report
from goldseam.cli.text import plain
from goldseam.engine.alerts import AlertRule
from goldseam.engine.lint import findings as f
from goldseam.engine.lint.asked import Question, of_thresholds, questions, thresholds_with_data
from goldseam.engine.lint.findings import Asked, Finding, Known, Policy
from goldseam.engine.lint.order import lint
from goldseam.errors import Invalid
from goldseam.ports import Json

STDIN = "-"
CLEAN, FOUND, UNCHECKED = 0, 1, 2
"""Exit statuses: nothing that counts; an Error (with `--strict` a Warning, too); it could not be checked."""
ENDINGS = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Wanted:
    """What people ask for."""

    files: Sequence[str]
    """Files, directories, and `-` for the standard input."""
    namespace: str | None = None
    """Of objects that do not say theirs."""
    form: str = "text"
    strict: bool = False


@dataclass(frozen=True)
class _Object:
    """One object that was read; `spec` is None where it is invalid."""

    file: str
    document: Document
    spec: Model | None
    name: str
    namespace: str | None

    @property
    def title(self) -> str:
        kind = str(self.document.obj.get("kind"))
        return f"{kind} {self.namespace}/{self.name}" if self.namespace else f"{kind} {self.name}"

    def found(self, finding: Finding) -> Found:
        return Found(self.file, self.document.line_of(finding.field), self.title, finding)


async def run(wanted: Wanted, source: AskedSource | None, say: Callable[[str], None], stdin: TextIO) -> int:
    """Look at all objects, print what was found, and return the exit status.

    Raises:
        Invalid: a file cannot be read, or none of them holds an object of ours.
        Unavailable: the source does not answer.
    """
    objects, found = [], list[Found]()
    for file in _files(wanted.files):
        some, problems = _read(file, read(file, stdin), wanted.namespace)
        objects += some
        found += problems
    if not objects and not found:
        raise Invalid(f"no object of goldseam.dev in {', '.join(wanted.files)}")
    found += await _against(objects, source)
    order = {file: number for number, file in enumerate(_files(wanted.files))}
    found.sort(key=lambda one: (order[one.file], one.line))
    whole = Report(found, len(objects), source.url if source else None)
    for line in report.lines(whole, wanted.form):
        say(line if wanted.form == "json" else plain(line))
    return FOUND if whole.count("Error") or (wanted.strict and whole.count("Warning")) else CLEAN


def _files(named: Iterable[str]) -> Iterator[str]:
    """The files, and those of YAML and JSON in the directories; what is hidden is passed over."""
    for name in named:
        if not Path(name).is_dir():
            yield name
            continue
        inside = (path for path in sorted(Path(name).rglob("*")) if path.suffix in ENDINGS and path.is_file())
        yield from (str(path) for path in inside if not any(p.startswith(".") for p in path.relative_to(name).parts))


def _read(file: str, text: str, namespace: str | None) -> tuple[list[_Object], list[Found]]:
    objects, found = list[_Object](), list[Found]()
    try:
        for document in documents(text):
            one, problems = _object(file, document, namespace)
            objects.append(one)
            found += [one.found(problem) for problem in problems]
            found += [Found(file, line, one.title, _doubled(field)) for field, line in document.written_twice()]
    except NotYaml as error:
        instead = "correct it; of templates, lint what they render to: helm template ... | goldseam lint -"
        found.append(Found(file, error.line, "", Finding("Error", f.NOT_READ, "", f"is not YAML: {error}", instead)))
    return objects, found


def _doubled(field: str) -> Finding:
    return Finding("Error", f.INVALID, field, "stands twice; the API server refuses it", "take one of them out")


def _object(file: str, document: Document, namespace: str | None) -> tuple[_Object, list[Finding]]:
    obj = document.obj
    meta = obj.get("metadata") if isinstance(obj.get("metadata"), dict) else {}
    assert isinstance(meta, dict)
    kind = BY_NAME.get(str(obj.get("kind")))
    own = "" if kind and not kind.namespaced else meta.get("namespace") or namespace
    title = str(meta.get("name") or meta.get("generateName") or "")
    problems = list(_envelope(obj, title))
    spec = None
    if not problems:
        try:
            spec = read_spec(str(obj["kind"]), obj)
        except InvalidSpec as error:
            problems += [_invalid(line) for line in str(error).splitlines()]
        except TypeError:  # a tag of YAML that JSON has no value for
            problems.append(
                Finding("Error", f.INVALID, "spec", "holds a value that JSON does not have", "write a text")
            )
    return _Object(file, document, spec, title, None if own is None else str(own)), problems


def _envelope(obj: Json, title: str) -> Iterator[Finding]:
    """What stands around the spec."""
    if obj.get("apiVersion") != API_VERSION:
        message = f"must be {API_VERSION}, not {obj.get('apiVersion')}"
        yield Finding("Error", f.INVALID, "apiVersion", message, f"write apiVersion: {API_VERSION}")
    if obj.get("kind") not in BY_NAME:
        message = f"{obj.get('kind')} is no kind of goldseam.dev"
        yield Finding("Error", f.INVALID, "kind", message, f"write one of {', '.join(sorted(BY_NAME))}")
    if not title:
        yield Finding("Error", f.INVALID, "metadata", "metadata.name is required", "give the object a name")


def _invalid(line: str) -> Finding:
    """One line of `read_spec`: the field, and in words what to write."""
    field, colon, words = line.partition(": ")
    if not colon or not field.startswith(("spec", "metadata", "status")):
        return Finding("Error", f.INVALID, "spec", line)
    return Finding("Error", f.INVALID, field, words)


async def _against(objects: Sequence[_Object], source: AskedSource | None) -> list[Found]:
    """What the checks find, with the source where there is one."""
    policies = [(one, Policy(one.spec, one.namespace)) for one in objects if isinstance(one.spec, AnyPolicySpec)]
    if source is None:
        return [one.found(finding) for one, policy in policies for finding in lint(policy)]
    found = list[Found]()
    if policies:
        found += await _policies(policies, objects, source)
    books = [(one, one.spec) for one in objects if isinstance(one.spec, RunbookSpec)]
    told = await _asked(source, [of_thresholds(book) for _, book in books])
    for (one, book), answers in zip(books, told, strict=True):
        found += [one.found(finding) for finding in thresholds_with_data(book, answers)]
    return found


async def _policies(
    policies: Sequence[tuple[_Object, Policy]], objects: Sequence[_Object], source: AskedSource
) -> list[Found]:
    rules = await source.rules()
    clusters = {one.name: tuple(one.spec.matchers) for one in objects if isinstance(one.spec, AlertSourceSpec)}
    pairs = [(one, policy, _known(source.url, rules, policy, clusters)) for one, policy in policies]
    asked = await _asked(source, [questions(policy, known) for _, policy, known in pairs])
    return [
        one.found(finding)
        for (one, policy, known), answers in zip(pairs, asked, strict=True)
        for finding in lint(policy, replace(known, answers=answers))
    ]


def _known(url: str, rules: Sequence[AlertRule], policy: Policy, clusters: Mapping[str, tuple[str, ...]]) -> Known:
    ours = tuple(rule for rule in rules if rule.name == policy.spec.alert.name)
    names = () if ours else sorted({rule.name for rule in rules})
    return Known(url, ours, names, clusters.get(policy.spec.source_ref.name, ()))


async def _asked(source: AskedSource, wanted: Sequence[Mapping[str, Question]]) -> list[Mapping[str, Asked]]:
    """What the server says to the questions of each; each text is asked once."""
    answers = await source.answers({question.text: None for some in wanted for question in some.values()})
    return [
        {expr: replace(answers[question.text], partly=question.partly) for expr, question in some.items()}
        for some in wanted
    ]
