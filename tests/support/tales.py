"""Incidents from beginning to end, each short: what happens, what heals it, how it must have ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.direct import Direct
from tests.support.exporter import Exporter
from tests.support.objects_on_cluster import deployment, pause, policy
from tests.support.operator_process import NAMESPACE
from tests.support.plane import Plane, eventually

Json = dict[str, Any]
OURS = "/apis/goldseam.dev/v1alpha1"
QUICK: Json = {"resolve": {"after": "1s", "revertAfter": "1s"}, "flapWindow": "1s"}
SETTLE: Json = {"verify": {"settle": "1s"}}
OPERATOR = f"system:serviceaccount:{NAMESPACE}:goldseam"
ENDED = ("Resolved", "Escalated", "Abandoned")
PATIENCE = 90.0


@dataclass(frozen=True)
class Stage:
    """What every run of a tale plays on."""

    plane: Plane
    direct: Direct
    exporter: Exporter


@dataclass(frozen=True)
class Effect:
    """One write of the operator's that the API server accepted: outside our own kinds, or a new incident."""

    what: str
    value: str
    uid: str

    def __str__(self) -> str:
        return f"{self.what} {self.value}"


class Tale:
    """One run: its objects have names of their own, so that no run sees another one's past."""

    alert = ""
    name = ""
    apart = True
    """Whether two runs share nothing, so that one can be prepared while another is played."""
    turns: tuple[str, ...] = ("alert resolved", "policy paused", "a person reverts", "object replaced")
    """The changes that the world goes through while the operator is down, one after the other."""

    def __init__(self, stage: Stage, number: int) -> None:
        self.stage, self.direct, self.number = stage, stage.direct, number
        self.namespace = f"{self.name}-{number}"
        self._offset = (stage.plane.home / "log" / "audit.json").stat().st_size
        self.labels: dict[str, str] = {}
        self.target = ""
        """The uid of the target, where it was replaced."""

    def prepare(self) -> None:
        """Make what the alert is about, and let it fire: nobody listens yet."""
        raise NotImplementedError

    def begin(self) -> None:
        """Create the policy: from here on it is the operator's turn."""
        raise NotImplementedError

    def healed(self) -> bool:
        """Whether the act that helps has taken effect."""
        raise NotImplementedError

    def state(self) -> Json:
        """What must be the same in the end, however often the operator died."""
        raise NotImplementedError

    def owed(self) -> list[str]:
        """What is not as it was before, though nobody but the operator changed it."""
        raise NotImplementedError

    def incidents(self) -> list[Json]:
        """Its incidents."""
        raise NotImplementedError

    def pause(self) -> None:
        """A person pauses the policy."""
        raise NotImplementedError

    def revert(self) -> None:
        """A person sets the field that the operator sets."""
        raise NotImplementedError

    def replace(self) -> None:
        """The target is replaced by another object of the same name."""
        raise NotImplementedError

    def leave(self) -> None:
        """Take away what would be in the way of the next run."""
        raise NotImplementedError

    def effects(self) -> list[Effect]:
        """What the operator has done, as the audit log says."""
        raise NotImplementedError

    def fire(self) -> None:
        """The trouble begins."""
        self.stage.exporter.set(1, about=self.alert, **self.labels)

    def relent(self) -> None:
        """The trouble is over."""
        self.stage.exporter.set(0, about=self.alert, **self.labels)

    def changes(self) -> dict[str, Callable[[], None]]:
        """How the world can change while the operator is down, by the names in `turns`."""
        return {
            "alert resolved": self.relent,
            "policy paused": self.pause,
            "a person reverts": self.revert,
            "object replaced": self.replace,
        }

    def stand(self) -> bool:
        """Whether it will not go on by itself: healed, ended, or on a hold that people have to end."""
        about = [i for i in self.incidents() if self.target in ("", i["spec"]["target"]["uid"])]
        found = [incident.get("status", {}) for incident in about]
        waits = [hold["reason"] for status in found for hold in status.get("holds", []) if hold.get("lookAgainAt")]
        over = any(status.get("phase") in ENDED for status in found)
        return self.healed() or over or any(reason in ("Paused", "Cooldown", "NodeLeaseHeld") for reason in waits)

    def over(self) -> bool:
        """Whether every incident is closed for good."""
        found = self.incidents()
        return bool(found) and all(incident.get("status", {}).get("closedAt") for incident in found)

    def writes(self) -> Iterator[Json]:
        """The accepted writes of the operator since this run began."""
        with (self.stage.plane.home / "log" / "audit.json").open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n") or OPERATOR.encode() not in line:
                    continue
                entry = json.loads(line)
                accepted = entry.get("responseStatus", {}).get("code", 0) < 300
                mutating = entry["verb"] in ("create", "update", "patch", "delete")
                if entry["user"].get("username") == OPERATOR and accepted and mutating:
                    yield entry


def what(entry: Json) -> str:
    """A write without names, as `patch deployments/scale`."""
    ref = entry["objectRef"]
    return f"{entry['verb']} {ref['resource']}{'/' + ref['subresource'] if ref.get('subresource') else ''}"


def opened(entry: Json) -> Effect | None:
    """One incident for each object: its uid stands for it."""
    if entry["verb"] != "create" or entry["objectRef"]["resource"] != "incidents":
        return None
    return Effect(what(entry), "", entry["requestObject"]["spec"]["target"]["uid"])


