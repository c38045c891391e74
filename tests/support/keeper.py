"""An admission policy that judges nothing, and keeps the API server looking at CronJobs as parameters.

Once no binding names a built-in kind as its parameter, an API server sees no change of that kind for one any more,
until it is restarted (a bug of Kubernetes 1.36); and tests install and remove the piece `reboot`, whose parameter is a
CronJob.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
NAME = "test-keeper"
KINDS = "validatingadmissionpolicy,validatingadmissionpolicybinding"
_KEEPER = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "metadata": {"name": NAME, "labels": {"goldseam.dev/test": "true"}},
}
KEEPER: list[Json] = [
    {
        **_KEEPER,
        "kind": "ValidatingAdmissionPolicy",
        "spec": {
            "paramKind": {"apiVersion": "batch/v1", "kind": "CronJob"},
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "nowhere"}},
                "resourceRules": [
                    {"apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"], "operations": ["CREATE"]}
                ],
            },
            "validations": [{"expression": "true"}],
        },
    },
    {
        **_KEEPER,
        "kind": "ValidatingAdmissionPolicyBinding",
        "spec": {
            "policyName": NAME,
            "validationActions": ["Deny"],
            "paramRef": {"name": "none", "namespace": "default", "parameterNotFoundAction": "Allow"},
        },
    },
]
