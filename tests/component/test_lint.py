"""`goldseam lint` and `goldseam new` as commands, with a server that answers as it is told, and no cluster at all."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from aiohttp import web

from goldseam.__main__ import main
from goldseam.api.problems import read_spec
from goldseam.cli import asking, documents
from tests.support.web import serving

Json = dict[str, Any]
Goldseam = Callable[..., Awaitable["Ended"]]
POLICY = """\
apiVersion: goldseam.dev/v1alpha1
kind: RemediationPolicy
metadata: {name: api-errors, namespace: shop}
spec:
  alert:
    name: ApiErrors
    matchers:
    - severity="critical"
  target: {name: api}
  ladder:
  - restart: {}
    timeout: 20m
    verify:
      queries:
      - {expr: errors, below: "1"}
"""
FOREIGN = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec: !Ref {replicas: 2026-01-01}\n"


@dataclass
class Ended:
    """How the command ended, and what it had printed."""

    status: int
    out: str
    err: str


@dataclass
class Prometheus:
    """Its rules, and the values of its queries."""

    rules: list[Json] = field(default_factory=list)
    values: dict[str, list[str]] = field(default_factory=dict)
    status: int = 200
    warnings: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    tenants: set[str | None] = field(default_factory=set)
    headers: dict[str, str] = field(default_factory=dict)

    def rule(self, name: str, query: str, *alerts: Json, **labels: str) -> None:
        active = [
            {"labels": {"alertname": name} | labels | alert, "state": "firing", "activeAt": "2026-01-01T00:00:00Z"}
            for alert in alerts
        ]
        self.rules.append({"type": "alerting", "name": name, "query": query, "labels": labels, "alerts": active})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        self.tokens.add(request.headers.get("Authorization"))
        self.tenants.add(request.headers.get("X-Scope-OrgID"))
        self.headers = dict(request.headers)
        if self.status != 200:
            return web.Response(status=self.status)
        if request.path.endswith("/rules"):
            data: Json = {"groups": [{"name": "g", "file": "f", "interval": 15, "rules": self.rules}]}
            return web.json_response({"status": "success", "data": data, "warnings": self.warnings})
        expression = str((await request.post()).get("query") or request.query.get("query"))
        if expression not in self.values:
            return web.json_response({"status": "error", "errorType": "bad_data", "error": "parse error"}, status=400)
        result = [{"metric": {}, "value": [0, value]} for value in self.values[expression]]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})


@pytest.fixture
def goldseam(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Goldseam:
    """Run the command; `stdin` is what comes through the pipe."""
    monkeypatch.setenv("KUBECONFIG", "/dev/null/none")
    monkeypatch.setattr(asking, "PAUSE", 0.001)

    async def run(*arguments: str | Path, stdin: str = "") -> Ended:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        status = await asyncio.to_thread(main, [str(argument) for argument in arguments])
        return Ended(status, *capsys.readouterr())

    return run


@pytest.fixture
def live() -> Prometheus:
    """One with the rule that `POLICY` is about."""
    found = Prometheus(values={"errors": ["0"]})
    found.rule("ApiErrors", "sum by (namespace) (rate(e[5m])) > 1", severity="critical")
    return found


async def test_a_policy_that_fits_its_source_is_clean(goldseam: Goldseam, live: Prometheus, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    async with serving(live.handle) as url:
        ended = await goldseam("lint", tmp_path / "policy.yaml", "--source", url)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == f"1 object checked against {url}: nothing found\n"


async def test_what_is_found_is_said_with_file_line_object_field_and_what_to_write(
    goldseam: Goldseam, live: Prometheus, tmp_path: Path
) -> None:
    live.rules.clear()
    live.rule("ApiErrors", "sum by (namespace) (rate(e[1h])) > 1", severity="page")
    live.values["errors"] = []
    file = tmp_path / "policy.yaml"
    file.write_text(f"{FOREIGN}---\n{POLICY}")
    async with serving(live.handle) as url:
        ended = await goldseam("lint", file, "--source", url)
    assert ended.status == 1
    assert ended.out.splitlines() == [
        f"{file}:13: Error MatcherNeverMatches: RemediationPolicy shop/api-errors: spec.alert.matchers[0]:"
        ' no alert satisfies severity="critical": the rule sets severity="page"',
        '    write severity="page", or take the matcher out',
        f"{file}:17: Warning LooksBackTooFar: RemediationPolicy shop/api-errors: spec.ladder[0].timeout:"
        " the alert's rule looks back 1h30s (two of its intervals included), and the rung has 20m: the next rung may be"
        " tried though this one has helped",
        "    write timeout: 1h1m or more, or use a shorter range",
        f"{file}:20: Warning QueryWithoutData: RemediationPolicy shop/api-errors:"
        " spec.ladder[0].verify.queries[0].expr: query 'errors' has no data now: while that is so, it is Inconclusive,"
        " and the rung never passes",
        "    correct its names and labels, or append `or vector(0)`; a division by 0 is NaN",
        f"1 object checked against {url}: 1 error, 2 warnings",
    ]


async def test_warnings_alone_count_only_with_strict(goldseam: Goldseam, live: Prometheus) -> None:
    live.values["errors"] = []
    async with serving(live.handle) as url:
        assert (await goldseam("lint", "-", "--source", url, stdin=POLICY)).status == 0
        assert (await goldseam("lint", "-", "--source", url, "--strict", stdin=POLICY)).status == 1


async def test_the_json_has_its_documented_fields(goldseam: Goldseam, live: Prometheus) -> None:
    misspelt = POLICY.replace("ApiErrors", "ApiErors")
    async with serving(live.handle) as url:
        ended = await goldseam("lint", "-o", "json", "--source", url, stdin=misspelt)
    found = json.loads(ended.out)
    assert {key: found[key] for key in ("version", "source", "objects", "errors", "warnings", "notes")} == {
        "version": 1, "source": url, "objects": 1, "errors": 1, "warnings": 0, "notes": 0,
    }  # fmt: skip
    assert found["findings"] == [
        {
            "severity": "Error",
            "code": "AlertNotDefined",
            "file": "-",
            "line": 6,
            "object": "RemediationPolicy shop/api-errors",
            "field": "spec.alert.name",
            "message": f"{url} has no alerting rule named ApiErors: the policy never matches",
            "instead": "write ApiErrors, or load the rule",
        }
    ]


async def test_annotations_of_github_carry_file_and_line_and_nothing_breaks_out_of_them(
    goldseam: Goldseam, tmp_path: Path
) -> None:
    file = tmp_path / "a,b%.yaml"
    file.write_text(POLICY.replace("api-errors", '"x%0A::warning::y"').replace("20m", "60 minutes"))
    ended = await goldseam("lint", "-o", "github", file)
    (first, *_) = ended.out.splitlines()
    place = str(file).replace("%", "%25").replace(",", "%2C")
    assert first.startswith(f"::error file={place},line=12,title=goldseam InvalidSpec::RemediationPolicy shop/x%250A::")
    assert "spec.ladder[0].timeout: must be a duration such as 90s, 5m or 1h30m" in first
    piped = await goldseam("lint", "-o", "github", "-", stdin=POLICY.replace("20m", "1s"))
    assert piped.out.startswith("::error title=goldseam NeverPasses::RemediationPolicy shop/api-errors")
    assert piped.out.count("\n::") == 0


async def test_an_invalid_object_is_said_in_the_operators_own_words(goldseam: Goldseam, tmp_path: Path) -> None:
    broken = sorted((Path(__file__).parents[1] / "data" / "broken").glob("*.yaml"))
    for file in broken:
        obj = yaml.safe_load(file.read_text())
        with pytest.raises(ValueError, match=r".") as refused:
            read_spec(obj["kind"], obj)
        ended = await goldseam("lint", "-o", "json", file)
        found = json.loads(ended.out)["findings"]
        assert ended.status == 1, file
        said = [f"{one['field']}: {one['message']}" for one in found if one["code"] == "InvalidSpec"]
        assert [line for line in str(refused.value).splitlines() if line not in said] == [], file
    assert len(broken) > 100


async def test_the_examples_are_clean_but_for_what_needs_a_source(goldseam: Goldseam) -> None:
    root = Path(__file__).parents[2] / "deploy"
    for folder in ("examples", "demo/scenes"):
        ended = await goldseam("lint", root / folder, "--strict")
        assert ended.status == 0, ended.out
        assert ", without a source (--source URL): nothing found" in ended.out


async def test_kustomize_output_is_read_from_the_pipe_with_foreign_kinds_passed_over(goldseam: Goldseam) -> None:
    stream = "\n---\n".join((FOREIGN, POLICY, "", "kind: List\napiVersion: v1\nitems: []", "just text", "- a list"))
    ended = await goldseam("lint", stdin=stream)
    assert (ended.status, ended.out) == (0, "1 object checked, without a source (--source URL): nothing found\n")


async def test_a_list_of_objects_as_kubectl_gives_it_is_read(goldseam: Goldseam) -> None:
    items = [yaml.safe_load(POLICY), yaml.safe_load(POLICY.replace("restart: {}", "rebuild: {}"))]
    ended = await goldseam("lint", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    assert ended.status == 1
    assert "spec.ladder[0].rebuild: is an unknown field" in ended.out
    assert "2 objects checked" in ended.out


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: [1\nb: 2", 2, "is not YAML"),
        ("{{ if .Values.on }}\na: b", 2, "helm template ... | goldseam lint -"),
        (POLICY + "  mode: Act\n  mode: Observe\n", 17, "spec.mode: stands twice"),
        (POLICY.replace("v1alpha1", "v1"), 1, "apiVersion: must be goldseam.dev/v1alpha1, not goldseam.dev/v1"),
        (POLICY.replace("kind: RemediationPolicy", "kind: Remedy"), 2, "kind: Remedy is no kind of goldseam.dev"),
        (POLICY.replace("name: api-errors, ", ""), 3, "metadata.name is required"),
        (POLICY.replace("{name: api-errors, namespace: shop}", "[]"), 3, "metadata.name is required"),
        (POLICY.replace("20m", "!!binary YQ=="), 4, "spec: holds a value that JSON does not have"),
        ("apiVersion: goldseam.dev/v1alpha1\nkind: Pause\nspec: &a\n  b: *a\n", 1, "values, with what its aliases"),
        ("[" * 5_000, 2, "is not YAML"),
    ],
)  # fmt: skip
async def test_what_cannot_be_an_object_is_an_error_on_its_line(
    goldseam: Goldseam, text: str, line: int, says: str
) -> None:
    ended = await goldseam("lint", "-", stdin=text)
    assert ended.status == 1, ended.err
    assert ended.out.startswith(f"-:{line}: Error ")
    assert says in ended.out


async def test_aliases_that_stand_for_millions_of_values_are_refused_at_once(goldseam: Goldseam) -> None:
    lines = ["apiVersion: goldseam.dev/v1alpha1", "kind: Pause", "metadata: {name: a}", "a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    ended = await goldseam("lint", "-", stdin="\n".join([*lines, "spec: *a11"]))
    assert (ended.status, "values, with what its aliases stand for" in ended.out) == (1, True)


async def test_what_could_not_be_checked_ends_with_2_and_says_why(
    goldseam: Goldseam, live: Prometheus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        await goldseam("lint", tmp_path / "no.yaml")
    ).err == f"goldseam: {tmp_path}/no.yaml: no such file or directory\n"
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert "is not text in UTF-8" in (await goldseam("lint", tmp_path)).err
    nothing = await goldseam("lint", "-", stdin=FOREIGN)
    assert (nothing.status, nothing.err) == (2, "goldseam: no object of goldseam.dev in -\n")
    monkeypatch.setattr(documents, "LARGEST", 10)
    assert (await goldseam("lint", "-", stdin=POLICY)).err == "goldseam: -: has more than 10 characters\n"
    monkeypatch.undo()
    bad = await goldseam("lint", "-", "--source", "prometheus:9090", stdin=POLICY)
    assert (bad.status, "goldseam: --source: must be an http or https URL" in bad.err) == (2, True)
    lost = await goldseam("lint", "-", "--source-ca", "ca.crt", stdin=POLICY)
    assert (lost.status, "are for --source URL, which is missing" in lost.err) == (2, True)


async def test_a_source_that_does_not_answer_is_asked_again_and_is_never_taken_for_one_without_rules(
    goldseam: Goldseam, live: Prometheus, tmp_path: Path
) -> None:
    live.status = 401
    async with serving(live.handle) as url:
        refused = await goldseam("lint", "-", "--source", url, stdin=POLICY)
        assert (refused.status, refused.out) == (2, "")
        options = "are --source-token-file, --source-user-file and --source-tenant"
        assert refused.err == f"goldseam: {url}: HTTP 401: the server refuses us; {options} right?\n"
        assert live.asked == ["/api/v1/rules"] * 3
        live.status, live.warnings = 200, ["store eu-1 is down"]
        partial = await goldseam("lint", "-", "--source", url, stdin=POLICY)
        assert (partial.status, partial.err) == (2, f"goldseam: {url}: the answer is partial: store eu-1 is down\n")


async def test_the_token_is_shown_and_a_wrong_file_is_named(
    goldseam: Goldseam, live: Prometheus, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / "two").write_text("a\nb\n")
    async with serving(live.handle) as url:
        asked = ("lint", "-", "--source", url, "--source-token-file")
        assert (await goldseam(*asked, tmp_path / "token", stdin=POLICY)).status == 0
        assert live.tokens == {"Bearer s3cret"}
        ended = await goldseam(*asked, tmp_path / "two", stdin=POLICY)
        assert (ended.status, ended.err) == (2, f"goldseam: {tmp_path}/two: must be one line of text, the token\n")
        ended = await goldseam("lint", "-", "--source", url, "--source-ca", tmp_path / "two", stdin=POLICY)
        assert (ended.status, ended.err) == (2, "goldseam: --source-ca: the URL must begin with https://\n")
    ended = await goldseam("lint", "-", "--source", "https://p", "--source-ca", tmp_path / "two", stdin=POLICY)
    assert ended.err == f"goldseam: {tmp_path}/two: is no certificate authority as PEM\n"


async def test_basic_authentication_and_a_tenant_are_shown_and_what_is_wrong_with_them_is_said(
    goldseam: Goldseam, live: Prometheus, tmp_path: Path
) -> None:
    (tmp_path / "user").write_text("ci:s3cret\n")
    (tmp_path / "token").write_text("s3cret\n")
    async with serving(live.handle) as url:
        asked = ("lint", "-", "--source", url, "--source-user-file")
        assert (await goldseam(*asked, tmp_path / "user", "--source-tenant", "team-a", stdin=POLICY)).status == 0
        assert (live.tokens, live.tenants) == ({"Basic Y2k6czNjcmV0"}, {"team-a"})
        ended = await goldseam(*asked, tmp_path / "token", stdin=POLICY)
        assert ended.err == f"goldseam: {tmp_path}/token: must be one line of text, name:password\n"
        both = await goldseam(*asked, tmp_path / "user", "--source-token-file", tmp_path / "token", stdin=POLICY)
        assert "a server takes a token or a user, not both" in both.err
        wrong = await goldseam("lint", "-", "--source", url, "--source-tenant", "a b", stdin=POLICY)
        assert (wrong.status, wrong.err) == (
            2,
            "goldseam: --source-tenant: must be letters, digits and - ! _ . * ( ) |\n",
        )
        other = await goldseam("lint", "-", "--source", url, "--source-tenant", "THANOS-TENANT=b", stdin=POLICY)
        assert (other.status, live.headers["THANOS-TENANT"]) == (0, "b")


async def test_our_certificate_is_shown_to_a_server_that_asks_for_it(
    goldseam: Goldseam, live: Prometheus, tmp_path: Path
) -> None:
    authority, tls = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(tls)
    tls.verify_mode = ssl.CERT_REQUIRED
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    authority.issue_cert("ci@example.com").private_key_and_cert_chain_pem.write_to_path(tmp_path / "ours.pem")
    async with serving(live.handle, tls) as url:
        asked = ("lint", "-", "--source", url, "--source-ca", tmp_path / "ca.crt")
        assert (await goldseam(*asked, "--source-cert", tmp_path / "ours.pem", stdin=POLICY)).status == 0
        assert (await goldseam(*asked, stdin=POLICY)).status == 2
        wrong = await goldseam(*asked, "--source-cert", tmp_path / "ca.crt", stdin=POLICY)
        assert wrong.err == f"goldseam: {tmp_path}/ca.crt: has no certificate with its private key, as PEM\n"


BOOK = """\
apiVersion: goldseam.dev/v1alpha1
kind: Runbook
metadata: {name: default}
spec:
  contacts: [{name: lead}]
  levels: [{name: Primary, contact: lead}]
  thresholds:
  - name: half
    level: Primary
    when:
      query: {expr: share, above: "0.5"}
