"""What the API server's answers become: pages, errors of ours, and nothing that was not asked for.

The fake knows one thing: to give prepared answers in order. The answers are those of a real kube-apiserver 1.36.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from goldseam.adapters.events import KubeEvents
from goldseam.adapters.kube import READS_AT_ONCE, KubeCluster, connect
from goldseam.errors import (
    AlreadyExists,
    BudgetExhausted,
    Conflict,
    Fenced,
    Forbidden,
    GoldseamError,
    Gone,
    Invalid,
    NotFound,
    Throttled,
    Unavailable,
)
from goldseam.ports import Access, Line, Resource, waiting_in
from tests.support.web import serving

DEPLOYMENTS = Resource("apps", "v1", "deployments")
PODS = Resource("", "v1", "pods")
NODES = Resource("", "v1", "nodes", namespaced=False)
SECRET = "hunter2"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class FakeServer:
    """Gives the answers one after the other, the last one for ever; remembers what it was asked."""

    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], str, Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.raw_path.split("?")[0], dict(request.query), _kind(request), body))
        return await (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(request)

    def will(self, *answers: Answer) -> None:
        self.answers[:] = answers


def _kind(request: web.Request) -> str:
    return request.headers.get("Content-Type", "")


def says(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, content_type="application/json", headers=headers)

    return answer


def refuses(code: int, reason: str = "", message: str = "", *causes: dict[str, str], **headers: str) -> Answer:
    details = {"causes": list(causes)} if causes else {}
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return says({**body, "details": details}, code, {name.replace("_", "-"): value for name, value in headers.items()})


def cause(where: str, message: str, reason: str = "FieldValueInvalid") -> dict[str, str]:
    return {"reason": reason, "field": where, "message": message}


@pytest.fixture
async def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
async def url(server: FakeServer) -> AsyncIterator[str]:
    async with serving(server.handle) as found:
        yield found


def kubeconfig(home: Path, server: str) -> str:
    file = home / "kubeconfig"
    named = {"cluster": {"server": server}, "user": {"token": "t"}, "context": {"cluster": "c", "user": "c"}}
    parts = {f"{key}s": [{"name": "c", key: value}] for key, value in named.items()}
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "c", **parts}))
    return str(file)


@pytest.fixture
async def cluster(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KubeCluster]:
    monkeypatch.setattr("goldseam.adapters.kube.random.uniform", lambda *_: 0.0)
    async with connect(kubeconfig(tmp_path, url), "goldseam/test") as connected:
        yield connected


async def test_few_reads_are_under_way_at_the_same_time_and_what_is_urgent_waits_for_none(
    cluster: KubeCluster, server: FakeServer
) -> None:
    now, most, free = 0, 0, asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await free.wait()
        now -= 1
        return await says({"metadata": {"name": "web"}})(request)

    server.will(slow)
    reads = [asyncio.create_task(cluster.get(DEPLOYMENTS, "shop", f"web-{n}")) for n in range(2 * READS_AT_ONCE)]
    async with asyncio.timeout(5):
        while now < READS_AT_ONCE:
            await asyncio.sleep(0.01)
    with waiting_in(Line.URGENT):
        reads.append(asyncio.create_task(cluster.get(DEPLOYMENTS, "shop", "web")))
    async with asyncio.timeout(5):
        while now <= READS_AT_ONCE:
            await asyncio.sleep(0.01)
    free.set()
    await asyncio.gather(*reads)
    assert most == READS_AT_ONCE + 1


async def failing(call: Awaitable[object]) -> GoldseamError:
    with pytest.raises(GoldseamError) as caught:
        await call
    return caught.value


UID_CAUSE = cause("metadata.uid", 'Invalid value: "0-0": field is immutable')
EPOCH_CAUSE = cause("status.epoch", "Forbidden: never goes down; another leader has taken over")
BUDGET_CAUSE = cause("", "The disruption budget keep needs 1 healthy pods and has 1 currently", "DisruptionBudget")


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (refuses(400, "BadRequest"), Invalid),
        (refuses(401, "Unauthorized"), Forbidden),
        (refuses(403, "Forbidden", 'pods "web" is forbidden'), Forbidden),
        (refuses(403, "Forbidden", "denied: status.epoch never goes down"), Fenced),
        (refuses(404, "NotFound"), NotFound),
        (refuses(405, "MethodNotAllowed"), Invalid),
        (refuses(408, "Timeout"), Unavailable),
        (refuses(409, "Conflict"), Conflict),
        (refuses(409, "AlreadyExists"), Conflict),
        (refuses(410, "Expired"), Gone),
        (refuses(422, "Invalid", "", cause("spec.replicas", "Invalid value: -1: must be 0 or more")), Invalid),
        (refuses(422, "Invalid", "", UID_CAUSE), Conflict),
        (refuses(422, "Invalid", "", EPOCH_CAUSE), Fenced),
        (refuses(429, "TooManyRequests", "", BUDGET_CAUSE), BudgetExhausted),
        (refuses(429, "TooManyRequests"), Throttled),
        (refuses(500, "InternalError"), Unavailable),
        (refuses(504, "Timeout"), Unavailable),
        (says("<html>sign in</html>"), Unavailable),
        (says('{"kind": "Deploy'), Unavailable),
        (says([]), Unavailable),
        (says("<html>bad gateway</html>", 502), Unavailable),
        (says({"details": "none", "reason": 5, "message": ["x"]}, 422), Invalid),
        (says({"details": {"causes": ["none"]}}, 422), Invalid),
    ],
)
async def test_each_answer_to_a_write_is_an_error_of_ours_and_the_write_is_not_repeated(
    server: FakeServer, cluster: KubeCluster, answer: Answer, meaning: type[GoldseamError]
) -> None:
    server.will(answer)
    assert type(await failing(cluster.patch(DEPLOYMENTS, "shop", "web", {}))) is meaning
    assert len(server.asked) == 1


async def test_create_tells_an_object_that_is_there_from_a_conflict(server: FakeServer, cluster: KubeCluster) -> None:
    server.will(refuses(409, "AlreadyExists"), refuses(409, "Conflict"))
    assert type(await failing(cluster.create(DEPLOYMENTS, "shop", {}))) is AlreadyExists
    assert type(await failing(cluster.create(DEPLOYMENTS, "shop", {}))) is Conflict


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        (
            f'Invalid value: "{{\\"env\\":\\"{SECRET}{"x" * 80}\\"}}": strict decoding error: unknown field "a"',
            "unknown",
        ),
        (f'Invalid value: {{"matchLabels":{{"a":"{SECRET}"}}}}: field is immutable', "field is immutable"),
        (f'Invalid value: core.PodSpec{{Env:"{SECRET}"}}: field is immutable', "field is immutable"),
        (f'Invalid value: ["{SECRET}"]: too many', "too many"),
        (f"Forbidden: may not change\n  - {SECRET}", "may not change"),
    ],
)
async def test_an_error_says_why_and_never_what_was_sent(
    server: FakeServer, cluster: KubeCluster, message: str, kept: str
) -> None:
    server.will(
        refuses(422, "Invalid", f"whole: {message}", cause("patch", message)), refuses(400, "BadRequest", message)
    )
    caused, uncaused = [str(await failing(cluster.patch(DEPLOYMENTS, "shop", "web", {}))) for _ in range(2)]
    assert kept in caused
    assert SECRET not in caused + uncaused
    assert ("unknown field" in uncaused) is ("unknown field" in message), "without a cause only what is surely no value"


async def test_an_error_is_bounded(server: FakeServer, cluster: KubeCluster) -> None:
    server.will(refuses(422, "x" * 9_999, "", *[cause("f" * 999, f"{n}" * 9_999) for n in range(99)]))
    said = str(await failing(cluster.patch(DEPLOYMENTS, "shop", "web", {})))
    assert len(said) <= 300 + len("PATCH /apis/apps/v1/namespaces/shop/deployments/web: ")


@pytest.mark.parametrize(
    "answer",
    [
        refuses(422, "Invalid", "", cause("metadata.labels", 'Invalid value: "status.epoch!": a valid label must')),
        refuses(403, "Forbidden", 'deployments.apps "status.epoch" is forbidden: User "x" cannot patch'),
    ],
)
async def test_nobody_deposes_the_operator_by_a_name_or_a_value(
    server: FakeServer, cluster: KubeCluster, answer: Answer
) -> None:
    server.will(answer)
    assert not isinstance(await failing(cluster.patch(DEPLOYMENTS, "shop", "status.epoch", {})), Fenced)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a%2fb", "../x", "a..b", "web\n", "web?x", "wéb", "x" * 254])
async def test_what_is_no_name_is_refused_before_anything_is_asked(
    server: FakeServer, cluster: KubeCluster, name: str
) -> None:
    calls = (
        cluster.get(DEPLOYMENTS, "shop", name),
        cluster.get(DEPLOYMENTS, name, "web"),
        cluster.patch(DEPLOYMENTS, "shop", name, {}),
        cluster.delete(DEPLOYMENTS, "shop", name, "u"),
        cluster.delete(NODES, "", name, "u"),
        cluster.evict("shop", name, "u"),
        cluster.evict(name, "web", "u"),
        cluster.create(DEPLOYMENTS, name, {}),
    )
    for call in calls:
        assert isinstance(await failing(call), Invalid)
    assert server.asked == []


async def test_a_write_says_who_how_strictly_and_for_how_long(server: FakeServer, cluster: KubeCluster) -> None:
    server.will(says({}))
    await cluster.patch(DEPLOYMENTS, "shop", "web", {"spec": {"replicas": 2}}, "scale", dry_run=True)
    method, path, query, content_type, body = server.asked[0]
    assert (method, path) == ("PATCH", "/apis/apps/v1/namespaces/shop/deployments/web/scale")
    wanted = {"fieldManager": "goldseam", "fieldValidation": "Strict", "dryRun": "All", "timeout": "9s"}
    assert query == wanted
    assert content_type == "application/merge-patch+json"
    assert body == {"spec": {"replicas": 2}}


async def test_an_eviction_and_a_deletion_name_the_uid(server: FakeServer, cluster: KubeCluster) -> None:
    server.will(says({}))
    await cluster.evict("shop", "web-1", "u-1", dry_run=True)
    await cluster.delete(PODS, "shop", "web-1", "u-1")
    assert server.asked[0][:2] == ("POST", "/api/v1/namespaces/shop/pods/web-1/eviction")
    assert server.asked[0][4]["deleteOptions"] == {"preconditions": {"uid": "u-1"}, "dryRun": ["All"]}
    assert server.asked[1][4]["preconditions"] == {"uid": "u-1"}


def page(*names: str, token: str = "", version: str = "7") -> Answer:
    return says(
        {
            "items": [{"metadata": {"name": name}} for name in names],
            "metadata": {"continue": token, "resourceVersion": version},
        }
    )


async def test_a_list_is_read_to_its_end(server: FakeServer, cluster: KubeCluster) -> None:
    server.will(page("a", "b", token="next"), page("c"))
    found = await cluster.list(PODS, "shop", labels="app=web", limit=2)
    assert [item["metadata"]["name"] for item in found.items] == ["a", "b", "c"]
    assert found.resource_version == "7"
    assert server.asked[1][2] == {"limit": "2", "labelSelector": "app=web", "continue": "next"}


async def test_a_list_whose_token_expires_begins_anew_once(server: FakeServer, cluster: KubeCluster) -> None:
    expired = refuses(410, "Expired")
    server.will(page("old", token="next"), expired, page("new"))
    assert [item["metadata"]["name"] for item in (await cluster.list(PODS)).items] == ["new"]
    server.will(page("a", token="next"), expired, page("b", token="next"), expired)
    assert isinstance(await failing(cluster.list(PODS)), Gone)


@pytest.mark.parametrize("body", [{}, {"items": {}, "metadata": {}}, {"items": [], "metadata": None}])
async def test_what_is_no_list_is_not_an_empty_one(server: FakeServer, cluster: KubeCluster, body: Any) -> None:
    server.will(says(body))
    assert isinstance(await failing(cluster.list(PODS)), Unavailable)


async def test_a_read_is_tried_three_times(server: FakeServer, cluster: KubeCluster) -> None:
    failed = refuses(503, "ServiceUnavailable")
    server.will(failed, refuses(429, "TooManyRequests", Retry_After="0"), says({"metadata": {"name": "web"}}))
    assert (await cluster.get(DEPLOYMENTS, "shop", "web"))["metadata"]["name"] == "web"
    server.asked.clear()
    server.will(failed)
    assert isinstance(await failing(cluster.get(DEPLOYMENTS, "shop", "web")), Unavailable)
    assert len(server.asked) == 3


@pytest.mark.parametrize(("header", "delay"), [("3", 3), ("9999", 10), ("-5", 0), ("soon", None)])
async def test_retry_after_is_heeded_within_reason(
    server: FakeServer, cluster: KubeCluster, header: str, delay: float | None
) -> None:
    server.will(refuses(429, "TooManyRequests", Retry_After=header))
    error = await failing(cluster.patch(DEPLOYMENTS, "shop", "web", {}))
    assert isinstance(error, Throttled)
    assert error.delay == (None if delay is None else timedelta(seconds=delay))


async def test_a_redirected_write_is_not_taken_for_one_that_was_made(server: FakeServer, cluster: KubeCluster) -> None:
    server.will(says("", 302, {"Location": "/elsewhere"}), says({"kind": "Deployment"}))
    assert isinstance(await failing(cluster.patch(DEPLOYMENTS, "shop", "web", {})), Unavailable)


async def test_a_server_that_does_not_answer_is_unavailable(server: FakeServer, url: str, tmp_path: Path) -> None:
    never = asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    server.will(silent)
    async with connect(kubeconfig(tmp_path, url), "goldseam/test", timeout=0.1) as cluster:
        assert isinstance(await failing(cluster.patch(DEPLOYMENTS, "shop", "web", {})), Unavailable)


async def test_a_write_that_waits_for_its_turn_is_not_sent_once_its_time_is_over(
    server: FakeServer, url: str, tmp_path: Path
) -> None:
    """The lease that is left was looked at before: sent late, the write could be one of a leader that is none."""
    server.will(refuses(429, "TooManyRequests", Retry_After="10"), says({}))
    async with connect(kubeconfig(tmp_path, url), "goldseam/test", timeout=0.5) as cluster:
        assert isinstance(await failing(cluster.patch(DEPLOYMENTS, "shop", "web", {})), Throttled)
        assert isinstance(await failing(cluster.patch(DEPLOYMENTS, "shop", "web", {})), Unavailable)
    assert len(server.asked) == 1, "the second never left"


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    async with connect(kubeconfig(tmp_path, f"http://127.0.0.1:{unused_port()}"), "goldseam/test") as cluster:
        assert isinstance(await failing(cluster.patch(DEPLOYMENTS, "shop", "web", {})), Unavailable)


@pytest.mark.parametrize("content", [None, "", "token: [hunter2", "just text", "{}"])
async def test_a_kubeconfig_that_cannot_be_used_is_said_without_quoting_it(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "config"
    if content is not None:
        file.write_text(content)
    with pytest.raises(Invalid) as caught:
        async with connect(str(file), "goldseam/test"):
            pass
    assert str(file) in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        ({"allowed": True}, True),
        ({"allowed": False}, False),
        ({"allowed": False, "evaluationError": "role not found"}, False),
        ({"allowed": True, "denied": True}, False),
        ({"allowed": "false"}, False),
        ({}, False),
        (None, False),
    ],
)
async def test_only_a_plain_yes_allows(server: FakeServer, cluster: KubeCluster, status: Any, allowed: bool) -> None:
    server.will(says({"status": status}))
    access = Access("u", ("g",), "patch", "apps", "deployments", "scale", "shop", "web")
    assert await cluster.allowed(access) is allowed


REGARDING = {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}


async def test_an_event_about_a_node_is_written_where_kubectl_looks(server: FakeServer, cluster: KubeCluster) -> None:
    server.will(says({}))
    assert await KubeEvents(cluster).record(REGARDING, "Normal", "Cordoned", "Cordon", "…" * 2_000, "n.1")
    body = server.asked[0][4]
    assert server.asked[0][1] == "/apis/events.k8s.io/v1/namespaces/default/events"
    assert (body["metadata"]["name"], body["reportingController"]) == ("n.1", "goldseam.dev/operator")
    assert len(body["note"].encode()) <= 1024


@pytest.mark.parametrize(
    ("answer", "told"),
    [(refuses(409, "AlreadyExists"), True), (refuses(403, "Forbidden"), False), (refuses(500), False)],
)
async def test_an_event_that_cannot_be_written_stops_nothing(
    server: FakeServer, cluster: KubeCluster, answer: Answer, told: bool
) -> None:
    server.will(answer)
    assert await KubeEvents(cluster).record(REGARDING, "Normal", "Cordoned", "Cordon", "n", "n.1") is told


async def test_a_log_is_text_bounded_by_the_server(cluster: KubeCluster, server: FakeServer) -> None:
    server.will(says("restoring\ndone \u00e9\n"))
    assert await cluster.log("shop", "restore-x", "main", 20) == "restoring\ndone \u00e9\n"
    ((method, path, query, _, _),) = server.asked
    assert (method, path) == ("GET", "/api/v1/namespaces/shop/pods/restore-x/log")
    assert query == {"container": "main", "tailLines": "20", "limitBytes": "65536"}
    server.will(says("before"))
    assert await cluster.log("shop", "restore-x", "main", 20, previous=True) == "before"
    assert server.asked[1][2] == query | {"previous": "true"}


async def test_a_log_that_cannot_be_read_is_asked_for_once(cluster: KubeCluster, server: FakeServer) -> None:
    server.will(refuses(500, "InternalError", "dial tcp 10.0.0.1:10250: connect: connection refused"))
    with pytest.raises(Unavailable):
        await cluster.log("shop", "restore-x", "main", 20)
    assert len(server.asked) == 1


async def test_a_create_can_be_tried_without_effect(cluster: KubeCluster, server: FakeServer) -> None:
    server.will(says({"metadata": {"uid": "u"}}))
    await cluster.create(Resource("batch", "v1", "jobs"), "shop", {"metadata": {"name": "x"}}, dry_run=True)
    assert server.asked[0][2]["dryRun"] == "All"


def streams(*chunks: bytes) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
            await asyncio.sleep(0.01)
        return response

    return answer


async def test_a_watch_tells_each_change_however_its_bytes_come(server: FakeServer, cluster: KubeCluster) -> None:
    lines = b"".join(
        json.dumps({"type": kind, "object": {"metadata": {"name": kind}}}).encode() + b"\n"
        for kind in ("ADDED", "MODIFIED", "BOOKMARK", "DELETED")
    )
    server.will(streams(lines[:20], lines[20:90], lines[90:]))
    found = [event["type"] async for event in cluster.watch(NODES, seconds=7.2)]
    assert found == ["ADDED", "MODIFIED"], "what is no change ends it"
    (asked,) = server.asked
    assert asked[1:3] == ("/api/v1/nodes", {"watch": "true", "timeoutSeconds": "8"})


async def test_a_watch_that_is_refused_says_so(server: FakeServer, cluster: KubeCluster) -> None:
    server.will(refuses(403, "Forbidden", "cannot watch nodes"))
    with pytest.raises(Forbidden):
        await anext(cluster.watch(NODES, seconds=1))


async def test_a_watch_that_breaks_off_is_unavailable(server: FakeServer, cluster: KubeCluster) -> None:
    async def breaks(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        assert request.transport is not None
        request.transport.close()
        return response

    server.will(breaks)
    with pytest.raises(Unavailable):
        await anext(cluster.watch(NODES, seconds=1))
