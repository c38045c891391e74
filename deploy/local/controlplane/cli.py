"""The command line of `deploy/local/cluster`."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from controlplane import build, cluster, supervisor, toolchain
from controlplane.tools import NEEDED, TOOLS

EPILOG = """\
examples:
  deploy/local/cluster up --dir /tmp/a --nodes 5     then: . /tmp/a/env
  deploy/local/cluster run --nodes 3 -- kubectl get nodes
  deploy/local/cluster run --emulate 1.33 -- kubectl version
  deploy/local/cluster down --dir /tmp/a

Rules dropped into DIR/prometheus/rules.d/*.yml are loaded after: curl -X POST $PROMETHEUS_URL/-/reload
Targets dropped into DIR/prometheus/targets.d/*.json are scraped at once. The audit log is DIR/log/audit.json.
"""


def parser() -> argparse.ArgumentParser:
    """What can be asked for."""
    top = argparse.ArgumentParser(
        prog="deploy/local/cluster",
        description="A real Kubernetes control plane with KWOK nodes, Prometheus and Alertmanager, on loopback.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start one in DIR; it stays until `down`")
    up.add_argument("--dir", type=Path, required=True, help="where it lives: data, logs, keys, `env`")
    down = commands.add_parser("down", help="end the one in DIR; its data stays")
    down.add_argument("--dir", type=Path, required=True, help="where it lives")
    status = commands.add_parser("status", help="what runs in DIR; exit status 1 unless everything does")
    status.add_argument("--dir", type=Path, required=True, help="where it lives")
    run = commands.add_parser("run", help="start one, run CMD in its environment, end it; exit status is CMD's")
    run.add_argument("--dir", type=Path, help="where it lives, and stays; default: a temporary directory")
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command")
    only = commands.add_parser("build", help="build only")
    only.add_argument("--only", help=f"some of {', '.join(TOOLS)}; default: what a control plane needs")
    for command in (up, run):
        _start_options(command)
    return top


def _start_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--nodes", type=int, default=3, help="how many nodes KWOK plays; default: 3")
    command.add_argument("--without-helm", action="store_true", help="do not build helm")
    text = "behave as an older Kubernetes, such as 1.33: its APIs, fields and defaults; down to three minor versions"
    command.add_argument("--emulate", default="", metavar="VERSION", help=text)
    for name in ("apiserver", "controller-manager"):
        text = f"an argument for kube-{name}, such as --{name}-arg=--v=4; may be repeated"
        command.add_argument(f"--{name}-arg", action="append", default=[], help=text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked for. Exit status 1: it did not work, and the message says why."""
    asked = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _do(asked)
    except (build.BuildError, toolchain.NoGoError, cluster.NotReadyError) as error:
        sys.stderr.write(f"deploy/local/cluster: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _do(asked: argparse.Namespace) -> int:
    if asked.command == "build":
        build.ensure(asked.only.split(",") if asked.only else NEEDED)
        return 0
    if asked.command == "status":
        return _status(asked.dir)
    if asked.command == "down":
        cluster.down(asked.dir)
        return 0
    options = cluster.Options(
        asked.nodes,
        asked.command == "up" and not asked.without_helm,
        asked.apiserver_arg,
        asked.controller_manager_arg,
        asked.emulate,
    )
    return _up(asked.dir, options) if asked.command == "up" else _run(asked.dir, options, asked.argv)


def _up(home: Path, options: cluster.Options) -> int:
    begun = time.monotonic()
    plane = cluster.up(home, options)
    print(f"# up after {time.monotonic() - begun:.1f} s; end it with: deploy/local/cluster down --dir {home}")
    print(f". {plane.home / 'env'}")
    return 0


def _run(home: Path | None, options: cluster.Options, argv: list[str]) -> int:
    command = argv[1:] if argv[:1] == ["--"] else argv
    if not command:
        sys.stderr.write("deploy/local/cluster run: which command? Write it after --\n")
        return 2
    if home is not None:
        return supervisor.run(home, options, command)
    chosen = Path(tempfile.mkdtemp(prefix="goldseam-"))
    status = supervisor.run(chosen, options, command)
    if status:
        sys.stderr.write(f"deploy/local/cluster: exit status {status}; logs are in {chosen}/log\n")
    else:
        shutil.rmtree(chosen, ignore_errors=True)
    return status


def _status(home: Path) -> int:
    found = cluster.status(home) if home.exists() else []
    for name, running in found:
        print(f"{name:26} {'running' if running else 'not running'}")
    if not found:
        print(f"nothing was ever started in {home}")
    return 0 if found and all(running for _, running in found) else 1
