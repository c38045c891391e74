"""The signed webhook: what is tried again, and what is not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from datetime import timedelta

import pytest
from aiohttp import web

from goldseam.adapters.webhook import WebhookNotifier
from goldseam.errors import Invalid, Throttled, Unavailable
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
