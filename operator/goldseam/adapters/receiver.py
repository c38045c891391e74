"""The receiver of hints: Alertmanager's API for Prometheus, and its webhook.

Whoever pushes here only says that an alert may have changed. Nothing is believed of it but the alerts' names, for which
the truth is then read (`goldseam.services.sources`): so a forged push opens nothing and resolves nothing.

Sources of the forms: prometheus/alertmanager `api/v2/openapi.yaml` (`postableAlerts`, `alertmanagerStatus`) and
`template/template.go` (`Data`, the webhook's version 4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

import structlog
from aiohttp import web
from pydantic_core import from_json

from goldseam import metrics
from goldseam.adapters.access import Tokens
from goldseam.adapters.door import Bucket
from goldseam.errors import Invalid

LARGEST = 8 * 2**20
"""Bytes: no body may be larger. Prometheus sends 256 alerts at once, about 150 kB."""
HELD = 16 * 2**20
"""Bytes that all bodies may take while they are read, together."""
PARTS = 500_000
"""Braces, brackets and commas in a body: what reading it as JSON takes is bounded by that, not by its length."""
MOST = 20_000
"""Alerts in a body."""
LONGEST_NAME = 256
"""Characters; no policy can wait for an alert with a longer name (`alert.name`)."""
PATIENCE = 5.0
"""Seconds for a whole body to come."""
PER_SECOND = 1_000.0
"""Requests over any longer time; twice as many at once."""
BYTES_PER_SECOND = 8 * 2**20
"""Bytes of bodies that are read as JSON, over any longer time; twice as many at once."""
BREATH = 0.05
"""Seconds by which the answer to one request too many comes later, so that a flood holds itself up."""

log = structlog.get_logger("goldseam.receiver")

FORMS = {"/api/v2/alerts": "alerts", "/webhook": "webhook"}
PLACES = "POST /api/v2/alerts (as an Alertmanager), POST /webhook (of an Alertmanager), GET /api/v2/status"
STATUS = {
    "cluster": {"status": "disabled", "peers": []},
    "config": {"original": ""},
    "uptime": "1970-01-01T00:00:00Z",
    "versionInfo": dict.fromkeys(("branch", "buildDate", "buildUser", "goVersion", "revision"), "")
    | {"version": "goldseam"},
}

Check = Callable[[], tuple[bool, str]]
Hint = Callable[[Collection[str]], bool]


class _Refused(Exception):
    """The request is not taken."""

    def __init__(self, status: int, outcome: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.outcome, self.headers = status, outcome, headers


class Receiver:
    """Answers requests."""

    def __init__(self, hint: Hint, ready: Check, tokens: Tokens | None) -> None:
        """`hint` is told names of alerts, and says whether this process is the one to hear of them (the leader)."""
        self._hint, self._ready, self._tokens = hint, ready, tokens
        self._requests, self._strangers = (Bucket(PER_SECOND, 2 * PER_SECOND) for _ in range(2))
        self._reading = Bucket(BYTES_PER_SECOND, 2 * BYTES_PER_SECOND)
        self._held = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; whatever is wrong with it is said in a line, and its connection is closed."""
        form = FORMS.get(request.path, "other")
        known = self._tokens is None or self._tokens.admits(request.headers.get("Authorization", ""))
        try:
            await self._turn(known)
            answer = self._said(request, known) if form == "other" else await self._taken(request, form, known)
        except _Refused as refused:
            answer = self._refusal(form, refused)
        except ConnectionError:
            raise
        except Exception:
            log.exception("receiver_failed")
            answer = self._refusal(form, _Refused(500, "failed", "this is a defect of Goldseam; its log says more"))
        return answer

    async def _turn(self, known: bool) -> None:
        """Strangers do not use up what there is for those who are known."""
        if not (self._requests if known else self._strangers).take():
            await asyncio.sleep(BREATH)
            raise _Refused(503, "too_many", "too many requests; send it again later", Retry_After="1")

    def _refusal(self, form: str, refused: _Refused) -> web.Response:
        metrics.hint(form, refused.outcome)
        headers = {name.replace("_", "-"): value for name, value in refused.headers.items()}
        answer = web.json_response(str(refused), status=refused.status, headers=headers)
        answer.force_close()
        return answer

    def _said(self, request: web.BaseRequest, known: bool) -> web.Response:
        """What can be asked. Whether it is ready may be known to anybody."""
        if request.method == "GET" and request.path in ("/-/ready", "/-/healthy"):
            good, reason = self._ready() if request.path == "/-/ready" else (True, "OK")
            return web.Response(status=200 if good else 503, text=reason + "\n")
        self._authenticate(known)
        if request.method == "GET" and request.path == "/api/v2/status":
            return web.json_response(STATUS)
        raise _Refused(404, "malformed", f"there is nothing here; there is {PLACES}")

    def _authenticate(self, known: bool) -> None:
        if not known:
            message = "the bearer token is missing, or is none of those in GOLDSEAM_RECEIVER_TOKEN_FILE"
            raise _Refused(401, "unauthorized", message, WWW_Authenticate="Bearer")

    async def _taken(self, request: web.BaseRequest, form: str, known: bool) -> web.Response:
        self._authenticate(known)
        if request.method != "POST":
            raise _Refused(405, "malformed", f"use POST; there is {PLACES}", Allow="POST")
        names = await self._names(request, form)
        leads = self._hint(names)
        if not leads and form == "webhook":
            # Alertmanager tries again, over another connection, until the leader has it; Prometheus sends to both.
            raise _Refused(503, "standby", "another replica leads; send it again")
        metrics.hint(form, "taken" if leads else "standby")
        return web.Response(status=200)

    async def _names(self, request: web.BaseRequest, form: str) -> frozenset[str]:
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise _Refused(415, "malformed", "the body must not be compressed")
        if (request.content_length or 0) > LARGEST:
            raise _Refused(413, "too_large", f"the body is larger than {LARGEST} bytes")
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._read(request, form)
        except TimeoutError:
            raise _Refused(408, "late", f"the body did not come within {PATIENCE:g} s") from None

    async def _read(self, request: web.BaseRequest, form: str) -> frozenset[str]:
        body = bytearray()
        try:
            async for chunk in request.content.iter_any():
                body += chunk
                self._held += len(chunk)
                if len(body) > LARGEST:
                    raise _Refused(413, "too_large", f"the body is larger than {LARGEST} bytes")
                if self._held > HELD:
                    raise _Refused(503, "too_many", "too much is being read; send it again later", Retry_After="1")
            if not self._reading.take(len(body)):
                raise _Refused(503, "too_many", "too much was sent; send it again later", Retry_After="1")
            return names(body, form)
        except Invalid as error:
            raise _Refused(400, "malformed", str(error)) from None
        finally:
            self._held -= len(body)


