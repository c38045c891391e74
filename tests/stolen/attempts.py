"""The attempts: what is asked of the API server with the operator's token, and who refuses it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml

from goldseam.api.incident import ObjectRef, Write
from goldseam.api.pins import NodePin
from goldseam.engine.jobs import job_from
from tests.stolen.pieces import BASE, OPERATOR, PIECES, Grant, granted, in_overlay, of_piece

HERE = Path(__file__).parent
RBAC, SCHEMA, LEFT = "RBAC", "schema", "left"
"""Answers that are no admission policy: refused for want of a right, refused by the kind's own rules, let through."""
ALL = "overlays/all"
TOGETHER = (
    "jobs+reboot",
    "nodes+out-of-service",
    "resources+restart",
    "resources+rollback",
    "restart+rollback",
    "rollouts+scale+scale-to-zero",
)
"""Pieces of which one lets the others' hands go."""
COLUMNS = ("base", *PIECES, *TOGETHER, ALL)
"""What is installed: nothing but the base, the base and one piece or some together, and `overlays/all`."""
VERSIONS = {"autoscaling": "v2", "goldseam.dev": "v1alpha1", "keda.sh": "v1alpha1", "argoproj.io": "v1alpha1"} | {
    "self-node-remediation.medik8s.io": "v1alpha1"
}
"""The version that is asked, where it is not v1."""
METHODS = {
    "get": "GET",
    "list": "GET",
    "impersonate": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}

Json = dict[str, Any]


def pieces_of(column: str) -> list[str]:
    """The pieces that a column means."""
    return {"base": [], ALL: in_overlay()}.get(column, column.split("+"))


@dataclass(frozen=True)
class Attempt:
    """One request, and what it is answered."""

    what: str
    ask: str
    """A verb and a resource, as RBAC names them: `patch deployments.apps/scale`."""
    answer: Mapping[str, str]
    """Who refuses it, by piece: an admission policy, or `schema`; or `left`. What is said of the base holds with every
    piece. Where nothing is said, the right is missing."""
    says: str | list[str] = ""
    """Words of the admission policy, where it refuses; of several, one of these."""
    at: str = "stolen/web"
    """The namespace and the name; without a slash the name of an object that is in no namespace."""
    version: str = ""
    apply: bool = False
    """Create by a server-side apply."""
    body: Json = field(default_factory=dict)
    operations: list[Json] = field(default_factory=list)
    """What is sent instead of a merge patch: a JSON patch (RFC 6902)."""
    reboots: bool = False
    """Whether the body is laid over the Job of a reboot as Goldseam makes it; `${cronjob}` is its CronJob's uid."""

    @property
    def sent(self) -> Json | list[Json]:
        """The whole body."""
        if self.operations:
            return self.operations
        return merged(reboot_of(self.place[0]), self.body) if self.reboots else self.body

    @cached_property
    def verb(self) -> str:
        """The verb that RBAC judges."""
        return self.ask.split()[0]

    @cached_property
    def kind(self) -> tuple[str, str, str]:
        """Group, resource and subresource."""
        whole, _, sub = self.ask.split()[1].partition("/")
        resource, _, group = whole.partition(".")
        return group, resource, sub

    @cached_property
    def place(self) -> tuple[str, str]:
        """Namespace and name; empty where there is none."""
        namespace, slash, name = self.at.rpartition("/")
        return (namespace, name) if slash else ("", self.at)

    @property
    def path(self) -> str:
        """Where the request goes; as a dry run, so that nothing stays."""
        group, resource, sub = self.kind
        namespace, name = self.place
        if self.verb == "impersonate":
            return "/api/v1/namespaces"
        version = self.version or VERSIONS.get(group, "v1")
        parts = [f"/apis/{group}/{version}" if group else f"/api/{version}"]
        parts += [f"namespaces/{namespace}"] if namespace else []
        parts += [resource] if self.verb == "create" and not (sub or self.apply) else [resource, name, sub]
        return "/".join(part for part in parts if part) + f"?dryRun=All&fieldManager=goldseam{self._command}"

    @property
    def _command(self) -> str:
        return "&command=id&stdout=true&ports=80" if self.kind[2] in ("exec", "attach", "portforward") else ""

    @property
    def method(self) -> str:
        """The HTTP method."""
        return "PATCH" if self.apply else METHODS[self.verb]

    def words(self, message: str) -> bool:
        """Whether an admission policy says what it should."""
        return any(words in message for words in ([self.says] if isinstance(self.says, str) else self.says))

    def permitted(self, grants: Iterable[Grant]) -> bool:
        """Whether RBAC lets it through."""
        group, resource, sub = self.kind
        namespace, name = self.place
        wanted = (self.verb, group, f"{resource}/{sub}" if sub else resource)
        # The name of what is created is not known when rights are checked.
        named = "" if self.verb == "create" and not (sub or self.apply) else name
        return any(
            (verb, of, what) == wanted and where in ("", namespace) and (not names or named in names)
            for verb, of, what, names, where in grants
        )

    def answers(self, column: str) -> frozenset[str]:
        """What it may be answered there: where several admission policies refuse, one of them says so.

        Raises:
            ValueError: one piece lets through what another refuses, and what both do is not said.
        """
        if column in self.answer:
            return frozenset({self.answer[column]})
        if column in ("base", *PIECES):
            return frozenset({self.answer.get("base", RBAC)})
        found = {answer for piece in pieces_of(column) for answer in self.answers(piece)} - {RBAC}
        if LEFT in found and len(found) > 1:
            raise ValueError(f"{self.what!r}: say in attempts.yaml what {column} answers")
        refuse = found - {LEFT, SCHEMA} and column != ALL
        return frozenset(found | self._judges(column) if refuse else found or self.answers("base"))

    def _judges(self, column: str) -> set[str]:
        """The admission policies of the pieces that judge such a request: any of those that refuse it may be the one
        that says so, also where its piece is not bound."""
        group, resource, sub = self.kind
        asked = (group, f"{resource}/{sub}" if sub else resource)
        policies = [
            obj for piece in pieces_of(column) for obj in of_piece(piece) if "matchConstraints" in obj.get("spec", {})
        ]
        rules = [
            (obj["metadata"]["name"], rule)
            for obj in policies
            for rule in obj["spec"]["matchConstraints"]["resourceRules"]
        ]
        return {name for name, rule in rules if asked[0] in rule["apiGroups"] and asked[1] in rule["resources"]}


