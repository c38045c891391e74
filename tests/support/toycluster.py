"""A cluster in memory: enough of the API server for the services, every write counted, every fault on demand.

It keeps what the real one keeps: uids, resourceVersions, generations, managedFields, `/scale`, 404, 409. What depends
on admission, RBAC or controllers is proven on the real control plane.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from goldseam.engine.objects import as_managed, value_at
from goldseam.errors import AlreadyExists, BudgetExhausted, Conflict, Forbidden, NotFound, Unavailable
from goldseam.ports import Access, Json, Page, Resource

Key = tuple[str, str, str]


def copied(obj: Json) -> Json:
    """A copy of it, in an eighth of the time that `deepcopy` takes: a quarter of a test's was in that."""
    found: Json = pickle.loads(pickle.dumps(obj))
    return found


class Killed(BaseException):
    """The operator was killed: no handler of the code under test may catch it."""


@dataclass
class ToyCluster:
    """Objects by plural, namespace and name."""

    now: Callable[[], str]
    objects: dict[Key, Json] = field(default_factory=dict)
    writes: list[tuple[str, str, str, Json]] = field(default_factory=list)
    """Every accepted write: verb, path, manager, body."""
    kill_at: int | None = None
    """The ordinal of the write, from 1, at which the operator dies."""
    kill_after: bool = False
    """Whether the write takes effect before it dies."""
    denied: set[str] = field(default_factory=set)
    """Resources, with subresource, that a SubjectAccessReview says no to; `zero deployments/scale` for one verb."""
    unreadable: set[str] = field(default_factory=set)
    """Plurals whose reads fail."""
    absent: set[str] = field(default_factory=set)
    """Plurals of kinds that are not installed."""
    forbidden: set[str] = field(default_factory=set)
    """Plurals that the operator may not read."""
    refused: set[str] = field(default_factory=set)
    """Paths whose writes admission refuses."""
    deaf: set[str] = field(default_factory=set)
    """Paths whose next write takes effect, and whose reply is lost."""
    mute: set[str] = field(default_factory=set)
    """Paths whose writes take no effect, and get no answer."""
    stale: set[str] = field(default_factory=set)
    """Paths whose next write meets a 409."""
    watched: dict[str, list[Any]] = field(default_factory=dict)
    """Watch events by plural, for whoever watches next; those that are functions are made when their turn comes."""
    budget: int = 1_000
    """How many evictions a PodDisruptionBudget lets through."""
    logs: dict[str, str] = field(default_factory=dict)
    """What the container of each pod has written, by the pod's name, and in the run before by `NAME before`; of others
    nothing can be read."""
    logs_read: list[str] = field(default_factory=list)
    """Which were asked for."""
    logs_hang: bool = False
    """Whether the kubelets give no answer."""
    user: str = "jane"
    """Who asks, as a SelfSubjectReview says."""
    _version: int = 0
    _attempts: int = 0
    _owners: dict[str, dict[str, str]] = field(default_factory=dict)
    _sharers: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    _untracked: set[str] = field(default_factory=set)
    """The uids of what was at zero replicas: from then on nobody owns them by `/scale`."""

    def add(self, plural: str, obj: Json) -> Json:
        """Put an object in, as a person would."""
        obj = copied(obj)
        meta = obj.setdefault("metadata", {})
        meta.setdefault("uid", f"uid-{plural}-{meta['name']}-{self._version}")
        meta.setdefault("creationTimestamp", self.now())
        meta.setdefault("generation", 1)
        self._bump(obj)
        self.objects[plural, meta.get("namespace", ""), meta["name"]] = obj
        return obj

    def edit(self, plural: str, namespace: str, name: str, body: Json, manager: str = "kubectl-edit") -> Json:
        """Change an object, as a person or another controller would."""
        obj = self.objects[plural, namespace, name]
        self._merge(obj, copied(body), manager)
        return obj

    def share(self, plural: str, namespace: str, name: str, path: str, manager: str) -> None:
        """Let another manager own the field too, as a server-side apply of the same value does."""
        obj = self.objects[plural, namespace, name]
        self._sharers.setdefault(obj["metadata"]["uid"], []).append((path.replace(".", "\0"), manager))
        self._bump(obj)

    def remove(self, plural: str, namespace: str, name: str) -> None:
        """Delete an object."""
        del self.objects[plural, namespace, name]

    def all(self, plural: str) -> Iterator[Json]:
        """All objects of a kind."""
        return (obj for (kind, _, _), obj in self.objects.items() if kind == plural)

    async def get(self, resource: Resource, namespace: str, name: str, subresource: str = "") -> Json:
        self._readable(resource)
        obj = self._find(resource.plural, namespace, name)
        return self._scale(obj) if subresource == "scale" else self._shown(obj)

    async def list(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = "", limit: int = 500
    ) -> Page:
        self._readable(resource)
        found = [o for (p, ns, _), o in sorted(self.objects.items()) if p == resource.plural and namespace in ("", ns)]
        if labels:
            found = [o for o in found if _selected(o["metadata"].get("labels") or {}, labels)]
        if fields:
            path, _, wanted = fields.partition("=")
            found = [o for o in found if value_at(o, path) == json.dumps(wanted)]
        return Page(tuple(self._shown(o) for o in found), str(self._version))

    async def watch(self, resource: Resource, *, seconds: float) -> AsyncGenerator[Json, None]:
        """What `watched` has of the kind, and then the end: virtual time does not pass while anybody waits."""
        for event in self.watched.pop(resource.plural, []):
            yield event() if callable(event) else event

    async def count(self, resource: Resource, namespace: str = "") -> int:
        return len((await self.list(resource, namespace)).items)

    async def log(self, namespace: str, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
        pod = f"{pod} before" if previous else pod
        self.logs_read.append(pod)
        if self.logs_hang:
            await asyncio.Event().wait()
        if pod not in self.logs:
            raise Unavailable(f"GET {namespace}/{pod}/log: the kubelet does not answer")
        return "".join(self.logs[pod].splitlines(keepends=True)[-lines:])

    async def create(self, resource: Resource, namespace: str, body: Json, *, dry_run: bool = False) -> Json:
        if resource.plural == "selfsubjectreviews":
            return {"status": {"userInfo": {"username": self.user}}}
        key = (resource.plural, namespace, body["metadata"]["name"])
        if key in self.objects:
            raise AlreadyExists(key[2])
        if dry_run:
            return {**body, "metadata": {**body["metadata"], "uid": "dry-run"}}
        with_uid = copied(body)
        return self._write("create", key, body, lambda: self._shown(self.add(resource.plural, with_uid)))

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: Json, subresource: str = "", *, dry_run: bool = False
    ) -> Json:
        obj = self._find(resource.plural, namespace, name)
        pins = body.get("metadata") or {}
        for pin in ("uid", "resourceVersion"):
            if pin in pins and pins[pin] != obj["metadata"][pin]:
                raise Conflict(f"{pin} of {name} is {obj['metadata'][pin]}")
        if dry_run:
            return self._shown(obj)
        key = (resource.plural, namespace, name + (f"/{subresource}" if subresource else ""))
        changes = {k: v for k, v in body.items() if k != "metadata"}
        marks = {k: v for k, v in pins.items() if k not in ("uid", "resourceVersion")}
        if marks and not subresource:
            changes["metadata"] = marks
        return self._write("patch", key, body, lambda: self._merged(obj, changes, by_scale=subresource == "scale"))

    async def evict(self, namespace: str, name: str, uid: str, *, dry_run: bool = False) -> None:
        pod = self._find("pods", namespace, name)
        if pod["metadata"]["uid"] != uid:
            raise Conflict(f"uid of {name}")
        if self.budget <= 0:
            raise BudgetExhausted("Cannot evict pod as it would violate the pod's disruption budget.")
        if dry_run:
            return

        def take() -> Json:
            self.budget -= 1
            self.remove("pods", namespace, name)
            return pod

        self._write("evict", ("pods", namespace, name), {"uid": uid}, take)

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        obj = self._find(resource.plural, namespace, name)
        if obj["metadata"]["uid"] != uid:
            raise Conflict(f"uid of {name}")

        def take() -> Json:
            self.remove(resource.plural, namespace, name)
            return obj

        self._write("delete", (resource.plural, namespace, name), {"uid": uid}, take)

    async def allowed(self, access: Access) -> bool:
        name = f"{access.resource}/{access.subresource}" if access.subresource else access.resource
        return name not in self.denied and f"{access.verb} {name}" not in self.denied

    def _readable(self, resource: Resource) -> None:
        if resource.plural in self.unreadable:
            raise Unavailable("HTTP 503")
        if resource.plural in self.absent:
            raise NotFound("the server could not find the requested resource")
        if resource.plural in self.forbidden:
            raise Forbidden(f"cannot list resource {resource.plural}")

    def _find(self, plural: str, namespace: str, name: str) -> Json:
        try:
            return self.objects[plural, namespace, name]
        except KeyError:
            raise NotFound(f"{plural} {namespace}/{name}") from None

    def _write(self, verb: str, key: Key, body: Json, effect: Callable[[], Json]) -> Json:
        path = "/".join(key)
        if path in self.refused:
            raise Forbidden(f"{path}: an admission policy refused it")
        if path in self.mute:
            raise Unavailable(f"{path}: no answer")
        if path in self.stale:
            self.stale.remove(path)
            raise Conflict(f"{path} has changed")
        self._attempts += 1
        doomed = self.kill_at == self._attempts
        if doomed and not self.kill_after:
            raise Killed
        result = effect()
        self.writes.append((verb, path, "goldseam", copied(body)))
        if path in self.deaf:
            self.deaf.remove(path)
            raise Unavailable(f"{path}: no answer")
        if doomed:
            raise Killed
        return result

    @property
    def attempts(self) -> int:
        """How many writes were tried."""
        return self._attempts

    def _merged(self, obj: Json, body: Json, *, by_scale: bool = False) -> Json:
        self._merge(obj, copied(body), "goldseam")
        uid = obj["metadata"]["uid"]
        if by_scale and (obj["spec"]["replicas"] == 0 or uid in self._untracked):
            self._untracked.add(uid)
            self._owners[uid].pop("spec\0replicas", None)
            self._owners[uid].setdefault("spec\0template", "kubectl")
        return self._shown(obj)

    def _merge(self, obj: Json, body: Json, manager: str) -> None:
        before = json.dumps(obj.get("spec"), sort_keys=True)
        entries = dict(_entries(obj.get("spec"), "spec"))
        _merge(obj, body)
        owners = self._owners.setdefault(obj["metadata"]["uid"], {})
        for part in ("spec", "data"):
            for path in _leaves(body.get(part) or {}, part):
                owners[path] = manager
        for path, value in _entries(obj.get("spec"), "spec"):
            if entries.get(path) != value:  # a list comes as a whole: of its entries, what is another value is theirs
                owners[path] = manager
        if json.dumps(obj.get("spec"), sort_keys=True) != before:
            obj["metadata"]["generation"] = obj["metadata"].get("generation", 1) + 1
        self._bump(obj)

    def _bump(self, obj: Json) -> None:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)

    def _shown(self, obj: Json) -> Json:
        shown = copied(obj)
        owners = self._owners.get(obj["metadata"]["uid"], {})
        shown["metadata"]["managedFields"] = [
            {"manager": manager, "operation": "Update", "fieldsV1": _fields(path), "time": self.now()}
            for path, manager in (*owners.items(), *self._sharers.get(obj["metadata"]["uid"], ()))
        ]
        return shown

    def _scale(self, obj: Json) -> Json:
        meta = {k: obj["metadata"][k] for k in ("name", "namespace", "uid", "resourceVersion")}
        replicas = obj["spec"].get("replicas", 1)  # a zero is left out
        return {"kind": "Scale", "metadata": meta, "spec": {"replicas": replicas} if replicas else {}}


