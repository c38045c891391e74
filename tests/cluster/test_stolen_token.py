"""Every cell of the table of rights: each attempt with the operator's own token, with each piece installed.

The requests are dry runs, which are judged like any other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stolen.attempts import ALL, COLUMNS, LEFT, RBAC, SCHEMA, Attempt, attempts, pieces_of, world
from tests.stolen.pieces import KUSTOMIZE, PIECES, by_hand, files
from tests.support.direct import APPLY, JSON, Direct
from tests.support.plane import Plane, eventually

NOBODY = "d7c8c1c5-3a3c-4c4c-8d3e-2a4b1c0f9e11"
"""The uid of what is not there."""
INCIDENT = "/apis/goldseam.dev/v1alpha1/namespaces/stolen/incidents"
OWING = {"phase": "Monitoring", "epoch": 5, "owes": 1}
NO_LOG = ("does not have a host assigned", "no preferred addresses found")  # a node without a kubelet
JANE = ("--as", "jane", "--as-group", "system:masters")


class Thief:
    """Somebody who has the operator's token, and a world to try it on."""

    def __init__(self, plane: Plane, kubeconfig: Path) -> None:
        self.plane, self._direct = plane, Direct(str(kubeconfig))
        self.reboots = NOBODY
        self._uids = {
            (pod["metadata"]["namespace"], pod["metadata"]["name"]): pod["metadata"]["uid"] for pod in plane.all("pods")
        }

    def write(self, method: str, path: str, body: dict[str, Any]) -> None:
        """What the operator writes in the course of its work."""
        self._direct.must(method, path, body)

    def tries(self, attempt: Attempt) -> tuple[str, str]:
        """Who refuses it, or `left`; and the words of the API server."""
        body = json.dumps(attempt.sent).replace("${uid}", self._uids.get(attempt.place, ""))
        body = json.loads(body.replace("${cronjob}", self.reboots))
        headers = {"Content-Type": APPLY} if attempt.apply else {"Content-Type": JSON} if attempt.operations else {}
        if attempt.verb == "impersonate":
            namespace, name = attempt.place
            headers["Impersonate-User"] = f"system:serviceaccount:{namespace}:{name}" if namespace else name
        status, answer = self._direct.ask(attempt.method, attempt.path, body or None, headers)
        return judged(status, str(answer.get("message", ""))), str(answer.get("message", ""))

    def disagreements(self, column: str) -> dict[str, str]:
        """Where the API server answers otherwise than the table says."""
        found = {}
        for attempt in attempts():
            expected, (said, words) = attempt.answers(column), self.tries(attempt)
            if said not in expected:
                found[attempt.what] = f"{' or '.join(expected)} was expected, and {said} answered: {words}"
            elif said not in (RBAC, SCHEMA, LEFT) and not attempt.words(words):
                found[attempt.what] = f"{attempt.says!r} was expected: {words}"
        return found


def judged(status: int, words: str) -> str:
    """Who refused a request."""
    if status < 300 or any(said in words for said in NO_LOG):  # the log may be read, and there is none
        return LEFT
    if policy := re.search(r"ValidatingAdmissionPolicy '([^']+)'", words):
        return policy[1]
    if status == 403 and 'User "system:serviceaccount:goldseam-system:goldseam" cannot ' in words:
        return RBAC
    return SCHEMA if status == 422 else f"{status}"


@pytest.fixture(scope="module")
def thief(installed: Plane, neighbours: Plane, operator_kubeconfig: Path) -> Iterator[Thief]:
    """The operator's token, in a world with something to change; afterwards every piece is there again."""
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": world()})
    installed.must("apply", "--server-side", "--force-conflicts", *JANE, "-f", "-", input=objects)
    uid = installed.get("cronjob", "backup", "stolen")["metadata"]["uid"]
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "backup", "controller": True, "uid": uid}
    made = ("-n", "stolen", "patch", "job", "backup-0123456789abcdef", "--type=merge", "-p")
    installed.must(*made, json.dumps({"metadata": {"ownerReferences": [owner]}}))
    someone = Thief(installed, operator_kubeconfig)
    (forged,) = (attempt.body for attempt in attempts() if attempt.what == "an Incident that never was")
    someone.write("POST", INCIDENT, {**forged, "metadata": {"name": "web"}})
    someone.write("PATCH", f"{INCIDENT}/web/status", {"status": OWING})
    yield someone
    someone.write("PATCH", f"{INCIDENT}/web/status", {"status": {"owes": 0}})
    install(installed, ALL)
    installed.must("apply", "--server-side", "--force-conflicts", "-k", str(KUSTOMIZE / "overlays" / "all"))
    installed.must("-n", "goldseam-system", "scale", "deployment", "goldseam", "--replicas=0")
    installed.kubectl("delete", "--wait=false", "-f", "-", input=objects)


def install(plane: Plane, column: str) -> None:
    """The pieces of a column, and no others, beside the base."""
    for piece in PIECES:
        here = piece in pieces_of(column)
        how = ("apply", "--server-side", "--force-conflicts") if here else ("delete", "--ignore-not-found")
        plane.must(*how, *(f"-f={file}" for file in files(piece) if here or file.name != "namespace.yaml"))
        for binding in by_hand(piece):
            plane.must(*how, "-f", "-", input=json.dumps(binding))


@pytest.mark.parametrize("column", COLUMNS)
def test_a_stolen_token_can_do_what_the_table_says_and_no_more(thief: Thief, column: str) -> None:
    install(thief.plane, column)
    if "reboot" in pieces_of(column):
        thief.reboots = thief.plane.get("cronjob", "reboot", "goldseam-reboot")["metadata"]["uid"]
    found: dict[str, str] = {}

    def agrees() -> bool:  # roles and admission policies take effect a moment after they are applied
        nonlocal found
        found = thief.disagreements(column)
        return not found

    try:
        eventually(agrees, "the table to be true", 30)
    except AssertionError:
        pytest.fail("\n".join(f"{what}: {why}" for what, why in found.items()))


def test_a_large_workload_fits_the_cost_budget_of_the_admission_policies(thief: Thief) -> None:
    install(thief.plane, ALL)
    variables = [{"name": f"V{number}", "value": "x" * 200} for number in range(100)]
    (web,) = (o for o in world() if o["kind"] == "Deployment" and o["metadata"]["name"] == "off")
    large = json.loads(json.dumps(web))
    large["metadata"]["name"] = "large"
    containers = [{"name": f"c{number}", "image": "web:1", "env": variables} for number in range(20)]
    large["spec"]["template"]["spec"]["containers"] = containers
    thief.plane.must("apply", "--server-side", "-f", "-", input=json.dumps(large))
    known = {attempt.what: attempt for attempt in attempts()}
    restart, image = (
        Attempt("x", a.ask, {}, at="stolen/large", body=a.body)
        for a in (known["a Deployment restarted"], known["another image in a Deployment"])
    )
    eventually(lambda: thief.tries(image)[0] == "goldseam-restart", "the image to be refused")
    assert thief.tries(restart)[0] == LEFT
