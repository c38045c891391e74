"""How an alert source is shown who we are, and whom we trust there: from Secrets, which are replaced under way."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme
from aiohttp import web

from goldseam.adapters.credentials import REMEMBERED, Credentials
from goldseam.adapters.prometheus import PrometheusServer
from goldseam.adapters.promql import PromqlMetrics
from goldseam.api.alertsource import AlertSourceSpec
from goldseam.errors import Unavailable
from tests.support.harness import VirtualClock
from tests.support.toycluster import ToyCluster
from tests.support.web import serving

HOME = "goldseam-system"
RULES = {"status": "success", "data": {"groups": []}}
SAMPLE = {"status": "success", "data": {"resultType": "scalar", "result": [1, "7"]}}


class Server:
    """Prometheus as far as it matters here: who asked, and with what."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.takes = ""
        """The only Authorization that it takes; empty: any."""

    async def handle(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        if self.takes and request.headers.get("Authorization") != self.takes:
            return web.Response(status=401)
        return web.json_response(SAMPLE if request.path.endswith("/query") else RULES)

    @property
    def last(self) -> dict[str, str]:
        return self.headers[-1]


class Stage:
    """A cluster with Secrets, a clock, and a server that can be asked in both ways."""

    def __init__(self, url: str, server: Server) -> None:
        self.url, self.server = url, server
        self.clock = VirtualClock()
        self.cluster = ToyCluster(now=lambda: "2026-11-24T12:00:00Z")

    def secret(self, name: str, **data: str | bytes) -> None:
        """Make or replace a Secret; `_` in a key stands for a dot."""
        encoded = {
            key.replace("_", "."): base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()
            for key, value in data.items()
        }
        if ("secrets", HOME, name) in self.cluster.objects:
            self.cluster.remove("secrets", HOME, name)
        self.cluster.add("secrets", {"metadata": {"name": name, "namespace": HOME}, "data": encoded})

    def source(self, **spec: Any) -> tuple[PrometheusServer, PromqlMetrics]:
        """What reads a source of this spec."""
        made = AlertSourceSpec.model_validate({"url": self.url, **spec})
        credentials = Credentials(made, self.cluster, HOME, self.clock.monotonic)
        return PrometheusServer(made.url, credentials, timeout=5), PromqlMetrics(made.url, credentials, timeout=5)


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def plain(server: Server) -> AsyncIterator[Stage]:
    async with serving(server.handle) as url:
        yield Stage(url, server)


async def asked(stage: Stage, **spec: Any) -> list[dict[str, str]]:
    """The headers with which both kinds of questions came."""
    rules, promql = stage.source(**spec)
    await rules.rules()
    assert (await promql.query("1")).values == (7.0,)
    return stage.server.headers[-2:]


async def test_a_bearer_token_is_sent_with_every_question(plain: Stage) -> None:
    plain.secret("prom", token="s3cret\n")
    both = await asked(plain, auth={"bearer": {"name": "prom", "key": "token"}})
    assert [one["Authorization"] for one in both] == ["Bearer s3cret"] * 2


async def test_user_and_password_are_sent_with_every_question(plain: Stage) -> None:
    plain.secret("prom", username="jane", password="pässword")
    both = await asked(plain, auth={"basic": {"name": "prom"}})
    sent = "Basic " + base64.b64encode("jane:pässword".encode()).decode()
    assert [one["Authorization"] for one in both] == [sent] * 2


async def test_the_tenant_is_named_in_its_header(plain: Stage) -> None:
    both = await asked(plain, tenant={"id": "team-a"})
    assert [one["X-Scope-OrgID"] for one in both] == ["team-a"] * 2
    both = await asked(plain, tenant={"id": "team-a|team-b", "header": "THANOS-TENANT"})
    assert [one["THANOS-TENANT"] for one in both] == ["team-a|team-b"] * 2


async def test_without_auth_no_secret_is_read(plain: Stage) -> None:
    plain.cluster.unreadable = {"secrets"}
    both = await asked(plain)
    assert ["Authorization" in one for one in both] == [False, False]


async def test_a_token_that_was_replaced_is_used_after_a_while_and_at_once_where_the_old_one_is_refused(
    plain: Stage,
) -> None:
    plain.secret("prom", token="old")
    rules, promql = plain.source(auth={"bearer": {"name": "prom", "key": "token"}})
    await rules.rules()
    plain.secret("prom", token="new")
    await rules.rules()
    assert plain.server.last["Authorization"] == "Bearer old", "Secrets are not read before each question"
    plain.clock.advance(REMEMBERED)
    await promql.query("1")
    assert plain.server.last["Authorization"] == "Bearer new"
    plain.secret("prom", token="newest")
    plain.server.takes = "Bearer newest"
    with pytest.raises(Unavailable, match="HTTP 401: the server refuses us"):
        await rules.rules()
    await rules.rules()
    assert plain.server.last["Authorization"] == "Bearer newest"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (None, "there is no Secret prom in goldseam-system"),
        ({"other": "x"}, "Secret prom in goldseam-system has no key token"),
        ({"token": ""}, "key token of Secret prom in goldseam-system must be one line of text"),
        ({"token": " \n"}, "key token of Secret prom in goldseam-system must be one line of text"),
        ({"token": "a\nHost: evil"}, "key token of Secret prom in goldseam-system must be one line of text"),
        ({"token": b"\xff\xfe"}, "key token of Secret prom in goldseam-system is not text"),
    ],
)
async def test_a_secret_of_no_use_is_named_and_nothing_is_asked_without_it(
    plain: Stage, data: dict[str, Any] | None, problem: str
) -> None:
    if data is not None:
        plain.secret("prom", **data)
    rules, promql = plain.source(auth={"bearer": {"name": "prom", "key": "token"}})
    for question in (rules.rules(), promql.query("1")):
        with pytest.raises(Unavailable) as caught:
            await question
        assert str(caught.value) == problem
        assert "evil" not in str(caught.value)
    assert plain.server.headers == []


