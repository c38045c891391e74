"""AlertSource: where alert state is read."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from goldseam.api.base import AnyDuration, Matcher, Model, Rule, Switch, unique
from goldseam.api.constraints import Between, Pattern
from goldseam.api.policy import NamespaceSelector
from goldseam.api.secret_refs import SecretKeyRef, SecretRef

Url = Annotated[
    str,
    Field(min_length=8, max_length=512),
    Pattern(
        r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        "must be an http or https URL without user, query and fragment, such as http://prometheus.monitoring:9090",
    ),
]
"""An http or https URL without user, query or fragment."""


class Auth(Model):
    """How Goldseam shows who it is: exactly one way. The Secrets lie in the operator's own namespace and are read again
    when they change."""

    bearer: SecretKeyRef | None = None
    """The token of `Authorization: Bearer`."""
    basic: SecretRef | None = None
    """A Secret with the keys `username` and `password` (type `kubernetes.io/basic-auth`)."""
    mtls: SecretRef | None = None
    """A Secret with the keys `tls.crt` and `tls.key` (type `kubernetes.io/tls`): the client's certificate."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "[has(self.bearer), has(self.basic), has(self.mtls)].filter(set, set).size() == 1",
            "name exactly one of bearer, basic and mtls",
            lambda auth: [auth.bearer, auth.basic, auth.mtls].count(None) == 2,
        ),
    )


