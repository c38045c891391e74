"""PromQL by prometheus-api-client, in threads: without its retries and redirects, never without a timeout.

The client drops warnings and result types, so the answers are read before it, by a hook on its session.
"""

from __future__ import annotations

import asyncio
import io
import json
import ssl
import threading
import time
from typing import Any

import requests
import urllib3
from prometheus_api_client import PrometheusConnect
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from goldseam.adapters.credentials import PLAIN, Credentials, Way
from goldseam.adapters.http_client import REDIRECTED, reason_of
from goldseam.engine.alerts import Samples
from goldseam.errors import GoldseamError, Invalid, Unavailable

AT_ONCE = 4
"""Threads that one source may hold."""
LARGEST = 4 * 2**20
"""Bytes: no answer may be larger."""
NO_QUERIES = "if this server has no PromQL, as vmalert and Thanos Ruler, name one that has in spec.queryUrl"


class PromqlMetrics:
    """The port `Metrics`. One client and one session a thread: a `requests.Session` is not made to be shared."""

    def __init__(
        self, url: str, credentials: Credentials | None = None, *, timeout: float, largest: int = LARGEST
    ) -> None:
        """`timeout` is in seconds, `largest` in bytes."""
        self._url, self._timeout, self._largest = url.rstrip("/"), timeout, largest
        self._credentials = credentials
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._local = threading.local()

    async def query(self, expression: str) -> Samples:
        """Evaluate an instant query. A warning of the server is part of the answer; it is not judged here."""
        way = await self._credentials.way() if self._credentials else PLAIN
        try:
            async with asyncio.timeout(self._timeout + 1):
                await self._slots.acquire()
                running = asyncio.ensure_future(asyncio.to_thread(self._query, expression, way))
                # A thread cannot be cancelled. It keeps its slot to its end, or a slow server would take them all.
                running.add_done_callback(self._free)
                return await asyncio.shield(running)
        except TimeoutError as error:
            raise Unavailable(f"no answer within {self._timeout:g} s") from error

    def _free(self, running: asyncio.Future[Samples]) -> None:
        self._slots.release()
        if not running.cancelled():
            running.exception()  # whoever waited may be gone; the loop shall not complain of an error nobody took

    def _query(self, expression: str, way: Way) -> Samples:
        try:
            client, reader = self._client(way)
            reader.begin()
            client.custom_query(expression, timeout=self._timeout)
        except GoldseamError:
            raise
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise Unavailable(f"no answer within {self._timeout:g} s") from error
        except ValueError as error:  # requests' InvalidURL and MissingSchema are such, and so is urllib's complaint
            raise Unavailable("the URL is not one") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"cannot be reached: {reason_of(error)}") from error
        if reader.samples is None:
            raise Unavailable("no answer was read")
        return reader.samples

    def _client(self, way: Way) -> tuple[Any, _Reader]:
        """This thread's client, made anew when the credentials have changed."""
        if getattr(self._local, "way", None) is not way:
            session = requests.Session()
            session.max_redirects = 0
            session.trust_env = False
            session.headers.update(way.headers)
            reader = _Reader(self._timeout, self._largest)
            session.hooks["response"].append(reader)
            never = Retry(total=0, read=False)  # with total alone, a timeout passes for a broken connection
            client = PrometheusConnect(url=self._url, retry=never, session=session)
            if way.tls is not None:
                session.mount(self._url, _Trusting(way.tls, max_retries=never))
            self._local.client, self._local.way = (client, reader), way
        found: tuple[Any, _Reader] = self._local.client
        return found


class _Trusting(HTTPAdapter):
    """Connections whose TLS is set by a context, which requests has no setting for."""

    def __init__(self, tls: ssl.SSLContext, **options: Any) -> None:
        self._tls = tls
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """As it is called by requests."""
        super().init_poolmanager(*args, **options, ssl_context=self._tls)


class _Reader:
    """Reads an answer before the client does: within its time and size, and as what it says that it is."""

    def __init__(self, timeout: float, largest: int) -> None:
        self._timeout, self._largest = timeout, largest
        self._deadline = 0.0
        self.samples: Samples | None = None

    def begin(self) -> None:
        """A new query: the answer to the last one must not be taken for the answer to this."""
        self.samples, self._deadline = None, time.monotonic() + self._timeout

    def __call__(self, answer: requests.Response, *_: Any, **__: Any) -> None:
        try:
            if answer.is_redirect:
                raise Unavailable(f"HTTP {answer.status_code}: {REDIRECTED}")
            content = self._content(answer)
            self.samples = _samples(_judged(answer.status_code, content))
            answer.raw = io.BytesIO(content)  # for the client, which reads it once more
        except BaseException:
            answer.close()
            raise

    def _content(self, answer: requests.Response) -> bytes:
        """requests' timeout is that of one read; a server that drips would never end it."""
        content = bytearray()
        while chunk := answer.raw.read1(65_536, decode_content=True):
            content += chunk
            if len(content) > self._largest:
                raise Unavailable(f"the answer is larger than {self._largest} bytes")
            if time.monotonic() > self._deadline:
                raise Unavailable(f"no answer within {self._timeout:g} s")
        return bytes(content)


def _judged(status: int, content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unavailable(f"HTTP {status}: the answer is not JSON; {NO_QUERIES}") from error
    if not isinstance(parsed, dict):
        raise Unavailable("the answer is not one of the Prometheus API")
    if status == 400 and parsed.get("errorType") == "bad_data":
        raise Invalid(str(parsed.get("error"))[:300])
    if status != 200 or parsed.get("status") != "success":
        raise Unavailable(f"HTTP {status}: {str(parsed.get('error') or 'no success')[:200]}")
    return parsed


def _samples(answer: dict[str, Any]) -> Samples:
    found = answer.get("warnings") or []
    warnings = tuple(str(warning)[:200] for warning in (found if isinstance(found, list) else [found]))
    if answer.get("isPartial"):  # VictoriaMetrics' cluster says so instead (app/vmselect/prometheus)
        warnings += ("isPartial: not all storage nodes have answered",)
    try:
        kind, result = answer["data"]["resultType"], answer["data"]["result"]
        if kind == "scalar":
            return Samples((float(result[1]),), warnings)
        if kind == "vector":
            return Samples(tuple(_value(sample) for sample in result or ()), warnings)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise Unavailable("the answer is not one of the Prometheus API") from error
    raise Invalid(f"the result is a {str(kind)[:20]}, and must be an instant vector or a scalar")


def _value(sample: dict[str, Any]) -> float:
    if "value" not in sample and "histogram" in sample:
        raise Invalid("the result is a native histogram, and must be a number: take a quantile, a sum or a count of it")
    return float(sample["value"][1])
