"""What is built, from which module, and how long it usually takes."""

from __future__ import annotations

from dataclasses import dataclass

KUBERNETES = "v1.36.3"
HELM = "v3.21.4"
PROMETHEUS = "3.15.1"
ALERTMANAGER = "0.31.1"


@dataclass(frozen=True)
class Tool:
    """One Go module below `tools/`, and the programs that it gives."""

    name: str
    minutes: int
    """How long it usually takes on two cores, with nothing cached."""
    programs: tuple[tuple[str, str], ...]
    """Program and the Go package that it is built from."""
    ldflags: str = "-s -w"
    tags: str = ""
    crds: str = ""
    """Which files of its module hold its CRDs, as a glob: they are kept beside the programs, in `crds/`."""


def _versioned() -> str:
    """kubectl, apiserver and the rest say a version that clients can parse (kubernetes, hack/lib/version.sh)."""
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    values = {
        "gitVersion": KUBERNETES,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "archive",
        "gitCommit": f"module-{KUBERNETES}",
        "buildDate": "2026-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return "-s -w -buildid= " + " ".join(f"-X {p}.{name}={value}" for p in packages for name, value in values.items())


def _helm() -> str:
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    base = "helm.sh/helm/v3"
    values = {f"{base}/internal/version.version": HELM}
    for package in (f"{base}/pkg/chartutil", f"{base}/pkg/lint/rules"):
        values |= {f"{package}.k8sVersionMajor": major, f"{package}.k8sVersionMinor": minor}
    return "-s -w " + " ".join(f"-X {name}={value}" for name, value in values.items())


def _prometheus(version: str) -> str:
    return f"-s -w -X github.com/prometheus/common/version.Version={version}"


_KUBE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")

TOOLS = {
    tool.name: tool
    for tool in (
        Tool("kube", 8, tuple((name, f"k8s.io/kubernetes/cmd/{name}") for name in _KUBE), _versioned()),
        Tool("etcd", 1, (("etcd", "go.etcd.io/etcd/server/v3"),)),
        Tool("kwok", 2, (("kwok", "sigs.k8s.io/kwok/cmd/kwok"),)),
        # service discovery off: a third fewer packages; static, file and http discovery stay
        Tool(
            "prometheus",
            3,
            tuple((name, f"github.com/prometheus/prometheus/cmd/{name}") for name in ("prometheus", "promtool")),
            _prometheus(PROMETHEUS),
            tags="netgo,remove_all_sd",
        ),
        # 0.32 and later embed a web UI that their Go module does not carry
        Tool(
            "alertmanager",
            1,
            tuple((name, f"github.com/prometheus/alertmanager/cmd/{name}") for name in ("alertmanager", "amtool")),
            _prometheus(ALERTMANAGER),
        ),
        Tool("helm", 1, (("helm", "helm.sh/helm/v3/cmd/helm"),), _helm()),
        # neighbours, for `make test-interop` only
        Tool(
            "kustomize-controller",
            5,
            (("kustomize-controller", "github.com/fluxcd/kustomize-controller"),),
            crds="config/crd/bases/*.yaml",
        ),
        Tool(
            "argo-rollouts",
            4,
            (("rollouts-controller", "github.com/argoproj/argo-rollouts/cmd/rollouts-controller"),),
            crds="manifests/crds/*-crd.yaml",
        ),
        Tool(
            "keda",
            10,
            (("keda-operator", "github.com/kedacore/keda/v2/cmd/operator"),),
            crds="config/crd/bases/*.yaml",
        ),
    )
}
NEEDED = ("etcd", "alertmanager", "kwok", "prometheus", "kube")
"""What a control plane cannot do without, the quick ones first."""
