"""`up`, `down` and `status` of one control plane, which lives in a directory."""

from __future__ import annotations

import json
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from controlplane import build, components, nodes, pki, ports, processes
from controlplane.components import Plane
from controlplane.tools import NEEDED, TOOLS

PATIENCE = 60.0


class NotReadyError(RuntimeError):
    """A component did not come up; the message has the end of its log."""


@dataclass(frozen=True)
class Options:
    """How a control plane is started."""

    nodes: int = 3
    helm: bool = False
    apiserver_args: Sequence[str] = ()
    controller_manager_args: Sequence[str] = ()
    emulate: str = ""


def up(home: Path, options: Options) -> Plane:
    """Build what the cache lacks, start everything, and wait until all is ready. What was up there before is ended.

    Raises:
        NotReadyError: a component did not come up; everything is ended again.
    """
    folders = build.ensure([*NEEDED, *(["helm"] if options.helm else [])])
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    home = home.resolve()
    processes.end_all(home)
    programs = {program.name: program for folder in folders for program in folder.iterdir()}
    chosen = ports.choose(home / "ports.json")
    arguments = tuple(options.apiserver_args), tuple(options.controller_manager_args)
    plane = Plane(home, chosen, programs, *arguments, emulate=options.emulate)
    try:
        _start(plane, options.nodes)
    except BaseException:
        processes.end_all(home)
        raise
    _write_env(plane)
    return plane


def _start(plane: Plane, count: int) -> None:
    pki.make(plane.pki, plane.url("apiserver", "https"))
    processes.start(plane.home, "etcd", components.etcd(plane))
    _await(plane, "etcd", lambda: b"true" in get(plane.url("etcd") + "/health"))
    processes.start(plane.home, "kube-apiserver", components.apiserver(plane))
    processes.start(plane.home, "alertmanager", components.alertmanager(plane))
    processes.start(plane.home, "prometheus", components.prometheus(plane))
    _await(plane, "kube-apiserver", lambda: get_api(plane, "/readyz") == b"ok")
    processes.start(plane.home, "kube-controller-manager", components.controller_manager(plane))
    processes.start(plane.home, "kube-scheduler", components.scheduler(plane))
    processes.start(plane.home, "kwok", components.kwok(plane))
    nodes.create(lambda body: post_api(plane, "/api/v1/nodes", body), count)
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    _await(plane, "kube-controller-manager", lambda: _healthy(plane, "kcm") and bool(get_api(plane, account)))
    _await(plane, "kube-scheduler", lambda: _healthy(plane, "scheduler"))
    _await(plane, "kwok", lambda: bool(get(plane.url("kubelet") + "/healthz")))
    _await(plane, "kwok", lambda: nodes.ready(json.loads(get_api(plane, "/api/v1/nodes"))) >= count)
    _await(plane, "prometheus", lambda: bool(get(plane.url("prometheus") + "/-/ready")))
    _await(plane, "alertmanager", lambda: bool(get(plane.url("alertmanager") + "/-/ready")))


def _await(plane: Plane, name: str, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if not _alive(plane, name):
            raise NotReadyError(f"{name} has ended:\n{_tail(plane, name)}")
        try:
            if ready():
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.05)
    raise NotReadyError(f"{name} is not ready after {PATIENCE:g} s:\n{_tail(plane, name)}")


def _healthy(plane: Plane, name: str) -> bool:
    """What is in etcd already does not show that it runs. Its certificate is its own; it listens on loopback only."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    return get(plane.url(name, "https") + "/healthz", trusting) == b"ok"


def _alive(plane: Plane, name: str) -> bool:
    return any(started.alive for started in processes.noted(plane.home) if started.name == name)


def _tail(plane: Plane, name: str) -> str:
    log = plane.home / "log" / f"{name}.log"
    return log.read_text(errors="replace")[-1500:] if log.exists() else ""


def get(url: str, context: ssl.SSLContext | None = None) -> bytes:
    """The body of an answer.

    Raises:
        OSError: no answer, or an HTTP error.
    """
    with urllib.request.urlopen(url, timeout=5, context=context) as answer:
        content: bytes = answer.read()
    return content


def get_api(plane: Plane, path: str) -> bytes:
    """The body of an answer of the API server, asked as admin."""
    return get(plane.url("apiserver", "https") + path, _admin(plane))


def post_api(plane: Plane, path: str, body: object) -> None:
    """Create an object as admin; one that exists stays as it is."""
    request = urllib.request.Request(
        plane.url("apiserver", "https") + path,
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
        method="POST",
    )
    try:
        urllib.request.urlopen(request, timeout=10, context=_admin(plane)).close()
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise


def _admin(plane: Plane) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(plane.pki / "ca.crt"))
    context.load_cert_chain(plane.pki / "admin.crt", plane.pki / "admin.key")
    return context


def environment(plane: Plane) -> dict[str, str]:
    """What a program needs to use the control plane."""
    folders = sorted({str(program.parent) for program in plane.programs.values()})
    return {
        "KUBECONFIG": str(plane.pki / "admin.kubeconfig"),
        "PROMETHEUS_URL": plane.url("prometheus"),
        "ALERTMANAGER_URL": plane.url("alertmanager"),
        "GOLDSEAM_LOCAL_DIR": str(plane.home),
        "PATH": os.pathsep.join([*folders, os.environ.get("PATH", "")]),
    }


def _write_env(plane: Plane) -> None:
    lines = [f"export {name}={_quoted(value)}" for name, value in environment(plane).items() if name != "PATH"]
    folders = sorted({str(program.parent) for program in plane.programs.values()})
    lines.append(f'export PATH={_quoted(os.pathsep.join(folders))}:"$PATH"')
    (plane.home / "env").write_text("\n".join(lines) + "\n")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def down(home: Path) -> None:
    """End what was started there; the data stays, and `up` goes on with it."""
    processes.end_all(home.resolve())


def status(home: Path) -> list[tuple[str, bool]]:
    """Each component, and whether it runs."""
    found = {started.name: started.alive for started in processes.noted(home.resolve())}
    wanted = [program for name in NEEDED for program, _ in TOOLS[name].programs]
    components_of = [name for name in wanted if name not in ("kubectl", "promtool", "amtool")]
    return [(name, found.get(name, False)) for name in components_of]
