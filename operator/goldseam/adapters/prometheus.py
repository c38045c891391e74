"""A Prometheus-compatible server's rules API: the truth about alerts.

Prometheus, Thanos Ruler and Query, Mimir and vmalert answer in this form (prometheus/web/api/v1, `RuleDiscovery`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import aiohttp
import structlog

from goldseam.adapters.credentials import Credentials
from goldseam.adapters.http_client import LARGEST, HttpClient, Query, Words, parsed
from goldseam.engine.alerts import NEVER, ActiveAlert, AlertRule, RulesAnswer
from goldseam.errors import GoldseamError, NotFound, Unavailable

log = structlog.get_logger("goldseam.prometheus")

T = TypeVar("T")
WORDS = Words(api="the Prometheus API", url="spec.url", auth="spec.auth and spec.tenant")
MOST_PAGES = 1_000
PAGE = 500
"""Groups of rules that are asked for at once, where the server pages (Prometheus 3, Mimir)."""
USUAL_INTERVAL = 60.0
"""Seconds between evaluations of a group that does not say: Prometheus' default."""


class PrometheusServer:
    """The port `AlertServer` over HTTP."""

    def __init__(
        self, url: str, credentials: Credentials | None = None, *, timeout: float, largest: int = LARGEST
    ) -> None:
        """`timeout` is in seconds, for all pages together; `largest` is in bytes, for each."""
        self._http = HttpClient(url, credentials, WORDS, timeout=timeout, largest=largest)
        self._pages = self._tells_start = True
        self._started = NEVER

    async def rules(self, names: frozenset[str] | None = None) -> RulesAnswer:
        """The alerting rules of these names, or all. A server that cannot filter answers with more than those."""
        if names is None:
            return (await self.catalogue(None))[0]
        wanted = [("rule_name[]", name) for name in sorted(names)] or [("rule_name[]", "")]  # no name: no rule
        async with self._http.session() as session:
            return (await self._paged(session, [("type", "alert"), *wanted], names))[0]

    async def catalogue(self, keep: frozenset[str] | None) -> tuple[RulesAnswer, frozenset[str]]:
        """The rules of these names (None: all), found by reading all there are; and the names of those."""
        async with self._http.session() as session:
            if self._pages:
                try:
                    return await self._paged(session, [("type", "alert"), ("group_limit", str(PAGE))], keep)
                except _NotAll as problem:
                    log.info("rules_read_as_one", problem=str(problem))
            return await self._paged(session, [("type", "alert")], keep)

    async def _paged(
        self, session: aiohttp.ClientSession, query: list[tuple[str, str]], keep: frozenset[str] | None
    ) -> tuple[RulesAnswer, frozenset[str]]:
        found, next_one, last = _Found(keep), list[tuple[str, str]](), ""
        for _ in range(MOST_PAGES):
            try:
                answer = await self._get(session, "/api/v1/rules", query + next_one)
            except Unavailable as error:  # 400, where the rules were loaded anew between two pages
                if not next_one:
                    raise
                raise _NotAll(str(error)) from error
            data = answer.get("data")
            if not isinstance(data, dict):
                raise Unavailable("the answer has no rules")
            groups = found.add(data, _warnings(answer))
            token = str(data.get("groupNextToken") or "")
            if not token:
                if not next_one and groups >= PAGE and ("group_limit", str(PAGE)) in query:
                    self._pages = False  # it may have been cut: vmalert does so, and has pages of another kind
                    raise _NotAll("the server says of no further page")
                return found.answer(await self._start(session)), frozenset(found.names)
            if token == last:
                break
            next_one, last = [("group_next_token", token)], token
        raise Unavailable("the pages of the rules do not end")

    async def _start(self, session: aiohttp.ClientSession) -> datetime:
        """Since when the server runs; `NEVER` where it never says.

        Asked after the rules, so that those of a new life are not taken for ones of the life before: one that is back
        within the time between two reads has forgotten which targets died meanwhile, and nothing else shows that.
        Source: prometheus/web/api/v1, `serveRuntimeInfo`. Behind one address may be several, and who answers changes:
        the newest counts.

        Raises:
            Unavailable: it has said so before, and now does not.
        """
        if not self._tells_start:
            return NEVER
        try:
            answer = await self._get(session, "/api/v1/status/runtimeinfo", ())
            with _translated("a start"):
                self._started = max(self._started, _time(_is(str, answer["data"]["startTime"])))
        except NotFound:  # Mimir, vmalert
            self._tells_start = False
        except GoldseamError:
            if self._started != NEVER:
                raise
        return self._started

    async def firing(self) -> tuple[ActiveAlert, ...]:
        """Every alert that fires, with no labels but its name and its namespace."""
        async with self._http.session() as session:
            answer = await self._get(session, "/api/v1/alerts", ())
        with _translated("alerts"):
            found = _list(_is(dict, answer["data"])["alerts"])
            return tuple(_in_short(alert) for alert in found if alert["state"] == "firing")

    async def version(self) -> str:
        """The server's version; empty where it does not say."""
        async with self._http.session() as session:
            try:
                answer = await self._get(session, "/api/v1/status/buildinfo", ())
            except NotFound:
                return ""
        data = answer.get("data")
        return str(data.get("version") or "") if isinstance(data, dict) else ""

    async def _get(self, session: aiohttp.ClientSession, path: str, query: Query) -> dict[str, Any]:
        return _success(parsed((await self._http.get(session, path, query)).content, WORDS.api))