def reboot_of(namespace: str) -> Json:
    """The Job by which Goldseam reboots a node, made of the CronJob of the piece, in some namespace."""
    (cron_job,) = (obj for obj in of_piece("reboot") if obj["kind"] == "CronJob")
    named = {"api_version": "batch/v1", "kind": "CronJob", "namespace": namespace, "name": "reboot"}
    write = Write(
        verb="Create",
        object=ObjectRef(**named, uid="${cronjob}"),
        generation=1,
        want='"reboot-fedcba9876543210"',
        node=NodePin(name="stolen", boot_id="fa7c2a7d"),
    )
    return job_from(cron_job, write, "goldseam-system/web")


def merged(obj: Json, patch: Json) -> Json:
    """The object with a JSON merge patch (RFC 7386)."""
    kept = {key: value for key, value in obj.items() if key not in patch}
    for key, value in patch.items():
        if value is not None:
            kept[key] = merged(obj.get(key) or {}, value) if isinstance(value, dict) else value
    return kept


def rights_with(column: str) -> set[Grant]:
    """What RBAC grants the operator in a column."""
    pieces = [obj for piece in pieces_of(column) for obj in of_piece(piece)]
    return granted(BASE, OPERATOR) | granted(pieces, OPERATOR)


@lru_cache
def themes() -> dict[str, tuple[Attempt, ...]]:
    """All attempts, by what a thief wants."""
    loaded = yaml.safe_load((HERE / "attempts.yaml").read_text())
    return {theme: tuple(Attempt(**entry) for entry in entries) for theme, entries in loaded.items()}


def attempts() -> Iterator[Attempt]:
    """All attempts."""
    for entries in themes().values():
        yield from entries


def world() -> list[Json]:
    """The objects that the attempts are about."""
    return [obj for obj in yaml.safe_load_all((HERE / "world.yaml").read_text()) if obj]