def _outcomes(incident: Json) -> list[str]:
    steps = incident.get("status", {}).get("steps", [])
    return [f"{step['action']} {step.get('outcome')}" for step in steps]


def told(incident: Json) -> Json:
    """How an incident ended."""
    status = incident.get("status", {})
    debts = [f"{debt['kind']} {debt.get('state')}" for debt in status.get("obligations", [])]
    return {"phase": status.get("phase"), "steps": _outcomes(incident), "debts": debts, "silent": _silent(status)}


def _silent(status: Json) -> list[str]:
    """What it does not say why of, but should: debts that were not paid, an end that is no resolution, and that people
    have it. The words themselves are others in each run."""
    unpaid = [debt for debt in status.get("obligations", []) if debt.get("state") in ("Void", "Lost")]
    said = {entry["kind"] for entry in status.get("timeline", []) if entry.get("message")}
    found = [f"{debt['kind']} {debt['state']}" for debt in unpaid if not debt.get("message")]
    if status.get("phase") in ("Escalated", "Abandoned") and not (status["phase"] in said and status.get("message")):
        found.append(status["phase"])
    return found + (["handed over"] if status.get("handedOver") and not said & {"Escalated", "TakenOver"} else [])


class Ladder(Tale):
    """More replicas do not help, a restart does; then the replicas go back."""

    name, alert = "ladder", "MatrixTrouble"
    before = 4

    @property
    def _path(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments/worker"

    def prepare(self) -> None:
        """A Deployment with all its pods ready."""
        self.labels = {"namespace": self.namespace, "deployment": "worker"}
        self.direct.must("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        self._create()
        self.fire()

    def _create(self) -> None:
        body = deployment(self.namespace, "worker", self.before)
        self.direct.must("POST", self._path.removesuffix("/worker"), body)
        eventually(lambda: self._live().get("status", {}).get("readyReplicas") == self.before, "the pods to be ready")

    def _live(self) -> Json:
        return self.direct.get(self._path)

    def begin(self) -> None:
        """Two rungs; the first one's time is long enough for a restart of the operator."""
        rungs = ({"scale": {"replicas": 8}, "timeout": "5s"} | SETTLE, {"restart": {}, "timeout": "30s"} | SETTLE)
        body = policy(self.namespace, *rungs, alert={"name": self.alert}, **QUICK)
        self.direct.must("POST", f"{OURS}/namespaces/{self.namespace}/remediationpolicies", body)

    def healed(self) -> bool:
        """The restart was begun."""
        template = self._live().get("spec", {}).get("template", {})
        return bool(template.get("metadata", {}).get("annotations"))

    def incidents(self) -> list[Json]:
        """Those of its namespace."""
        return self.direct.items(f"{OURS}/namespaces/{self.namespace}/incidents")

    def effects(self) -> list[Effect]:
        """Writes to its Deployment, and the incidents that were opened about it."""
        return [effect for entry in self.writes() if (effect := self._effect(entry))]

    def _effect(self, entry: Json) -> Effect | None:
        ref, sent = entry["objectRef"], entry.get("requestObject") or {}
        if ref.get("namespace") != self.namespace:
            return None
        if ref.get("apiGroup") == "apps":
            return Effect(what(entry), str(sent["spec"].get("replicas", "the template")), sent["metadata"]["uid"])
        return opened(entry)

    def state(self) -> Json:
        """The Deployment, its rollouts, and the story of the incident."""
        live = self._live()
        sets = self.direct.items(f"/apis/apps/v1/namespaces/{self.namespace}/replicasets")
        return {
            "replicas": live["spec"]["replicas"],
            "generation": live["metadata"]["generation"],
            "rollouts": len(sets),
            "incidents": [told(incident) for incident in self.incidents()],
        }

    def owed(self) -> list[str]:
        """More replicas than before, though it was the operator who set them last."""
        live = self._live()
        scaled = [effect for effect in self.effects() if effect.what == "patch deployments/scale"]
        mine = [effect.value for effect in scaled if effect.uid == live["metadata"]["uid"]]
        replicas = live["spec"]["replicas"]
        return (
            [f"{replicas} replicas, and not {self.before}"] if str(replicas) in mine and replicas != self.before else []
        )

    def pause(self) -> None:
        """In its namespace."""
        self.direct.must("POST", f"{OURS}/namespaces/{self.namespace}/pauses", pause(self.namespace))

    def revert(self) -> None:
        """Back to what it was; where that is so, another number."""
        if self._live()["spec"]["replicas"] == self.before:
            self.before += 1
        self.direct.must("PATCH", self._path, {"spec": {"replicas": self.before}})

    def replace(self) -> None:
        """Deleted, and created anew."""
        uid = self._live()["metadata"]["uid"]
        self.direct.gone(self._path)
        eventually(lambda: self._live().get("metadata", {}).get("uid") != uid, "the Deployment to be gone")
        self._create()
        self.target = self._live()["metadata"]["uid"]

    def leave(self) -> None:
        """The policy ends its incidents; the namespace stays, so that their records do."""
        self.relent()
        for kind in ("pauses", "remediationpolicies"):
            self.direct.gone(f"{OURS}/namespaces/{self.namespace}/{kind}")
        eventually(lambda: not self.incidents() or self.over(), f"the incidents of {self.namespace} to be closed", 60)
        self.direct.gone(self._path)
