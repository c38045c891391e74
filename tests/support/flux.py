"""What Flux's source-controller would make of a Git repository: a tarball on loopback, and word of it in a status.

source-controller itself does not build from the Go module proxy. kustomize-controller reads nothing else of a source
than `status.artifact`, so a GitRepository whose status the tests write is all that it needs.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.plane import Plane, eventually

Json = dict[str, Any]
SOURCES = ("GitRepository", "OCIRepository", "Bucket")
GROUP = "source.toolkit.fluxcd.io"


def source_crd(kind: str) -> Json:
    """A CRD of a kind of source, that takes anything."""
    plural = {"GitRepository": "gitrepositories", "OCIRepository": "ocirepositories", "Bucket": "buckets"}[kind]
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return


@contextmanager
def artifacts(folder: Path) -> Iterator[str]:
    """Serve a folder on loopback; gives the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


@dataclass(frozen=True)
class App:
    """The Kustomization `app` of a namespace, and the repository that it applies."""

    plane: Plane
    namespace: str
    folder: Path
    url: str

    def begin(self, *objects: Json) -> None:
        """Create both, and let Flux apply these objects."""
        meta = {"name": "app", "namespace": self.namespace}
        spec = {
            "interval": "1h",  # each round is one that a test asks for
            "path": "./",
            "prune": True,
            "sourceRef": {"kind": "GitRepository", "name": "app"},
        }
        self.plane.apply(
            {"apiVersion": f"{GROUP}/v1", "kind": "GitRepository", "metadata": meta, "spec": {"interval": "1h"}},
            {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": meta, "spec": spec},
        )
        self.commit(*objects)

    def commit(self, *objects: Json) -> None:
        """Git has these objects from now on; returns once Flux has applied them."""
        content = _tarball(objects)
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / f"{digest}.tar.gz").write_bytes(content)
        artifact = {
            "path": f"{digest}.tar.gz",
            "url": f"{self.url}/{digest}.tar.gz",
            "revision": f"main@sha1:{uuid.uuid4().hex}00000000",
            "digest": f"sha256:{digest}",
            "lastUpdateTime": "2026-01-01T00:00:00Z",
            "size": len(content),
        }
        self._patch("gitrepository", {"status": {"artifact": artifact}}, "--subresource=status")
        self._await(lambda status: status.get("lastAppliedRevision") == artifact["revision"], "the revision")

    def tell(self, lines: Json) -> None:
        """Add these fields to the spec of the Kustomization; returns once Flux goes by them."""
        self._patch("kustomization", {"spec": lines})
        wanted = self.plane.get("kustomization", "app", self.namespace)["metadata"]["generation"]
        self._await(lambda status: status.get("observedGeneration", 0) >= wanted, "the new spec")

    def reconcile(self) -> None:
        """One more round, as at every interval."""
        asked = uuid.uuid4().hex
        self._patch("kustomization", {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": asked}}})
        self._await(lambda status: status.get("lastHandledReconcileAt") == asked, "the round")

    def _patch(self, kind: str, body: Json, *options: str) -> None:
        where = ("-n", self.namespace, *options, "--type=merge", "-p", json.dumps(body))
        self.plane.must("patch", kind, "app", *where)

    def _await(self, done: Any, what: str) -> None:
        """A round is over when it says so, and the Kustomization is ready."""

        def over() -> bool:
            status = self.plane.get("kustomization", "app", self.namespace).get("status", {})
            self_says = {entry["type"]: entry["status"] for entry in status.get("conditions", [])}
            return bool(done(status)) and self_says.get("Ready") == "True"

        eventually(over, f"Flux to be done with {what}")


def _tarball(objects: tuple[Json, ...]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for index, obj in enumerate(objects):
            content = json.dumps(obj).encode()
            info = tarfile.TarInfo(f"object-{index}.yaml")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()
