"""What `template` makes: one custom resource, written out in the policy, of a kind that the admin allows.

Kinds of Kubernetes itself are never made, nor such as bring code, rights or other objects with them: no list of the
admin's changes that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from goldseam.api.base import GROUP, Model, Namespace, Rule
from goldseam.api.constraints import Pattern, Without
from goldseam.api.expressions import VARIABLE
from goldseam.api.parameters import Parameters

LARGEST = 4_096
"""Bytes of a template as JSON: each Incident keeps a copy of its policy."""
DEEPEST = 16
"""How deep maps and lists may stand in each other."""

NEVER = (
    "k8s.io",  # of Kubernetes: RBAC, admission, CRDs, certificates, Gateways; *.x-k8s.io is another domain
    GROUP,
    # what runs pods, or VMs, from a template of theirs
    *("argoproj.io", "tekton.dev", "knative.dev", "kubevirt.io", "ray.io", "volcano.sh", "kubeflow.org"),
    *("jobset.x-k8s.io", "leaderworkerset.x-k8s.io", "kruise.io", "coreos.com", "opentelemetry.io"),
    *("summerwind.dev", "actions.github.com", "spark.apache.org", "flink.apache.org", "strimzi.io", "elastic.co"),
    *("apps.openshift.io", "build.openshift.io", "customized-user-remediation.medik8s.io"),
    # what brings other objects into the cluster
    *("fluxcd.io", "crossplane.io", "cattle.io", "helm.sh", "pulumi.com", "template.openshift.io", "kro.run"),
    *("kyverno.io", "gatekeeper.sh", "metacontroller.io", "operatorframework.io", "open-cluster-management.io"),
    # what hands out rights or secrets
    *("authorization.openshift.io", "security.openshift.io", "oauth.openshift.io", "user.openshift.io"),
    *("config.openshift.io", "operator.openshift.io", "cert-manager.io", "external-secrets.io", "bitnami.com"),
    *("hashicorp.com", "istio.io", "rancher.io"),
)
"""API groups of which nothing is ever made, nor of those below them."""
NEVER_PATTERN = rf"^([^/]*\.)?({'|'.join(group.replace('.', '[.]') for group in NEVER)})(/|$)"

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
ApiVersion = Annotated[
    str,
    Field(max_length=253),
    Pattern(
        rf"^{_LABEL}(\.{_LABEL})+/v[0-9][a-z0-9]*$",
        "must be group and version of a custom resource, such as self-node-remediation.medik8s.io/v1alpha1: kinds of"
        " Kubernetes itself are never made",
    ),
    Without(
        NEVER_PATTERN,
        "kinds of this group run code, bring other objects or hand out rights, and are never made, whatever the"
        " Guardrails say",
    ),
]
"""Group and version of a kind that may be made."""
KindName = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Pattern(r"^[A-Z][a-zA-Z0-9]*$", "must be a kind, such as SelfNodeRemediation"),
]
Plural = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Pattern(r"^[a-z]([-a-z0-9]*[a-z0-9])?$", "must be the kind's plural, such as selfnoderemediations"),
]
"""The kind as the API server addresses it: `kubectl api-resources` shows it."""

_WHOLE = rf"^(?:{VARIABLE}|(?:[^$]|\$+[^${{])*\$*)$"
VALUE_WORDS = (
    "a variable must be the whole value, such as ${target.name}; there are ${target.kind}, ${target.name},"
    " ${target.namespace}, ${alert.name} and ${alert.labels.NAME}"
)
_KEY = Annotated[str, Field(min_length=1, max_length=317)]
_Labels = Annotated[
    dict[_KEY, Annotated[str, Field(max_length=253), Pattern(_WHOLE, VALUE_WORDS)]], Field(max_length=16)
]
_Annotations = Annotated[
    dict[_KEY, Annotated[str, Field(max_length=1024), Pattern(_WHOLE, VALUE_WORDS)]], Field(max_length=16)
]


def _texts(value: Any, deep: int = 0) -> Iterator[str]:
    """Every text that is a value, at any depth; keys are no values."""
    if deep > DEEPEST:
        raise ValueError(f"maps and lists stand more than {DEEPEST} deep in each other")
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if "${" in key:
                raise ValueError("a variable must not stand in a key")
            yield from _texts(inner, deep + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, deep + 1)


def _whole_variables(value: dict[str, Any]) -> dict[str, Any]:
    if any("${" in text and not re.fullmatch(VARIABLE, text) for text in _texts(value)):
        raise ValueError(VALUE_WORDS)
    return value


_FREE = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
FreeForm = Annotated[dict[str, Any], AfterValidator(_whole_variables), WithJsonSchema(_FREE)]
"""A map of any form. The API server knows no bounds for it; the operator does."""


_OWN = "(^|[.])goldseam[.]dev/"


def _not_ours(part: str) -> Rule:
    return Rule(
        f"!has(self.{part}) || self.{part}.all(key, !key.matches('{_OWN}'))",
        f"{part}: keys of {GROUP} are Goldseam's own",
        lambda m: not any(re.search(_OWN, key) for key in getattr(m, part)),
    )


class TemplateMetadata(Model):
    """Where the object is made, and what is written on it. Its name is the step's, so that it is made once."""

    RULES: ClassVar[tuple[Rule, ...]] = (_not_ours("labels"), _not_ours("annotations"))

    namespace: Namespace | None = None
    """The namespace. Leave it out where the kind is cluster-scoped."""
    labels: _Labels = {}
    """Labels; a value may be a variable as a whole, such as `${target.name}`. Default: none."""
    annotations: _Annotations = {}
    """Annotations; a value may be a variable as a whole. Default: none."""


