"""The Kubernetes API: raw JSON over the official client, which brings configuration, TLS and token refresh.

Typed models are not used: they fail on real server JSON and drop fields that they do not know.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Any

import aiohttp
from kubernetes.aio.config import ConfigException
from pydantic_core import from_json

from goldseam import metrics
from goldseam.adapters import kubeconfig as kubeconfig_
from goldseam.adapters.joined import Joined
from goldseam.adapters.kube_errors import translated
from goldseam.adapters.throttle import Throttle
from goldseam.engine.objects import FIELD_MANAGER
from goldseam.errors import GoldseamError, Gone, Invalid, Throttled, Unavailable
from goldseam.ports import LINE, Access, Json, Line, Page, Resource

TIMEOUT = 10.0
"""Seconds that we wait for one answer. The server is told to give up on a write one second earlier."""
TRIES = 3
PER_SECOND = 100.0
READS_AT_ONCE = 24
"""Reads that are not urgent, at the same time: each has a connection to itself, of which asyncio's TLS alone takes a
buffer of 128 KiB, and a look at an incident asks for nine things at once."""
LOG_BYTES = 64 * 1024
MERGE_PATCH = "application/merge-patch+json"
_SEGMENT = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.:]*")
"""What a part of a path may be: names of objects and kinds, and nothing that would need to be percent-encoded."""


@asynccontextmanager
async def connect(
    kubeconfig: str | None, user_agent: str, timeout: float = TIMEOUT, per_second: float = PER_SECOND
) -> AsyncIterator[KubeCluster]:
    """A connection by a kubeconfig file, or without one by the pod's ServiceAccount. `timeout` is in seconds, and
    `per_second` how many requests are sent in one, over any longer time.

    Raises:
        Invalid: there is no such configuration, or it cannot be read.
    """
    api = await kubeconfig_.of_operator(kubeconfig)
    async with api:
        api.user_agent = user_agent
        yield KubeCluster(api, timeout, per_second=per_second)


@asynccontextmanager
async def connect_person(
    kubeconfig: str | None, context: str | None, user_agent: str
) -> AsyncIterator[tuple[KubeCluster, str]]:
    """A connection with a person's own rights, and the namespace that their context names.

    Raises:
        Invalid: there is no such configuration or context, or it cannot be read.
    """
    api, namespace = await kubeconfig_.of_person(kubeconfig, context)
    async with api:
        api.user_agent = user_agent
        yield KubeCluster(api, manager="goldseam-cli"), namespace


class KubeCluster:
    """The port `Cluster` on a real API server."""

    def __init__(
        self, api: Any, timeout: float = TIMEOUT, manager: str = FIELD_MANAGER, per_second: float = PER_SECOND
    ) -> None:
        self._api, self._timeout, self._manager = api, timeout, manager
        self._throttle, self._answered = Throttle(per_second), time.monotonic()
        self._reads, self._joined = asyncio.Semaphore(READS_AT_ONCE), Joined()

    @property
    def silent_for(self) -> float:
        """For how many seconds the API server has not answered anything."""
        return time.monotonic() - self._answered

    async def get(self, resource: Resource, namespace: str, name: str, subresource: str = "") -> Json:
        """Read one object."""
        return await self._read(_path(resource, namespace, name, subresource))

    async def list(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = "", limit: int = 500
    ) -> Page:
        """Read all, page by page; a continue token that has expired begins the list anew, once."""
        try:
            return await self._pages(resource, namespace, labels, fields, limit)
        except Gone:
            return await self._pages(resource, namespace, labels, fields, limit)

    async def watch(self, resource: Resource, *, seconds: float) -> AsyncGenerator[Json, None]:
        """Watch all of a kind, from how they are on; the server ends it after so many seconds."""
        query = {"watch": "true", "timeoutSeconds": str(math.ceil(seconds))}
        what = f"GET {_path(resource, '')}"
        await self._throttle.turn(LINE.get())
        try:
            async for line in self._lines(_path(resource, ""), query, seconds + self._timeout):
                event = _object(line, what)
                if event.get("type") not in ("ADDED", "MODIFIED", "DELETED"):
                    return
                yield event
        except TimeoutError as error:
            raise Unavailable(f"{what}: it did not end") from error
        except (aiohttp.ClientError, OSError, ConfigException) as error:
            raise Unavailable(f"{what}: {type(error).__name__}: {error}"[:300]) from error

    async def _lines(self, path: str, query: dict[str, str], timeout: float) -> AsyncGenerator[bytes, None]:
        """The lines of an answer, as they come."""
        answer = await self._asked("GET", path, query, None, timeout)
        try:
            first = answer.history[0] if answer.history else answer
            if first.status >= 300:
                raise self._error(translated(first.status, first.headers, await answer.read(), f"GET {path}"))
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line
        finally:
            answer.close()

    async def _pages(self, resource: Resource, namespace: str, labels: str, fields: str, limit: int) -> Page:
        items: list[Json] = []
        query = {"limit": str(limit)}
        query |= {"labelSelector": labels} if labels else {}
        query |= {"fieldSelector": fields} if fields else {}
        while True:
            page = await self._read(_path(resource, namespace), query)
            found, metadata = page.get("items", ""), page.get("metadata")
            if not isinstance(found, list | None) or not isinstance(metadata, dict):
                raise Unavailable(f"GET {_path(resource, namespace)}: the answer is not a list")
            items.extend(found or [])
            token = metadata.get("continue")
            if not token:
                return Page(tuple(items), str(metadata.get("resourceVersion", "")))
            query["continue"] = str(token)

    async def count(self, resource: Resource, namespace: str = "") -> int:
        """How many there are: one item, and `remainingItemCount` (an estimate that is exact for what etcd holds)."""
        page = await self._read(_path(resource, namespace), {"limit": "1"})
        found, metadata = page.get("items") or [], page.get("metadata")
        if not isinstance(found, list) or not isinstance(metadata, dict):
            raise Unavailable(f"GET {_path(resource, namespace)}: the answer is not a list")
        return len(found) + int(metadata.get("remainingItemCount") or 0)

    async def create(self, resource: Resource, namespace: str, body: Json, *, dry_run: bool = False) -> Json:
        """Create one object."""
        path = _path(resource, _needed(resource, namespace))
        return await self._call("POST", path, self._writing(dry_run=dry_run), body, creating=True)

    async def log(self, namespace: str, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
        """The end of a container's log: text, and asked for once, for the node may be the one that is in trouble."""
        query = {"container": container, "tailLines": str(lines), "limitBytes": str(LOG_BYTES)}
        query |= {"previous": "true"} if previous else {}
        path = _path(Resource("", "v1", "pods"), namespace, pod, "log")
        return (await self._content("GET", path, query)).decode(errors="replace")

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Json,
        subresource: str = "",
        *,
        dry_run: bool = False,
    ) -> Json:
        """Send a merge patch."""
        path = _path(resource, namespace, name, subresource)
        return await self._call("PATCH", path, self._writing(dry_run=dry_run), body)

    async def evict(self, namespace: str, name: str, uid: str, *, dry_run: bool = False) -> None:
        """Ask the Eviction API to end the pod with this uid."""
        options: Json = {"preconditions": {"uid": uid}} | ({"dryRun": ["All"]} if dry_run else {})
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": options,
        }
        pods = Resource("", "v1", "pods")
        await self._call("POST", _path(pods, namespace, name, "eviction"), self._writing(dry_run=dry_run), body)

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        """Delete the object with this uid."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        await self._call("DELETE", _path(resource, namespace, name), {}, body)

    async def allowed(self, access: Access) -> bool:
        """Ask by a SubjectAccessReview (authorization.k8s.io/v1). What is not plainly allowed is not."""
        attributes = {
            "verb": access.verb,
            "group": access.group,
            "resource": access.resource,
            "subresource": access.subresource,
            "namespace": access.namespace,
            "name": access.name,
        }
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": access.user, "groups": list(access.groups), "resourceAttributes": attributes},
        }
        reviews = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", namespaced=False)
        status = (await self._call("POST", _path(reviews, ""), {}, body)).get("status")
        return isinstance(status, dict) and status.get("allowed") is True and status.get("denied") is not True

    async def _read(self, path: str, query: dict[str, str] | None = None) -> Json:
        """One read for all who ask for the same, in the same line, before it begins."""
        which = LINE.get(), path, tuple(sorted((query or {}).items()))
        found: Json = await self._joined.read(which, partial(self._repeated, path, dict(query or {})))
        return found

    async def _repeated(self, path: str, query: dict[str, str]) -> Json:
        """Reads are repeated when no answer came: they change nothing."""
        for attempt in range(TRIES):
            try:
                return await self._call("GET", path, query)
            except (Unavailable, Throttled) as error:
                if attempt == TRIES - 1:
                    raise
                wait = error.delay.total_seconds() if error.delay else 0.0
                await asyncio.sleep(wait + random.uniform(0.2, 0.6) * (attempt + 1))
        raise AssertionError("unreachable")

    async def _call(
        self, method: str, path: str, query: dict[str, str], body: Json | None = None, *, creating: bool = False
    ) -> Json:
        return _object(await self._content(method, path, query, body, creating=creating), f"{method} {path}")

    async def _content(
        self, method: str, path: str, query: dict[str, str], body: Json | None = None, *, creating: bool = False
    ) -> bytes:
        what = f"{method} {path}"
        if method == "GET":
            await self._throttle.turn(LINE.get())
        else:
            query = query | {"timeout": f"{max(1, int(self._timeout) - 1)}s"}
        try:
            async with self._slot(method), asyncio.timeout(self._timeout):
                if method != "GET":  # the lease that is left was looked at before: waiting counts as part of the write
                    await self._throttle.turn(LINE.get())
                status, headers, content = await self._send(method, path, query, body)
        except TimeoutError as error:
            metrics.api_request(method, "none")
            raise Unavailable(f"{what}: no answer within {self._timeout:g} s") from error
        except (aiohttp.ClientError, OSError, ConfigException) as error:
            metrics.api_request(method, "none")
            raise Unavailable(f"{what}: {type(error).__name__}: {error}"[:300]) from error
        metrics.api_request(method, str(status))
        self._answered = time.monotonic()
        if status >= 300:
            raise self._error(translated(status, headers, content, what, creating=creating))
        return content

    def _slot(self, method: str) -> AbstractAsyncContextManager[object]:
        """What keeps the connections few. Writes are few by themselves, and what is urgent waits for nothing."""
        return self._reads if method == "GET" and LINE.get() is not Line.URGENT else nullcontext()

    def _error(self, error: GoldseamError) -> GoldseamError:
        """The error; where the server asks for a rest, whatever is not urgent rests."""
        if isinstance(error, Throttled | Unavailable) and error.delay is not None:
            self._throttle.hold(error.delay.total_seconds())
        return error

    def _writing(self, *, dry_run: bool = False) -> dict[str, str]:
        query = {"fieldManager": self._manager, "fieldValidation": "Strict"}
        return query | ({"dryRun": "All"} if dry_run else {})

    async def _send(self, method: str, path: str, query: dict[str, str], body: Json | None) -> tuple[int, Any, bytes]:
        answer = await self._asked(method, path, query, body, self._timeout)
        first = answer.history[0] if answer.history else answer
        content = await answer.read()
        return int(first.status), first.headers, content

    async def _asked(self, method: str, path: str, query: dict[str, str], body: Json | None, timeout: float) -> Any:
        """The answer, of which the content was not read yet."""
        content_type = MERGE_PATCH if method == "PATCH" else "application/json"
        headers = {"Accept": "application/json"} | ({"Content-Type": content_type} if body is not None else {})
        m, url, h, b, p = await self._api.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = await self._api.rest_client.request(m, url, headers=h, body=b, post_params=p, _request_timeout=timeout)
        return answer.response


def _object(content: bytes, what: str) -> Json:
    try:
        parsed = from_json(content)
    except ValueError as error:
        raise Unavailable(f"{what}: the answer is not JSON") from error
    if not isinstance(parsed, dict):
        raise Unavailable(f"{what}: the answer is not an object")
    return parsed


def _needed(resource: Resource, namespace: str) -> str:
    """The namespace, without which a request about one object would be one about another thing."""
    if resource.namespaced and not namespace:
        raise Invalid(f"one of {resource.plural} is named by its namespace, too")
    return namespace


def _path(resource: Resource, namespace: str, name: str | None = None, subresource: str = "") -> str:
    """The path of a kind (no name), an object or a subresource.

    Raises:
        Invalid: a part is no name. It cannot lead elsewhere, and an empty name cannot turn an object into all of them.
    """
    if name is not None:
        _needed(resource, namespace)
    parts = ["apis", resource.group] if resource.group else ["api"]
    parts.append(resource.version)
    parts += ["namespaces", namespace] if namespace and resource.namespaced else []
    parts += [resource.plural, *([] if name is None else [name]), *([subresource] if subresource else [])]
    for part in parts:
        if not _SEGMENT.fullmatch(part) or ".." in part or len(part) > 253:
            raise Invalid(f"{part[:80]!r} is not the name of an object")
    return "/" + "/".join(parts)
