"""The fixtures of the cluster tests, here too."""

from __future__ import annotations

from tests.cluster.conftest import (  # noqa: F401
    cluster,
    crds,
    installed,
    namespace,
    operator,
    operator_kubeconfig,
    source,
    trouble,
)
