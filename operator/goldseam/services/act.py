"""Act: make the writes of a step, each guarded by uid and resourceVersion; and rehearse them as dry runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Literal

import structlog

from goldseam import metrics
from goldseam.api.incident import IncidentStatus, Step, TemplateSource, Write
from goldseam.engine import out_of_service, record
from goldseam.engine.cordons import keeps_its_name, marks
from goldseam.engine.deadlines import is_forced
from goldseam.engine.jobs import job_from, named
from goldseam.engine.lineage import waits_for
from goldseam.engine.objects import INCIDENT, TOKEN, in_list, is_ready, metadata, patch_of, value_at
from goldseam.engine.proposal import ALL, Turn, World
from goldseam.engine.replicas import SELECTOR, stand_ins
from goldseam.engine.revisions import replaced
from goldseam.engine.templates import digest
from goldseam.errors import AlreadyExists, BudgetExhausted, Conflict, GoldseamError, NotFound, NotItsTurn, Terminal
from goldseam.ports import Cluster, Json
from goldseam.resources import LEASES, PODS, REVISIONS, WRITABLE, custom
from goldseam.services.evicting import Evicting

log = structlog.get_logger("goldseam.act")

AT_ONCE = 10
ENDING = ("Evict", "Delete")
"""What ends pods: each by itself, so that one that is not made does not stop the others."""

State = Literal["Done", "Begun", "Waiting", "Stale", "Unsure", "Refused"]


@dataclass(frozen=True)
class Result:
    """What came of one write.

    `Begun`: a Job is there, and does not run before that is recorded.
    `Waiting`: not now (a disruption budget, or others are first). `Stale`: surely not made, the object has changed.
    `Unsure`: no answer, so it may have taken effect. `Refused`: surely not made, and it never will be.
    """

    index: int
    state: State
    message: str = ""
    made: str = ""
    """The uid of what is there now, where it is `Begun`."""


@dataclass(frozen=True)
class Own:
    """The pod that this process runs in."""

    namespace: str
    name: str
    leave: Callable[[], None]
    """Ends this process in order, so that another one leads: at once, and no harm when it is asked again."""


class Actor:
    """Makes writes."""

    def __init__(self, cluster: Cluster, own: Own | None = None) -> None:
        self._cluster, self._own = cluster, own

    async def perform(
        self,
        step: Step,
        incident: str,
        may_go_on: Callable[[int], Awaitable[bool]],
        turn: Turn = ALL,
        planned: Mapping[str, Any] | None = None,
        emptying: World | None = None,
    ) -> list[Result]:
        """Make the step's writes in order, those whose turn it is, at most ten: then everything is looked at again.

        Before each request is a safe point: `may_go_on` is asked, with the number of writes made so far. Stops at the
        first patch that is not made; evictions that a budget holds back do not stop the others. `planned`: the object
        that is made, where one is. `emptying`: of a node that is drained, all is evicted that may go within a pass, as
        of this world on; not where what is left is deleted by force, for that waits for no eviction.
        """
        results: list[Result] = []
        for indices in requests(step.writes):
            writes = [step.writes[index] for index in indices]
            if not turn.has(writes[0], step.writes):
                continue
            if emptying is not None and writes[0].verb == "Evict" and not is_forced(step):
                return await self._emptied(step, incident, may_go_on, turn, emptying, results)
            if len(results) >= min(AT_ONCE, turn.at_once or AT_ONCE) or not await may_go_on(len(results)):
                break
            made = await self._made(step, indices, incident, turn, planned)
            results += made
            if made[0].state != "Done" and writes[0].verb not in ENDING:
                break
        return results

    async def _made(
        self, step: Step, indices: Sequence[int], incident: str, turn: Turn, planned: Mapping[str, Any] | None = None
    ) -> list[Result]:
        """One request."""
        writes = [step.writes[index] for index in indices]
        state, message, made = await self._make(writes, step, incident, turn, planned)
        for write in writes:
            log.info("write", incident=incident, step=step.id, verb=write.verb, object=str(write.object), state=state)
            metrics.write_made(step.action, state)
        return [Result(index, state, message, made) for index in indices]

    async def _emptied(
        self,
        step: Step,
        incident: str,
        may_go_on: Callable[[int], Awaitable[bool]],
        turn: Turn,
        world: World,
        results: list[Result],
    ) -> list[Result]:
        """One pass over the evictions of a drain, but of those that are held now; of each what came of it last."""
        found: dict[int, Result] = {}

        async def evict(index: int) -> str:
            (found[index],) = await self._made(step, [index], incident, ALL)
            return found[index].state

        async def go_on() -> bool:
            return await may_go_on(len(results) + len(found) or int(evicting.waited))

        pending = [i for i, write in enumerate(step.writes) if write.verb == "Evict" and write.state == "Pending"]
        ours = [index for index in pending if self._is_own(step.writes[index])]
        going = {i for i in pending if turn.has(step.writes[i], step.writes) and (i not in ours or pending == ours)}
        evicting = Evicting(step.writes, going, world.pods, world.pdbs, evict, go_on)
        await evicting.run(self._cluster)
        for index, why in evicting.held().items():
            found.setdefault(index, Result(index, "Waiting", why))
        return [*results, *(found[index] for index in sorted(found))]

    def _is_own(self, write: Write) -> bool:
        own, ref = self._own, write.object
        return own is not None and (ref.namespace, ref.name) == (own.namespace, own.name)

    async def _make(
        self, writes: Sequence[Write], step: Step, incident: str, turn: Turn, planned: Mapping[str, Any] | None
    ) -> tuple[State, str, str]:
        """What came of one request, what was said, and the uid of what it has made."""
        first, until = writes[0], step.deadline_at
        try:
            made = await self._change(writes, step.token, incident, turn, planned, until=until)
        except AlreadyExists as error:  # whose it is, the next look tells
            return "Unsure", str(error), ""
        except NotFound as error:
            if first.verb in (*ENDING, "Remove"):
                return "Done", "", ""
            return "Refused" if first.verb == "Make" else "Stale", str(error), ""
        except (BudgetExhausted, NotItsTurn) as error:
            return "Waiting", str(error), ""
        except Conflict as error:
            return "Stale", str(error), ""
        except Terminal as error:
            return "Refused", str(error), ""
        except GoldseamError as error:
            return "Unsure", str(error), ""
        return "Begun" if made else "Done", "", made

    async def _change(
        self,
        writes: Sequence[Write],
        token: str,
        incident: str,
        turn: Turn = ALL,
        planned: Mapping[str, Any] | None = None,
        *,
        until: datetime | None = None,
        dry_run: bool = False,
    ) -> str:
        """Make the request; the uid of what is there now and does not run yet, else empty."""
        first = writes[0]
        if first.verb == "Create":
            if not first.before:
                return await self._create(first, incident, dry_run=dry_run)
            await self._release(first)
        elif first.verb == "Evict":
            await self._evict(first, turn, dry_run=dry_run)
        elif first.verb in ("Delete", "Remove") and dry_run:
            raise ValueError("a deletion is not rehearsed")
        elif first.verb == "Delete":
            await self._delete(first)
        elif first.verb == "Make":
            await self._make_whole(first, planned, incident, dry_run=dry_run)
        elif first.verb == "Remove":
            await self._remove(first)
        else:
            await self._patch(writes, token, incident, until, dry_run=dry_run)
        return ""

    async def _create(self, write: Write, incident: str, *, dry_run: bool = False) -> str:
        """Make a Job from the CronJob, which must be the one that was planned with; it does not run yet. Its uid."""
        ref = write.object
        cron_job = await self._cluster.get(WRITABLE["CronJob"], ref.namespace, ref.name)
        meta = metadata(cron_job)
        if (meta.get("uid"), meta.get("generation")) != (ref.uid, write.generation):
            raise Conflict(f"{ref} has changed since")
        job = job_from(cron_job, write, incident)
        made = await self._cluster.create(WRITABLE["Job"], ref.namespace, job, dry_run=dry_run)
        return str(metadata(made)["uid"])

    async def _make_whole(
        self, write: Write, planned: Mapping[str, Any] | None, incident: str, *, dry_run: bool
    ) -> None:
        """Make the object of a template, which must be the one that was written down."""
        if planned is None or write.resource is None or json.loads(write.want) != digest(planned):
            raise Conflict(f"{write.object} would be another one by now")
        meta = planned["metadata"]
        body = {**planned, "metadata": {**meta, "annotations": {**meta["annotations"], INCIDENT: incident}}}
        where, kind = write.object.namespace, custom(write.object, write.resource)
        await self._cluster.create(kind, where, body, dry_run=dry_run)

    async def _remove(self, write: Write) -> None:
        """Delete the object of that uid, unless somebody does so already."""
        ref, kind = write.object, custom(write.object, write.resource or "")
        if not ref.uid:
            raise Conflict(f"{ref} has not been seen yet")
        obj = await self._cluster.get(kind, ref.namespace, ref.name)
        if metadata(obj).get("uid") == ref.uid and not metadata(obj).get("deletionTimestamp"):
            await self._cluster.delete(kind, ref.namespace, ref.name, ref.uid)

    async def _release(self, write: Write) -> None:
        """Let the Job run that was seen to be there."""
        pins = {"uid": json.loads(write.before), "resourceVersion": write.resource_version}
        body = {"metadata": pins, "spec": {"suspend": False}}
        await self._cluster.patch(WRITABLE["Job"], write.object.namespace, named(write), body)

    async def _patch(
        self, writes: Sequence[Write], token: str, incident: str, until: datetime | None, *, dry_run: bool = False
    ) -> None:
        first, live = writes[0], await self._seen(writes)
        await self._still_silent(writes)
        ref, patch = first.object, body(writes, token, incident, live, until)
        if first.template is not None:
            patch |= await self._former(first, first.template)
        await self._cluster.patch(
            WRITABLE[ref.kind], ref.namespace, ref.name, patch, first.subresource, dry_run=dry_run
        )

    async def _seen(self, writes: Sequence[Write]) -> Json | None:
        """The object, where a list of it has to be sent as a whole.

        Raises:
            Conflict: it is not what was seen.
        """
        first = writes[0]
        if not any(in_list(write.field) for write in writes):
            return None
        obj = await self._cluster.get(WRITABLE[first.object.kind], first.object.namespace, first.object.name)
        unlike = any(value_at(obj, write.field) != write.before for write in writes)
        if unlike or metadata(obj).get("resourceVersion") != first.resource_version:
            raise Conflict(f"{first.object} is not what was seen")
        return obj

    async def _still_silent(self, writes: Sequence[Write]) -> None:
        """Whether the kubelet of a node that is to be taken out of service has not spoken since.

        Raises:
            Conflict: it has.
        """
        for write in writes:
            if write.renewed is None:
                continue
            lease = await self._cluster.get(LEASES, out_of_service.NAMESPACE, write.object.name)
            if out_of_service.renewed(lease) != write.renewed:
                raise Conflict(f"the kubelet of {write.object} has renewed its Lease since")

    async def _former(self, write: Write, pin: TemplateSource) -> Json:
        """The whole template from where it is kept: an Incident has room for its pin only.

        Raises:
            Conflict: the object, or what is kept, is not what was seen.
        """
        ref, kept = write.object, pin.object
        target, source = await asyncio.gather(
            self._cluster.get(WRITABLE[ref.kind], ref.namespace, ref.name),
            self._cluster.get(REVISIONS[kept.kind], ref.namespace, kept.name),
        )
        patch = replaced(target, source, write)
        if patch is None or metadata(target).get("resourceVersion") != write.resource_version:
            raise Conflict(f"{ref} or {kept} is not what was seen")
        return patch

    async def _evict(self, write: Write, turn: Turn, *, dry_run: bool = False) -> None:
        """A live GET first: an eviction with a wrong uid is refused, but burns the budget's slot for two minutes."""
        ref = write.object
        pod = await self._cluster.get(PODS, ref.namespace, ref.name)
        if metadata(pod).get("uid") != ref.uid or metadata(pod).get("deletionTimestamp"):
            return
        if turn.unready is not None and is_ready(pod):
            raise NotItsTurn("it has become ready, and waits for its turn")
        if self._own is not None and not dry_run and self._is_own(write):
            await self._hand_over(pod, self._own)
        await self._cluster.evict(ref.namespace, ref.name, ref.uid, dry_run=dry_run)

    async def _hand_over(self, pod: Json, own: Own) -> None:
        """Before our own pod goes, another one of ours leads: it carries the step on, and evicts this one.

        Raises:
            NotItsTurn: always.
        """
        ours = await self._cluster.list(PODS, own.namespace, labels=SELECTOR)
        others = stand_ins(pod, ours.items)
        if not others:
            raise NotItsTurn("Goldseam itself runs in it, and no other replica of it is ready on another node")
        log.warning("handing_over", to=others)
        own.leave()
        raise NotItsTurn(f"Goldseam itself runs in it, and hands over: {' or '.join(others[:3])} goes on and evicts it")

    async def _delete(self, write: Write) -> None:
        """This very pod, whatever its budget says, with the time to end that it asks for."""
        ref = write.object
        pod = await self._cluster.get(PODS, ref.namespace, ref.name)
        if metadata(pod).get("uid") == ref.uid and not metadata(pod).get("deletionTimestamp"):
            await self._cluster.delete(PODS, ref.namespace, ref.name, ref.uid)

    async def rehearse(self, writes: Sequence[Write], incident: str, planned: Mapping[str, Any] | None = None) -> str:
        """What the API server says to the writes as dry runs, as a sentence; nothing where there are none."""
        for indices in requests(writes):
            made = [writes[index] for index in indices]
            if made[0].verb in ("Delete", "Remove"):  # nothing is taken away to see whether that could be done
                continue
            try:
                await self._change(made, "dry-run", incident, planned=planned, dry_run=True)
            except GoldseamError as error:
                return f"the server-side dry run was refused: {error}"
        return "the server-side dry run was accepted" if writes else ""


