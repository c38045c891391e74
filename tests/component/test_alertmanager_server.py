"""What is asked of an Alertmanager over HTTP, and what is made of its answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from goldseam.adapters.alertmanager import AlertmanagerServer
from goldseam.engine.silences import Call, KnownAlert, Matcher
from goldseam.errors import Invalid, Unavailable
from tests.support.web import serving

SERVERS_TIME = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
"""Years from ours: only the server's own clock may count."""
SILENCE = {
    "id": "1",
    "matchers": [{"name": "a", "value": "b", "isRegex": False, "isEqual": True}],
    "startsAt": "2031-05-06T07:07:09.123Z",
    "endsAt": "2031-05-06T07:09:09.123Z",
    "updatedAt": "2031-05-06T07:07:09.123Z",
    "createdBy": "jane",
    "comment": "why",
    "status": {"state": "active"},
}
ALERT = {
    "labels": {"alertname": "A"},
    "annotations": {},
    "receivers": [{"name": "x"}],
    "fingerprint": "f",
    "startsAt": "2031-05-06T07:08:09Z",
    "updatedAt": "2031-05-06T07:08:09Z",
    "endsAt": "2031-05-06T07:08:09Z",
    "status": {"state": "suppressed", "silencedBy": ["1"], "inhibitedBy": ["g"], "mutedBy": []},
}


class Fake:
    """Answers every path as it is told; remembers what it was asked."""

    def __init__(self) -> None:
        self.body: Any = {"cluster": {"status": "ready", "name": "me", "peers": [{"name": "me", "address": "x"}]}}
        self.status, self.headers = 200, {"Date": "Tue, 06 May 2031 07:08:09 GMT"}
        self.asked: list[tuple[str, str, list[tuple[str, str]], Any]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.path, list(request.query.items()), body))
        text = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return web.Response(status=self.status, text=text, headers=self.headers)


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
async def server(fake: Fake) -> AsyncIterator[AlertmanagerServer]:
    async with serving(fake.handle) as url:
        yield AlertmanagerServer(f"{url}/base/")


async def test_the_members_of_its_cluster_are_read_and_one_that_does_not_gossip_has_none(
    fake: Fake, server: AlertmanagerServer
) -> None:
    assert await server.peers() == {"me"}
    assert fake.asked[0][:2] == ("GET", "/base/api/v2/status")
    fake.body = {"cluster": {"status": "disabled", "peers": []}}
    assert await server.peers() == frozenset()


async def test_alerts_are_asked_for_by_labels_whatever_stands_in_them(fake: Fake, server: AlertmanagerServer) -> None:
    fake.body = [ALERT]
    found = await server.alerts({"namespace": "shop", "alertname": 'a"b\\c\nd ü'})
    assert found == (KnownAlert({"alertname": "A"}, ("1",), ("g",), "f"),)
    filters = [("filter", 'alertname="a\\"b\\\\c\\nd ü"'), ("filter", 'namespace="shop"')]
    assert fake.asked[0] == ("GET", "/base/api/v2/alerts", filters, None)


async def test_how_long_a_silence_holds_is_reckoned_by_the_servers_clock(
    fake: Fake, server: AlertmanagerServer
) -> None:
    fake.body = [SILENCE, {**SILENCE, "status": {"state": "expired"}}]
    first, second = await server.silences({"goldseam": ""})
    assert fake.asked[0][2] == [("filter", 'goldseam=""')]
    assert timedelta(seconds=59) < first.left < timedelta(seconds=61)
    assert (first.matchers, first.created_by, first.comment) == ((Matcher("a", "b"),), "jane", "why")
    assert (first.active, second.active) == (True, False)


