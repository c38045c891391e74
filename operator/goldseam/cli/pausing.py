"""`goldseam pause` and `goldseam resume`: write and delete Pauses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, get_args

from pydantic import ValidationError

from goldseam.api.base import API_VERSION, format_time
from goldseam.api.durations import format_duration
from goldseam.api.pause import DEFAULT_PAUSE, LONGEST_PAUSE, PausedTarget, PauseSpec
from goldseam.api.problems import problems
from goldseam.cli.session import DONE, FAILED, UNANSWERED, Session
from goldseam.cli.text import clock
from goldseam.engine.naming import digest
from goldseam.errors import Invalid, NotFound
from goldseam.ports import Json
from goldseam.resources import PAUSES

KINDS: tuple[str, ...] = get_args(PausedTarget.model_fields["kind"].annotation)
WAITING, POLL = 10.0, 0.5
"""Seconds that we wait for the operator to say that it holds."""


@dataclass(frozen=True)
class What:
    """What is paused: the namespace where nothing else is given."""

    policy: str | None = None
    target: str | None = None
    cluster: bool = False

    def fields(self) -> dict[str, Any]:
        """The part of a Pause's spec that says so.

        Raises:
            Invalid: the target is not KIND/NAME.
        """
        found: dict[str, Any] = {"cluster": True} if self.cluster else {}
        found |= {"policy": self.policy} if self.policy else {}
        if self.target:
            kind, _, name = self.target.partition("/")
            known = next((one for one in KINDS if one.lower() == kind.lower().removesuffix("s")), None)
            if known is None or not name:
                raise Invalid(f"--target: write KIND/NAME, with KIND one of {', '.join(KINDS)}")
            found["target"] = {"kind": known, "name": name}
        return found

    def __str__(self) -> str:
        if self.cluster:
            return "all policies of the cluster"
        return f"policy {self.policy}" if self.policy else self.target or "all policies of the namespace"


async def pause(session: Session, what: What, *, reason: str, everything: bool, length: timedelta) -> int:
    """Stop work now, and say until when."""
    if length > LONGEST_PAUSE or length <= timedelta(0):
        raise Invalid(f"--for: a pause lasts between 1s and {format_duration(LONGEST_PAUSE)}")
    me, now = await session.whoami(), session.now().replace(microsecond=0)
    spec: dict[str, Any] = {"reason": reason, "by": me, **what.fields()}
    spec |= {"level": "Everything"} if everything else {}
    spec |= {"until": format_time(now + length)} if length != DEFAULT_PAUSE else {}
    try:
        PauseSpec.model_validate(spec)
    except ValidationError as error:
        raise Invalid(problems(error)) from None
    name = f"pause-{digest(me, str(what), format_time(now), size=8)}"
    body = {
        "apiVersion": API_VERSION,
        "kind": "Pause",
        "metadata": {"name": name, "namespace": session.namespace},
        "spec": spec,
    }
    await session.cluster.create(PAUSES, session.namespace, body)
    stopped = "everything, also what is owed" if everything else "new work"
    session.say(f"Pause {session.namespace}/{name} stops {stopped} of {what} until {clock(now + length)}.")
    return await _in_force(session, name)


async def _in_force(session: Session, name: str) -> int:
    """Wait until the operator says that it has seen it: a pause that nobody heeds must not look like one."""
    for _ in range(int(WAITING / POLL)):
        found = await session.cluster.get(PAUSES, session.namespace, name)
        if message := (found.get("status") or {}).get("message"):
            session.say(f"Goldseam says: {message}", f"End it with: goldseam resume {name} -n {session.namespace}")
            return DONE
        await session.sleep(POLL)
    session.say(f"Goldseam has not seen it within {WAITING:g} s: does its pod run?")
    return UNANSWERED


async def resume(session: Session, name: str | None, what: What) -> int:
    """End the Pause of that name, or those that stop exactly this."""
    found = [obj for obj in await _pauses(session) if name in (None, obj["metadata"]["name"])]
    wanted = what.fields()
    mine = found if name else [obj for obj in found if _same(obj["spec"], wanted)]
    for obj in mine:
        meta = obj["metadata"]
        try:
            await session.cluster.delete(PAUSES, session.namespace, meta["name"], meta["uid"])
        except NotFound:
            continue  # it is ended: that was asked for
        session.say(f"Pause {session.namespace}/{meta['name']} is ended: {obj['spec'].get('reason', '')}")
    if not mine:
        session.say(f"No Pause in namespace {session.namespace} {f'is named {name}' if name else f'stops {what}'}.")
        _list_others(session, found if not name else await _pauses(session))
        return FAILED
    return DONE


def _list_others(session: Session, pauses: list[Json]) -> None:
    for obj in pauses:
        spec = obj["spec"]
        kind = (spec.get("target") or {}).get("kind")
        target = f"{kind}/{spec['target']['name']}" if kind else None
        what = What(spec.get("policy"), target, bool(spec.get("cluster")))
        session.say(f"  {obj['metadata']['name']} stops {what}: {spec.get('reason', '')}")


async def _pauses(session: Session) -> list[Json]:
    now = session.now()
    return [obj for obj in (await session.cluster.list(PAUSES, session.namespace)).items if not _ended(obj, now)]


def _ended(obj: Json, now: datetime) -> bool:
    try:
        spec = PauseSpec.model_validate(obj.get("spec") or {})
    except ValidationError:
        return False
    return spec.ends(datetime.fromisoformat(obj["metadata"]["creationTimestamp"])) <= now


def _same(spec: Json, wanted: dict[str, Any]) -> bool:
    has = {key: spec[key] for key in ("cluster", "policy", "target") if spec.get(key)}
    return has == wanted
