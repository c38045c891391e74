"""`make demo`: four scenes of the first user's runbook, played on a real control plane with real Prometheus rules."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import on_kind
from access import Access, own_cluster, service_account, unclaimed
from load_model import LoadModel, all_of_kwok, export, ready_nodes, ready_replicas
from receiver import Receiver
from scenes import NODE_FAILURE, scenes
from view import View

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LONGEST = 150.0
RUNBOOK_LINE = "Service unavailable for >30 minutes"
MARK = "goldseam.dev/demo=true"
NAMES = (
    *("namespace/goldseam-system", "namespace/aurum-dev", "crd/incidents.goldseam.dev"),
    *("alertsource/default", "runbook/default", "guardrails/cluster", "crempol/node-failure"),
)
OVERLAY = ROOT / "deploy" / "kustomize" / "overlays" / "all"


class Play:
    """One performance."""

    def __init__(self, access: Access, home: Path, record: Path | None) -> None:
        self.access, self.home, self.record = access, home, record
        self.model, self.secret = LoadModel(), secrets.token_hex(16)
        self.receiver = Receiver(self.secret)
        self.scenes = scenes(self.told)
        if not all_of_kwok(access.get("nodes")["items"]):
            self.scenes = [scene for scene in self.scenes if scene.folder != NODE_FAILURE]
        self.view = View(self.scenes, record=record is not None)
        self.node = ""
        self._ticked = time.monotonic()

    def told(self) -> bool:
        """Whether the on-call engineer has got the message that quotes the runbook."""
        return any(RUNBOOK_LINE in message["text"] for message in self.receiver.messages)

    @contextmanager
    def stage(self) -> Iterator[None]:
        """Everything installed, over nothing that somebody else made, and removed again however the play ends."""
        unclaimed(self.access, MARK, NAMES)
        try:
            self.install()
            yield
        finally:
            try:
                self.close()
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                self.view.say(f"Not everything that the demo made could be removed: {error}")

    def install(self) -> None:
        """Goldseam, the services, the rules."""
        ours = ("crd", "-l", "app.kubernetes.io/part-of=goldseam")
        self.access.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
        self.access.kubectl("label", *ours, MARK)
        self.access.kubectl("wait", "--for=condition=Established", "--timeout=60s", *ours)
        self.access.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(OVERLAY))
        self.access.kubectl("label", "namespace", "goldseam-system", MARK)
        self.access.kubectl("-n", "goldseam-system", "scale", "deployment", "goldseam", "--replicas=0")
        values = {
            "PROMETHEUS_URL": os.environ["PROMETHEUS_URL"],
            "WEBHOOK_URL": self.receiver.url,
            "WEBHOOK_SECRET": self.secret,
        }
        for name in ("namespace", "secret", "alertsource", "runbook", "guardrails"):
            self.access.apply(HERE / "common" / f"{name}.yaml", values)
        for scene in self.scenes:
            for name in ("workload", "policy"):
                self.access.apply(scene.home / f"{name}.yaml", values)
        self._prometheus()

    def _prometheus(self) -> None:
        port = export(self.model).server_address[1]
        targets = self.home / "prometheus" / "targets.d" / "demo.json"
        targets.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"]}]))
        for scene in self.scenes:
            shutil.copy(scene.home / "rules.yml", self.home / "prometheus" / "rules.d" / f"demo-{scene.folder}.yml")
        reload = urllib.request.Request(os.environ["PROMETHEUS_URL"] + "/-/reload", method="POST")
        urllib.request.urlopen(reload, timeout=30).close()

    @contextmanager
    def operator(self) -> Iterator[None]:
        """The operator as a process, with its ServiceAccount's token and nothing more."""
        kubeconfig = self.home / "operator.kubeconfig"
        service_account(self.access, kubeconfig)
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            port = held.getsockname()[1]
        env = os.environ | {
            "GOLDSEAM_KUBECONFIG": str(kubeconfig),
            "GOLDSEAM_LISTEN_HOST": "127.0.0.1",
            "GOLDSEAM_LISTEN_PORT": str(port),
        }
        env.pop("GOLDSEAM_LOCAL_DIR", None)
        with (self.home / "log" / "goldseam.log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "goldseam", "run"], env=env, stdout=log, stderr=log)
        try:
            _until(lambda: _answers(f"http://127.0.0.1:{port}/readyz"), 60, "the operator to be ready")
            yield
        finally:
            process.terminate()
            process.wait(20)

    def perform(self) -> bool:
        """Break things, and watch. Returns whether every scene ended as it must."""
        _until(self._steady, 180, "the services to be up")  # a real kubelet pulls images first
        self._break()
        deadline = time.monotonic() + LONGEST
        with self.view:
            while time.monotonic() < deadline and not all(scene.result for scene in self.scenes):
                self.step()
                time.sleep(0.5)
        return all(scene.result == scene.expected for scene in self.scenes)

    def step(self) -> None:
        """One turn of the world."""
        self._tick()
        alerts = self._alerts()
        incidents = self.access.get("incidents", "-A")["items"]
        for scene in self.scenes:
            found = [i for i in incidents if i["spec"]["policyRef"]["name"] == scene.policy]
            scene.see(found[0] if found else {}, alerts.get(scene.alert, "inactive"))
        self._repair_node()
        self.view.show()

    def _tick(self) -> None:
        now = time.monotonic()
        worker = self.access.get("deployment", "aurum-worker", "-n", "aurum-dev")
        pods = self.access.get("pods", "-n", "aurum-dev", "-l", "app.kubernetes.io/name=aurum-api")["items"]
        nodes = ready_nodes(self.access.get("nodes")["items"])
        alive = [pod["metadata"]["uid"] for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        self.model.tick(now - self._ticked, ready_replicas(worker), alive, nodes)
        self._ticked = now

    def _alerts(self) -> dict[str, str]:
        with urllib.request.urlopen(os.environ["PROMETHEUS_URL"] + "/api/v1/alerts", timeout=5) as answer:
            return {
                alert["labels"]["alertname"]: alert["state"] for alert in json.loads(answer.read())["data"]["alerts"]
            }

    def _steady(self) -> bool:
        """Everything runs, and Prometheus has seen all rules evaluated a few times."""
        self._tick()
        found = self.access.get("deployments,statefulsets", "-n", "aurum-dev")["items"]
        running = all(ready_replicas(item) == item["spec"]["replicas"] for item in found)
        armed = self.access.get("rempol,crempol", "-A")["items"]
        return running and len(armed) == len(self.scenes) and all(_is_armed(policy) for policy in armed)

    def _break(self) -> None:
        self.model.start_burst()
        self.model.poison_api()
        self.model.database_broken = True
        if any(scene.folder == NODE_FAILURE for scene in self.scenes):
            self.node = self._busiest_node()
            self.access.kubectl("label", "node", self.node, "sim.kwok/notready=true", "--overwrite")

    def _busiest_node(self) -> str:
        pods = self.access.get("pods", "-n", "aurum-dev", "-l", "app.kubernetes.io/name=aurum-gateway")["items"]
        nodes = sorted(pod["spec"]["nodeName"] for pod in pods)
        return max(nodes, key=nodes.count)

    def _repair_node(self) -> None:
        """Somebody repairs the node once it is empty."""
        steps = next((s.status.get("steps", []) for s in self.scenes if s.folder == NODE_FAILURE), [])
        if self.node and any(step.get("phase") == "Acted" for step in steps):
            where = f"spec.nodeName={self.node}"
            if not self.access.get("pods", "-n", "aurum-dev", "--field-selector", where)["items"]:
                self.access.kubectl("label", "node", self.node, "sim.kwok/notready-")
                self.node = ""

    def close(self) -> None:
        """Remove Goldseam with its kinds, and the namespaces by their label."""
        try:
            self.access.kubectl("delete", "-k", str(OVERLAY), "--ignore-not-found", "--wait=false")
        finally:
            self.access.kubectl("delete", "namespace", "-l", MARK, "--ignore-not-found", "--wait=false")


def _is_armed(policy: dict[str, object]) -> bool:
    conditions = (policy.get("status") or {}).get("conditions") or []  # type: ignore[attr-defined]
    found = {entry["type"]: entry["status"] for entry in conditions}
    return found.get("Ready") == "True" and found.get("RuleFound") == "True"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _until(ask: object, patience: float, what: str) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if ask():  # type: ignore[operator]
            return
        time.sleep(0.3)
    raise TimeoutError(f"{what}: not within {patience:g} s")


def play(asked: argparse.Namespace) -> int:
    """Play all scenes in the cluster of the environment."""
    kubeconfig = os.environ.get("E2E_KUBECONFIG") or os.environ["KUBECONFIG"]
    own_cluster(kubeconfig, os.environ.get("GOLDSEAM_LOCAL_DIR", ""), asked.i_know_this_cluster)
    home = Path(os.environ["GOLDSEAM_LOCAL_DIR"])
    performance = Play(Access(kubeconfig), home, asked.record)
    performance.view.say(f"Installing Goldseam, the services and their alert rules (logs: {home}/log).")
    if not any(scene.folder == NODE_FAILURE for scene in performance.scenes):
        performance.view.say("The scene of the node failure is left out: only nodes that KWOK plays fail on demand.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun = time.monotonic()
    with performance.stage(), performance.operator():
        good = performance.perform()
        performance.view.summary()
        _letters(performance)
        verdict = "Every scene ended as it must" if good else "NOT every scene ended as it must"
        performance.view.say(f"{verdict}; {time.monotonic() - begun:.0f} s.")
        if asked.record:
            performance.view.save(asked.record)
        if os.environ.get("KEEP"):
            _keep(performance, home)
    return 0 if good else 1


def _letters(performance: Play) -> None:
    for message in performance.receiver.messages:
        performance.view.say(f"The on-call engineer was told (signature verified): {message['text']}")


def _keep(performance: Play, home: Path) -> None:
    print(
        f"""
It keeps running until you press Ctrl-C. In another terminal:
  . {home}/env
  kubectl get incidents -A
  kubectl -n aurum-dev describe incident
  kubectl explain rempol.spec.ladder
  kubectl -n aurum-dev create -f {ROOT}/deploy/examples/pause-namespace.yaml
  kubectl -n aurum-dev scale deployment aurum-worker --replicas=1
Prometheus: {os.environ["PROMETHEUS_URL"]}/alerts""",
        flush=True,
    )
    try:
        while True:
            performance.step()
            time.sleep(1)
    except KeyboardInterrupt:
        return


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--record", type=Path, help="save what is shown as an SVG")
    parser.add_argument(
        "--i-know-this-cluster",
        default=os.environ.get("E2E_SERVER", ""),
        metavar="SERVER",
        help="play on this cluster, though it is not the demo's own; default: $E2E_SERVER",
    )
    return parser.parse_args()


def main() -> int:
    """Play, and say in one line what was in the way."""
    try:
        return _played(arguments())
    except on_kind.NoKindError as error:
        sys.stderr.write(f"demo: {error}\n")
        return 2
    except (RuntimeError, TimeoutError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _played(asked: argparse.Namespace) -> int:
    """On kind (CLUSTER=kind), on a cluster that is lent (E2E_KUBECONFIG), or on a control plane of our own."""
    lent = os.environ.get("E2E_KUBECONFIG")
    if os.environ.get("CLUSTER") == "kind" and not lent:
        return on_kind.play(ROOT / ".run" / "kind.kubeconfig", _launched(nodes=1))
    if "GOLDSEAM_LOCAL_DIR" not in os.environ:
        command = _launched(nodes=1 if lent else 6)
        os.execv(command[0], command)
    return play(asked)


def _launched(nodes: int) -> list[str]:
    """This program in a control plane of its own; with a cluster of somebody else's, only its Prometheus is used."""
    launcher = str(ROOT / "deploy" / "local" / "cluster")
    return [launcher, "run", "--nodes", str(nodes), "--", sys.executable, *sys.argv]


if __name__ == "__main__":
    sys.exit(main())
