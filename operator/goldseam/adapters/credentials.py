"""How Goldseam shows an alert source who it is, and whom it trusts there: from Secrets in its own namespace.

They are read again after a while, and at once when they were refused, so that a rotation needs no restart.
"""

from __future__ import annotations

import base64
import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from goldseam.api.alertsource import AlertmanagerSpec, AlertSourceSpec
from goldseam.api.secret_refs import SecretKeyRef
from goldseam.errors import GoldseamError, NotFound, Unavailable
from goldseam.ports import Cluster, Json
from goldseam.resources import SECRETS

REMEMBERED = 30.0
"""Seconds after which Secrets are read again."""


@dataclass(frozen=True)
class Way:
    """How a request is made: what it carries, and whom it trusts."""

    headers: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    """None: the certificate authorities of the system, and no certificate of ours."""


PLAIN = Way()


def basic(pair: str) -> str:
    """`name:password` as the header `Authorization` has it (RFC 7617)."""
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


class Credentials:
    """Those of one source, or of its Alertmanagers."""

    def __init__(
        self,
        spec: AlertSourceSpec | AlertmanagerSpec,
        cluster: Cluster,
        namespace: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`namespace` is the operator's own."""
        self._spec, self._cluster, self._namespace, self._clock = spec, cluster, namespace, clock
        self._read_at = float("-inf")
        self._secrets: dict[str, Json] = {}
        self._way = Way(self._tenant())

    def refused(self) -> None:
        """They were not taken: read them again before the next request."""
        self._read_at = float("-inf")

    async def way(self) -> Way:
        """How to ask now.

        Raises:
            Unavailable: a Secret, or a key in it, is missing or of no use; the message says which.
        """
        if not self._names or self._clock() - self._read_at < REMEMBERED:
            return self._way
        secrets = {name: await self._secret(name) for name in self._names}
        if secrets != self._secrets:  # a TLS context of its own makes every connection new
            self._secrets, self._way = {}, PLAIN
            self._way = Way(self._tenant() | self._authorization(secrets), self._tls(secrets))
            self._secrets = secrets
        self._read_at = self._clock()
        return self._way

    @property
    def _names(self) -> list[str]:
        auth, ca = self._spec.auth, self._spec.ca_secret_ref
        refs = [auth.bearer, auth.basic, auth.mtls] if auth else []
        return sorted({ref.name for ref in [*refs, ca] if ref is not None})

    async def _secret(self, name: str) -> Json:
        try:
            return dict((await self._cluster.get(SECRETS, self._namespace, name)).get("data") or {})
        except NotFound as error:
            raise Unavailable(f"there is no Secret {name} in {self._namespace}") from error
        except GoldseamError as error:
            raise Unavailable(f"Secret {name} in {self._namespace} cannot be read: {error}") from error

    def _tenant(self) -> dict[str, str]:
        tenant = self._spec.tenant
        return {tenant.header: tenant.id} if tenant else {}

    def _authorization(self, secrets: Mapping[str, Json]) -> dict[str, str]:
        auth = self._spec.auth
        if auth is not None and auth.bearer is not None:
            return {"Authorization": f"Bearer {self._line(secrets, auth.bearer)}"}
        if auth is not None and auth.basic is not None:
            parts = [SecretKeyRef(name=auth.basic.name, key=key) for key in ("username", "password")]
            pair = ":".join(self._line(secrets, part) for part in parts)
            return {"Authorization": basic(pair)}
        return {}

    def _line(self, secrets: Mapping[str, Json], ref: SecretKeyRef) -> str:
        """One line that may stand in a header; a line break at the end is what editors leave."""
        text = self._text(secrets, ref).rstrip("\r\n")
        if not text.isprintable() or not text.strip():
            raise Unavailable(f"key {ref.key} of Secret {ref.name} in {self._namespace} must be one line of text")
        return text

    def _text(self, secrets: Mapping[str, Json], ref: SecretKeyRef) -> str:
        value = secrets[ref.name].get(ref.key)
        if value is None:
            raise Unavailable(f"Secret {ref.name} in {self._namespace} has no key {ref.key}")
        try:
            return base64.b64decode(value, validate=True).decode()
        except ValueError as error:
            raise Unavailable(f"key {ref.key} of Secret {ref.name} in {self._namespace} is not text") from error

    def _tls(self, secrets: Mapping[str, Json]) -> ssl.SSLContext | None:
        auth, ca = self._spec.auth, self._spec.ca_secret_ref
        pair = auth.mtls if auth else None
        if ca is None and pair is None:
            return None
        context = self._trusting(self._text(secrets, ca), ca) if ca else ssl.create_default_context()
        if pair is not None:
            texts = [self._text(secrets, SecretKeyRef(name=pair.name, key=key)) for key in ("tls.crt", "tls.key")]
            try:
                with _readable("\n".join(texts)) as path:
                    context.load_cert_chain(path)
            except (ssl.SSLError, ValueError, OSError) as error:
                where = f"Secret {pair.name} in {self._namespace}"
                raise Unavailable(f"{where} has no usable certificate with its key in tls.crt and tls.key") from error
        return context

    def _trusting(self, authorities: str, ref: SecretKeyRef) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cadata=authorities)
        except (ssl.SSLError, ValueError) as error:
            where = f"key {ref.key} of Secret {ref.name} in {self._namespace}"
            raise Unavailable(f"{where} is no certificate authority as PEM") from error


@contextmanager
def _readable(text: str) -> Iterator[str]:
    """A path by which OpenSSL reads the text: in memory, for a key shall not lie on a disk."""
    file = os.memfd_create("goldseam")
    try:
        os.write(file, text.encode())
        yield f"/proc/self/fd/{file}"
    finally:
        os.close(file)