async def test_a_silence_is_made_from_the_servers_now_on_and_renewed_with_its_own_beginning(
    fake: Fake, server: AlertmanagerServer
) -> None:
    fake.body = SILENCE
    old = await server.silence("1")
    fake.body = {"silenceID": "1"}
    made = await server.keep([Matcher("a", "b", is_regex=True)], "me", "why", timedelta(minutes=2), None)
    assert made == "1"
    await server.keep([Matcher("a", "b")], "me", "why", timedelta(minutes=2), old)
    new, renewed = (body for *_, body in fake.asked[-2:])
    assert new["matchers"] == [{"name": "a", "value": "b", "isEqual": True, "isRegex": True}]
    starts, ends = (datetime.fromisoformat(new[field]) for field in ("startsAt", "endsAt"))
    assert abs(starts - SERVERS_TIME) < timedelta(seconds=30)
    assert ends - starts == timedelta(minutes=2)
    assert "id" not in new
    assert (renewed["id"], renewed["startsAt"]) == ("1", SILENCE["startsAt"])


async def test_what_it_is_not_known_of_is_no_silence_and_is_over(fake: Fake, server: AlertmanagerServer) -> None:
    fake.status = 404
    assert await server.silence("a/../b") is None
    await server.end("1")
    assert [asked[:2] for asked in fake.asked] == [
        ("GET", "/base/api/v2/silence/a/../b"),
        ("DELETE", "/base/api/v2/silence/1"),
    ]


@pytest.mark.parametrize("ahead", [timedelta(days=900), timedelta(0)])
async def test_an_alert_begins_and_ends_by_the_servers_clock(
    fake: Fake, server: AlertmanagerServer, ahead: timedelta
) -> None:
    begun = SERVERS_TIME - timedelta(minutes=1) + ahead
    await server.post([Call({"alertname": "X"}, {"a": "b"}, begun)], timedelta(minutes=3))
    ((sent,),) = [body for verb, _, _, body in fake.asked if verb == "POST"]
    starts, ends = (datetime.fromisoformat(sent[field]) for field in ("startsAt", "endsAt"))
    assert abs(ends - SERVERS_TIME - timedelta(minutes=3)) < timedelta(seconds=30)
    assert starts <= ends - timedelta(minutes=3)
    assert (sent["labels"], sent["annotations"]) == ({"alertname": "X"}, {"a": "b"})


@pytest.mark.parametrize(
    ("status", "body", "headers", "problem"),
    [
        (200, "<html>", {}, "the answer is not JSON: is the URL that of the Alertmanager API?"),
        (200, "[{}]", {}, "the answer is not one of the Alertmanager API (KeyError)"),
        (200, '[{"labels": 1, "status": {}, "fingerprint": ""}]', {}, "the answer is not one of the Alertmanager API"),
        (200, '{"alerts": []}', {}, "the answer is not one of the Alertmanager API (TypeError)"),
        (302, "", {"Location": "http://elsewhere"}, "HTTP 302: redirects are not followed; give the final URL"),
        (401, "", {}, "HTTP 401: the server refuses us; are spec.alertmanager.auth and tenant right?"),
        (404, "", {"Server": "nginx"}, "this is not the Alertmanager API (it seems to be nginx); is the path in"
                                       " spec.alertmanager.urls right?"),
        (503, "", {}, "HTTP 503"),
    ],
)  # fmt: skip
async def test_an_answer_that_cannot_be_trusted_is_none(
    fake: Fake, server: AlertmanagerServer, status: int, body: str, headers: dict[str, str], problem: str
) -> None:
    fake.status, fake.body, fake.headers = status, body, headers
    with pytest.raises(Unavailable) as caught:
        await server.alerts({})
    assert problem in str(caught.value)


async def test_a_refusal_says_that_what_was_sent_is_wrong_and_repeats_nothing_of_the_answer(
    fake: Fake, server: AlertmanagerServer
) -> None:
    await server.peers()
    fake.status, fake.body = 400, "secret"
    with pytest.raises(Invalid, match=r"^HTTP 400: the Alertmanager API refuses what was sent$"):
        await server.keep([], "", "", timedelta(minutes=2), None)


async def test_one_that_does_not_say_what_time_it_is_gets_no_silence(fake: Fake, server: AlertmanagerServer) -> None:
    fake.headers = {"Date": "yesterday"}
    with pytest.raises(Unavailable, match="does not say what time it is"):
        await server.keep([], "", "", timedelta(minutes=2), None)
