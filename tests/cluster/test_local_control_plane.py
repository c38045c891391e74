"""`deploy/local/cluster`: lives and dies with its caller, ends only what it started, takes rules and targets."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import urllib.request
from pathlib import Path

from controlplane import processes
from tests.support.plane import ROOT, Plane, eventually

LAUNCHER = str(ROOT / "deploy" / "local" / "cluster")


def pids(home: Path) -> list[processes.Started]:
    return processes.noted(home)


def all_of(home: Path) -> list[processes.Started]:
    """Seven components and the command, which is written down a moment after it has begun."""
    return eventually(lambda: found if len(found := pids(home)) == 8 else [], "all to be started")


def test_the_exit_status_is_the_commands_and_nothing_stays(tmp_path: Path) -> None:
    script = f"kubectl get nodes -o name; cp -r {tmp_path}/plane/pid {tmp_path}/seen; exit 7"
    command = [LAUNCHER, "run", "--nodes", "2", "--dir", str(tmp_path / "plane"), "--", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 7, done.stderr
    assert done.stdout.split() == ["node/node-0", "node/node-1"]
    seen = [processes.Started(**json.loads(file.read_text())) for file in (tmp_path / "seen").glob("*.json")]
    assert len(seen) == 8, "seven components and the command"
    assert [started.name for started in seen if started.alive] == []


def test_a_killed_caller_leaves_no_process_behind(tmp_path: Path) -> None:
    home = tmp_path / "plane"
    command = [LAUNCHER, "run", "--nodes", "1", "--dir", str(home), "--", "sh", "-c", "echo up; exec sleep 600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        started = all_of(home)
        process.kill()
    eventually(lambda: not any(one.alive for one in started), "everything to be ended")


def test_an_interrupted_caller_leaves_no_process_behind(tmp_path: Path) -> None:
    home = tmp_path / "plane"
    command = [LAUNCHER, "run", "--nodes", "1", "--dir", str(home), "--", "sh", "-c", "echo up; exec sleep 600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        started = all_of(home)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert not any(one.alive for one in started)


def test_up_stays_until_down_beside_another_one(cluster: Plane, tmp_path: Path) -> None:
    home = tmp_path / "plane"
    subprocess.run([LAUNCHER, "up", "--dir", str(home), "--nodes", "1", "--without-helm"], check=True, timeout=120)
    nodes = subprocess.run(
        ["sh", "-c", f". {home}/env; kubectl get nodes -o name; promtool --version >&2"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert nodes.stdout.split() == ["node/node-0"]
    assert subprocess.run([LAUNCHER, "status", "--dir", str(home)], check=False).returncode == 0
    started = pids(home)
    assert len(started) == 7
    assert all(one.alive for one in started)
    subprocess.run([LAUNCHER, "down", "--dir", str(home)], check=True, timeout=60)
    assert [one.name for one in started if one.alive] == []
    assert subprocess.run([LAUNCHER, "status", "--dir", str(home)], check=False).returncode == 1
    assert cluster.must("get", "--raw=/readyz") == "ok", "the other one goes on"


def healthy(home: Path, name: str) -> bool:
    """Whether a component answers now."""
    port = json.loads((home / "ports.json").read_text())[name]
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(f"https://127.0.0.1:{port}/healthz", timeout=5, context=trusting) as answer:
        return answer.read() == b"ok"


def test_up_again_goes_on_with_the_data_and_returns_once_every_component_answers(tmp_path: Path) -> None:
    home = tmp_path / "plane"
    up = [LAUNCHER, "up", "--dir", str(home), "--nodes", "1", "--without-helm"]
    subprocess.run(up, check=True, timeout=120)
    try:
        make = f". {home}/env; kubectl create namespace kept"
        subprocess.run(["sh", "-c", make], check=True, capture_output=True, timeout=60)
        subprocess.run(up, check=True, timeout=120)
        assert [name for name in ("kcm", "scheduler", "kubelet") if not healthy(home, name)] == []
        kept = f". {home}/env; kubectl get namespace kept -o name"
        found = subprocess.run(["sh", "-c", kept], check=True, capture_output=True, text=True, timeout=60)
        assert found.stdout == "namespace/kept\n"
    finally:
        subprocess.run([LAUNCHER, "down", "--dir", str(home)], check=True, timeout=60)


def test_a_recycled_pid_is_not_ours(tmp_path: Path) -> None:
    own = processes.note(tmp_path, "me", os.getpid())
    assert own.alive
    assert not processes.Started("me", os.getpid(), "another birth").alive


def test_a_rule_that_is_dropped_in_is_loaded_after_reload(cluster: Plane) -> None:
    cluster.rules("dropped", [{"alert": "Dropped", "expr": "vector(1)"}])

    def firing() -> bool:
        with urllib.request.urlopen(cluster.prometheus + "/api/v1/alerts", timeout=5) as answer:
            alerts = json.loads(answer.read())["data"]["alerts"]
        return any(alert["labels"]["alertname"] == "Dropped" for alert in alerts)

    eventually(firing, "the alert to fire")
    cluster.rules("dropped", [])