def _merge(obj: Json, patch: Json) -> None:
    """RFC 7396."""
    for key, value in patch.items():
        if value is None:
            obj.pop(key, None)
        elif isinstance(value, dict):
            if not isinstance(obj.get(key), dict):
                obj[key] = {}
            _merge(obj[key], value)
        else:
            obj[key] = value


def _leaves(value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield path
        return
    for key, inner in value.items():
        yield from _leaves(inner, f"{path}\0{key}")


def _entries(value: Any, path: str, *, inside: bool = False) -> Iterator[tuple[str, Any]]:
    """The fields of entries of lists that are kept by name, each with its value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _entries(inner, f"{path}\0{key}", inside=inside)
    elif isinstance(value, list) and all(isinstance(one, dict) and "name" in one for one in value):
        for one in value:
            yield from _entries(one, f"{path}\0name={one['name']}", inside=True)
    elif inside:
        yield path, value


def _fields(path: str) -> Json:
    nested: Json = {}
    for key in reversed(path.split("\0")):
        nested = {as_managed(key): nested}
    return nested


def _selected(labels: Mapping[str, str], selector: str) -> bool:
    """Whether a label selector selects these: requirements `key=value` or `key in (a,b)`, with commas between them."""
    for requirement in re.split(r",(?![^(]*\))", selector):
        key, values = re.fullmatch(r"([^ =]+)(?:=| in \()([^)]*)\)?", requirement).groups()  # type: ignore[union-attr]
        if labels.get(key) not in values.split(","):
            return False
    return True
