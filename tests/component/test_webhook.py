"""The signed webhook: what is tried again, and what is not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import timedelta

import pytest
from aiohttp import web

from goldseam.adapters.webhook import WebhookNotifier, signed
from goldseam.errors import GoldseamError, Invalid, Throttled, Unavailable
from goldseam.ports import Message
from tests.support.web import serving

MESSAGE = Message("msg_1", "incident.escalated", "subject", "text", {"level": "Primary"})


async def test_a_message_is_signed_over_id_time_and_body() -> None:
    heard: list[tuple[dict[str, str], bytes]] = []

    async def listen(request: web.Request) -> web.Response:
        heard.append((dict(request.headers), await request.read()))
        return web.Response(status=204)

    key = base64.b64encode(b"key").decode()
    async with serving(listen) as url:
        await WebhookNotifier().post(url, MESSAGE, f"whsec_{key}")
        await WebhookNotifier().post(url, MESSAGE, None)
    headers, body = heard[0]
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(b"key", content, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert "webhook-signature" not in heard[1][0]


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, Unavailable), (503, Unavailable), (429, Throttled), (408, Throttled), (400, Invalid), (302, Invalid)],
)
async def test_only_what_may_change_is_tried_again(status: int, error: type[Exception]) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Retry-After": "7", "Location": "http://elsewhere.example.com"})

    async with serving(refuse) as url:
        with pytest.raises(error) as caught:
            await WebhookNotifier().post(url, MESSAGE, "s")
    if isinstance(caught.value, Throttled):
        assert caught.value.delay == timedelta(seconds=7)


async def test_a_receiver_that_hangs_or_is_away_is_unavailable() -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with serving(hang) as url:
        with pytest.raises(Unavailable, match="did not answer"):
            await WebhookNotifier(timeout=0.2).post(url, MESSAGE, "s")
    with pytest.raises(Unavailable, match="cannot be reached"):
        await WebhookNotifier().post("http://127.0.0.1:9", MESSAGE, "s")


async def test_a_secret_that_is_no_base64_is_said() -> None:
    with pytest.raises(Invalid, match="whsec_"):
        await WebhookNotifier().post("http://127.0.0.1:9", MESSAGE, "whsec_%%%")


def test_the_signature_is_that_of_the_specifications_example() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', secret)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_message_arrives_whole_and_the_answer_is_not_read() -> None:
    heard: list[dict[str, object]] = []

    async def endless(request: web.Request) -> web.StreamResponse:
        heard.append(json.loads(await request.read()))
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)

    async with serving(endless) as url:
        await WebhookNotifier().post(url, MESSAGE, None)
    data = {"level": "Primary"}
    assert heard == [{"id": "msg_1", "type": "incident.escalated", "subject": "subject", "text": "text", "data": data}]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("99999999999999999999", 3_600), ("-1", None), ("²", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)],
)
async def test_a_receiver_cannot_put_us_off_for_ever_or_break_us(header: str, seconds: int | None) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": header})

    async with serving(refuse) as url:
        with pytest.raises(Throttled) as caught:
            await WebhookNotifier().post(url, MESSAGE, None)
    assert caught.value.delay == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize("address", ["hunter2", "http://", "http://[::hunter2", "ftp://hunter2/x", ""])
async def test_an_address_that_is_none_is_not_tried_again(address: str) -> None:
    with pytest.raises(Invalid) as caught:
        await WebhookNotifier().post(address, MESSAGE, None)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 429, 503])
async def test_an_error_never_names_the_url_for_it_may_hold_a_token(status: int) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status)

    async with serving(refuse) as url:
        with pytest.raises(GoldseamError) as caught:
            await WebhookNotifier().post(f"{url}/hunter2", MESSAGE, None)
    assert "hunter2" not in str(caught.value)
