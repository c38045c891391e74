"""patchConfig: which two writes it makes, what it refuses, and what makes it owe."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldseam.actions.patch_config import ACTION
from goldseam.api.ladder import PatchConfig
from goldseam.engine.objects import RESTART, patch_of, value_at
from goldseam.engine.owners import YIELDED
from goldseam.engine.proposal import NothingToDo, Plan, Proposal, Refusal, Right, World
from tests.support.objects import Json, config_map, manages, owned_by, workload

FIELD = "data[LEVEL]"
READS: Json = {"envFrom": [{"configMapRef": {"name": "settings"}}]}


def reading(container: Json = READS, *, volumes: list[Json] | None = None, **more: Any) -> Json:
    """A Deployment whose only container is this one."""
    pods = {"containers": [{"name": "app"} | container], "volumes": volumes or []}
    spec = {"template": {"spec": pods}} | more.pop("spec", {})
    return workload(spec=spec, **more)


def plan(target: Json | None = None, config: Json | None = None, token: str = "token", **more: Any) -> Plan:
    asked = PatchConfig(**({"config_map": "settings", "key": "LEVEL", "value": "warn"} | more))
    found = config_map() if config is None else config
    return ACTION.plan(asked, World(target=target or reading(), config_map=found), token)


def proposal(*args: Any, **more: Any) -> Proposal:
    found = plan(*args, **more)
    assert isinstance(found, Proposal), found
    return found


def refusal(*args: Any, **more: Any) -> Refusal:
    found = plan(*args, **more)
    assert isinstance(found, Refusal), found
    return found


def test_the_value_is_set_and_then_the_target_is_restarted() -> None:
    found = proposal()
    value, restart = found.writes
    assert found.summary == 'set LEVEL of ConfigMap shop/settings to "warn" and restart Deployment shop/api (3 pods)'
    assert (value.object.kind, value.object.name, value.field, value.before, value.want) == (
        "ConfigMap", "settings", FIELD, '"info"', '"warn"',
    )  # fmt: skip
    assert (value.object.uid, value.resource_version, value.generation) == ("uid-settings", "500", None)
    assert restart.generation is None, "an autoscaler may write the target between the two"
    assert (restart.object.kind, restart.field, restart.want) == ("Deployment", RESTART, '"token"')
    assert found.rights == (
        Right("patch", "", "configmaps", "", "shop", "settings"),
        Right("patch", "apps", "deployments", "", "shop", "api"),
    )
    assert [right.piece for right in found.rights] == ["config", "restart"]


def test_the_old_value_is_owed() -> None:
    (owed,) = proposal().obligations
    assert (owed.kind, owed.key, owed.original, owed.want) == (
        "ConfigBack", f"uid-settings:{FIELD}", '"info"', '"warn"',
    )  # fmt: skip


def test_a_key_that_was_not_there_is_owed_as_none() -> None:
    (owed,) = proposal(config=config_map({}), add_key=True).obligations
    assert owed.original == "null"


def test_as_many_ready_pods_go_at_once_as_by_a_restart() -> None:
    assert proposal(reading(replicas=8)).takes_ready == 2


@given(
    key=st.text("abcXYZ019._-", min_size=1, max_size=200),
    value=st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.sampled_from("\n\t"), max_size=255),
)
def test_of_the_config_map_one_key_is_written_whatever_the_key_and_the_value(key: str, value: str) -> None:
    found = proposal(config=config_map({}), key=key, value=value, add_key=True)
    write = found.writes[0]
    assert patch_of({write.field: json.loads(write.want)}) == {"data": {key: value}}
    assert len(write.want) <= 512
    assert value_at({"data": {key: value}}, write.field) == write.want


def test_a_value_that_is_there_already_is_left_to_the_next_rung() -> None:
    found = plan(config=config_map({"LEVEL": "warn"}))
    assert isinstance(found, NothingToDo)
    assert found.message == "LEVEL of ConfigMap shop/settings is warn already"


def test_what_has_no_pods_needs_no_other_value() -> None:
    assert isinstance(plan(reading(replicas=0)), NothingToDo)


@pytest.mark.parametrize("target", [reading(spec={"paused": True}), reading(status={"updatedReplicas": 1})])
def test_once_the_value_is_set_by_this_step_the_restart_follows(target: Json) -> None:
    target["spec"]["template"] = reading()["spec"]["template"]
    begun = config_map({"LEVEL": "warn"}, annotations={"goldseam.dev/token": "token"})
    assert [write.field for write in proposal(target, begun).writes] == [FIELD, RESTART]
    assert isinstance(plan(target, begun, token="another"), NothingToDo)


def test_the_token_of_this_step_on_another_value_changes_no_judgement() -> None:
    marked = config_map(annotations={"goldseam.dev/token": "token"}, immutable=True)
    assert refusal(config=marked).reason == "ConfigMapImmutable"


@pytest.mark.parametrize(
    ("config", "more", "reason", "words"),
    [
        (config_map(immutable=True), {}, "ConfigMapImmutable", "make a new one"),
        (config_map({"OTHER": "1"}), {}, "ConfigKeyMissing", "write addKey: true"),
        (config_map({}), {}, "ConfigKeyMissing", "has no key LEVEL"),
        (config_map({}, binary={"LEVEL": "aGk="}), {"add_key": True}, "ConfigValueUnfit", "binaryData"),
        (config_map({"LEVEL": "x" * 511}), {}, "ConfigValueUnfit", "more than 512"),
        (config_map({"LEVEL": "é" * 100}), {}, "ConfigValueUnfit", "could not be put back"),
        (config_map(ownerReferences=owned_by("Shop", "main")), {}, "OwnedByController", "Shop main"),
    ],
)
def test_a_config_map_that_cannot_be_changed_or_put_back_is_refused(
    config: Json, more: Json, reason: str, words: str
) -> None:
    found = refusal(config=config, **more)
    assert found.reason == reason
    assert words in found.message
    assert len(found.message) <= 512


def test_a_config_map_that_is_not_there_is_refused() -> None:
    asked = PatchConfig(config_map="settings", key="LEVEL", value="warn")
    found = ACTION.plan(asked, World(target=reading()), "token")
    assert isinstance(found, Refusal)
    assert (found.reason, "shop/settings does not exist" in found.message) == ("ConfigMapMissing", True)


def test_a_target_that_is_gone_is_refused() -> None:
    asked = PatchConfig(config_map="settings", key="LEVEL", value="warn")
    assert ACTION.plan(asked, World(target=None, config_map=config_map()), "t") == Refusal(
        "TargetGone", "the target is gone"
    )


@pytest.mark.parametrize(
    ("manager", "operation", "lines"),
    [
        ("argocd-controller", "Update", 'ignoreDifferences: [{group: "", kind: ConfigMap, managedFieldsManagers'),
        ("kustomize-controller", "Apply", "ignore: [{paths: [/data/app.yaml], target: {kind: ConfigMap, name: setti"),
    ],
)
def test_a_value_that_gitops_owns_is_refused_with_the_lines_to_add(manager: str, operation: str, lines: str) -> None:
    entry = manages(manager, operation=operation) | {"fieldsV1": {"f:data": {"f:app.yaml": {}}}}
    config = config_map({"app.yaml": "a", "other": "b"}, managedFields=[entry])
    target = reading()
    found = refusal(target, config, key="app.yaml")
    assert found.reason == "OwnedByGitOps"
    assert lines in found.message
    assert "1 once" not in found.message
    assert isinstance(plan(target, config, key="other"), Proposal), "another key is not the tool's"
    config["metadata"]["annotations"] = {YIELDED: "true"}
    assert isinstance(plan(target, config, key="app.yaml"), Proposal)


def env(name: str = "settings", key: str = "LEVEL") -> Json:
    return {"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": name, "key": key}}}]}


def mounted(ref: Json) -> list[Json]:
    return [{"name": "v", "configMap": ref}]


NAMED = {"name": "settings"}
ITEM = {"name": "settings", "items": [{"key": "LEVEL", "path": "level"}]}
OTHER = {"name": "settings", "items": [{"key": "OTHER", "path": "level"}]}


@pytest.mark.parametrize(
    ("target", "used"),
    [
        (reading(env()), True),
        (reading(env(key="OTHER")), False),
        (reading(env("others")), False),
        (reading({"env": [{"name": "A", "value": "b"}]}), False),
        (reading({}, volumes=mounted(NAMED)), True),
        (reading({}, volumes=mounted(ITEM)), True),
        (reading({}, volumes=mounted(OTHER)), False),
        (reading({}, volumes=[{"name": "v", "projected": {"sources": [{"configMap": NAMED}]}}]), True),
        (reading({}, volumes=[{"name": "v", "projected": {"sources": [{"secret": NAMED}]}}]), False),
        (reading({}, volumes=[{"name": "v", "emptyDir": {}}]), False),
        (workload(spec={"template": {"spec": {"initContainers": [env()]}}}), True),
        (workload(), False),
    ],
)
def test_a_value_that_the_pods_do_not_read_is_refused(target: Json, used: bool) -> None:
    found = plan(target)
    assert isinstance(found, Proposal) if used else isinstance(found, Refusal)
    if isinstance(found, Refusal):
        assert (found.reason, "does not refer to LEVEL" in found.message) == ("ConfigMapUnused", True)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"spec": {"paused": True}}, "RolloutPaused"),
        ({"status": {"updatedReplicas": 1}}, "RolloutInProgress"),
        ({"metadata": {"ownerReferences": owned_by("Shop", "main")}}, "OwnedByController"),
    ],
)
def test_what_cannot_be_restarted_gets_no_other_value(more: Json, reason: str) -> None:
    assert refusal(reading(**more)).reason == reason


@pytest.mark.parametrize(
    ("other", "covered"),
    [({}, True), ({"value": "debug"}, False), ({"key": "X"}, False), ({"config_map": "x"}, False),
     ({"add_key": True}, False)],
)  # fmt: skip
def test_a_live_policy_covers_the_very_same_value(other: Json, covered: bool) -> None:
    base = {"config_map": "settings", "key": "LEVEL", "value": "warn"}
    assert PatchConfig(**base).covers(PatchConfig(**(base | other))) is covered
    assert PatchConfig(**base, add_key=True).covers(PatchConfig(**base))
