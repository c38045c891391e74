"""What is under deploy/ is what the API server takes, and what its admission lets run."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.plane import Plane, eventually

ROOT = Path(__file__).resolve().parents[2]
KUSTOMIZE = ROOT / "deploy" / "kustomize"
OVERLAY = KUSTOMIZE / "overlays" / "all"
COMPONENTS = sorted(path.name for path in (KUSTOMIZE / "components").iterdir())


def dry_run(plane: Plane, directory: Path) -> str:
    apply = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
    done = plane.kubectl(*apply, "-k", str(directory))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


def test_every_manifest_of_the_default_install_is_accepted(installed: Plane) -> None:
    assert "deployment.apps/goldseam" in dry_run(installed, KUSTOMIZE / "base")


@pytest.mark.parametrize("piece", COMPONENTS)
def test_every_piece_is_accepted_with_the_base_alone(installed: Plane, piece: str, tmp_path: Path) -> None:
    parts = {"resources": ["base"], "components": ["piece"]}
    kustomization = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", **parts}
    objects = installed.must("kustomize", str(KUSTOMIZE / "base"))
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "all.yaml").write_text(objects)
    (tmp_path / "base" / "kustomization.yaml").write_text(
        json.dumps({**kustomization, "resources": ["all.yaml"], "components": []})
    )
    (tmp_path / "piece").symlink_to(KUSTOMIZE / "components" / piece)
    (tmp_path / "kustomization.yaml").write_text(json.dumps(kustomization))
    for file in (KUSTOMIZE / "components" / piece).glob("namespace.yaml"):  # a dry run makes none for what is in it
        installed.must("apply", "--server-side", "--force-conflicts", "-f", str(file))
    other = {"receiver": "service", "reboot": "role.rbac.authorization.k8s.io"}
    made = other.get(piece, "clusterrole.rbac.authorization.k8s.io")
    assert f"{made}/goldseam-{piece} " in dry_run(installed, tmp_path)


def test_the_first_commands_of_the_readme_install_the_readers_image(installed: Plane, tmp_path: Path) -> None:
    """As written, up to the objects for a namespace that only the reader has; but as a dry run, and in a copy."""
    for part in ("crds", "deploy/kustomize"):
        shutil.copytree(ROOT / part, tmp_path / part)
    way = (ROOT / "README.md").read_text().split("### 3. ")[1]
    script = way.split("```sh\n")[1].split("kubectl apply -f -")[0]
    script = script.replace(
        "kubectl apply --server-side", "kubectl apply --server-side --force-conflicts --dry-run=server"
    )
    env = os.environ | installed.env
    done = subprocess.run(["sh", "-ec", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert "deployment.apps/goldseam serverside-applied" in done.stdout, done.stderr
    objects = yaml.safe_load_all(installed.must("kustomize", str(tmp_path / "deploy/kustomize/overlays/mine")))
    (made,) = (found for found in objects if found["kind"] == "Deployment")
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "REGISTRY/goldseam:0.1.0"


def test_applying_it_again_changes_nothing(installed: Plane) -> None:
    answer = installed.kubectl("diff", "--server-side", "--force-conflicts", "-k", str(OVERLAY))
    differing = [line for line in answer.stdout.splitlines() if line.startswith(("+ ", "- "))]
    assert [line.split(":")[0].strip("+- ") for line in differing if "generation" not in line] in ([], ["replicas"] * 2)


def test_the_admission_policies_have_no_type_errors(installed: Plane) -> None:
    def checked() -> list[dict[str, Any]]:
        policies = [
            p for p in installed.all("validatingadmissionpolicies") if p["metadata"]["name"].startswith("goldseam-")
        ]
        return policies if policies and all("typeChecking" in (p.get("status") or {}) for p in policies) else []

    found = eventually(checked, "the expressions to be checked")
    assert {p["metadata"]["name"]: p["status"]["typeChecking"] for p in found if p["status"]["typeChecking"]} == {}


@pytest.fixture
def pod(installed: Plane) -> dict[str, Any]:
    """The Deployment's pod."""
    objects = yaml.safe_load_all(installed.must("kustomize", str(OVERLAY)))
    template = next(o for o in objects if o["kind"] == "Deployment")["spec"]["template"]
    meta = {"name": "probe", "namespace": "goldseam-system", "labels": {"probe": "true"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}


def created(plane: Plane, body: dict[str, Any]) -> tuple[dict[str, Any], str]:
    done = plane.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", input=json.dumps(body))
    return (json.loads(done.stdout) if done.returncode == 0 else {}), done.stderr


def test_the_operators_pod_is_admitted_where_nothing_privileged_is(installed: Plane, pod: dict[str, Any]) -> None:
    made, problem = created(installed, pod)
    assert made, problem
    assert "Warning" not in problem
    mounted = [mount["mountPath"] for mount in made["spec"]["containers"][0]["volumeMounts"]]
    assert "/var/run/secrets/kubernetes.io/serviceaccount" in mounted


def looser(pod: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for change, place, value in (
        ("allowPrivilegeEscalation", "container", True),
        ("capabilities", "container", {}),
        ("runAsNonRoot", "pod", False),
        ("seccompProfile", "pod", {"type": "Unconfined"}),
    ):
        changed = copy.deepcopy(pod)
        holder = changed["spec"] if place == "pod" else changed["spec"]["containers"][0]
        holder["securityContext"][change] = value
        yield change, changed


def test_a_less_restricted_pod_would_not_be_admitted(installed: Plane, pod: dict[str, Any]) -> None:
    for change, changed in looser(pod):
        assert "violates PodSecurity" in created(installed, changed)[1], change


def test_the_examples_for_gitops_point_to_what_is_here() -> None:
    application = yaml.safe_load((ROOT / "deploy" / "argocd" / "application.yaml").read_text())
    source, kustomization = yaml.safe_load_all((ROOT / "deploy" / "flux" / "kustomization.yaml").read_text())
    paths = [application["spec"]["source"]["path"], kustomization["spec"]["path"]]
    assert all((ROOT / path / "kustomization.yaml").exists() for path in paths)
    assert kustomization["spec"]["sourceRef"]["name"] == source["metadata"]["name"]
    assert "ServerSideApply=true" in application["spec"]["syncPolicy"]["syncOptions"]
    assert kustomization["spec"]["wait"] is True


def test_what_the_image_is_built_from_is_there_and_sent_to_the_builder() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [
        name for line in lines if line.startswith("COPY ") and "--from" not in line for name in line.split()[1:-1]
    ]
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert copied
    for name in copied:
        assert (ROOT / name).exists()
        assert name.split("/")[0] in sent
