"""patchConfig: one key of one ConfigMap to a value of the policy, then a restart, so that it takes effect.

Two writes in this order: a pod that starts by itself in between has the new value already. Once the first is made the
second follows, whatever the workload looks like by then: half of it would be worse.
"""

from __future__ import annotations

import json
from dataclasses import replace

from goldseam.actions import restart
from goldseam.actions.ownership import by_controller, by_gitops
from goldseam.actions.replies import GONE, nothing, pods, refusal
from goldseam.actions.writes import owed, patch, unnumbered
from goldseam.api.base import Model
from goldseam.api.incident import ObjectRef
from goldseam.api.ladder import PatchConfig
from goldseam.engine.config import reads, value_of
from goldseam.engine.objects import TOKEN, Json, Workload, annotation, reference, value_at
from goldseam.engine.owners import controller_owner, gitops_owner
from goldseam.engine.proposal import Action, Plan, Proposal, Refusal, Right, World
from goldseam.engine.record import cut
from goldseam.engine.strategy import taken_at_once

LONGEST = 512
"""Characters of a value as JSON that an Incident keeps."""
SETTING = Right("patch", "", "configmaps", piece="config")
"""The right to set values."""


def plan(parameters: Model, world: World, token: str) -> Plan:
    """The value into the ConfigMap, then the token into the target's template."""
    assert isinstance(parameters, PatchConfig)
    if world.target is None:
        return GONE
    target = reference(world.target)
    if "configMap" in world.closed:
        return _closed(target.namespace)
    if world.config_map is None:
        named = f"{target.namespace}/{parameters.config_map}"
        return refusal("ConfigMapMissing", f"ConfigMap {named} does not exist: create it, or name another in configMap")
    ref, field, want = reference(world.config_map, "v1", "ConfigMap"), value_of(parameters.key), parameters.value
    there = value_at(world.config_map, field) == json.dumps(want)
    if there and annotation(world.config_map, TOKEN) == token:  # by this very step
        return _proposed(parameters, world.target, world.config_map, token)
    if there:
        return nothing(f"{parameters.key} of {ref} is {want} already")
    if Workload(world.target).replicas == 0:
        return nothing(f"{target} has no pods that could read another value")
    refused = _unfit(parameters, world.config_map, ref) or _unread(parameters, world.target, ref)
    return refused or restart.refused(world.target) or _proposed(parameters, world.target, world.config_map, token)


def _closed(namespace: str) -> Refusal:
    message = (
        f"Goldseam itself may not get configmaps in namespace {namespace}: install the component {SETTING.piece} of"
        " deploy/kustomize, and bind it there to its account (docs/actions/patch-config.md)"
    )
    return replace(refusal("PermissionMissing", message), guard="permission")


def _unfit(parameters: PatchConfig, obj: Json, ref: ObjectRef) -> Refusal | None:
    """The ConfigMap cannot be changed, or somebody would change it back."""
    key, field = parameters.key, value_of(parameters.key)
    if obj.get("immutable"):
        return refusal("ConfigMapImmutable", f"{ref} is immutable: make a new one, and let the workload refer to it")
    if owner := controller_owner(obj):
        return by_controller(owner, ref, "a change of its values")
    if owner := gitops_owner(obj, field):
        return by_gitops(owner, ref, field)
    if key in (obj.get("binaryData") or {}):
        return refusal("ConfigValueUnfit", f"{key} of {ref} is in binaryData: only a text in data can be changed")
    if len(value_at(obj, field)) > LONGEST:
        message = f"the value of {key} of {ref} has more than {LONGEST} characters: it could not be put back"
        return refusal("ConfigValueUnfit", message)
    if value_at(obj, field) == "null" and not parameters.add_key:
        return refusal("ConfigKeyMissing", f"{ref} has no key {key}: write addKey: true if it is to be added")
    return None


def _unread(parameters: PatchConfig, target: Json, ref: ObjectRef) -> Refusal | None:
    if reads(target, parameters.config_map, parameters.key):
        return None
    message = (
        f"the template of {reference(target)} does not refer to {parameters.key} of {ref} (env, envFrom, volumes):"
        " another value would change nothing for its pods"
    )
    return refusal("ConfigMapUnused", message)


def _proposed(parameters: PatchConfig, target: Json, obj: Json, token: str) -> Proposal:
    ref, config, workload = reference(target), reference(obj, "v1", "ConfigMap"), Workload(target)
    write = patch(config, obj, value_of(parameters.key), json.dumps(parameters.value))
    again = unnumbered(restart.mark(target, token))
    change = f"set {parameters.key} of {config} to {cut(json.dumps(parameters.value), 100)}"
    return Proposal(
        writes=(write, again),
        summary=cut(f"{change} and restart {ref} ({pods(workload.replicas)})"),
        rights=(replace(SETTING, namespace=config.namespace, name=config.name), restart.right(ref)),
        obligations=(owed("ConfigBack", write, write.before),),
        takes_ready=taken_at_once(workload),
    )


ACTION = Action(
    "patchConfig",
    frozenset(restart.RESOURCES),
    plan,
    restart.observe,
    lambda _, kind: (SETTING, restart.MARKING[kind]),
    looks_at=frozenset({"configMap", "disruption_budgets"}),
    fields=frozenset({"ConfigMap data[*]", *restart.MARKS}),
)