"""


async def test_the_query_of_a_runbooks_threshold_is_asked_and_named_where_it_decides_nothing(
    goldseam: Goldseam, live: Prometheus
) -> None:
    async with serving(live.handle) as url:
        live.values["share"] = ["0.2"]
        assert (await goldseam("lint", "-", "--source", url, stdin=BOOK)).status == 0
        live.values["share"] = []
        ended = await goldseam("lint", "-", "--source", url, "--strict", stdin=BOOK)
    assert ended.status == 1
    assert "-:11: Warning QueryWithoutData: Runbook default: spec.thresholds[0].when.query.expr" in ended.out
    assert "now: while that is so, it crosses nothing" in ended.out


async def test_the_matchers_of_an_alert_source_among_the_files_count(goldseam: Goldseam, live: Prometheus) -> None:
    live.rules[0]["labels"]["cluster"] = "dev"
    spec = {"url": "http://p:9090", "matchers": ['cluster="prod"']}
    source = {
        "apiVersion": "goldseam.dev/v1alpha1",
        "kind": "AlertSource",
        "metadata": {"name": "default"},
        "spec": spec,
    }
    async with serving(live.handle) as url:
        ended = await goldseam("lint", "--source", url, stdin=f"{json.dumps(source)}\n---\n{POLICY}")
    assert (ended.status, 'the rule sets cluster="dev"' in ended.out) == (1, True)


async def test_a_query_that_the_server_does_not_take_is_an_error(goldseam: Goldseam, live: Prometheus) -> None:
    live.values.clear()
    async with serving(live.handle) as url:
        ended = await goldseam("lint", "--source", url, stdin=POLICY)
    assert (ended.status, "the query cannot be evaluated: parse error" in ended.out) == (1, True)


async def test_the_variables_of_a_query_are_filled_in_before_it_is_asked(goldseam: Goldseam, live: Prometheus) -> None:
    live.values = {'up{ns="shop",pod=~"api-.*"}': ["0"]}
    asks = POLICY.replace("expr: errors", """expr: 'up{ns="${target.namespace}",pod=~"${target.name}-.*"}'""")
    async with serving(live.handle) as url:
        ended = await goldseam("lint", "--strict", "--source", url, stdin=asks)
    assert (ended.status, ended.out) == (0, f"1 object checked against {url}: nothing found\n")


async def test_queries_are_asked_elsewhere_where_the_server_has_only_the_rules(
    goldseam: Goldseam, live: Prometheus
) -> None:
    answers = Prometheus(values=live.values)
    live.values = {}
    async with serving(live.handle) as url, serving(answers.handle) as elsewhere:
        ended = await goldseam("lint", "--source", url, "--source-query-url", elsewhere, stdin=POLICY)
        wrong = await goldseam("lint", "--source", url, "--source-query-url", "vmselect", stdin=POLICY)
    assert (ended.status, answers.asked) == (0, ["/api/v1/query"])
    assert (wrong.status, "goldseam: --source-query-url: must" in wrong.err) == (2, True)


async def test_a_namespace_that_the_file_does_not_say_can_be_given(goldseam: Goldseam, live: Prometheus) -> None:
    live.rules.clear()
    live.rule("ApiErrors", "x > 1", severity="critical", namespace="bank")
    bare = POLICY.replace(", namespace: shop", "")
    async with serving(live.handle) as url:
        assert (await goldseam("lint", "--source", url, stdin=bare)).status == 0
        ended = await goldseam("lint", "--source", url, "-n", "shop", stdin=bare)
    assert (ended.status, "RemediationPolicy shop/api-errors: spec.alert: the policy sees only" in ended.out) == (
        1,
        True,
    )


DB, API = ({"namespace": "shop", "pod": pod} for pod in ("db-0", "api-6d5f-x2x"))
NEW = [
    ("sum by (namespace, deployment) (x) > 1", [{"namespace": "shop", "deployment": "api"}], {}, "Deployment", None),
    ("kube_x == 0", [{"namespace": "shop", "statefulset": "db"}], {"severity": "page"}, "StatefulSet", None),
    ("kube_x == 0", [DB, DB], {}, "StatefulSet", None),
    ("kube_x == 0", [API], {}, "Deployment", None),
    ("x > 1", [], {"namespace": "shop", "severity": "critical"}, "Deployment", "name-of-the-workload"),
    ("sum by (deployment) (x) > 1", [{"deployment": "api"}], {}, "Deployment", "api"),
    ("sum(x) > 1", [], {"severity": 'odd "one"\\'}, "Deployment", "name-of-the-workload"),
    ("kube_node_x == 0", [{"node": "n1"}], {"severity": "critical"}, "Node", None),
    ("x > 1", [], {}, "Deployment", "name-of-the-workload"),
    ("rate(x[2h]) > 1", [{"namespace": "shop", "daemonset": "agent"}], {}, "DaemonSet", None),
]  # fmt: skip


@pytest.mark.parametrize(("query", "alerts", "labels", "kind", "name"), NEW)
async def test_new_prints_a_policy_that_lint_takes(
    goldseam: Goldseam, query: str, alerts: list[Json], labels: dict[str, str], kind: str, name: str | None
) -> None:
    live = Prometheus()
    live.rule("ApiHTTPErrors", query, *alerts, **labels)
    async with serving(live.handle) as url:
        made = await goldseam("new", "--alert", "ApiHTTPErrors", "--source", url)
        assert (made.status, made.err) == (0, "")
        linted = await goldseam("lint", "--strict", "--source", url, stdin=made.out)
    assert linted.status == 0, linted.out
    obj = yaml.safe_load(made.out)
    assert (obj["metadata"]["name"], obj["spec"]["mode"]) == ("api-http-errors", "Observe")
    assert obj["spec"]["target"] == {"kind": kind} | ({"name": name} if name else {})
    first, last = obj["spec"]["ladder"]
    assert (set(first) - {"timeout"}, last) == ({"cordon" if kind == "Node" else "restart"}, {"escalate": {}})
    assert first["timeout"] == ("2h1m" if "2h" in query else "10m")
    severity = labels.get("severity")
    quoted = f"severity={json.dumps(severity)}"
    assert obj["spec"]["alert"].get("matchers") == ([quoted] if severity else None)
    assert max(len(line) for line in made.out.splitlines()) <= 160
    assert "TODO" not in made.out


async def test_new_takes_the_namespace_of_the_alerts_or_asks_for_it(goldseam: Goldseam) -> None:
    live = Prometheus()
    live.rule("A", "x > 1", {"namespace": "shop", "pod": "a-1"}, {"namespace": "bank", "pod": "a-1"})
    live.rule("B", "x > 1", {"namespace": "shop", "deployment": "api"})
    async with serving(live.handle) as url:
        asked = await goldseam("new", "--alert", "A", "--source", url)
        assert (asked.status, asked.out) == (1, "")
        assert asked.err == "goldseam: the alert is of the namespaces bank, shop: give --namespace\n"
        given = await goldseam("new", "--alert", "A", "--source", url, "--namespace", "bank")
        assert yaml.safe_load(given.out)["metadata"]["namespace"] == "bank"
        alone = await goldseam("new", "--alert", "B", "--source", url)
        assert yaml.safe_load(alone.out)["metadata"]["namespace"] == "shop"


async def test_new_says_why_it_writes_nothing(goldseam: Goldseam) -> None:
    live = Prometheus()
    live.rule("ApiErrors", "x > 1", namespace="shop")
    async with serving(live.handle) as url:
        absent = await goldseam("new", "--alert", "ApiError", "--source", url)
        assert (absent.status, absent.out) == (1, "")
        assert absent.err == f"goldseam: {url} has no alerting rule named ApiError: write ApiErrors, or load the rule\n"
        other = await goldseam("new", "--alert", "ApiErrors", "--source", url, "-n", "bank")
        assert (other.status, "sees only alerts of its own namespace bank" in other.err) == (1, True)
        live.status = 503
        assert (await goldseam("new", "--alert", "ApiErrors", "--source", url)).status == 2