class Tenant(Model):
    """Whose data a server of many tenants shall show."""

    id: Annotated[
        str,
        Field(min_length=1, max_length=150),
        Pattern(r"^[-!_.*()|a-zA-Z0-9]+$", "must be letters, digits and - ! _ . * ( ) |"),
    ]
    """The tenant, such as `team-a`; several with `|` between, where the server allows that."""
    header: Annotated[
        str, Field(min_length=1, max_length=63), Pattern(r"^[A-Za-z0-9][-A-Za-z0-9]*$", "must be the name of a header")
    ] = "X-Scope-OrgID"
    """The header that carries it. Default: `X-Scope-OrgID` (Mimir, Cortex, Loki); Thanos has `THANOS-TENANT`."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.header) && self.header.lowerAscii() in ['authorization', 'host', 'cookie'])",
            "header: must not be Authorization, Host or Cookie; credentials stand in auth",
            lambda tenant: tenant.header.lower() not in ("authorization", "host", "cookie"),
        ),
    )


class Heartbeat(Model):
    """An alert that fires for as long as all is well, such as `Watchdog` of kube-prometheus."""

    alert: Annotated[str, Field(min_length=1, max_length=256)]
    """Its name."""


class AllowedNamespaces(Model):
    """The namespaces whose policies may use the source."""

    selector: NamespaceSelector
    """The namespaces, by their labels."""


class AlertmanagerSpec(Model):
    """The Alertmanagers to which the source's alerts go. They say whether people have silenced an alert, keep people
    from being called while it is healed, and call them when it is not."""

    urls: Annotated[list[Url], Field(min_length=1, max_length=8)]
    """Where each one's API begins, without `/api/v2`, such as `http://alertmanager.monitoring:9093`: each pod of a
    cluster of them, or one Service for all."""
    matchers: Annotated[list[Matcher], Field(max_length=16)] = []
    """What the alerts of THIS cluster carry there, such as `cluster="prod-1"`: Prometheus' external labels.
    Needed where several clusters share an Alertmanager. Default: every alert of the same labels counts."""
    auth: Auth | None = None
    """How Goldseam shows who it is. Default: not at all."""
    ca_secret_ref: SecretKeyRef | None = None
    """The certificate authority, as PEM, of the servers' certificates. Default: those of the system."""
    tenant: Tenant | None = None
    """Whose Alertmanager it is, where the server has many tenants."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.urls.all(url, self.urls.exists_one(u, u == url))",
            "urls: must name each server once",
            lambda spec: unique(spec.urls),
        ),
        Rule(
            "self.urls.all(url, url.startsWith('https://'))"
            " || !(has(self.caSecretRef) || (has(self.auth) && has(self.auth.mtls)))",
            "urls: must begin with https:// where caSecretRef or auth.mtls is given",
            lambda spec: (
                all(url.startswith("https://") for url in spec.urls)
                or not (spec.ca_secret_ref or (spec.auth is not None and spec.auth.mtls))
            ),
        ),
    )


class AlertSourceSpec(Model):
    """A Prometheus-compatible server whose rules API says which alerts fire."""

    url: Url
    """Where the server's API begins, without `/api/v1`, such as `http://prometheus.monitoring:9090`."""
    replicas: Annotated[list[Url], Field(max_length=7)] = []
    """The other servers of an HA pair, which evaluate the same rules. An alert fires if any of them shows it; it is
    over only when all have answered and none shows it. Default: there are no others."""
    query_url: Url | None = None
    """Where PromQL is answered, where the servers above only have the rules: for vmalert name vmselect here, for Thanos
    Ruler Thanos Query. Asked for `verify.queries`, and before an alert that is gone counts as over. Default: `url` and
    `replicas` answer it."""
    matchers: Annotated[list[Matcher], Field(max_length=16)] = []
    """What an alert must carry to be about THIS cluster, such as `cluster="prod-1"`. Needed where one server holds the
    alerts of several clusters. Default: every alert counts."""
    auth: Auth | None = None
    """How Goldseam shows who it is. Default: not at all."""
    ca_secret_ref: SecretKeyRef | None = None
    """The certificate authority, as PEM, that the server's certificate must come from. Default: those of the system."""
    tenant: Tenant | None = None
    """Whose data is read, where the server has many tenants."""
    allowed_namespaces: AllowedNamespaces | None = None
    """The namespaces whose RemediationPolicies may use the source. One of another namespace opens nothing, its open
    incidents hold, and its condition `Ready` says so. ClusterRemediationPolicies may always. Default: all."""
    tenant_queries: Literal["Allowed", "Refused"] = "Allowed"
    """Whether RemediationPolicies may ask the source PromQL of their own (`verify.queries`), which reads the metrics of
    every namespace. `Refused`: one that does so opens nothing, its open incidents hold, and its condition `Ready` says
    so. ClusterRemediationPolicies may always. Default: Allowed."""
    heartbeat: Heartbeat | None = None
    """While this alert does not fire freshly, nothing that the source says is believed: no alert is over, and none is
    acted on. Default: no heartbeat is asked for."""
    alertmanager: AlertmanagerSpec | None = None
    """The Alertmanagers to which the alerts go. Default: none is asked, nobody is kept from being called."""
    on_alertmanager_down: Literal["Hold", "Proceed"] = "Hold"
    """What happens while no Alertmanager can say whether people have silenced the alert. `Hold` (default): nothing is
    done. `Proceed`: workloads are acted on all the same, nodes never."""
    page_gate: Switch = "Enabled"
    """`Enabled` (default): while an alert is healed in mode Act, a silence of two minutes on exactly that alert is kept
    in Alertmanager, so that nobody is called for what heals. `Disabled`: people are called as ever."""
    interval: Annotated[AnyDuration, Between("1s", "5m")] = timedelta(seconds=15)
    """How often the rules are read, from 1s to 5m. Default: 15s."""
    timeout: Annotated[AnyDuration, Between("1s", "1m")] = timedelta(seconds=10)
    """How long one read may take, from 1s to 1m. Default: 10s."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.replicas) || self.replicas.all(url, url != self.url && self.replicas.exists_one(r, r == url))",
            "replicas: must name each server once, and not the one in url",
            lambda spec: unique([spec.url, *spec.replicas]),
        ),
        Rule(
            "self.url.startsWith('https://') || !(has(self.caSecretRef) || (has(self.auth) && has(self.auth.mtls)))",
            "url: must begin with https:// where caSecretRef or auth.mtls is given",
            lambda spec: (
                spec.url.startswith("https://")
                or not (spec.ca_secret_ref or (spec.auth is not None and spec.auth.mtls))
            ),
        ),
    )
