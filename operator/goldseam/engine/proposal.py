"""What an action answers when it is asked for a plan, and what it says of a plan that was carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from goldseam.api.base import Model
from goldseam.api.drained import Aftermath
from goldseam.api.incident import Obligation, Step, Write

Json = Mapping[str, Any]

Part = Literal[
    "scale",
    "autoscalers",
    "owners",
    "pods",
    "pending",
    "disruption_budgets",
    "configMap",
    "revisions",
    "git",
    "jobs",
    "lease",
    "attachments",
    "heartbeats",
]
"""A part of the world that is read only for the actions that look at it."""
EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Hit:
    """A workload of which pods would go with their node."""

    workload: Json
    pods: frozenset[str]
    """The uids of those of its pods that would go."""


@dataclass(frozen=True)
class World:
    """Live objects, as raw JSON, read for one decision. An object that does not exist is None."""

    target: Json | None
    """The workload or node that the incident is about."""
    scale: Json | None = None
    """The target's `/scale`, where it has one, and an action looks at it."""
    hpas: tuple[Json, ...] = ()
    """The HorizontalPodAutoscalers of the target's namespace, where an action looks at them; for a drain: of the
    namespaces of the workloads that are hit."""
    pdbs: tuple[Json, ...] = ()
    """The PodDisruptionBudgets of the target's namespace (for a node: of all), where an action looks at them."""
    scaled_objects: tuple[Json, ...] = ()
    """The KEDA ScaledObjects of the target's namespace, where an action looks at them and KEDA is installed."""
    rollouts: tuple[Json, ...] = ()
    """The same of Argo Rollouts, for a Deployment, whose pods a Rollout may run."""
    vpas: tuple[Json, ...] = ()
    """The same of VerticalPodAutoscalers."""
    pending: tuple[Json, ...] = ()
    """The pods of the target that do not run yet, where an action waits for pods."""
    pods: tuple[Json, ...] = ()
    """For a node: the pods on it. For a workload, where an action looks at them: those that its selector selects."""
    config_map: Json | None = None
    """The ConfigMap that the rung names, where an action looks at it."""
    closed: frozenset[Part] = frozenset()
    """What the operator has no right to read: no time brings that by itself."""
    replica_sets: tuple[Json, ...] = ()
    """With the pods of a Deployment: the ReplicaSets that its selector selects."""
    revisions: tuple[Json, ...] | None = None
    """The ReplicaSets or ControllerRevisions that the target's selector selects; None where nobody asked for them, or
    they could not be read."""
    git: Json | None = None
    """The Flux Kustomization or Argo CD Application that the target says it comes from, at the first look; None where
    it cannot be read, too."""
    nodes: tuple[Json, ...] = ()
    """For a node: all nodes of the cluster."""
    ours: tuple[Json, ...] = ()
    """For a node on which one of the operator's own pods is: all of these, on whatever node."""
    cron_job: Json | None = None
    """The CronJob that the rung names, where an action looks at it; for a reboot the one that reboots."""
    jobs: tuple[Json, ...] = ()
    """With it: the Jobs of the namespace that the CronJob controls."""
    room: Mapping[str, tuple[Json, ...]] | None = None
    """For a drain: the pods of other nodes, by the node's name, of as many as were asked. None: nobody asked yet."""
    hit: tuple[Hit, ...] | None = None
    """For a drain: the workloads whose pods would go, with their autoscalers in `hpas`. None: nobody asked yet."""
    leases: bool = False
    """For a cordon, a drain or a reboot: whether there is a namespace of Medik8s leases."""
    node_lease: Json | None = None
    """There, the node's Lease."""
    heartbeats: tuple[Json, ...] = ()
    """For a node whose kubelet is silent, where an action looks at them: the Leases that all kubelets renew."""
    lent: bool = False
    """For a node: whether an incident, be it this one, owes that it is uncordoned."""
    needed_by: str = ""
    """The other incident that needs the node cordoned; empty where none does."""
    coming_back: frozenset[str] = frozenset()
    """The uids of the nodes that other incidents have taken out of service, and will bring back by themselves."""
    protected: tuple[str, ...] = ()
    """The patterns of the namespaces of which no workload is a target."""
    volumes: Mapping[str, Json] = field(default_factory=dict)
    """For a drain: the PersistentVolumes of the node's pods, by namespace and name of the claim: `shop/data-db-0`."""
    attached: frozenset[str] | None = None
    """For a drain: the PersistentVolumes that a VolumeAttachment attaches to the node. None: nobody asked, or nobody
    may know (`closed`)."""
    evictions: tuple[Write, ...] = ()
    """For a drain that was begun: what the open step writes to pods with volumes."""
    recovering: tuple[Json, ...] | None = None
    """For a drain whose pods are gone: the workloads that had them, as they are now. None: nobody asked."""
    log: str = ""
    """The end of the log of the Job that the open step has started, once that has ended; or why it was not read."""
    touched: Mapping[str, Json | None] = field(default_factory=dict)
    """What the open step's writes and the open obligations speak of, by `place`."""
    now: datetime = EARLIEST
    """When it was read."""
    active_at: datetime = EARLIEST
    """Since when the alert is active, as the incident says."""
    values: Mapping[str, str] = field(default_factory=dict)
    """What the variables of the incident stand for."""
    awaited: tuple[str, str] | None = None
    """The condition, as type and status, that the rung of the open step waits for on the object that it made."""


