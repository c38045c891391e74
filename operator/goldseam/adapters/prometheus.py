"""A Prometheus-compatible server's rules API: the truth about alerts.

Prometheus, Thanos Ruler and Query, Mimir and vmalert answer in this form (prometheus/web/api/v1, `RuleDiscovery`).
"""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from goldseam.engine.alerts import ActiveAlert, AlertRule, RulesAnswer
from goldseam.errors import Unavailable

LARGEST = 32 * 2**20
"""Bytes: no answer may be larger."""
MOST_PAGES = 1_000


class PrometheusServer:
    """The port `AlertServer` over HTTP. Redirects are not followed: they would carry us where the admin did not say."""

    def __init__(self, url: str, *, timeout: float, largest: int = LARGEST) -> None:
        self._url, self._timeout, self._largest = url.rstrip("/"), timeout, largest

    async def rules(self) -> RulesAnswer:
        """All alerting rules, page by page where the server pages."""
        rules: list[AlertRule] = []
        warnings: list[str] = []
        token = ""
        for _ in range(MOST_PAGES):
            answer = await self._get(
                "/api/v1/rules", {"type": "alert"} | ({"group_next_token": token} if token else {})
            )
            data = answer.get("data") or {}
            rules.extend(_rules(data))
            warnings.extend(str(warning)[:200] for warning in answer.get("warnings") or [])
            token = str(data.get("groupNextToken") or "")
            if not token:
                return RulesAnswer(tuple(rules), tuple(warnings))
        raise Unavailable("the rules do not end")

    async def version(self) -> str:
        """The server's version; empty where it does not say."""
        answer = await self._get("/api/v1/status/buildinfo", {})
        return str((answer.get("data") or {}).get("version") or "")

    async def _get(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._timeout), aiohttp.ClientSession() as session:
                async with session.get(self._url + path, params=query, allow_redirects=False) as answer:
                    if 300 <= answer.status < 400:
                        raise Unavailable(f"HTTP {answer.status}: redirects are not followed; give the final URL")
                    if answer.status != 200:
                        raise Unavailable(f"HTTP {answer.status}")
                    return _parsed(await self._limited(answer))
        except TimeoutError as error:
            raise Unavailable(f"no answer within {self._timeout:g} s") from error
        except aiohttp.ClientConnectorError as error:
            raise Unavailable(f"cannot connect: {error.os_error.strerror or error.os_error}"[:200]) from error
        except aiohttp.ClientError as error:
            raise Unavailable(f"the connection broke: {type(error).__name__}") from error

    async def _limited(self, answer: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for chunk in answer.content.iter_chunked(65_536):
            content += chunk
            if len(content) > self._largest:
                raise Unavailable(f"the answer is larger than {self._largest >> 20} MiB")
        return bytes(content)


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except ValueError as error:
        raise Unavailable("the answer is not JSON: is the URL that of the Prometheus API?") from error
    if not isinstance(answer, dict) or answer.get("status") != "success":
        raise Unavailable("the answer is not one of the Prometheus API")
    return answer


def _rules(data: Any) -> list[AlertRule]:
    try:
        return [
            _rule(group, rule)
            for group in data["groups"] or []
            for rule in group["rules"] or []
            if rule.get("type", "alerting") == "alerting"
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unavailable(f"the answer has rules of an unknown form ({type(error).__name__}: {error})"[:200]) from error


def _rule(group: dict[str, Any], rule: dict[str, Any]) -> AlertRule:
    return AlertRule(
        name=str(rule["name"]),
        group=f"{group.get('file', '')}/{group.get('name', '')}",
        query=str(rule["query"]),
        health=str(rule.get("health") or "unknown"),
        last_error=str(rule.get("lastError") or ""),
        last_evaluation=_time(rule.get("lastEvaluation")),
        interval=timedelta(seconds=float(group.get("interval") or 60)),
        hold=timedelta(seconds=float(rule.get("duration") or 0)),
        keep_firing=timedelta(seconds=float(rule.get("keepFiringFor") or 0)),
        labels=_labels(rule.get("labels")),
        alerts=tuple(_alert(alert) for alert in rule.get("alerts") or []),
        state=str(rule.get("state") or ""),
    )


def _alert(alert: dict[str, Any]) -> ActiveAlert:
    labels, annotations = _labels(alert["labels"]), _labels(alert.get("annotations"))
    return ActiveAlert(labels, annotations, str(alert["state"]), _time(alert.get("activeAt")))


def _labels(value: Any) -> dict[str, str]:
    return {str(name): str(text) for name, text in (value or {}).items()}


_TIME = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$")
NEVER = datetime.min.replace(tzinfo=UTC)


def _time(value: Any) -> datetime:
    """RFC 3339 with up to nine digits of a second; nothing, and Go's zero time, is the beginning of time."""
    if not value:
        return NEVER
    match = _TIME.match(str(value))
    if not match:
        raise ValueError(f"not a time: {str(value)[:40]}")
    seconds, fraction, zone = match.groups()
    text = f"{seconds}.{(fraction or '0')[:6].ljust(6, '0')}{'+00:00' if zone == 'Z' else zone}"
    moment = datetime.fromisoformat(text)
    return NEVER if moment.year == 1 else moment.astimezone(UTC)
