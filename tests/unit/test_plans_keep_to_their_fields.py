"""Whatever the world and whatever an action is told: a plan writes what the action declares, and comes to an end."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from goldseam.actions.registry import ACTIONS
from goldseam.api.incident import Write
from goldseam.api.ladder import (
    Cordon,
    DeletePods,
    Drain,
    Job,
    OutOfService,
    PatchConfig,
    Reboot,
    Resources,
    Restart,
    Rollback,
    Uncordon,
)
from goldseam.api.parameters import Parameters
from goldseam.api.scaling import Scale
from goldseam.api.templates import Template
from goldseam.engine.lineage import waits_for
from goldseam.engine.objects import TOKEN, patch_of
from goldseam.engine.out_of_service import KEY, SHUT_DOWN
from goldseam.engine.proposal import Hit, NothingToDo, Plan, Proposal, Refusal, World, place, written
from goldseam.engine.revisions import replaced
from tests.support.objects import (
    config_map,
    heartbeats,
    hpa,
    kept,
    manages,
    node,
    owned_by,
    pod,
    reboot_cron_job,
    replica_set,
    scale_of,
    scaled_object,
    template,
    troubled,
    workload,
)

Json = dict[str, Any]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SIZES = ("spec.replicas", "spec.minReplicas", "spec.maxReplicas")

PARAMETERS: dict[str, st.SearchStrategy[Parameters]] = {
    "scale": st.builds(
        lambda replicas, raise_max: Scale(replicas=replicas, raise_max=raise_max),
        st.integers(1, 10_000) | st.integers(1, 20),
        st.booleans(),
    )
    | st.builds(
        lambda replicas: Scale(replicas=replicas, direction="Down", allow_zero=replicas == 0), st.integers(0, 12)
    ),
    "restart": st.builds(
        lambda method: Restart(method=method), st.sampled_from(["Auto", "Template", "Template", "Eviction"])
    ),
    "deletePods": st.builds(
        DeletePods,
        states=st.lists(
            st.sampled_from(["CrashLoopBackOff", "NotReady", "ContainerCreating", "Failed"]), min_size=1, unique=True
        ),
        lasting=st.sampled_from([timedelta(0), timedelta(minutes=5), timedelta(hours=2)]),
        at_most=st.integers(1, 5) | st.sampled_from(["1%", "50%", "100%"]),
    ),
    "patchConfig": st.builds(
        lambda key, value, add: PatchConfig(config_map="settings", key=key, value=value, add_key=add),
        st.sampled_from(["LEVEL", "OTHER", "a.b"]),
        st.text("abc\n", max_size=5),
        st.booleans(),
    ),
    "resources": st.builds(
        lambda container, told: Resources.model_validate({"container": container, **told}),
        st.sampled_from(["app", "app", "app", "other"]),
        st.fixed_dictionaries(
            {"limits": st.sampled_from([{"memory": "512Mi"}, {"memory": "1024Mi", "cpu": "2"}, {"cpu": "1500m"}])},
            optional={"requests": st.sampled_from([{"memory": "512Mi"}, {"cpu": "1"}])},
        ),
    ),
    "rollback": st.builds(Rollback, window=st.sampled_from([timedelta(minutes=1), timedelta(hours=1)])),
    "job": st.builds(lambda destructive: Job(cron_job="restore", destructive=destructive), st.booleans()),
    "cordon": st.builds(lambda control_plane: Cordon(control_plane=control_plane), st.booleans()),
    "drain": st.builds(
        lambda control_plane, at, how: Drain(control_plane=control_plane, at_deadline=at, single_replicas=how),
        st.booleans(),
        st.sampled_from(["Uncordon", "LeaveCordoned", "Force"]),
        st.sampled_from(["Restart", "Restart", "Evict"]),
    ),
    "reboot": st.builds(lambda control_plane: Reboot(control_plane=control_plane), st.booleans()),
    "outOfService": st.builds(
        lambda when, control_plane: OutOfService(when=when, control_plane=control_plane),
        st.sampled_from(["ShutDown", "Unreachable"]),
        st.booleans(),
    ),
    "uncordon": st.just(Uncordon()),
    "template": st.builds(
        lambda text, keep: Template.model_validate(
            {
                "resource": "remediations",
                "keep": keep,
                "object": {
                    "apiVersion": "a.example.com/v1",
                    "kind": "Remediation",
                    "spec": {"a": text},
                },
            }
        ),
        st.sampled_from(["a", "${target.name}", "${alert.labels.none}"]),
        st.booleans(),
    ),
}
"""What each action may be told."""

VALUES = {"target.name": "api"}
CORES = st.sampled_from(["1", "500m", "0.7"])
NAMES = st.integers(0, 9).map("p-{}".format)
MANAGERS = ("", "", "", "kubectl-edit", "argocd-controller", "kustomize-controller")


@st.composite
def workloads(draw: st.DrawFn, kind: str) -> Json:
    """A workload in any state of its rollout, and with anybody as its owner."""
    replicas = draw(st.integers(0, 12))
    manager = draw(st.sampled_from(MANAGERS))
    meta: Json = {"ownerReferences": owned_by("Thing", "other")} if draw(st.integers(0, 9)) == 0 else {}
    meta |= {"managedFields": [manages(manager, "spec.replicas", operation="Apply")]} if manager else {}
    rolling = {
        "maxUnavailable": draw(st.sampled_from([0, 1, "25%", "100%"])),
        "partition": draw(st.sampled_from([0, 3])),
    }
    strategy = {"type": draw(st.sampled_from(["RollingUpdate", "Recreate", "OnDelete"])), "rollingUpdate": rolling}
    spec: Json = {"strategy" if kind == "Deployment" else "updateStrategy": draw(st.sampled_from([strategy, {}]))}
    spec |= {"paused": True} if draw(st.integers(0, 9)) == 0 else {}
    old = draw(st.sampled_from([None, "an-older-token", "x" * 300]))
    spec["template"] = template(draw(st.sampled_from(["web:1", "web:2"])), annotations={TOKEN: old} if old else None)
    if draw(st.booleans()):
        spec["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "settings"}}]
    if draw(st.booleans()):
        limits = st.fixed_dictionaries({"memory": st.sampled_from(["256Mi", "0.5Gi", "2G"])}, optional={"cpu": CORES})
        sizes = {"limits": draw(limits), "requests": draw(st.fixed_dictionaries({}, optional={"cpu": CORES}))}
        spec["template"]["spec"]["containers"][0]["resources"] = sizes
    found = workload(kind, replicas, ready=draw(st.integers(0, replicas)), metadata=meta, spec=spec)
    if draw(st.booleans()):
        updated = "updatedNumberScheduled" if kind == "DaemonSet" else "updatedReplicas"
        found["status"][updated] = draw(st.integers(0, replicas))
    return found


@st.composite
def pods(draw: st.DrawFn) -> list[Json]:
    """Pods in any state, of the workload and of others."""
    names = draw(st.lists(NAMES, unique=True, max_size=8))
    return [draw(_pod(name)) for name in names]


@st.composite
def _pod(draw: st.DrawFn, name: str) -> Json:
    mark: Json = {"creationTimestamp": f"2026-11-23T11:0{draw(st.integers(0, 9))}:00Z"}
    mark |= {"annotations": {"karpenter.sh/do-not-disrupt": "true"}} if draw(st.integers(0, 9)) == 0 else {}
    volumes = {"volumes": [{"emptyDir": {}}]} if draw(st.booleans()) else {}
    if draw(st.booleans()):
        owner = draw(st.sampled_from(["ReplicaSet", "ReplicaSet", "StatefulSet", "DaemonSet", ""]))
        phase = draw(st.sampled_from(["Running", "Running", "Failed", "Succeeded"]))
        return pod(name, owner, ready=draw(st.booleans()), phase=phase, spec=volumes, metadata=mark)
    reason = draw(st.sampled_from(["CrashLoopBackOff", "ContainerCreating", ""]))
    phase = draw(st.sampled_from(["Running", "Pending", "Failed"]))
    owner = draw(st.sampled_from(["uid-set", "uid-set", "uid-api", "uid-of-another"]))
    return troubled(name, reason, phase=phase, owner=owner, metadata=mark)


@st.composite
def worlds(draw: st.DrawFn, kind: str) -> World:
    """A target of the kind, and what is around it."""
    found = draw(pods())
    if kind == "Node":
        target = node(
            ready=draw(st.sampled_from([True, False, None])),
            cordoned=draw(st.sampled_from(["", "goldseam", "kubectl-cordon"])),
            boot=draw(st.sampled_from(["", "boot-1"])),
            since=draw(st.sampled_from(["", "2026-11-23T11:40:00Z", "2026-11-23T11:59:00Z"])),
            taints=draw(st.sampled_from([(), ({"key": SHUT_DOWN},), ({"key": "a"}, {"key": KEY, "value": "theirs"})])),
        )
        others = [node(f"worker-{n}", ready=draw(st.booleans())) for n in range(2, draw(st.integers(2, 4)))]
        hit = draw(st.none() | hits([pod["metadata"]["uid"] for pod in found]))
        return World(
            target=target,
            pods=tuple(found),
            nodes=(target, *others),
            hit=hit,
            cron_job=draw(st.none() | st.just(reboot_cron_job())),
            heartbeats=draw(st.just(()) | st.just(heartbeats("2026-11-23T11:40:00Z", "2026-11-23T11:59:50Z"))),
            now=NOW,
            values=VALUES,
        )
    target = draw(workloads(kind))
    floors = st.none() | st.integers(1, 10)
    hpas = [
        hpa(draw(floors), draw(st.integers(10, 20)), name=name, target={"kind": kind})
        for name in draw(st.sampled_from([(), (), ("api",), ("api",), ("api", "second")]))
    ]
    return World(
        target=target,
        scale=None if kind == "DaemonSet" else scale_of(target),
        hpas=tuple(hpas),
        scaled_objects=draw(st.just(()) | st.just(()) | st.builds(_scaled_objects, floors, st.just(kind))),
        cron_job=draw(st.none() | st.builds(cron_job, st.sampled_from([False, False, True]))),
        pods=tuple(found),
        replica_sets=(replica_set(),),
        config_map=draw(st.none() | st.builds(config_map, st.none() | st.just({"a.b": "a"}), immutable=st.booleans())),
        revisions=draw(kept_revisions(target)),
        active_at=NOW,
        now=NOW,
        values=VALUES,
    )


@st.composite
def hits(draw: st.DrawFn, uids: list[str]) -> tuple[Hit, ...]:
    """The workload of some of the node's pods."""
    mine = draw(st.sets(st.sampled_from(uids))) if uids else set()
    kind = draw(st.sampled_from(["Deployment", "Deployment", "StatefulSet"]))
    return (Hit(draw(workloads(kind)), frozenset(mine)),) if mine else ()


