"""A Prometheus-compatible server's rules API: the truth about alerts.

Prometheus, Thanos Ruler and Query, Mimir and vmalert answer in this form (prometheus/web/api/v1, `RuleDiscovery`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import aiohttp

from goldseam.adapters.credentials import Credentials
from goldseam.adapters.http_client import LARGEST, HttpClient, Words, parsed
from goldseam.engine.alerts import ActiveAlert, AlertRule, RulesAnswer
from goldseam.errors import NotFound, Unavailable

T = TypeVar("T")
WORDS = Words(api="the Prometheus API", url="spec.url", auth="spec.auth and spec.tenant")
MOST_PAGES = 1_000
USUAL_INTERVAL = 60.0
"""Seconds between evaluations of a group that does not say: Prometheus' default."""


class PrometheusServer:
    """The port `AlertServer` over HTTP."""

    def __init__(
        self, url: str, credentials: Credentials | None = None, *, timeout: float, largest: int = LARGEST
    ) -> None:
        """`timeout` is in seconds, for all pages together; `largest` is in bytes, for each."""
        self._http = HttpClient(url, credentials, WORDS, timeout=timeout, largest=largest)

    async def rules(self) -> RulesAnswer:
        """All alerting rules, page by page where the server pages."""
        rules: list[AlertRule] = []
        warnings: list[str] = []
        query = {"type": "alert"}
        async with self._http.session() as session:
            for _ in range(MOST_PAGES):
                answer = await self._get(session, "/api/v1/rules", query)
                data = answer.get("data")
                if not isinstance(data, dict):
                    raise Unavailable("the answer has no rules")
                rules.extend(_rules(data))
                warnings.extend(_warnings(answer))
                token = str(data.get("groupNextToken") or "")
                if not token:
                    return RulesAnswer(tuple(rules), tuple(warnings))
                if token == query.get("group_next_token"):
                    break
                query["group_next_token"] = token
        raise Unavailable("the pages of the rules do not end")

    async def version(self) -> str:
        """The server's version; empty where it does not say."""
        async with self._http.session() as session:
            try:
                answer = await self._get(session, "/api/v1/status/buildinfo", {})
            except NotFound:
                return ""
        data = answer.get("data")
        return str(data.get("version") or "") if isinstance(data, dict) else ""

    async def _get(self, session: aiohttp.ClientSession, path: str, query: dict[str, str]) -> dict[str, Any]:
        return _success(parsed((await self._http.get(session, path, query)).content, WORDS.api))


def _success(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict) or answer.get("status") != "success":
        raise Unavailable("the answer is not one of the Prometheus API")
    return answer


def _warnings(answer: dict[str, Any]) -> list[str]:
    """Partial answers of Thanos and Mimir say so here: one that cannot be read is a warning, too."""
    found = answer.get("warnings") or []
    return [str(warning)[:200] for warning in (found if isinstance(found, list) else [found])]


def _rules(data: dict[str, Any]) -> list[AlertRule]:
    try:
        return [
            _rule(group, rule)
            for group in _list(data["groups"])
            for rule in _list(group["rules"])
            if rule.get("type", "alerting") == "alerting"
        ]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Unavailable(f"the answer has rules of an unknown form ({type(error).__name__}: {error})"[:200]) from error


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
    return {name: _is(str, text) for name, text in ({} if value is None else _is(dict, value)).items()}


_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)
NEVER = datetime.min.replace(tzinfo=UTC)
"""Go's zero time: not yet."""


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