def _success(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict) or answer.get("status") != "success":
        raise Unavailable("the answer is not one of the Prometheus API")
    return answer


def _warnings(answer: dict[str, Any]) -> list[str]:
    """Partial answers of Thanos and Mimir say so here: one that cannot be read is a warning, too."""
    found = answer.get("warnings") or (["isPartial: not all has been answered"] if answer.get("isPartial") else [])
    return [str(warning)[:200] for warning in (found if isinstance(found, list) else [found])]


class _NotAll(Unavailable):
    """These pages are not all that there is."""


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        kind = type(error).__name__
        raise Unavailable(f"the answer has {what} of an unknown form ({kind}: {error})"[:200]) from error


class _Found:
    """What the pages have had so far. Only the rules to keep are made objects of: there may be tens of thousands."""

    def __init__(self, keep: frozenset[str] | None) -> None:
        self._keep = keep
        self._rules: list[AlertRule] = []
        self._warnings: list[str] = []
        self._total = self._groups = 0
        self.names: set[str] = set()

    def add(self, data: dict[str, Any], warnings: list[str]) -> int:
        """One page. Returns how many groups it has."""
        self._warnings.extend(warnings)
        with _translated("rules"):
            groups = _list(data["groups"])
            for group in groups:
                self._group(group)
        return len(groups)

    def _group(self, group: dict[str, Any]) -> None:
        alerting = [rule for rule in _list(group["rules"]) if rule.get("type", "alerting") == "alerting"]
        self._groups += bool(alerting)
        self._total += len(alerting)
        for rule in alerting:
            self.names.add(_is(str, rule["name"]))
            if self._keep is None or rule["name"] in self._keep:
                self._rules.append(_rule(group, rule))

    def answer(self, started: datetime) -> RulesAnswer:
        rules = tuple(replace(rule, server_started=started) for rule in self._rules)
        return RulesAnswer(rules, tuple(self._warnings), asked=self._keep, total=self._total, groups=self._groups)


def _in_short(alert: dict[str, Any]) -> ActiveAlert:
    labels = _is(dict, alert["labels"])
    short = {key: sys.intern(_is(str, labels[key])) for key in ("alertname", "namespace") if key in labels}
    return ActiveAlert(short, {}, "firing", _time(alert.get("activeAt")))


def _rule(group: dict[str, Any], rule: dict[str, Any]) -> AlertRule:
    return AlertRule(
        name=_is(str, rule["name"]),
        group=f"{_text(group.get('file'))}/{_text(group.get('name'))}",
        query=_is(str, rule["query"]),
        health=_text(rule.get("health")) or "unknown",
        last_error=_text(rule.get("lastError")),
        last_evaluation=_time(rule.get("lastEvaluation")),
        interval=_seconds(group.get("interval") or USUAL_INTERVAL),
        hold=_seconds(rule.get("duration")),
        keep_firing=_seconds(rule.get("keepFiringFor")),
        labels=_labels(rule.get("labels")),
        alerts=tuple(_alert(alert) for alert in _list(rule.get("alerts"))),
        state=_text(rule.get("state")),
        evaluation_time=_seconds(rule.get("evaluationTime")),
    )


def _alert(alert: dict[str, Any]) -> ActiveAlert:
    labels, annotations = _labels(_is(dict, alert["labels"])), _labels(alert.get("annotations"))
    return ActiveAlert(labels, annotations, _is(str, alert["state"]), _time(alert.get("activeAt")))


def _is(kind: type[T], value: Any) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{str(value)[:40]!r} is not a {kind.__name__}")
    return value


def _text(value: Any) -> str:
    return "" if value is None else _is(str, value)


def _list(value: Any) -> list[Any]:
    return [] if value is None else _is(list, value)


def _seconds(value: Any) -> timedelta:
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise TypeError(f"{str(value)[:40]!r} is not a number of seconds")
    if value is not None and value < 0:
        raise ValueError("a duration is negative")
    return timedelta(seconds=value or 0)


def _labels(value: Any) -> dict[str, str]:
    """Ten thousand alerts have the same few values: each is kept once."""
    return {name: sys.intern(_is(str, text)) for name, text in ({} if value is None else _is(dict, value)).items()}


_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)


def _time(value: Any) -> datetime:
    """RFC 3339 with up to nine digits of a second; nothing, and Go's zero time, is `NEVER`."""
    if not value:
        return NEVER
    match = _TIME.fullmatch(_is(str, value))
    if not match:
        raise ValueError(f"not a time: {str(value)[:40]}")
    seconds, fraction, zone = match.groups()
    text = f"{seconds}.{(fraction or '0')[:6].ljust(6, '0')}{'+00:00' if zone == 'Z' else zone}"
    moment = datetime.fromisoformat(text)
    return NEVER if moment.year == 1 else moment.astimezone(UTC)
