"""`goldseam new`: prints a first policy for an alert of a live source."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import yaml

from goldseam.api.base import API_VERSION
from goldseam.api.policy import AnyPolicySpec
from goldseam.api.problems import InvalidSpec, read_spec
from goldseam.cli.asking import AskedSource
from goldseam.cli.text import plain
from goldseam.engine.lint.alert import missing
from goldseam.engine.lint.draft import Draft, Field, SeveralNamespaces, drafted
from goldseam.engine.lint.findings import Known, Policy
from goldseam.engine.lint.order import lint
from goldseam.errors import Invalid

WIDTH = 40


class NotWritten(Invalid):
    """No policy can be written for the alert; the message says why."""


async def run(source: AskedSource, alert: str, namespace: str | None, say: Callable[[str], None]) -> int:
    """Print the policy, once it has passed the checks of `goldseam lint`.

    Raises:
        NotWritten: there is no such rule, or none whose alerts a policy of that namespace would see.
        Unavailable: the source does not answer.
    """
    rules = await source.rules()
    ours = tuple(rule for rule in rules if rule.name == alert)
    known = Known(source.url, ours, sorted({rule.name for rule in rules}))
    if not ours:
        finding = missing(alert, known)
        raise NotWritten(f"{source.url} has no alerting rule named {alert}: {finding.instead}")
    try:
        draft = drafted(ours, namespace)
    except SeveralNamespaces as error:
        raise NotWritten(f"{error}: give --namespace") from error
    lines = list(written(draft, source.url))
    findings = lint(_read("\n".join(lines)), known)
    for finding in findings:
        if finding.severity == "Error":
            raise NotWritten(f"{finding.message}; {finding.instead}")
    for line in (*lines[:2], *(f"# Not known: {plain(one.message)}." for one in findings), *lines[2:]):
        say(line)
    return 0


def _read(text: str) -> Policy:
    """What was written, as the operator would read it."""
    obj = yaml.safe_load(text)
    try:
        spec = read_spec(obj["kind"], obj)
    except InvalidSpec as error:
        raise NotWritten(f"no policy can be written for it: {error}") from error
    assert isinstance(spec, AnyPolicySpec)
    return Policy(spec, "" if obj["kind"].startswith("Cluster") else obj["metadata"].get("namespace"))


def written(draft: Draft, url: str) -> Iterator[str]:
    """The policy in YAML, with what each field rests on. The first two lines say what it is."""
    node = draft.kind == "Node"
    yield f"# A first policy for the alert {plain(draft.alert)}, from its rule as {url} has it."
    yield f"# If that is not your AlertSource named default, add sourceRef. Check it: goldseam lint FILE --source {url}"
    yield f"apiVersion: {API_VERSION}"
    yield f"kind: {'Cluster' if node else ''}RemediationPolicy"
    yield "metadata:"
    yield f"  name: {_name(draft.alert)}"
    if not node:
        where = draft.namespace
        yield _line(f"  namespace: {_text(where.value)}", where.why) if where.value else f"  # {plain(where.why)}"
    yield "spec:"
    yield _line("  mode: Observe", "it says what it would do; then Propose (it asks), then Act")
    yield "  alert:"
    yield f"    name: {_text(draft.alert)}"
    if draft.any_scope:
        yield _line("    scope: Any", "the alert does not say of which namespace it is")
    if draft.matcher.value:
        yield "    matchers:"
        yield _line(f"      - {_text(draft.matcher.value)}", draft.matcher.why)
    yield "  target:"
    yield _line(f"    kind: {draft.target_kind.value}", draft.target_kind.why)
    if draft.target_name.value:
        yield _line(f"    name: {draft.target_name.value}", draft.target_name.why)
    yield from _ladder(draft.timeout, "cordon" if node else "restart")


def _ladder(timeout: Field, action: str) -> Iterator[str]:
    yield "  ladder:"
    yield f"    - {action}: {{}}"
    yield _line(f"      timeout: {timeout.value}", timeout.why)
    yield _line("    - escalate: {}", "to the first level of your Runbook")


def _line(text: str, comment: str) -> str:
    return f"{text.ljust(WIDTH)} # {plain(comment)}" if comment else text


def _text(value: str) -> str:
    """The text as a scalar of YAML."""
    return yaml.safe_dump([value], default_flow_style=True, width=10_000).strip()[1:-1]


def _name(alert: str) -> str:
    """A name for the object: `ApiHighErrorRate` is api-high-error-rate."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", alert)
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:63].strip("-") or "policy"
