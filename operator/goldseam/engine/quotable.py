"""What may be repeated of a message that the API server passes on: webhooks, policies and controllers write into it.

Known shapes only, each rebuilt from names and numbers. An admission webhook may quote the whole object, with whatever
secrets stand in it, so nothing else is kept.
"""

from __future__ import annotations

import re

LONGEST = 4_096
"""Characters that are looked at."""
OURS = "goldseam-"
"""The admission policies of `deploy/kustomize` begin with it: their messages are ours."""

_NAME = r"[\w.:*-]{1,253}"
_SHAPES = (
    # pkg/registry/authorization/util, the RBAC authorizer
    rf'User "[^"\\\n]{{1,253}}" cannot \w+ resource "[\w./-]+"(?: in API group "[\w.-]*")?'
    rf'(?: in the namespace "{_NAME}"| at the cluster scope)?',
    # plugin/pkg/admission/resourcequota
    r"exceeded quota: [\w.-]+, requested: [\w./=,-]+, used: [\w./=,-]+, limited: [\w./=,-]+",
    r"failed quota: [\w.-]+: must specify [\w.,:;/ -]+",
    # plugin/pkg/admission/security/podsecurity; the details that follow are left out
    r'violates PodSecurity "[\w.:-]+"',
    # apimachinery, runtime/error.go
    r'strict decoding error: (?:unknown|duplicate) field "[\w.\[\]-]+"',
    # the disruption budget's own words (pkg/registry/core/pod/storage/eviction.go)
    r"Cannot evict pod as it would violate the pod's disruption budget",
    r"The disruption budget [\w.-]+ needs \d+ healthy pods and has \d+ currently",
    r"unable to create new content in namespace [\w.-]+ because it is being terminated",
)
_KNOWN = re.compile("|".join(_SHAPES))
_POLICY = re.compile(
    rf"ValidatingAdmissionPolicy '({_NAME})' with binding '{_NAME}' denied request(?:: (.*))?", re.DOTALL
)
_WEBHOOK = re.compile(rf'admission webhook "({_NAME})" denied the request')
_UNCALLED = re.compile(rf'failed calling webhook "({_NAME})"')


def quotable(message: str) -> str:
    """The part of it that is known to hold names and numbers only; empty where there is none.

    Where a webhook speaks, its own words come first and may look like anything: nothing but its name is taken.
    """
    message = message[:LONGEST]
    if found := _WEBHOOK.search(message):
        return f"the admission webhook {found[1]} denied it"
    if found := _UNCALLED.search(message):
        return f"the admission webhook {found[1]} could not be called"
    if found := _POLICY.search(message):
        words = (found[2] or "").split("\n", 1)[0]
        said = f": {words}" if found[1].startswith(OURS) and words else ""
        return f"the admission policy {found[1]} denied it{said}"
    found = _KNOWN.search(message)
    return found[0] if found else ""