def names(body: bytes | bytearray, form: str) -> frozenset[str]:
    """The names of the alerts that a body speaks of. Fields that are not known are passed over.

    Raises:
        Invalid: it has not the form `alerts` or `webhook`; the message says where.
    """
    if body.count(b",") + body.count(b"{") + body.count(b"[") > PARTS:
        raise Invalid(f"the body has more than {PARTS} parts")
    try:
        content = from_json(body, allow_inf_nan=False)  # half the time of `json`, and RFC 8259 to the letter
    except ValueError:
        raise Invalid("the body is not JSON") from None
    found = set()
    if form == "webhook":
        found = {_name(content, "the body", part) for part in ("commonLabels", "groupLabels")}
        if content.get("version") != "4":
            raise Invalid('version: must be "4", as Alertmanager sends it')
        content = content.get("alerts")
    if not isinstance(content, list):
        raise Invalid("alerts: must be a list" if form == "webhook" else "the body must be a list of alerts")
    if len(content) > MOST:
        raise Invalid(f"more than {MOST} alerts; send fewer at once")
    found |= {_name(alert, f"alert {number}", "labels") for number, alert in enumerate(content)}
    return frozenset(name for name in found if 0 < len(name) <= LONGEST_NAME)


def _name(holder: Any, what: str, part: str) -> str:
    """The label `alertname`; empty where there is none."""
    if not isinstance(holder, dict):
        raise Invalid(f"{what}: must be an object")
    labels = holder.get(part, None if part == "labels" else {})
    if not isinstance(labels, dict):
        raise Invalid(f"{what}: {part} must be an object")
    name = labels.get("alertname", "")
    if not isinstance(name, str):
        raise Invalid(f"{what}: {part}: alertname must be a string")
    return name