def place(kind: str, namespace: str, name: str, subresource: str = "") -> str:
    """The key of an object in `World.touched`."""
    return f"{kind}/{namespace}/{name}/{subresource}"


@dataclass(frozen=True)
class Right:
    """A right that a plan needs."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    piece: str = field(default="", compare=False)
    """The component of `deploy/kustomize` that brings it."""

    def __str__(self) -> str:
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {resource}{f'.{self.group}' if self.group else ''}{where}"


@dataclass(frozen=True)
class Turn:
    """Which of a step's evictions are made now, before everything is looked at again."""

    at_once: int | None = None
    """How many at most. None: all, as many as are made between two looks."""
    unready: frozenset[str] | None = None
    """The uids of the pods that are not ready: these may go, unless one of them is not of the step, and no others.
    None: any pod may go."""
    waits_for: str = ""
    """What is waited for while none may go, after `waiting for`."""
    held: frozenset[str] = frozenset()
    """The uids of objects to which nothing is written now, be it a patch or an eviction."""
    hopeless: str = ""
    """Why what is waited for will not come any more; empty while it may."""
    courses: Mapping[str, str] = field(default_factory=dict)
    """How that went which patches of the step have begun, as far as it has ended, by the object's uid."""

    def has(self, write: Write, writes: Sequence[Write]) -> bool:
        """Whether the write, one of these, may be made now."""
        if write.object.uid in self.held:
            return False
        if write.verb != "Evict" or self.unready is None:
            return True
        return write.object.uid in self.unready <= {one.object.uid for one in writes}

    def first(self, writes: Sequence[Write]) -> tuple[Write, ...]:
        """Those that are made first."""
        return tuple(write for write in writes if self.has(write, writes))[: self.at_once]


ALL = Turn()
"""Nothing waits for anything else."""


@dataclass(frozen=True)
class Proposal:
    """What an action would write."""

    writes: tuple[Write, ...]
    summary: str
    """What it does, as a sentence without a subject: `scale Deployment shop/api from 3 to 10 replicas`."""
    rights: tuple[Right, ...]
    obligations: tuple[Obligation, ...] = ()
    takes_ready: int = 0
    """How many ready pods of the target it takes away at the same time at most."""
    by_eviction: bool = False
    """Whether they go through the Eviction API, so that PodDisruptionBudgets are kept by that."""
    takes_nodes: int = 0
    """How many nodes it takes out of service."""
    evictable: frozenset[str] | None = None
    """The uids of all pods that it might evict as things are now: of what was written down, others stay. None: all of
    that may go, which is for nodes only."""
    evicts_at_most: int = 0
    """How many of them one step evicts."""
    turn: Turn = ALL
    """Which evictions are made before everything is looked at again."""
    preflight: tuple[str, ...] = ()
    """What is known of the course before anything is done, in sentences: it stands on the incident first."""
    asks_about: tuple[str, ...] = ()
    """What a person says yes to, beside the values: where that changes, the question is another one."""
    aftermath: Aftermath | None = None
    """What is waited for once it is done."""
    ending: tuple[str, ...] = ()
    """Of a drain: the uids of the pods that are ending already, which are waited for, too."""
    body: Mapping[str, Any] | None = None
    """The object that is made, where one is: the write stands for it by a digest."""


