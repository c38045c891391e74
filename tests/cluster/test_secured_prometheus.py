"""A real Prometheus that asks who we are: TLS of a private authority, a client certificate, user and password."""

from __future__ import annotations

import base64
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.objects_on_cluster import alert_source, deployment, policy, running, source_says, status
from tests.support.operator_process import NAMESPACE, OperatorProcess
from tests.support.plane import Plane, eventually
from tests.support.prometheus import another_prometheus

PASSWORD = "test"
BCRYPT = "$2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay"  # gitleaks:allow - "test" (prometheus docs)
SECRET = "secured-prometheus"
CA = {"name": SECRET, "key": "ca.crt"}


@dataclass(frozen=True)
class Secured:
    """The running server."""

    url: str
    authority: trustme.CA

    def secret(self, name: str, **data: str | bytes) -> dict[str, Any]:
        encoded = {
            key.replace("_", "."): base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()
            for key, value in data.items()
        }
        meta = {"name": name, "namespace": NAMESPACE}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": encoded}


@pytest.fixture
def secured(installed: Plane, namespace: str, tmp_path: Path) -> Iterator[Secured]:
    """A Prometheus of its own, with one rule that always fires for this test's Deployment."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = {
        "cert_file": str(tmp_path / "server.pem"),
        "key_file": str(tmp_path / "server.pem"),
        "client_ca_file": str(tmp_path / "ca.pem"),
        "client_auth_type": "VerifyClientCertIfGiven",
    }
    web = {"tls_server_config": tls, "basic_auth_users": {"jane": BCRYPT}}
    rule = {"alert": "Secured", "expr": "vector(1)", "labels": {"namespace": namespace, "deployment": "worker"}}
    with another_prometheus(installed, tmp_path / "prometheus", rule, web=web) as (port, _):
        url = f"https://127.0.0.1:{port}"
        eventually(lambda: refuses(url, tmp_path / "ca.pem"), "Prometheus to ask who we are")
        yield Secured(url, authority)
    installed.must("-n", NAMESPACE, "delete", "secret", SECRET, "--ignore-not-found")


def refuses(url: str, authority: Path) -> bool:
    """Whether it is there, and lets nobody in."""
    try:
        urllib.request.urlopen(
            url + "/-/ready", timeout=2, context=ssl.create_default_context(cafile=authority)
        ).close()
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False
    raise AssertionError("it lets anybody in")


def said(plane: Plane, what: str) -> Callable[[], bool]:
    return lambda: what in source_says(plane, "SourceReachable")[1]


def test_a_source_that_asks_who_we_are_is_read_once_its_secret_is_right(
    installed: Plane, namespace: str, secured: Secured, operator: OperatorProcess
) -> None:
    source = alert_source(secured.url, interval="1s", auth={"basic": {"name": SECRET}}, caSecretRef=CA)
    installed.apply(source, deployment(namespace, "worker"))
    eventually(said(installed, f"there is no Secret {SECRET} in {NAMESPACE}"), "the missing Secret to be said")
    known = {"username": "jane", "ca_crt": secured.authority.cert_pem.bytes()}
    installed.apply(secured.secret(SECRET, **known))
    eventually(said(installed, f"Secret {SECRET} in {NAMESPACE} has no key password"), "the missing key to be said")
    installed.apply(secured.secret(SECRET, **known, password="wrong"))
    eventually(said(installed, "HTTP 401: the server refuses us"), "the refusal to be said")
    installed.apply(secured.secret(SECRET, **known, password=PASSWORD))
    eventually(
        lambda: source_says(installed, "SourceReachable")[0] == "True", "the source to be read, without a restart", 60
    )
    installed.apply(policy(namespace, {"restart": {}}, alert={"name": "Secured"}))
    running(installed, namespace, "worker", 3)
    eventually(lambda: status(installed, namespace).get("steps"), "the alert to be acted on", 60)


def test_our_certificate_is_shown_to_a_real_server_and_one_of_another_authority_is_refused(
    installed: Plane, namespace: str, secured: Secured, operator: OperatorProcess
) -> None:
    def secret(authority: trustme.CA) -> dict[str, Any]:
        ours = authority.issue_cert("goldseam@example.com")
        chain = b"".join(blob.bytes() for blob in ours.cert_chain_pems)
        pem = secured.authority.cert_pem.bytes()
        return secured.secret(SECRET, ca_crt=pem, tls_crt=chain, tls_key=ours.private_key_pem.bytes())

    source = alert_source(secured.url, interval="1s", auth={"mtls": {"name": SECRET}}, caSecretRef=CA)
    installed.apply(secret(trustme.CA()), source)
    eventually(said(installed, "cannot connect"), "the certificate of another authority to be refused")
    installed.apply(secret(secured.authority))
    # the certificate is taken, and what this server asks for besides is told
    eventually(said(installed, "HTTP 401: the server refuses us"), "the certificate to be taken", 60)
