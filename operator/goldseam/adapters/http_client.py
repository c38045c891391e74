"""Requests to the servers of monitoring: bounded in time and size, without redirects, with errors that are ours."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from pydantic_core import from_json

from goldseam.adapters.credentials import PLAIN, Credentials
from goldseam.errors import GoldseamError, Invalid, NotFound, Unavailable

LARGEST = 32 * 2**20
"""Bytes: no answer may be larger."""
REFUSALS = (401, 403)
REDIRECTED = "redirects are not followed; give the final URL"

Query = Sequence[tuple[str, str]] | dict[str, str]


@dataclass(frozen=True)
class Words:
    """How errors name the server, and the fields in which people wrote how to reach it."""

    api: str
    url: str
    auth: str


@dataclass(frozen=True)
class Answer:
    """A good answer: what it holds, and what the server said the time was (`Date`), if it did."""

    content: bytes | bytearray
    date: str = ""


class HttpClient:
    """Asks one server. Redirects are not followed: they would carry us where the admin did not say."""

    def __init__(
        self, url: str, credentials: Credentials | None, words: Words, *, timeout: float, largest: int = LARGEST
    ) -> None:
        """`timeout` is in seconds, for all requests of a session together; `largest` is in bytes, for each answer."""
        self._url, self._timeout, self._largest = url.rstrip("/"), timeout, largest
        self._credentials, self._words = credentials, words

    @asynccontextmanager
    async def session(self) -> AsyncIterator[aiohttp.ClientSession]:
        """A session whose errors are ours.

        Raises:
            Unavailable: no answer, or one that cannot be trusted.
        """
        way = await self._credentials.way() if self._credentials else PLAIN
        try:
            connector = aiohttp.TCPConnector(ssl=way.tls or True)
            async with (
                asyncio.timeout(self._timeout),
                aiohttp.ClientSession(connector=connector, headers=way.headers) as session,
            ):
                yield session
        except NotFound as error:
            raise Unavailable(str(error)) from error
        except TimeoutError as error:
            raise Unavailable(f"no answer within {self._timeout:g} s") from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise Unavailable("the URL is not one") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"cannot connect: {reason_of(error)}") from error

    async def get(self, session: aiohttp.ClientSession, path: str, query: Query) -> Answer:
        """The answer to a GET.

        Raises:
            NotFound: 404; outside of the session it is `Unavailable`, unless somebody knew what it means.
            Unavailable: any other status than 200.
        """
        return await self._asked(session, "GET", path, query, None)

    async def send(self, session: aiohttp.ClientSession, verb: str, path: str, body: Any = None) -> Answer:
        """The answer to a request that changes something.

        Raises:
            Invalid: the server says that the content is wrong (400).
            NotFound: as for `get`.
            Unavailable: any other status than 200.
        """
        return await self._asked(session, verb, path, {}, body)

    async def _asked(self, session: aiohttp.ClientSession, verb: str, path: str, query: Query, body: Any) -> Answer:
        request = session.request(verb, self._url + path, params=query, json=body, allow_redirects=False)
        async with request as answer:
            if answer.status == 400 and verb != "GET":
                raise Invalid(f"HTTP 400: {self._words.api} refuses what was sent")
            if answer.status != 200:
                raise self._unexpected(answer)
            return Answer(await self._limited(answer), answer.headers.get("Date", ""))

    def _unexpected(self, answer: aiohttp.ClientResponse) -> GoldseamError:
        """What a status other than 200 means to the admin who wrote the URL; the body is anyone's, and is not told."""
        status, words = f"HTTP {answer.status}", self._words
        if 300 <= answer.status < 400:
            return Unavailable(f"{status}: {REDIRECTED}")
        if answer.status in REFUSALS:
            if self._credentials is not None:
                self._credentials.refused()
            return Unavailable(f"{status}: the server refuses us; are {words.auth} right?")
        if answer.status == 404:
            name = "".join(re.findall(r"[\w./ -]", answer.headers.get("Server", "")[:40], re.ASCII))
            what = f"it seems to be {name}" if name else "it does not say what it is"
            return NotFound(f"{status}: this is not {words.api} ({what}); is the path in {words.url} right?")
        return Unavailable(status)

    async def _limited(self, answer: aiohttp.ClientResponse) -> bytearray:
        content = bytearray()
        async for chunk in answer.content.iter_chunked(65_536):
            content += chunk
            if len(content) > self._largest:
                raise Unavailable(f"the answer is larger than {self._largest} bytes")
        return content


def parsed(content: bytes | bytearray, api: str) -> Any:
    """What the JSON says. Texts that ten thousand alerts have in common are kept once while it is read.

    Raises:
        Unavailable: it is not JSON, or holds half a surrogate pair: that is no text, and would break what reads it.
    """
    try:
        return from_json(content)
    except ValueError as error:
        if "hex escape" in str(error):
            raise Unavailable("the answer holds half a character, which is no text") from error
        raise Unavailable(f"the answer is not JSON: is the URL that of {api}?") from error


def reason_of(error: BaseException) -> str:
    """Why a connection failed, in a few words: what the operating system or TLS said, below the library's wrapping."""
    below: BaseException | None = error
    while below is not None:
        # aiohttp's errors pass for TLS' and the system's own, but without what these carry
        said = "" if isinstance(below, aiohttp.ClientError) else _said(below)
        if said:
            return said[:200]
        below = below.__cause__ or below.__context__
    return f"the connection broke ({type(error).__name__})"


def _said(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason}"
    if isinstance(error, socket.gaierror):
        return str(error.strerror).lower()
    if isinstance(error, OSError) and error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno).lower()
    return ""
