"""reboot: which nodes are rebooted, by which Job, when that is done, and that it happens once."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from goldseam.actions.reboot import ACTION
from goldseam.api.incident import ObjectRef, Step, Write
from goldseam.api.ladder import Reboot, Rung
from goldseam.api.pins import NodePin
from goldseam.engine import jobs, lineage
from goldseam.engine.proposal import Effect, Plan, Proposal, Refusal, Right, World, place
from goldseam.engine.reboots import BOOT_ID, keeps_the_pin
from tests.support.objects import Json, node, pod, reboot_cron_job

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TOKEN = "0123456789abcdef"
CRON = ObjectRef(api_version="batch/v1", kind="CronJob", namespace="goldseam-reboot", name="reboot", uid="uid-cron")
PIN = NodePin(name="worker-1", boot_id="boot-1")
WRITE = Write(verb="Create", object=CRON, generation=2, want=f'"reboot-{TOKEN}"', node=PIN)
PLACE = place("Job", "goldseam-reboot", f"reboot-{TOKEN}")
SHIPPED = Path(__file__).resolve().parents[2] / "deploy" / "kustomize" / "components" / "reboot" / "cronjob.yaml"


def empty(**changes: Any) -> Json:
    """A node that may be rebooted."""
    return node(**({"cordoned": "goldseam", "boot": "boot-1"} | changes))


def world(target: Json | None = None, **more: Any) -> World:
    target = empty() if target is None else target
    fields: Json = {"nodes": (target, node("worker-2")), "cron_job": reboot_cron_job(), "now": NOW}
    return World(target=target, **(fields | more))


def plan(seen: World | None = None, *, control_plane: bool = False) -> Plan:
    return ACTION.plan(Reboot(control_plane=control_plane), world() if seen is None else seen, TOKEN)


def job(*, where: str = "worker-1", boot: str = "boot-1", token: str = TOKEN, **more: Any) -> Json:
    """A Job that was let run, as it is in the cluster."""
    made = copy.deepcopy(jobs.job_from(reboot_cron_job(), WRITE, "goldseam-system/i"))
    made["metadata"] |= {"name": f"reboot-{token}", "uid": "uid-job", "resourceVersion": "9"}
    made["metadata"]["annotations"]["goldseam.dev/token"] = token
    made["spec"]["suspend"] = more.pop("suspend", False)
    made["spec"]["template"]["spec"]["nodeName"] = where
    made["spec"]["template"]["metadata"]["annotations"][BOOT_ID] = boot
    conditions = [{"type": kind, "status": "True"} for kind in more.pop("ended", ())]
    return made | {"status": {"conditions": conditions}}


def observed(target: Json | None, found: Json | None) -> Effect:
    write = WRITE.model_copy(update={"before": '"uid-job"', "state": "Done"})
    step = Step(id="2-reboot", rung=1, action="reboot", token=TOKEN, intent_at=NOW, writes=[write])
    return ACTION.observe(step, World(target=target, touched={PLACE: found}))


def test_one_job_is_planned_for_this_boot_of_this_node() -> None:
    found = plan()
    assert isinstance(found, Proposal)
    assert found.writes == (WRITE,)
    assert found.rights == (Right("create", "batch", "jobs", "", "goldseam-reboot"),)
    assert (found.takes_nodes, found.obligations) == (0, ())
    assert found.summary == (
        "reboot Node worker-1 by CronJob goldseam-reboot/reboot, as of generation 2, image goldseam:1"
    )


def test_a_node_that_somebody_else_cordoned_is_one_more_out_of_service_and_stays_theirs() -> None:
    found = plan(world(empty(cordoned="kubectl-cordon")))
    assert isinstance(found, Proposal)
    assert found.takes_nodes == 1
    assert found.summary.endswith("; somebody else cordoned it: it will not be uncordoned")


def terminating(until: str, **more: Any) -> Json:
    return pod("db-0", metadata={"deletionTimestamp": until}, **more)


CONTROL_PLANE = {"node-role.kubernetes.io/control-plane": ""}


@pytest.mark.parametrize(
    ("seen", "reason", "words"),
    [
        (world(cron_job=None), "CronJobMissing", "install the component reboot"),
        (world(empty(cordoned="")), "NotCordoned", "put a rung with drain before"),
        (world(pods=(pod("api-1"),)), "NotDrained", "shop/api-1"),
        (world(empty(boot="")), "BootIdUnknown", "status.nodeInfo.bootID"),
        (world(empty(boot="b" * 129)), "BootIdUnknown", "status.nodeInfo.bootID"),
        (world(empty(ready=None)), "KubeletSilent", "Ready is Unknown"),
        (world({**empty(), "status": {"nodeInfo": {"bootID": "b"}}}), "KubeletSilent", "reports nothing"),
        (world(empty(labels=CONTROL_PLANE)), "ControlPlaneNode", "`controlPlane: true`"),
        (world(cron_job=reboot_cron_job(backoffLimit=1)), "CronJobUnfit", "backoffLimit: 0"),
        (world(cron_job=reboot_cron_job(activeDeadlineSeconds=None)), "CronJobUnfit", "activeDeadlineSeconds"),
    ],
)
def test_what_must_not_or_cannot_be_rebooted_is_refused(seen: World, reason: str, words: str) -> None:
    found = plan(seen)
    assert isinstance(found, Refusal)
    assert (found.reason, found.waits) == (reason, False)
    assert words in found.message


def test_a_control_plane_node_is_rebooted_where_the_rung_says_so_and_never_a_second_one() -> None:
    target = empty(labels=CONTROL_PLANE)
    assert isinstance(plan(world(target), control_plane=True), Proposal)
    other = node("master-2", labels=CONTROL_PLANE, ready=False)
    found = plan(world(target, nodes=(target, other)), control_plane=True)
    assert isinstance(found, Refusal)
    assert found.reason == "ControlPlaneAtRisk"


def test_a_node_that_is_not_ready_whose_kubelet_still_speaks_is_rebooted() -> None:
    assert isinstance(plan(world(empty(ready=False))), Proposal)


def test_what_a_drain_leaves_on_a_node_does_not_keep_it() -> None:
    static = pod("etcd", "", metadata={"annotations": {"kubernetes.io/config.mirror": "x"}})
    left = (pod("logs", "DaemonSet"), pod("done", phase="Succeeded"), static)
    assert isinstance(plan(world(pods=left)), Proposal)


def test_pods_that_are_ending_are_waited_for_as_long_as_they_have_time_and_not_for_ever() -> None:
    found = plan(world(pods=(terminating("2026-11-23T12:00:30Z"),)))
    assert isinstance(found, Refusal)
    assert (found.reason, found.waits) == ("PodsEnding", True)
    assert "shop/db-0" in found.message
    assert isinstance(plan(world(pods=(terminating("2026-11-23T11:59:30Z"),))), Proposal), "it is stuck"
    daemon = terminating("2026-11-23T12:00:30Z", owner="DaemonSet")
    assert isinstance(plan(world(pods=(daemon,))), Proposal)


@pytest.mark.parametrize(
    ("beside", "waits"),
    [
        (job(token="f" * 16), True),
        (job(), False),  # this step's own
        (job(token="f" * 16, where="worker-2"), False),
        (job(token="f" * 16, ended=("Complete",)), False),
        (job(token="f" * 16, ended=("FailureTarget",)), False),
        (job(token="f" * 16, suspend=True), False),
    ],
)
def test_another_reboot_of_the_node_that_is_at_work_is_waited_for(beside: Json, waits: bool) -> None:
    found = plan(world(jobs=(beside,)))
    assert (isinstance(found, Refusal) and found.reason == "JobRunning" and found.waits) is waits
    assert isinstance(found, Proposal) is not waits


def test_the_pod_of_such_a_reboot_is_none_that_was_left_by_the_drain() -> None:
    found = plan(world(jobs=(job(token="f" * 16),), pods=(pod("reboot-1"),)))
    assert isinstance(found, Refusal)
    assert found.reason == "JobRunning"


def test_the_job_is_what_the_cron_job_says_on_this_node_for_this_boot() -> None:
    found = jobs.job_from(reboot_cron_job(), WRITE, "goldseam-system/i")
    theirs = reboot_cron_job()["spec"]["jobTemplate"]["spec"]["template"]
    ours = found["spec"]["template"]
    assert ours["spec"] == {**theirs["spec"], "nodeName": "worker-1"}
    assert ours["metadata"] == {"annotations": {BOOT_ID: "boot-1"}}
    assert found["spec"]["suspend"] is True
    assert found["metadata"]["namespace"] == "goldseam-reboot"


@pytest.mark.parametrize(
    ("found", "ours"), [(job(), True), (job(where="worker-2"), False), (job(boot="boot-2"), False)]
)
def test_a_job_by_its_name_for_another_node_or_boot_is_not_ours(found: Json, ours: bool) -> None:
    step = Step(id="2-reboot", rung=1, action="reboot", token=TOKEN, intent_at=NOW, writes=[WRITE])
    (write,) = lineage.judged(step, World(target=empty(), touched={PLACE: found})).writes
    assert write.state == ("Done" if ours else "Superseded")


def test_who_reboots_what_another_incident_has_cordoned_needs_it_cordoned_until_then() -> None:
    found = plan(world(lent=True))
    assert isinstance(found, Proposal)
    assert found.writes == (WRITE,)
    assert [(o.kind, o.original, o.want) for o in found.obligations] == [("Uncordon", "null", "true")]


AWAY: Json = {"ready": None}
EFFECTS = [
    (observed(empty(boot="boot-2"), job()), True, "Ended", "Node worker-1 has rebooted and is Ready"),
    (observed(empty(boot="boot-2"), None), True, "Ended", "Node worker-1 has rebooted and is Ready"),
    (observed(empty(boot="boot-2", ready=False), job()), False, "", "to be Ready: it has rebooted"),
    (observed(empty(), job()), False, "Runs", f"Job goldseam-reboot/reboot-{TOKEN} is at work"),
    (observed(empty(**AWAY), job()), False, "Runs", "is at work"),
    (observed(empty(**AWAY), job(ended=("FailureTarget",))), False, "", "has ended (Failed)"),
    (observed(empty(), job(ended=("Failed",))), False, "", "has ended (Failed)"),
    (observed(empty(), job(ended=("Complete",))), False, "", "has ended (Complete)"),
    (observed(empty(), None), False, "", "to report another bootID"),
    (observed(empty(boot=""), job(ended=("Complete",))), False, "", "to report another bootID"),
    (observed(None, job()), False, "", "the target is gone"),
]


@pytest.mark.parametrize(("effect", "done", "course", "message"), EFFECTS)
def test_the_node_alone_tells_whether_it_has_rebooted(effect: Effect, done: bool, course: str, message: str) -> None:
    assert (effect.done, effect.course) == (done, course)
    assert message in effect.message
    assert effect.done or effect.course or effect.asked_for, "without a rollout to look at, too"


def unfit(change: Any) -> str:
    cron_job = reboot_cron_job()
    change(cron_job["spec"]["jobTemplate"]["spec"])
    return keeps_the_pin(cron_job)


def test_a_cron_job_by_which_a_node_might_reboot_twice_is_told_from_one_by_which_it_might_not() -> None:
    assert unfit(lambda spec: None) == ""
    assert "restartPolicy: Never" in unfit(lambda spec: spec["template"]["spec"].update(restartPolicy="OnFailure"))
    assert "restartPolicy: Never" in unfit(lambda spec: spec.pop("backoffLimit"))
    assert "such as 300" in unfit(lambda spec: spec.update(activeDeadlineSeconds=0))
    assert BOOT_ID in unfit(lambda spec: spec["template"]["spec"]["containers"][0].pop("env"))


def test_the_cron_job_that_is_shipped_is_one() -> None:
    (shipped,) = yaml.safe_load_all(SHIPPED.read_text())
    assert keeps_the_pin(shipped) == ""
    found = replace(world(), cron_job=shipped | {"metadata": shipped["metadata"] | {"uid": "u", "generation": 1}})
    assert isinstance(plan(found), Proposal)
    spec = shipped["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["KILL"]}
    assert spec["hostNetwork"], "a kubelet whose network plugin is not ready starts no other pods"


def test_the_shipped_command_sends_the_signal_in_the_boot_of_its_pin_only(monkeypatch: pytest.MonkeyPatch) -> None:
    (shipped,) = yaml.safe_load_all(SHIPPED.read_text())
    (container,) = shipped["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    code = container["command"][2]
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr("os.kill", lambda pid, signal: sent.append((pid, signal)))
    now = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    for pin, expected in ((now, [(1, 39)]), ("another", []), ("", [])):
        sent.clear()
        monkeypatch.setenv("BOOT_ID", pin)
        exec(code, {})
        assert sent == expected, pin


def test_a_policy_that_takes_fewer_nodes_now_is_not_covered_by_one_that_took_more() -> None:
    assert Reboot(control_plane=True).covers(Reboot())
    assert not Reboot().covers(Reboot(control_plane=True))


def test_only_what_does_something_goes_on_when_it_is_done() -> None:
    assert Rung.model_validate({"drain": {}}).go_on == "WhenNotHelped"
    assert Rung.model_validate({"drain": {}, "goOn": "WhenDone"}).go_on == "WhenDone"
    with pytest.raises(ValidationError, match="goOn: WhenDone is not for collect, wait"):
        Rung.model_validate({"wait": {"duration": "1m"}, "goOn": "WhenDone"})


def test_what_the_write_says_fits_an_incident() -> None:
    assert json.loads(WRITE.model_dump_json(by_alias=True))["node"] == {"name": "worker-1", "bootId": "boot-1"}
