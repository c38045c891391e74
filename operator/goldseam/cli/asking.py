"""An alert source as the command line asks it: by its URL, with credentials from files."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import ValidationError

from goldseam.adapters.credential_files import FileCredentials, Files
from goldseam.adapters.prometheus import PrometheusServer
from goldseam.adapters.promql import PromqlMetrics
from goldseam.api.alertsource import AlertSourceSpec
from goldseam.api.problems import problems
from goldseam.engine.alerts import AlertRule
from goldseam.engine.lint.findings import Asked
from goldseam.errors import Invalid, Unavailable
from goldseam.ports import AlertServer, Metrics

T = TypeVar("T")
TIMEOUT = 30.0
"""Seconds for one answer."""
ATTEMPTS, PAUSE = 3, 1.0
"""How often is asked, and the seconds between."""


@dataclass(frozen=True)
class Where:
    """What people say of the source."""

    url: str
    files: Files = field(default_factory=Files)
    tenant: str | None = None
    """Of a server with tenants: shown as `X-Scope-OrgID`, or as `HEADER=ID` says."""
    query_url: str | None = None
    """Where PromQL is answered, where `url` has only the rules."""


class AskedSource:
    """One source."""

    def __init__(
        self, url: str, server: AlertServer, promql: Metrics, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self.url = url
        self._server, self._promql, self._sleep = server, promql, sleep

    async def rules(self) -> tuple[AlertRule, ...]:
        """All its alerting rules.

        Raises:
            Unavailable: no answer, or not all of it: nothing can be said of what is missing.
        """
        answer = await self._tried(self._server.rules)
        if answer.warnings:
            raise Unavailable(f"{self.url}: the answer is partial: {answer.warnings[0]}")
        return answer.rules

    async def answers(self, expressions: Iterable[str]) -> Mapping[str, Asked]:
        """What it says to these queries."""
        wanted = list(expressions)
        found = await asyncio.gather(*(self._answer(expression) for expression in wanted))
        return dict(zip(wanted, found, strict=True))

    async def _answer(self, expression: str) -> Asked:
        try:
            return Asked(await self._promql.query(expression))
        except Invalid as error:
            return Asked(refusal=str(error))
        except Unavailable as error:
            return Asked(failure=str(error))

    async def _tried(self, ask: Callable[[], Awaitable[T]]) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await ask()
            except Unavailable as error:
                if attempt == ATTEMPTS:
                    raise Unavailable(f"{self.url}: {_for_a_person(str(error))}") from error
                await self._sleep(PAUSE * attempt)
        raise AssertionError("unreachable")


def _for_a_person(said: str) -> str:
    """An admin's words are about fields of an AlertSource."""
    return said.replace(
        "are spec.auth and spec.tenant right", "are --source-token-file, --source-user-file and --source-tenant right"
    ).replace("spec.url", "--source")


def source(where: Where, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> AskedSource:
    """The source at that URL.

    Raises:
        Invalid: what people said of it cannot be right.
    """
    url = _url("--source", where.url)
    query_url = _url("--source-query-url", where.query_url) if where.query_url else url
    for option, file in (("--source-ca", where.files.authority), ("--source-cert", where.files.certificate)):
        if file and not url.startswith("https://"):
            raise Invalid(f"{option}: the URL must begin with https://")
    credentials = FileCredentials(where.files, _tenant(where.tenant))
    server = PrometheusServer(url, credentials, timeout=TIMEOUT)
    return AskedSource(url, server, PromqlMetrics(query_url, credentials, timeout=TIMEOUT), sleep)


def _tenant(said: str | None) -> dict[str, str]:
    if said is None:
        return {}
    header, equals, number = said.rpartition("=")
    fields = {"id": number, **({"header": header} if equals else {})}
    try:
        tenant = AlertSourceSpec.model_validate({"url": "http://any", "tenant": fields}).tenant
    except ValidationError as error:
        raise Invalid(f"--source-tenant: {problems(error).partition(': ')[2]}") from None
    assert tenant is not None
    return {tenant.header: tenant.id}


def _url(option: str, url: str) -> str:
    try:
        return AlertSourceSpec.model_validate({"url": url}).url
    except ValidationError as error:
        raise Invalid(f"{option}: {problems(error).partition(': ')[2]}") from None
