"""Keys, certificates and kubeconfigs of one control plane: EC P-256, valid for 30 days, below its directory only."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

VALID = timedelta(days=30)
SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
SERVER_ADDRESSES = ("127.0.0.1", "10.96.0.1")
MASTERS = "system:masters"
USERS = {
    "admin": ("local-admin", MASTERS),
    "kcm": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "kwok": ("kwok-controller", MASTERS),
}
"""Who speaks to the API server, each under a name of its own, so that the audit log tells them apart."""


@dataclass(frozen=True)
class Authority:
    """A certificate authority."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def make(home: Path, server: str) -> None:
    """Make everything in `home`, unless it is there already; kubeconfigs always, for the port may be another one."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (home / "ca.crt").exists():
        _certificates(home)
    for user in USERS:
        _kubeconfig(home, user, server)


def person(home: Path, name: str, server: str, group: str = "") -> Path:
    """A certificate and a kubeconfig for a user of that name, signed by the control plane's authority.

    Returns:
        The kubeconfig.
    """
    key = serialization.load_pem_private_key((home / "ca.key").read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey), "the authority's keys are EC"
    authority = Authority(key, x509.load_pem_x509_certificate((home / "ca.crt").read_bytes()))
    file = "person-" + name.replace("@", "-at-").replace(":", "-")
    _issue(home, file, name, group, authority, ExtendedKeyUsageOID.CLIENT_AUTH)
    _kubeconfig(home, file, server)
    return home / f"{file}.kubeconfig"


def _certificates(home: Path) -> None:
    authority = _authority(home, "ca", "local-ca")
    # an authority of its own: whoever could sign with the client CA could pretend to be the front proxy
    front = _authority(home, "front-proxy-ca", "local-front-proxy-ca")
    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    _issue(home, "apiserver", "kube-apiserver", "", authority, server, SERVER_NAMES)
    _issue(home, "kubelet-server", "kwok", "", authority, server, SERVER_NAMES)
    _issue(home, "front-proxy-client", "front-proxy-client", "", front, client)
    _issue(home, "apiserver-kubelet-client", "kube-apiserver-kubelet-client", MASTERS, authority, client)
    for user, (name, group) in USERS.items():
        _issue(home, user, name, group, authority, client)
    signing = rsa.generate_private_key(65537, 2048)
    _write(home / "sa.key", _pem(signing))
    public = signing.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _write(home / "sa.pub", public)


def _authority(home: Path, name: str, common_name: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(common_name, "")
    builder = _builder(subject, subject, key).add_extension(x509.BasicConstraints(True, None), critical=True)
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    certificate = builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())
    _write(home / f"{name}.key", _pem(key))
    _write(home / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(key, certificate)


def _issue(
    home: Path,
    name: str,
    common_name: str,
    group: str,
    by: Authority,
    usage: ObjectIdentifier,
    names: Sequence[str] = (),
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(common_name, group), by.certificate.subject, key)
    builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if names:
        known: list[x509.GeneralName] = [x509.DNSName(known_name) for known_name in names]
        known += [x509.IPAddress(ip_address(address)) for address in SERVER_ADDRESSES]
        builder = builder.add_extension(x509.SubjectAlternativeName(known), critical=False)
    certificate = builder.sign(by.key, hashes.SHA256())
    _write(home / f"{name}.key", _pem(key))
    _write(home / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.fromtimestamp(time.time(), UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    # a day ago: tests run an operator whose clock is slow
    return builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + VALID)


def _name(common_name: str, group: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)


def _kubeconfig(home: Path, user: str, server: str) -> None:
    """JSON is YAML."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": {"server": server, "certificate-authority": str(home / "ca.crt")}}],
        "users": [
            {
                "name": user,
                "user": {"client-certificate": str(home / f"{user}.crt"), "client-key": str(home / f"{user}.key")},
            }
        ],
        "contexts": [{"name": "goldseam-local", "context": {"cluster": "local", "user": user}}],
        "current-context": "goldseam-local",
    }
    _write(home / f"{user}.kubeconfig", json.dumps(config, indent=1).encode())


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
