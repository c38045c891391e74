"""The API server over one open connection: a poll by it costs a millisecond, one by kubectl a process."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
JSON = "application/json-patch+json"
RETRIES = 10
"""As often kubectl asks again, a second later each time."""


class Direct:
    """Requests as the user of a kubeconfig, to its first cluster or the one of that name; each thread has a connection
    of its own."""

    def __init__(self, kubeconfig: str, to: str = "") -> None:
        config = json.loads(Path(kubeconfig).read_text())
        cluster = next(one["cluster"] for one in config["clusters"] if to in ("", one["name"]))
        user = config["users"][0]["user"]
        self._server = urlsplit(cluster["server"])
        authority = base64.b64decode(cluster.get("certificate-authority-data", "")).decode() or None
        self._tls = ssl.create_default_context(cafile=cluster.get("certificate-authority"), cadata=authority)
        token = user.get("token") or (Path(user["tokenFile"]).read_text() if "tokenFile" in user else "")
        if token:
            self._headers = {"Authorization": f"Bearer {token.strip()}"}
        else:
            self._headers = {}
            self._tls.load_cert_chain(user["client-certificate"], user["client-key"])
        self._open = threading.local()

    def ask(
        self, method: str, path: str, body: Json | list[Json] | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Json]:
        """Status and answer; a text that is no JSON as its `message`."""
        kind = MERGE if method == "PATCH" else "application/json"
        sent = {"Content-Type": kind} | self._headers | dict(headers or {})
        for attempt in (1, 2):
            connection = getattr(self._open, "connection", None) or self._connected()
            try:
                text = None if body is None else json.dumps(body)
                connection.request(method, path, text, sent)
                answer = connection.getresponse()
                return answer.status, _read(answer.read())
            except (http.client.HTTPException, OSError):
                self._open.connection = None  # an idle one is closed by the server
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def _connected(self) -> http.client.HTTPSConnection:
        assert self._server.hostname is not None
        self._open.connection = http.client.HTTPSConnection(
            self._server.hostname, self._server.port, context=self._tls, timeout=30
        )
        return self._open.connection  # type: ignore[no-any-return]

    def must(self, method: str, path: str, body: Json | None = None) -> Json:
        """The answer; it must be one of success."""
        status, answer = self.ask(method, path, body)
        assert status < 300, f"{method} {path}: {status} {answer.get('message')}"
        return answer

    def get(self, path: str) -> Json:
        """One object; empty when there is none."""
        status, answer = self.ask("GET", path)
        return answer if status < 300 else {}

    def items(self, path: str) -> list[Json]:
        """A list. While a kind that was defined anew is being read (429), it is asked for again, as kubectl does."""
        for _ in range(RETRIES):
            status, answer = self.ask("GET", path)
            if status != 429:
                break
            time.sleep(1)
        assert status < 300, f"GET {path}: {status} {answer.get('message')}"
        found: list[Json] = answer["items"]
        return found

    def watch(self, path: str) -> Iterator[Json]:
        """Watch events, from what is there now on, over a connection of their own; ends when the server ends it, or
        nothing comes for half a minute."""
        assert self._server.hostname is not None
        connection = http.client.HTTPSConnection(
            self._server.hostname, self._server.port, context=self._tls, timeout=30
        )
        try:
            connection.request("GET", f"{path}?watch=true&allowWatchBookmarks=true", headers=self._headers)
            answer = connection.getresponse()
            while line := answer.readline():
                yield json.loads(line)
        except OSError:
            return
        finally:
            connection.close()

    def gone(self, path: str) -> None:
        """Delete, if it is there."""
        status, answer = self.ask("DELETE", path)
        assert status < 300 or status == 404, answer


def _read(content: bytes) -> Json:
    try:
        found: Json = json.loads(content or b"{}")
    except ValueError:
        return {"message": content.decode(errors="replace")}
    return found


def _root(version: str) -> str:
    """Where the kinds of a group's version are."""
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


@dataclass(frozen=True)
class Resource:
    """How a kind is asked for."""

    api_version: str
    plural: str
    kind: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        """Where it is, or its list."""
        where = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"{_root(self.api_version)}{where}/{self.plural}{f'/{name}' if name else ''}"


class Objects:
    """Objects by whatever name kubectl knows their kind."""

    def __init__(self, kubeconfig: str) -> None:
        self._direct = Direct(kubeconfig)
        self._resources: dict[str, Resource] = {}

    def get(self, kind: str, name: str, namespace: str) -> Json:
        """One object; empty when there is none, or nobody answers."""
        try:
            resource = self._resource(kind)
            return self._direct.get(resource.path(namespace or "default", name)) if resource else {}
        except (http.client.HTTPException, OSError):
            return {}

    def all(self, kind: str, namespace: str) -> list[Json]:
        """A list, each with its kind, as kubectl shows them."""
        try:
            resource = self._resource(kind)
            assert resource is not None, f"the server has no resource type {kind}"
            items = self._direct.items(resource.path(namespace))
        except (http.client.HTTPException, OSError) as error:
            raise AssertionError(f"get {kind}: {error}") from error
        for item in items:
            item["metadata"].pop("managedFields", None)
        return [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in items]

    def create(self, obj: Json) -> None:
        """Create an object that has no namespace."""
        resource = self._resource(obj["kind"].lower())
        assert resource is not None, f"the server has no kind {obj['kind']}"
        self._direct.must("POST", resource.path(), obj)

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        """Delete it, if it is there; its finalizers may keep it for a while."""
        resource = self._resource(kind)
        assert resource is not None, f"the server has no resource type {kind}"
        self._direct.gone(resource.path(namespace, name))

    def _resource(self, kind: str) -> Resource | None:
        if kind not in self._resources:
            self._discover()
        return self._resources.get(kind)

    def _discover(self) -> None:
        """All that there is now, of each group the preferred version; of one name the first, as with kubectl."""
        groups = self._direct.must("GET", "/apis")["groups"]
        versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
        found: dict[str, Resource] = {}
        for version in versions:
            for entry in self._direct.get(_root(version)).get("resources", []):
                if "/" in entry["name"]:
                    continue
                resource = Resource(version, entry["name"], entry["kind"], entry["namespaced"])
                group = version.partition("/")[0] if "/" in version else ""
                names = [
                    entry["name"],
                    entry.get("singularName") or entry["kind"].lower(),
                    *entry.get("shortNames", []),
                ]
                for name in [*names, *(f"{name}.{group}" for name in names)]:
                    found.setdefault(name, resource)
        self._resources = found


@lru_cache
def objects(kubeconfig: str) -> Objects:
    """Those of one cluster; what its kinds are called is asked once."""
    return Objects(kubeconfig)