def written(write: Write) -> str:
    """The kind with its subresource, and the field: `Deployment/scale spec.replicas`; of an eviction `Pod/eviction`;
    of a deletion `Pod deleted`; of what is made `Job of CronJob`.

    Where an action declares it, `*` stands for a key that the policy names.
    """
    if write.verb == "Evict":
        return f"{write.object.kind}/eviction"
    if write.verb == "Delete":
        return f"{write.object.kind} deleted"
    if write.verb == "Create":
        return f"Job of {write.object.kind}"
    if write.verb == "Make":
        return "an allowed kind, made and deleted"
    if write.template is not None:
        return f"{write.object.kind} spec.template"
    return f"{write.object.kind}{f'/{write.subresource}' if write.subresource else ''} {write.field}"


@dataclass(frozen=True)
class Refusal:
    """Why an action cannot be done on this target: the next rung is tried."""

    reason: str
    message: str
    guard: str = "owner"
    waits: bool = False
    """Whether that will pass by itself: then it is waited for, and the next rung is not tried."""
    until: datetime | None = None
    """When it does, where that is known."""
    evictable: frozenset[str] | None = None
    """As in a Proposal."""
    turn: Turn = ALL
    """Of a step that is open: as in a Proposal."""


@dataclass(frozen=True)
class NothingToDo:
    """The target is already as the action would make it: the next rung is tried."""

    message: str
    evictable: frozenset[str] | None = None
    """As in a Proposal."""
    turn: Turn = ALL
    """Of a step that is open: as in a Proposal."""
    obligations: tuple[Obligation, ...] = ()
    """What is owed with another incident, whose work it builds on."""


Plan = Proposal | Refusal | NothingToDo


@dataclass(frozen=True)
class Effect:
    """Whether an action that was carried out has run its course."""

    done: bool
    message: str
    course: Literal["", "Runs", "Ended", "Failed", "Vanished"] = ""
    """Of what was started and takes its time: `Runs`, and nothing else is tried beside it; has just `Ended` well; has
    `Failed`; has `Vanished`, and how it ended nobody knows."""
    trouble: bool = False
    """Whether it will hardly do so by itself: said before anything else that is waited for."""
    asked_for: bool = False
    """Whether the rung itself asks for what is missing: it is waited for where `verify.rollout` is false, too."""
    waits_for: str = ""
    """Where all is done that was to be done: what follows from it, and is not there yet. It is waited for, for a while,
    and the step does not fail for it."""


@dataclass(frozen=True)
class Action:
    """One action: how it is planned, how its course is judged, and which part of RBAC it needs."""

    name: str
    kinds: frozenset[str]
    """The kinds of target that it acts on."""
    plan: Callable[[Model, World, str], Plan]
    """From the rung's parameters, the world and the step's token. Pure."""
    observe: Callable[[Step, World], Effect]
    """From the step and the world. Pure."""
    needs: Callable[[Model, str], tuple[Right, ...]]
    """The rights that it needs in any case, from the rung's parameters and the target's kind."""
    looks_at: frozenset[Part] = frozenset()
    """What it looks at beside the target. A node's pods and all nodes are read for every action on it."""
    watches: frozenset[Part] = frozenset()
    """What it looks at, once it was carried out, to see how far it is."""
    picks_pods: Callable[[Model, Json], bool] = lambda *_: True
    """Whether it looks at the pods of this very target, from the rung's parameters and the target."""
    contested: Callable[[Model, World], Refusal | None] | None = None
    """Why it would be refused whenever its turn came, as far as that is known before there is an incident. Pure."""
    fields: frozenset[str] = frozenset()
    """All that its plans write, as `written` says it."""


def always(*rights: Right) -> Callable[[Model, str], tuple[Right, ...]]:
    """These rights, whatever the parameters say, and whatever the target is."""
    return lambda *_: rights
