"""The receiver of hints: whom it hears, what it takes of what they say, and that nothing else comes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldseam.adapters import receiver
from goldseam.adapters.access import LOOKED, Tokens
from goldseam.adapters.door import Bucket
from goldseam.adapters.receiver import LARGEST, MOST, names
from goldseam.errors import Invalid
from tests.support.harness import VirtualClock
from tests.support.pushing import TOKEN, Listener, alert, push, receiving, webhook

Json = Any


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    return file


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
async def url(listener: Listener, tokens: Path) -> AsyncIterator[str]:
    async with receiving(listener, tokens) as found:
        yield found


async def test_a_push_of_prometheus_is_heard_as_the_names_of_its_alerts(url: str, listener: Listener) -> None:
    assert await push(url, [alert("A"), alert("B", pod="x"), alert("A", pod="y")]) == (200, "")
    assert listener.heard == [frozenset({"A", "B"})]


async def test_a_webhook_of_alertmanager_is_heard_also_where_its_alerts_are_cut_off(
    url: str, listener: Listener
) -> None:
    body = webhook(alert("A"), alert("B", status="resolved"), truncatedAlerts=3, groupLabels={"alertname": "C"})
    assert await push(url, body, "/webhook") == (200, "")
    assert listener.heard == [frozenset({"A", "B", "C"})]


async def test_fields_that_are_not_known_and_alerts_without_a_name_are_passed_over(
    url: str, listener: Listener
) -> None:
    nameless = {"labels": {"severity": "critical"}}
    assert await push(url, [{**alert("A"), "notYetInvented": [1, {}]}, nameless]) == (200, "")
    assert listener.heard == [frozenset({"A"})]


async def test_ten_thousand_alerts_in_one_push_are_heard_as_one(url: str, listener: Listener) -> None:
    body = [alert(f"Alert{number % 50}", pod=f"pod-{number}") for number in range(10_000)]
    assert await push(url, body) == (200, "")
    assert listener.heard == [frozenset(f"Alert{number}" for number in range(50))]


@pytest.mark.parametrize("path", ["/api/v2/alerts", "/webhook", "/api/v2/status", "/anything"])
@pytest.mark.parametrize("token", ["", "a-token-of-other-tests", TOKEN[:-1], TOKEN + "x"])
async def test_whoever_has_no_valid_token_is_refused_and_not_heard(
    url: str, listener: Listener, path: str, token: str
) -> None:
    status, said = await push(url, [alert()], path, token)
    assert status == 401
    assert "GOLDSEAM_RECEIVER_TOKEN_FILE" in said
    assert listener.heard == []


async def test_a_token_of_another_scheme_is_refused(url: str, listener: Listener) -> None:
    status, _ = await push(url, [alert()], token="", headers={"Authorization": f"Basic {TOKEN}"})
    assert (status, listener.heard) == (401, [])


def test_two_tokens_are_valid_during_a_rotation_and_the_old_one_no_more_after_it(tokens: Path) -> None:
    clock = VirtualClock()
    known, new = Tokens(tokens, clock.monotonic), "another-token-of-these-tests"

    def replaced(text: str) -> None:
        """As the kubelet does with a mounted Secret: another file in its place."""
        (tokens.parent / "next").write_text(text)
        (tokens.parent / "next").replace(tokens)
        clock.advance(LOOKED)

    assert known.admits(f"Bearer {TOKEN}")
    assert not known.admits(f"Bearer {new}")
    replaced(f"{TOKEN}\n\n  {new}  \n")
    assert known.admits(f"Bearer {TOKEN}")
    assert known.admits(f"bearer {new}")
    replaced(new)
    assert not known.admits(f"Bearer {TOKEN}")
    assert known.admits(f"Bearer {new}")


@pytest.mark.parametrize("content", ["", "\n \n", "short", None], ids=["empty", "blank", "short", "missing"])
def test_a_file_without_a_usable_token_lets_nobody_in(tokens: Path, content: str | None) -> None:
    tokens.unlink() if content is None else tokens.write_text(content)
    known = Tokens(tokens)
    assert not any(known.admits(f"Bearer {given}") for given in ("", "short", TOKEN))
    assert not known.admits("")


async def test_a_standby_drops_what_prometheus_sends_to_both_and_lets_alertmanager_try_again(tokens: Path) -> None:
    standby = Listener(leads=False)
    async with receiving(standby, tokens) as url:
        assert await push(url, [alert()]) == (200, "")
        connector = aiohttp.TCPConnector()
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            aiohttp.ClientSession(connector=connector, headers=headers) as session,
            session.post(url + "/webhook", json=webhook(alert())) as answer,
        ):
            assert (answer.status, answer.headers["Connection"]) == (503, "close"), "so that it meets another replica"


async def test_ready_and_healthy_are_answered_to_anybody(url: str, listener: Listener) -> None:
    async with aiohttp.ClientSession() as session:

        async def asked(path: str) -> int:
            async with session.get(url + path) as answer:
                return answer.status

        assert (await asked("/-/ready"), await asked("/-/healthy")) == (200, 200)
        listener.leads = False
        assert (await asked("/-/ready"), await asked("/-/healthy")) == (503, 200)


async def test_the_status_has_what_alertmanagers_api_requires(url: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(url + "/api/v2/status") as answer:
        assert answer.status == 200
        found = await answer.json()
    assert set(found) == {"cluster", "config", "uptime", "versionInfo"}
    assert found["versionInfo"].keys() >= {"version", "revision", "branch", "buildUser", "buildDate", "goVersion"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"[{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe\xfd", "not JSON"),
        (b"[NaN]", "not JSON"),
        (b"[" + b"1" * 10_000 + b"]", "not JSON"),
        (b"{}", "the body must be a list of alerts"),
        (b"[1]", "alert 0: must be an object"),
        (b'[{"labels": {}}, {}]', "alert 1: labels must be an object"),
        (b'[{"labels": {"alertname": 7}}]', "alert 0: labels: alertname must be a string"),
        (b"[" + b",".join([b'{"labels":{}}'] * (MOST + 1)) + b"]", "more than 20000 alerts"),
        (b"[" + b"0," * 500_001 + b"0]", "more than 500000 parts"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_body_of_another_form_is_refused_with_what_is_wrong(
    url: str, listener: Listener, body: bytes, said: str
) -> None:
    status, answer = await push(url, body)
    assert status == 400
    assert said in json.loads(answer)
    assert len(answer) < 200, "nothing of the body is given back"
    assert listener.heard == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([alert()], "the body: must be an object"),
        (webhook(alert(), version="3"), 'version: must be "4"'),
        ({"version": "4"}, "alerts: must be a list"),
        (webhook(alert(), commonLabels=[]), "commonLabels must be an object"),
    ],
)
async def test_a_webhook_of_another_form_is_refused_with_what_is_wrong(
    url: str, listener: Listener, body: Json, said: str
) -> None:
    status, answer = await push(url, body, "/webhook")
    assert (status, listener.heard) == (400, [])
    assert said in json.loads(answer)


async def test_what_is_too_large_compressed_or_asked_otherwise_is_refused(url: str, listener: Listener) -> None:
    assert (await push(url, b" " * (LARGEST + 1)))[0] == 413
    assert (await push(url, b"x", headers={"Content-Encoding": "gzip"}))[0] == 415
    assert (await push(url, [alert()], "/api/v1/alerts"))[0] == 404
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(url + "/webhook") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert listener.heard == []


async def test_a_body_that_does_not_say_its_length_is_cut_off(url: str, listener: Listener) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(LARGEST // 2**16 + 1):
            yield b" " * 2**16

    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        try:
            async with session.post(url + "/api/v2/alerts", data=endless()) as answer:
                assert answer.status == 413
        except aiohttp.ClientError:
            pass  # it was cut off while it was still being sent
    assert listener.heard == []


async def test_a_body_that_does_not_come_is_not_waited_for(
    url: str, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "PATIENCE", 0.05)

    async def halting() -> AsyncIterator[bytes]:
        yield b"["
        await stopped.wait()

    stopped = asyncio.Event()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.post(url + "/api/v2/alerts", data=halting()) as answer:
            assert answer.status == 408
        stopped.set()
    assert listener.heard == []


async def test_a_flood_is_answered_503_and_a_flood_of_strangers_leaves_room_for_those_who_are_known(
    listener: Listener, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "PER_SECOND", 0.001)
    monkeypatch.setattr(receiver, "BREATH", 0.0)
    monkeypatch.setattr(receiver, "Bucket", lambda rate, _: Bucket(rate, 3 if rate < 1 else 10_000))
    async with receiving(listener, tokens) as url:
        strangers = [(await push(url, [alert()], token="nobody"))[0] for _ in range(5)]
        known = [(await push(url, [alert()]))[0] for _ in range(5)]
    assert strangers == [401, 401, 401, 503, 503]
    assert known == [200, 200, 200, 503, 503]
    assert len(listener.heard) == 3


async def test_bodies_that_are_held_at_once_take_no_more_than_there_is_for_all_of_them(
    url: str, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = json.dumps([alert()]).encode()
    monkeypatch.setattr(receiver, "HELD", 2 * len(whole))
    for _ in range(5):
        assert (await push(url, whole))[0] == 200, "what was read is held no more"
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def halting() -> AsyncIterator[bytes]:
        yield whole[:-1]
        yield b" " * len(whole)
        begun.set()
        await go_on.wait()
        yield whole[-1:]

    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def slowly() -> int:
            async with session.post(url + "/api/v2/alerts", data=halting()) as answer:
                return answer.status

        slow = asyncio.create_task(slowly())
        async with asyncio.timeout(4):
            await begun.wait()
            while (await push(url, whole))[0] != 503:
                await asyncio.sleep(0)
            go_on.set()
            assert await slow == 200
    assert (await push(url, whole))[0] == 200


@pytest.mark.parametrize("rest", [b"no length\r\n", b"5\r\nlonger\r\n", b"5\r\nshort\r\n"])
async def test_a_body_that_is_not_sent_as_its_headers_say_is_refused(
    url: str, listener: Listener, monkeypatch: pytest.MonkeyPatch, rest: bytes
) -> None:
    monkeypatch.setattr(receiver, "PATIENCE", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
    head = f"POST /webhook HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode())
    writer.write(rest)
    async with asyncio.timeout(5):
        answer = await reader.read()
    assert int(answer.split(b" ")[1]) in (400, 408)
    assert listener.heard == []
    writer.close()


async def test_more_bytes_than_can_be_read_are_answered_503(
    listener: Listener, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(json.dumps([alert()]))
    monkeypatch.setattr(receiver, "BYTES_PER_SECOND", 0.001)
    monkeypatch.setattr(receiver, "Bucket", lambda rate, _: Bucket(rate, 2 * size + 1 if rate < 1 else 10_000))
    async with receiving(listener, tokens) as url:
        assert [(await push(url, [alert()]))[0] for _ in range(4)] == [200, 200, 503, 503]
    assert len(listener.heard) == 2


FIELDS = ("labels", "alertname", "alerts", "version", "commonLabels", "groupLabels")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.text() | st.sampled_from(FIELDS), below),
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()), st.sampled_from(("alerts", "webhook")))
def test_whatever_is_sent_gives_names_or_is_refused_in_a_few_words(body: bytes, form: str) -> None:
    said, found = "", frozenset[str]()
    try:
        found = names(body, form)
    except Invalid as error:
        said = str(error)
    assert len(said) < 100
    assert all(isinstance(name, str) and name for name in found)


@given(JSON)
def test_an_alert_is_heard_whatever_else_is_in_it(extra: Json) -> None:
    body = [{**alert("A"), "annotations": extra, "extra": extra}]
    assert names(json.dumps(body).encode(), "alerts") == {"A"}
    assert names(json.dumps(webhook(*body, extra=extra)).encode(), "webhook") == {"A"}
