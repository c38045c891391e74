"""PromQL by prometheus-api-client, in threads: without its retries and redirects, never without a timeout."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import requests
from prometheus_api_client import PrometheusConnect
from urllib3.util.retry import Retry

from goldseam.engine.alerts import Samples
from goldseam.errors import GoldseamError, Invalid, Unavailable

AT_ONCE = 4
LARGEST = 4 * 2**20


class PromqlMetrics:
    """The port `Metrics`. One client and one session a thread: a `requests.Session` is not made to be shared."""

    def __init__(self, url: str, *, timeout: float) -> None:
        self._url, self._timeout = url, timeout
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._local = threading.local()

    async def query(self, expression: str) -> Samples:
        """Evaluate an instant query."""
        async with self._slots:
            try:
                async with asyncio.timeout(self._timeout + 2):
                    return await asyncio.to_thread(self._query, expression)
            except TimeoutError as error:
                raise Unavailable(f"no answer within {self._timeout:g} s") from error

    def _query(self, expression: str) -> Samples:
        client, seen = self._client()
        seen.clear()
        try:
            client.custom_query(expression, timeout=self._timeout)
        except GoldseamError:
            raise
        except requests.Timeout as error:
            raise Unavailable(f"no answer within {self._timeout:g} s") from error
        except requests.TooManyRedirects as error:
            raise Unavailable("redirects are not followed; give the final URL") from error
        except requests.RequestException as error:
            raise Unavailable(f"cannot be reached: {type(error).__name__}") from error
        return _samples(seen)

    def _client(self) -> tuple[Any, dict[str, Any]]:
        if not hasattr(self._local, "client"):
            seen: dict[str, Any] = {}
            session = requests.Session()
            session.max_redirects = 0
            session.trust_env = False
            session.hooks["response"].append(lambda answer, *_, **__: _examined(answer, seen))
            self._local.client = PrometheusConnect(url=self._url, retry=Retry(total=0), session=session), seen
        found: tuple[Any, dict[str, Any]] = self._local.client
        return found


def _examined(answer: requests.Response, seen: dict[str, Any]) -> None:
    """The client drops warnings and result types, so the answer is read here, before it."""
    if answer.is_redirect:
        raise Unavailable(f"HTTP {answer.status_code}: redirects are not followed; give the final URL")
    if len(answer.content) > LARGEST:
        raise Unavailable(f"the answer is larger than {LARGEST >> 20} MiB")
    try:
        parsed = json.loads(answer.content)
        seen.update(parsed)
    except (ValueError, TypeError) as error:
        raise Unavailable(f"HTTP {answer.status_code}: the answer is not JSON") from error
    if seen.get("errorType") == "bad_data":
        raise Invalid(str(seen.get("error"))[:300])
    if answer.status_code != 200 or seen.get("status") != "success":
        raise Unavailable(f"HTTP {answer.status_code}: {str(seen.get('error') or 'no success')[:200]}")


def _samples(answer: dict[str, Any]) -> Samples:
    data = answer.get("data") or {}
    kind, result = data.get("resultType"), data.get("result") or []
    warnings = tuple(str(warning)[:200] for warning in answer.get("warnings") or [])
    if kind == "scalar":
        return Samples((float(result[1]),), warnings)
    if kind == "vector":
        return Samples(tuple(float(sample["value"][1]) for sample in result), warnings)
    raise Invalid(f"the result is a {kind}, and must be an instant vector or a scalar")
