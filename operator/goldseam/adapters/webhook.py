"""A signed JSON webhook, as the Standard Webhooks specification 1.0 says (standardwebhooks.com)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import time
from datetime import timedelta

import aiohttp

from goldseam.errors import Invalid, Throttled, Unavailable
from goldseam.ports import Message

TIMEOUT = 5.0
"""Seconds."""
LATER = (408, 425, 429)
LONGEST_WAIT = 3_600
"""Seconds: a receiver cannot put us off for longer than that by Retry-After."""


class WebhookNotifier:
    """The port `Notifier`. Redirects are not followed, and what the receiver writes back is not read."""

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout

    async def post(self, url: str, message: Message, secret: str | None) -> None:
        """POST the message. Any 2xx is success.

        Raises:
            Throttled: the receiver asks for patience (408, 425, 429).
            Unavailable: no answer, or a server error.
            Invalid: any other answer, or an address or a secret that is none.
        """
        body = json.dumps(
            {
                "id": message.id,
                "type": message.kind,
                "subject": message.subject,
                "text": message.text,
                "data": message.data,
            }
        ).encode()
        headers = {"Content-Type": "application/json", **signed(message.id, int(time.time()), body, secret)}
        try:
            async with asyncio.timeout(self._timeout), aiohttp.ClientSession() as session:
                async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                    _judge(answer)
        except TimeoutError as error:
            raise Unavailable(f"the webhook did not answer within {self._timeout:g} s") from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError) as error:
            raise Invalid("the webhook's address is not a URL") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"the webhook cannot be reached: {type(error).__name__}") from error


def signed(identifier: str, timestamp: int, body: bytes, secret: str | None) -> dict[str, str]:
    """The headers `webhook-id`, `webhook-timestamp` and, where there is a secret, `webhook-signature`."""
    headers = {"webhook-id": identifier, "webhook-timestamp": str(timestamp)}
    if secret:
        content = f"{identifier}.{timestamp}.".encode() + body
        digest = hmac.new(_key(secret), content, hashlib.sha256).digest()
        headers["webhook-signature"] = "v1," + base64.b64encode(digest).decode()
    return headers


def _key(secret: str) -> bytes:
    """A secret with the prefix `whsec_` is base64, any other is taken as it is."""
    secret = secret.strip()
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise Invalid("the signing secret begins with whsec_ but is not base64") from error


def _judge(answer: aiohttp.ClientResponse) -> None:
    if 200 <= answer.status < 300:
        return
    if answer.status in LATER:
        raise Throttled(f"the webhook answered {answer.status}", _wait(answer.headers.get("Retry-After", "")))
    if answer.status >= 500:
        raise Unavailable(f"the webhook answered {answer.status}")
    raise Invalid(f"the webhook answered {answer.status}, which repeating does not change")


def _wait(value: str) -> timedelta | None:
    """Retry-After in seconds. As a date it would need the receiver's clock to be right, so that it is not used."""
    if not (value.isascii() and value.isdigit()):
        return None
    return timedelta(seconds=min(int(value[:10]), LONGEST_WAIT))