def _scaled_objects(floor: int | None, kind: str) -> tuple[Json, ...]:
    group = "argoproj.io/v1alpha1" if kind == "Rollout" else "apps/v1"
    return (scaled_object(floor, 15, target={"kind": kind, "apiVersion": group}),)


def cron_job(suspended: bool) -> Json:
    """A CronJob by the name that the action is told."""
    meta = {"namespace": "shop", "name": "restore", "uid": "uid-cron", "resourceVersion": "300", "generation": 2}
    template = {"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "a:1"}]}}}}
    return {"metadata": meta, "spec": {"schedule": "0 0 31 2 *", "suspend": suspended, "jobTemplate": template}}


@st.composite
def kept_revisions(draw: st.DrawFn, target: Json) -> tuple[Json, ...]:
    """Some former templates of the target, and the one of now, most often."""
    keeper = "ReplicaSet" if target["kind"] == "Deployment" else "ControllerRevision"
    now = copy.deepcopy(target["spec"]["template"])
    old = [template(image) for image in draw(st.lists(st.sampled_from(["web:0", "web:1"]), max_size=2))]
    new = [now] if draw(st.integers(0, 4)) else []
    times = draw(st.sampled_from([("10", "11:50"), ("10", "09"), ("10", "12:30")]))
    found = [(one, f"2026-11-23T{times[0]}:00:00Z") for one in old]
    found += [(one, f"2026-11-23T{times[1] if ':' in times[1] else times[1] + ':00'}:00Z") for one in new]
    return tuple(kept(number, one, at, kind=keeper) for number, (one, at) in enumerate(found, 1))


CASES = [(name, kind) for name, action in ACTIONS.items() for kind in sorted(action.kinds)]


@st.composite
def plans(draw: st.DrawFn, action: str, kind: str) -> tuple[World, Callable[[World], Plan]]:
    """A world, and the action as it is told, with one token."""
    parameters = draw(PARAMETERS[action])
    return draw(worlds(kind)), lambda world: ACTIONS[action].plan(parameters, world, "the-token")


@pytest.mark.parametrize(("action", "kind"), CASES)
def test_there_are_worlds_in_which_an_action_has_something_to_do(action: str, kind: str) -> None:
    looked = settings(phases=[Phase.generate], max_examples=1_000, database=None)
    find(plans(action, kind), lambda drawn: isinstance(drawn[1](drawn[0]), Proposal), settings=looked)


def objects(world: World) -> Iterator[Json]:
    single = (world.target, world.scale, world.config_map)
    single += tuple(hit.workload for hit in world.hit or ())
    yield from (dict(obj) for obj in (*single, *world.hpas, *world.scaled_objects, *world.pods) if obj is not None)


def test_every_action_is_tried() -> None:
    assert set(PARAMETERS) == set(ACTIONS), "say in PARAMETERS what the new action may be told"
    assert all(action.fields for action in ACTIONS.values()), "say in Action.fields what its plans write"


@pytest.mark.parametrize(("action", "kind"), CASES)
@given(data=st.data())
def test_a_plan_writes_what_its_action_declares_to_what_it_saw_and_has_the_right_to(
    action: str, kind: str, data: st.DataObject
) -> None:
    world, plan = data.draw(plans(action, kind))
    before = copy.deepcopy(world)
    found = plan(world)
    assert world == before, "a plan changes nothing of what it is shown"
    if not isinstance(found, Proposal):
        return
    fields = [re.escape(field).replace(r"\*", ".+") for field in ACTIONS[action].fields]
    assert found.writes or found.turn.waits_for, "what writes nothing, and waits for nothing, is nothing to do"
    pins = {(obj["metadata"]["uid"], obj["metadata"]["resourceVersion"]) for obj in objects(world)}
    rights = {(right.verb, right.resource, right.subresource) for right in found.rights}
    for number, write in enumerate(found.writes):
        assert any(re.fullmatch(field, written(write)) for field in fields)
        resource = f"{write.object.kind.lower()}s"
        if write.verb == "Evict":
            assert write.object.uid in {uid for uid, _ in pins}
            assert ("create", resource, "eviction") in rights
        elif write.verb == "Create":
            assert write.object.uid == "uid-cron"
            assert "the-token" in write.want, "its name is the step's, so that it is made once"
            assert ("create", "jobs", "") in rights
        elif write.verb == "Make":
            assert write.object.uid == ""
            assert "the-token" in write.object.name, "its name is the step's, so that it is made once"
            assert ("create", write.resource, "") in rights
        else:
            later = waits_for(write, found.writes[:number])  # it is pinned when its turn comes
            assert (write.object.uid, write.resource_version) in pins or (later and not write.resource_version)
            assert ("patch", resource, write.subresource) in rights
    made = {(write.object.uid, write.subresource, write.field, write.want) for write in found.writes}
    for owed in found.obligations:
        assert (owed.object.uid, owed.subresource, owed.field, owed.want) in made, "owed is what was written"


@pytest.mark.parametrize(("action", "kind"), CASES)
@given(data=st.data())
def test_a_plan_never_lowers_how_many_there_are_unless_it_is_told_to(
    action: str, kind: str, data: st.DataObject
) -> None:
    parameters, world = data.draw(PARAMETERS[action]), data.draw(worlds(kind))
    found = ACTIONS[action].plan(parameters, world, "the-token")
    lowers = isinstance(parameters, Scale) and parameters.lowers
    for write in found.writes if isinstance(found, Proposal) else ():
        if write.field in SIZES:
            before, want = int(json.loads(write.before) or 0), int(json.loads(write.want))
            assert before > want >= before // 2 if lowers else want > before


def carried_out(world: World, found: Proposal) -> World:
    """The world once the API server and the controllers have done all that was asked."""
    world = copy.deepcopy(world)
    gone = {write.object.uid for write in found.writes if write.verb == "Evict"}
    for write in found.writes:
        if write.verb == "Patch":
            _patched(world, write)
    if isinstance(world.target, dict) and world.target["kind"] != "Node":
        _rolled_out(world, world.target)
    there = {place(w.object.kind, w.object.namespace, w.object.name): {} for w in found.writes if w.verb == "Make"}
    left = tuple(pod for pod in world.pods if pod["metadata"]["uid"] not in gone)
    made = tuple(_job(json.loads(write.want)) for write in found.writes if write.verb == "Create")
    return replace(world, pods=left, revisions=_with_newest(world), jobs=(*world.jobs, *made), touched=there)


def _job(name: str) -> Json:
    owner = {"kind": "CronJob", "uid": "uid-cron", "controller": True}
    meta = {"namespace": "shop", "name": name, "annotations": {TOKEN: "the-token"}, "ownerReferences": [owner]}
    return {"metadata": meta, "spec": {}, "status": {}}


def _with_newest(world: World) -> tuple[Json, ...]:
    """The former templates, and the one of now."""
    if world.target is None or world.target["kind"] == "Node":
        return ()
    keeper = "ReplicaSet" if world.target["kind"] == "Deployment" else "ControllerRevision"
    newest = kept(len(world.revisions) + 1, world.target["spec"]["template"], "2026-11-23T12:05:00Z", kind=keeper)
    return (*(dict(one) for one in world.revisions), newest)


def _patched(world: World, write: Write) -> None:
    scale = write.subresource == "scale"
    if write.template is not None and isinstance(world.target, dict):
        source = next(one for one in world.revisions if one["metadata"]["uid"] == write.template.object.uid)
        _merged(world.target, replaced(world.target, source, write) or {})
    workloads = (hit.workload for hit in world.hit or ())
    for obj in (world.target, world.scale, *world.hpas, *world.scaled_objects, world.config_map, *workloads):
        if not isinstance(obj, dict) or obj["metadata"]["uid"] != write.object.uid:
            continue
        if obj is world.scale and not scale:
            continue
        _merged(obj, patch_of({write.field: json.loads(write.want)}, obj))
        if not scale:
            mark = {"annotations": {TOKEN: "the-token"}, "managedFields": [manages("goldseam", write.field)]}
            _merged(obj, {"metadata": mark})


def _rolled_out(world: World, target: Json) -> None:
    floors = [int(hpa["spec"].get("minReplicas", 1)) for hpa in world.hpas]
    floors += [int(keda["spec"].get("minReplicaCount", 0)) for keda in world.scaled_objects]
    if target["kind"] != "DaemonSet" and target["spec"]["replicas"]:
        target["spec"]["replicas"] = max(target["spec"]["replicas"], *floors, 0)
        assert isinstance(world.scale, dict)
        world.scale["spec"]["replicas"] = target["spec"]["replicas"]
    whole = workload(target["kind"], target["spec"].get("replicas", target["status"].get("desiredNumberScheduled", 0)))
    target["status"] = whole["status"]


def _merged(obj: Json, patch: Json) -> None:
    """A JSON merge patch (RFC 7396)."""
    for key, value in patch.items():
        if value is None:
            obj.pop(key, None)
        elif isinstance(value, dict):
            _merged(obj.setdefault(key, {}), value)
        else:
            obj[key] = value


def moves(world: World, found: Plan) -> list[tuple[str, str, str]]:
    """What would be other than before; what is made by a name that is the step's is there once."""
    writes = found.writes if isinstance(found, Proposal) else ()
    there = {json.dumps(job["metadata"]["name"]) for job in world.jobs}
    changes = (w for w in writes if w.verb == "Evict" or w.before != w.want)
    changes = (w for w in changes if place(w.object.kind, w.object.namespace, w.object.name) not in world.touched)
    return [(w.object.uid, w.field, w.want) for w in changes if w.verb != "Create" or w.want not in there]


@pytest.mark.parametrize(("action", "kind"), CASES)
@given(data=st.data())
def test_after_success_there_is_nothing_to_do_and_nothing_is_written_twice(
    action: str, kind: str, data: st.DataObject
) -> None:
    world, plan = data.draw(plans(action, kind))
    found = plan(world)
    if not isinstance(found, Proposal):
        return
    done: set[tuple[str, str, str]] = set()
    while isinstance(found, Proposal) and (asked := moves(world, found)):
        assert not done.intersection(asked)
        done |= set(asked)
        assert action == "deletePods" or len(done) == len(asked), "only what is done some at a time is done again"
        world = carried_out(world, found)
        found = plan(world)
    over = isinstance(found, Refusal) and found.reason in ("DoNotDisrupt", "RolledOutSince")
    assert isinstance(found, NothingToDo | Proposal) or over, found