def requests(writes: Sequence[Write]) -> Iterable[list[int]]:
    """Which of the writes that are left go together: patches of one object are one request, made whole or not at all,
    so that the object is valid and its one token tells of all of them. Of several of one field the first one only: then
    everything is looked at again."""

    def which(index: int) -> object:
        write = writes[index]
        return index if write.verb != "Patch" else (write.object.uid, write.subresource, write.resource_version)

    pending = [index for index, write in enumerate(writes) if write.state == "Pending"]
    left = [index for index in pending if not waits_for(writes[index], writes[:index])]
    return [list(together) for _, together in groupby(left, which)]


def body(
    writes: Sequence[Write], token: str, incident: str, live: Json | None = None, until: datetime | None = None
) -> Json:
    """The merge patch: the fields, the pins, and on main resources our marks in the same patch. `live`: the object, of
    which a list is sent. `until`: the deadline of a drain, which stands on its node."""
    write = writes[0]
    patch = patch_of({each.field: json.loads(each.want) for each in writes}, live)
    meta: Json = {"uid": write.object.uid}
    if write.resource_version:
        meta["resourceVersion"] = write.resource_version
    if not write.subresource:
        told = (patch.get("metadata") or {}).get("annotations") or {}
        named = {} if keeps_its_name(writes, live) else {INCIDENT: incident}
        meta["annotations"] = {TOKEN: token, **named, **marks(writes, until), **told}
    patch["metadata"] = {**patch.get("metadata", {}), **meta}
    return patch


def recorded(status: IncidentStatus, step_id: str, results: list[Result], now: datetime) -> IncidentStatus:
    """The status with what came of the writes. What is not known stays `Pending`: the next look asks the world."""
    step = next(step for step in status.steps if step.id == step_id)
    writes = list(step.writes)
    for result in results:
        writes[result.index] = _after(writes[result.index], result, final=step.purpose == "Rung")
    acted = now if any(result.state == "Done" for result in results) else step.acted_at
    step = step.model_copy(update={"writes": writes, "acted_at": acted})
    return record.with_step(status, step)


def _after(write: Write, result: Result, *, final: bool) -> Write:
    message = record.cut(result.message)
    if result.state == "Done":
        return write.model_copy(update={"state": "Done", "message": ""})
    if result.state == "Begun":
        return write.model_copy(update={"before": json.dumps(result.made), "message": ""})
    if result.state == "Stale":  # surely not made: the pin has served, and the next look takes a new one
        return write.model_copy(update={"resource_version": "", "message": message})
    if result.state == "Refused" and final and write.verb not in ENDING:
        return write.model_copy(update={"state": "Refused", "message": message})
    return write.model_copy(update={"message": message})
