"""kopf, embedded in a thread of its own: it watches, and does nothing else.

Only `on.event`, which keeps no state in the cluster: no annotation, no finalizer, no write of any kind.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import aiohttp
import kopf
import structlog

from goldseam.api.base import GROUP, VERSION
from goldseam.api.kinds import KINDS
from goldseam.handlers.freshness import Freshness
from goldseam.services.inbox import Seen

log = structlog.get_logger("goldseam.watching")

WATCHED = tuple(kind for kind in KINDS if kind.name != "Incident")
REOPENED = 120.0
SILENCE = 70.0
"""Seconds without an event or a bookmark, which the API server sends each minute: then the connection is dead."""

PLURALS = tuple(kind.plural for kind in WATCHED)

LOGIN_AGAIN = 10.0
"""Seconds before credentials that were refused are tried again: kopf would not wait, for each session is a new one."""

Login = Callable[[], kopf.ConnectionInfo | None]


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps nothing: nobody asks for differences, and building them costs a copy of every object."""

    def build(self, *, body: Any, extra_fields: Any = None) -> Any:
        return {}

    def fetch(self, *, body: Any) -> Any:
        return None

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """Keeps nothing: `on.event` handlers have no progress."""

    def fetch(self, *, key: Any, body: Any) -> Any:
        return None

    def store(self, *, key: Any, record: Any, body: Any, patch: Any) -> None:
        return None

    def purge(self, *, key: Any, body: Any, patch: Any) -> None:
        return None

    def touch(self, *, body: Any, patch: Any, value: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


def settings(reopened: float) -> kopf.OperatorSettings:
    """kopf set to write nothing, to keep little, and to notice a watch that has gone silent.

    `reopened`: seconds after which the API server ends a watch, so that kopf opens it again.
    """
    chosen = kopf.OperatorSettings()
    chosen.scanning.disabled = True
    chosen.peering.standalone = True
    chosen.posting.enabled = False
    chosen.queueing.idle_timeout = 0.2
    chosen.watching.chunk_size = 250
    chosen.watching.server_timeout = int(reopened)  # Go parses it as a whole number
    chosen.watching.client_timeout = reopened + 10
    chosen.watching.inactivity_timeout = min(SILENCE, reopened)
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 10
    chosen.persistence.diffbase_storage = _NoDiffBase()
    chosen.persistence.progress_storage = _NoProgress()
    return chosen


def registry(put: Callable[[Seen], None], login: Login, freshness: Freshness) -> kopf.OperatorRegistry:
    """The handlers: one login, and one `on.event` for every kind that people write."""
    handlers = kopf.OperatorRegistry()
    refused: kopf.ConnectionInfo | None = None

    @kopf.on.login(registry=handlers)
    async def log_in(**_: Any) -> kopf.AiohttpSession | None:
        nonlocal refused  # kopf asks again only when what it was given was
        info = await asyncio.to_thread(login)
        if info is not None and info == refused:
            await asyncio.sleep(LOGIN_AGAIN)
            info = await asyncio.to_thread(login)
        refused = info
        return None if info is None else _session(info, freshness)

    for kind in WATCHED:
        kopf.on.event(GROUP, VERSION, kind.plural, registry=handlers, id=kind.plural)(_forward(kind.name, put))
    return handlers


def _session(info: kopf.ConnectionInfo, freshness: Freshness) -> kopf.AiohttpSession:
    """As kopf makes its own (`kopf/_cogs/clients/auth.py`), but that its requests are seen."""
    freshness.session = session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
        headers=info.as_http_headers(),
        proxy=info.proxy_url,
        trust_env=info.trust_env,
        trace_configs=[freshness.trace()],
    )
    return kopf.AiohttpSession(
        server=info.server,
        default_namespace=info.default_namespace,
        expiration=info.expiration,
        aiohttp_session=session,
    )


def _forward(kind: str, put: Callable[[Seen], None]) -> Any:
    async def forward(event: Any, body: Any, name: str, namespace: str | None, **_: Any) -> None:
        gone = event.get("type") == "DELETED"
        put(Seen(kind, namespace or "", name, None if gone else dict(event["object"])))

    return forward


class Watching:
    """Runs kopf. When it ends, for whatever reason, `ended` is called with the reason."""

    def __init__(
        self, put: Callable[[Seen], None], login: Login, ended: Callable[[str], None], reopened: float = REOPENED
    ) -> None:
        self.freshness = Freshness(PLURALS, reopened)
        self._handlers, self._reopened = registry(put, login, self.freshness), reopened
        self._ended = ended
        self._stop, self._ready = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    @property
    def ready(self) -> tuple[bool, str]:
        """Whether kopf has logged in and begun to watch, and every watch was opened lately; and if not, why."""
        if not (self._ready.is_set() and self._thread.is_alive()):
            return False, "the watches have not begun"
        return (False, self.freshness.late) if self.freshness.late else (True, "ok")

    def stop(self, timeout: float) -> None:
        """Stop watching; waits at most `timeout` seconds."""
        self._stop.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        reason = "kopf has ended"
        try:
            asyncio.run(
                kopf.operator(
                    registry=self._handlers,
                    settings=settings(self._reopened),
                    clusterwide=True,
                    standalone=True,
                    stop_flag=self._stop,
                    ready_flag=self._ready,
                )
            )
        except BaseException as error:
            reason = f"kopf has ended: {error!r}"
        if not self._stop.is_set():
            self._ended(reason)