async def test_secrets_that_cannot_be_read_now_leave_what_was_read_in_use_for_a_while(plain: Stage) -> None:
    plain.secret("prom", token="t")
    rules, _ = plain.source(auth={"bearer": {"name": "prom", "key": "token"}})
    await rules.rules()
    plain.cluster.unreadable = {"secrets"}
    await rules.rules()
    plain.clock.advance(REMEMBERED)
    with pytest.raises(Unavailable, match="Secret prom in goldseam-system cannot be read"):
        await rules.rules()


class Secured:
    """A server whose certificate comes from an authority of its own, and that asks for ours."""

    def __init__(self, server: Server) -> None:
        self.authority = trustme.CA()
        self.ours = self.authority.issue_cert("goldseam@example.com")
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert("127.0.0.1").configure_cert(tls)
        self.authority.configure_trust(tls)
        self.tls, self.server = tls, server

    @property
    def pem(self) -> bytes:
        return self.authority.cert_pem.bytes()


@pytest.fixture
async def secured(server: Server) -> AsyncIterator[tuple[Stage, Secured]]:
    made = Secured(server)
    async with serving(server.handle, made.tls) as url:
        yield Stage(url, server), made


CA = {"name": "ca", "key": "ca.crt"}


async def test_a_private_authority_is_trusted_and_no_other(secured: tuple[Stage, Secured]) -> None:
    stage, made = secured
    stage.secret("ca", ca_crt=made.pem)
    assert len(await asked(stage, caSecretRef=CA)) == 2
    stage.secret("ca", ca_crt=trustme.CA().cert_pem.bytes())
    for question in (stage.source(caSecretRef=CA)[0].rules(), stage.source(caSecretRef=CA)[1].query("1")):
        with pytest.raises(Unavailable, match="the certificate is not trusted"):
            await question
    for question in (stage.source()[0].rules(), stage.source()[1].query("1")):
        with pytest.raises(Unavailable, match="the certificate is not trusted"):
            await question


async def test_a_certificate_of_another_name_is_refused_and_said_to_be_so(server: Server) -> None:
    authority, tls = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("prometheus.example.com").configure_cert(tls)
    async with serving(server.handle, tls) as url:
        stage = Stage(url, server)
        stage.secret("ca", ca_crt=authority.cert_pem.bytes())
        for question in (stage.source(caSecretRef=CA)[0].rules(), stage.source(caSecretRef=CA)[1].query("1")):
            with pytest.raises(Unavailable, match=r"the certificate is not trusted: .*certificate is not valid for"):
                await question


async def test_our_certificate_is_shown_to_a_server_that_asks_for_it(secured: tuple[Stage, Secured]) -> None:
    stage, made = secured
    made.tls.verify_mode = ssl.CERT_REQUIRED
    stage.secret("ca", ca_crt=made.pem)
    stage.secret(
        "ours",
        tls_crt=b"".join(blob.bytes() for blob in made.ours.cert_chain_pems),
        tls_key=made.ours.private_key_pem.bytes(),
    )
    assert len(await asked(stage, caSecretRef=CA, auth={"mtls": {"name": "ours"}})) == 2
    for question in (stage.source(caSecretRef=CA)[0].rules(), stage.source(caSecretRef=CA)[1].query("1")):
        with pytest.raises(Unavailable):
            await question


async def test_certificates_of_no_use_are_named(secured: tuple[Stage, Secured]) -> None:
    stage, made = secured
    stage.secret("ca", ca_crt="no certificate")
    stage.secret("ours", tls_crt=made.pem, tls_key="no key")
    with pytest.raises(Unavailable, match=r"key ca\.crt of Secret ca in goldseam-system is no certificate authority"):
        await stage.source(caSecretRef=CA)[0].rules()
    with pytest.raises(Unavailable, match=r"Secret ours in goldseam-system has no usable certificate"):
        await stage.source(auth={"mtls": {"name": "ours"}})[0].rules()
