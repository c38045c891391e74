"""The receiver of hints on loopback, and what is pushed to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from goldseam.adapters.access import Certificates, Tokens
from goldseam.adapters.door import Door
from goldseam.adapters.receiver import Receiver

Json = Any
TOKEN = "a-token-of-these-tests"


@dataclass
class Listener:
    """What the operator would hear."""

    leads: bool = True
    heard: list[frozenset[str]] = field(default_factory=list)

    def hint(self, names: Collection[str]) -> bool:
        self.heard.append(frozenset(names))
        return self.leads


@asynccontextmanager
async def receiving(
    listener: Listener, tokens: Path | None = None, certificates: Certificates | None = None
) -> AsyncIterator[str]:
    """The receiver; gives its URL."""
    receiver = Receiver(listener.hint, lambda: (listener.leads, "said"), Tokens(tokens) if tokens else None)
    async with Door(receiver.handle, certificates.context if certificates else None).opened("127.0.0.1", 0) as port:
        yield f"http{'s' if certificates else ''}://127.0.0.1:{port}"


def alert(name: str = "Trouble", **labels: str) -> Json:
    """One alert as Prometheus pushes it."""
    return {
        "labels": {"alertname": name, "namespace": "shop", "severity": "critical", **labels},
        "annotations": {"summary": "Something is wrong, and this says what, in a sentence of a usual length."},
        "startsAt": "2026-11-28T04:00:00.123456789Z",
        "endsAt": "2026-11-28T04:04:00.123456789Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=trouble+%3E+0&g0.tab=1",
    }


def webhook(*alerts: Json, **fields: Any) -> Json:
    """Alertmanager's webhook, version 4."""
    known = {"version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "goldseam"}
    labels = {"groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://alertmanager"}
    return {**known, **labels, "alerts": list(alerts), **fields}


async def push(
    url: str, body: Json | bytes, path: str = "/api/v2/alerts", token: str = TOKEN, **options: Any
) -> tuple[int, str]:
    """Push once, over a connection of its own; gives the status and what was answered."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    async with (
        aiohttp.ClientSession() as session,
        session.post(url + path, data=content, headers=headers | options.pop("headers", {}), **options) as answer,
    ):
        return answer.status, await answer.text()


def configured(name: str) -> str:
    """The example of that name in docs/how-to/push.md."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "push.md").read_text()
    return page.split(f"<!-- {name} -->\n```yaml\n")[1].split("```")[0]
