"""The servers of an HA pair as one: each evaluates the same rules by itself, and each may be away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from goldseam.engine.alerts import ActiveAlert, RulesAnswer, Samples
from goldseam.errors import GoldseamError, Unavailable
from goldseam.ports import AlertServer, Metrics


class AlertServers:
    """The port `AlertServer` on all of them: what each shows, and which did not answer."""

    def __init__(self, servers: Sequence[tuple[str, AlertServer]]) -> None:
        """Each with its URL, for people."""
        self._servers = tuple(servers)

    async def rules(self, names: frozenset[str] | None = None) -> RulesAnswer:
        """The rules of all that answer.

        Raises:
            Unavailable: none answers.
        """
        answers = await asyncio.gather(*(server.rules(names) for _, server in self._servers), return_exceptions=True)
        rules, warnings, away = [], [], []
        good = [answer for answer in answers if isinstance(answer, RulesAnswer)]
        for number, ((url, _), answer) in enumerate(zip(self._servers, answers, strict=True)):
            if isinstance(answer, RulesAnswer):
                rules += [replace(rule, replica=number) for rule in answer.rules]
                warnings += [f"{url}: {warning}" for warning in answer.warnings]
            elif isinstance(answer, GoldseamError):
                away.append(f"{url}: {answer}")
            else:
                raise answer
        if len(away) == len(self._servers):
            raise Unavailable("; ".join(away))
        return RulesAnswer(
            tuple(rules),
            tuple(warnings),
            "; ".join(away),
            len(good),
            names,
            total=max((answer.total or 0 for answer in good), default=0),
            groups=max((answer.groups or 0 for answer in good), default=0),
        )

    async def firing(self) -> tuple[ActiveAlert, ...]:
        """What any of them shows.

        Raises:
            Unavailable: none answers.
        """
        answers = await asyncio.gather(*(server.firing() for _, server in self._servers), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, GoldseamError):
                raise answer
        good = [answer for answer in answers if not isinstance(answer, BaseException)]
        if not good:
            raise Unavailable("; ".join(dict.fromkeys(map(str, answers))))
        return tuple(alert for answer in good for alert in answer)

    async def version(self) -> str:
        """That of the first that says."""
        for _, server in self._servers:
            try:
                if found := await server.version():
                    return found
            except GoldseamError:
                continue
        return ""


class AnyMetrics:
    """The port `Metrics` on the first server that answers; they hold the same series."""

    def __init__(self, servers: Sequence[Metrics]) -> None:
        self._servers = tuple(servers)

    async def query(self, expression: str) -> Samples:
        """Evaluate an instant query.

        Raises:
            Invalid: the expression does not parse, or its result is no vector and no scalar.
            Unavailable: none answers.
        """
        away: list[str] = []
        for server in self._servers:
            try:
                return await server.query(expression)
            except Unavailable as error:
                away.append(str(error))
        raise Unavailable("; ".join(dict.fromkeys(away)))
