"""One Alertmanager's API v2: whether an alert is silenced, our own silences, and alerts that we send.

Mimir's Alertmanager answers in this form, too (alertmanager/api/v2/openapi.yaml).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import quote

from goldseam.adapters.credentials import Credentials
from goldseam.adapters.http_client import Answer, HttpClient, Query, Words, parsed
from goldseam.api.base import format_time
from goldseam.api.matchers import quoted
from goldseam.engine.silences import Call, KnownAlert, KnownSilence, Labels, Matcher
from goldseam.errors import NotFound, Unavailable

T = TypeVar("T")
LARGEST = 16 * 2**20
"""Bytes: no answer may be larger."""
TIMEOUT = 3.0
"""Seconds for one question: what is done waits for the answer."""
WORDS = Words(api="the Alertmanager API", url="spec.alertmanager.urls", auth="spec.alertmanager.auth and tenant")


class AlertmanagerServer:
    """The port `Alertmanager` over HTTP.

    Times are the server's own: they are reckoned from the `Date` of its answers, so that clocks need not agree.
    """

    def __init__(
        self, url: str, credentials: Credentials | None = None, *, timeout: float = TIMEOUT, largest: int = LARGEST
    ) -> None:
        """`timeout` is in seconds, `largest` in bytes."""
        self.url = url
        self._http = HttpClient(url, credentials, WORDS, timeout=timeout, largest=largest)
        self._date: tuple[datetime, float] | None = None

    async def peers(self) -> frozenset[str]:
        """The names of the members of its cluster, its own with them; none where it does not gossip."""
        answer = await self._get("/api/v2/status", {})
        return _read(_peers, answer)

    async def alerts(self, labels: Labels) -> tuple[KnownAlert, ...]:
        """The active alerts that carry these labels, silenced or not."""
        answer = await self._get("/api/v2/alerts", _filters(labels))
        return _read(lambda found: tuple(_alert(alert) for alert in _list(found)), answer)

    async def silences(self, labels: Labels) -> tuple[KnownSilence, ...]:
        """The silences that have these matchers of equality, also those that are over."""
        answer = await self._get("/api/v2/silences", _filters(labels))
        now = await self._now()
        return _read(lambda found: tuple(_silence(silence, now) for silence in _list(found)), answer)

    async def silence(self, identifier: str) -> KnownSilence | None:
        """One silence; None where it is not known."""
        async with self._http.session() as session:
            try:
                answer = await self._http.get(session, f"/api/v2/silence/{quote(identifier, safe='')}", {})
            except NotFound:
                return None
        self._noted(answer)
        now = await self._now()
        return _read(lambda found: _silence(found, now), parsed(answer.content, WORDS.api))

    async def keep(
        self, matchers: Sequence[Matcher], created_by: str, comment: str, lasts: timedelta, old: KnownSilence | None
    ) -> str:
        """Silence for so long from now on: a new one, or an old one under its id. Gives the id that it has.

        Raises:
            Invalid: it was refused.
        """
        now = await self._now()
        body: dict[str, Any] = {
            "matchers": [
                {"name": m.name, "value": m.value, "isEqual": m.is_equal, "isRegex": m.is_regex} for m in matchers
            ],
            "startsAt": old.starts_at if old else format_time(now),
            "endsAt": format_time(now + lasts),
            "createdBy": created_by,
            "comment": comment,
        }
        body |= {"id": old.id} if old else {}
        answer = await self._send("POST", "/api/v2/silences", body)
        return _read(lambda found: _is(str, found["silenceID"]), parsed(answer.content, WORDS.api))

    async def end(self, identifier: str) -> None:
        """End a silence now. One that is not known is over already."""
        async with self._http.session() as session:
            try:
                await self._http.send(session, "DELETE", f"/api/v2/silence/{quote(identifier, safe='')}")
            except NotFound:
                return

    async def post(self, calls: Sequence[Call], lasts: timedelta) -> None:
        """Send alerts that resolve by themselves after so long; at once, where it is nothing.

        Raises:
            Invalid: they were refused.
        """
        now = await self._now()
        body = [
            {
                "labels": dict(call.labels),
                "annotations": dict(call.annotations),
                "startsAt": format_time(min(call.starts_at, now)),  # our clock may be ahead
                "endsAt": format_time(now + lasts),
            }
            for call in calls
        ]
        await self._send("POST", "/api/v2/alerts", body)

    async def _now(self) -> datetime:
        """The server's time of day."""
        if self._date is None:
            await self.peers()
        if self._date is None:
            raise Unavailable("the server does not say what time it is: its answers have no Date")
        said, at = self._date
        return said + timedelta(seconds=time.monotonic() - at)

    async def _get(self, path: str, query: Query) -> Any:
        async with self._http.session() as session:
            answer = await self._http.get(session, path, query)
            self._noted(answer)
            return parsed(answer.content, WORDS.api)

    async def _send(self, verb: str, path: str, body: Any) -> Answer:
        async with self._http.session() as session:
            answer = await self._http.send(session, verb, path, body)
            self._noted(answer)
            return answer

    def _noted(self, answer: Answer) -> None:
        try:
            said = parsedate_to_datetime(answer.date)
        except ValueError:
            return
        self._date = (said if said.tzinfo else said.replace(tzinfo=UTC), time.monotonic())


def _filters(labels: Labels) -> list[tuple[str, str]]:
    return [("filter", f"{name}={quoted(value)}") for name, value in sorted(labels.items())]


def _read(how: Callable[[Any], T], answer: Any) -> T:
    try:
        return how(answer)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Unavailable(f"the answer is not one of {WORDS.api} ({type(error).__name__})") from error


def _peers(status: Any) -> frozenset[str]:
    cluster = _is(dict, status["cluster"])
    if cluster.get("status") == "disabled":
        return frozenset()
    names = [_is(str, peer["name"]) for peer in _list(cluster.get("peers"))]
    return frozenset([*names, *([cluster["name"]] if cluster.get("name") else [])])


def _alert(alert: Any) -> KnownAlert:
    status = _is(dict, alert["status"])
    return KnownAlert(
        labels=_labels(alert["labels"]),
        silenced_by=_texts(status.get("silencedBy")),
        inhibited_by=_texts(status.get("inhibitedBy")),
        fingerprint=_is(str, alert["fingerprint"]),
    )


def _silence(silence: Any, now: datetime) -> KnownSilence:
    matchers = [
        Matcher(_is(str, m["name"]), _is(str, m["value"]), bool(m.get("isEqual", True)), bool(m.get("isRegex", False)))
        for m in _list(silence["matchers"])
    ]
    ends = datetime.fromisoformat(silence["endsAt"]).astimezone(UTC)
    return KnownSilence(
        id=_is(str, silence["id"]),
        matchers=tuple(matchers),
        starts_at=_is(str, silence["startsAt"]),
        ends_at=ends,
        created_by=_is(str, silence.get("createdBy") or ""),
        comment=_is(str, silence.get("comment") or ""),
        active=silence["status"]["state"] == "active",
        left=ends - now,
    )


def _labels(value: Any) -> Mapping[str, str]:
    return {name: _is(str, text) for name, text in _is(dict, value).items()}


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_is(str, text) for text in _list(value))


def _list(value: Any) -> list[Any]:
    return [] if value is None else _is(list, value)


def _is(kind: type[T], value: Any) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"not a {kind.__name__}")
    return value