class TemplateObject(Model):
    """The object as it is made, at most 4096 bytes as JSON. It has no name, no owners and no finalizers."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "",
            f"spec: the object has more than {LARGEST} bytes as JSON; make it smaller",
            lambda o: len(json.dumps(o.dump())) <= LARGEST,
        ),
    )

    api_version: ApiVersion
    """Group and version of a custom resource."""
    kind: KindName
    """The kind."""
    metadata: TemplateMetadata = TemplateMetadata()
    """Where it is made, and what is written on it."""
    spec: FreeForm = {}
    """What the object says, in any form. A text may be a variable as a whole: ${target.kind}, ${target.name},
    ${target.namespace}, ${alert.name} or ${alert.labels.NAME}; it stays one text, whatever the alert's label holds.
    Default: nothing."""


class DoneWhen(Model):
    """A condition of the object (`status.conditions`) for which the rung waits."""

    type: Annotated[
        str,
        Field(min_length=1, max_length=253),
        Pattern(r"^[a-zA-Z0-9]([-_./a-zA-Z0-9]*[a-zA-Z0-9])?$", "must be the type of a condition, such as Succeeded"),
    ]
    """The condition's type, such as `Succeeded`."""
    status: Literal["True", "False", "Unknown"] = "True"
    """The status that it must have. Default: `'True'`."""


class Template(Parameters):
    """Make one object of a kind that the Guardrails list in `templates`, such as a remediation for Medik8s. Only in a
    ClusterRemediationPolicy.

    It is named by the step, so that it is made once whatever happens to the operator, and deleted when the incident is
    over.
    """

    resource: Plural
    """The kind's plural, such as `selfnoderemediations`: `kubectl api-resources` shows it."""
    object: TemplateObject
    """The object."""
    done_when: DoneWhen | None = None
    """The condition that says that its controller is done, within the rung's timeout. Default: it is enough that the
    object is there."""
    keep: bool = False
    """Whether the object stays when the incident is over. Default: false, and it is deleted then."""

    def covers(self, other: Any) -> bool:
        """The very same."""
        return bool(self == other)


class TemplateKind(Model):
    """One kind that policies may make by `template`, and where."""

    api_version: ApiVersion
    """Group and version."""
    kind: KindName
    """The kind."""
    resource: Plural
    """Its plural: `kubectl api-resources` shows it."""
    namespaces: Annotated[list[Namespace], Field(max_length=32)] = []
    """The namespaces in which it may be made; none of them may be protected. Default: none, for a kind that is
    cluster-scoped."""
