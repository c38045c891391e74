"""Free ports on loopback, one for everything that listens."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from pathlib import Path

NAMES = ("etcd", "etcd_peer", "apiserver", "kcm", "scheduler", "kubelet", "prometheus", "alertmanager")


def choose(file: Path) -> dict[str, int]:
    """The ports of last time if all are free still, else new ones; kept in `file`."""
    if file.exists():
        ports: dict[str, int] = json.loads(file.read_text())
        if set(ports) == set(NAMES) and all(is_free(port) for port in ports.values()):
            return ports
    ports = _free()
    file.write_text(json.dumps(ports))
    return ports


def _free() -> dict[str, int]:
    """All are held until all are known, so that no two are the same."""
    with ExitStack() as stack:
        sockets = {name: stack.enter_context(socket.socket()) for name in NAMES}
        for held in sockets.values():
            held.bind(("127.0.0.1", 0))
        return {name: held.getsockname()[1] for name, held in sockets.items()}


def is_free(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
