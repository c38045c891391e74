"""A drain's evictions, by watch: workloads beside each other, and the next pod as soon as a budget lets it go.

`kubectl drain` asks for each pod each 5 s (kubectl `pkg/drain/drain.go`, `evictPods`), and a budget that is free again
waits for that. Here the budgets are watched while anything waits for them, and are asked only where they would say yes.
The Eviction API has the last word: what is known here decides only when it is asked.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress

from goldseam.api.incident import Write
from goldseam.engine.disruption import DisruptionBudget, of_pod
from goldseam.engine.objects import Json, controller, is_ready, metadata, title
from goldseam.errors import GoldseamError
from goldseam.ports import Cluster
from goldseam.resources import PDBS

PASS = 10.0
"""Seconds after which what was done is recorded, and everything is looked at again."""
SAFE_EACH = 2.0
"""Seconds at most between two questions whether to go on, while a budget is waited for."""
AT_ONCE = 10
"""Workloads of which a pod is evicted at the same time."""

State = str
Evict = Callable[[int], Awaitable[State]]
MayGoOn = Callable[[], Awaitable[bool]]


class Budgets:
    """What the PodDisruptionBudgets let go, as last seen, less what was evicted since."""

    def __init__(self, found: Iterable[Json], namespaces: Iterable[str]) -> None:
        """`namespaces`: of the pods; what is elsewhere is nobody's business."""
        self._budgets: dict[str, dict[str, DisruptionBudget]] = {namespace: {} for namespace in namespaces}
        self._left: dict[str, int] = {}
        self._refused: set[str] = set()
        for budget in found:
            self.seen(budget)

    def seen(self, obj: Json, *, gone: bool = False) -> bool:
        """A budget as it is now: who was refused in its namespace may be asked for again. Whether it matters."""
        budget = DisruptionBudget(obj)
        if budget.namespace not in self._budgets:
            return False
        key, prefix = str(budget), f"{budget.namespace}/"
        self._refused = {one for one in self._refused if not one.startswith(prefix)}
        if gone:
            self._budgets[budget.namespace].pop(key, None)
        else:
            self._budgets[budget.namespace][key], self._left[key] = budget, budget.allowed
        return True

    def let_go(self, pod: Json) -> bool:
        """Whether to ask for it now. One that is not ready may go though nothing is left (KEP-3017): it is asked for
        once each time that anything has changed."""
        if title(pod) in self._refused:
            return False
        return not is_ready(pod) or all(self._left[key] > 0 for key in self._of(pod))

    def why_not(self, pod: Json) -> str:
        """What holds it back, for people; empty where nothing does."""
        spent = [key for key in self._of(pod) if self._left[key] <= 0]
        return f"its disruption budget lets nothing go now: {', '.join(spent)}" if spent else ""

    def evicted(self, pod: Json) -> None:
        """It goes: there is less left until the budgets are counted anew."""
        for key in self._of(pod) if is_ready(pod) else ():
            self._left[key] -= 1

    def refused(self, pod: Json) -> None:
        """The Eviction API says not now."""
        self._refused.add(title(pod))
        for key in self._of(pod) if is_ready(pod) else ():
            self._left[key] = 0

    def _of(self, pod: Json) -> list[str]:
        near = self._budgets.get(str(metadata(pod).get("namespace")), {})
        return [str(budget) for budget in of_pod(pod, near.values())]


class Evicting:
    """The evictions of one pass."""

    def __init__(
        self,
        writes: Sequence[Write],
        going: Iterable[int],
        pods: Iterable[Json],
        budgets: Iterable[Json],
        evict: Evict,
        go_on: MayGoOn,
    ) -> None:
        """`going`: the evictions of this pass, by their index. `pods`, `budgets`: as they were read for the decision.
        `evict` makes the write of that index, and says what came of it."""
        self._writes, self._evict, self._go_on = writes, evict, go_on
        self._pods: Mapping[str, Json] = {str(metadata(pod).get("uid")): pod for pod in pods}
        self._budgets = Budgets(budgets, {write.object.namespace for write in writes})
        self._left = set(going)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._stopped = False
        self._deaf = False
        """Whether nobody tells us of changes any more."""
        self._over, self._asked = float("inf"), float("-inf")
        """By the loop's clock: when the pass is over; when it was last asked, while nothing goes, whether to go on."""
        self.waited = False
        """Whether a budget was waited for: what was asked before the pass began is old by then."""

    async def run(self, cluster: Cluster) -> None:
        """As many as may go within a pass. Ends earlier where nothing tells us that a budget has changed."""
        self._over = asyncio.get_running_loop().time() + PASS
        await self._round()
        if not self._left or self._stopped:
            return
        self.waited, self._asked = True, asyncio.get_running_loop().time()
        async with _changes(cluster) as changes:
            while self._left and not self._stopped and await self._changed(changes):
                await self._round()

    def held(self) -> dict[int, str]:
        """The evictions that are left because a budget holds them, and which, by their index."""
        pods = ((index, self._pods.get(self._writes[index].object.uid)) for index in sorted(self._left))
        return {index: why for index, pod in pods if pod is not None and (why := self._budgets.why_not(pod))}

    async def _round(self) -> None:
        """All that may go now; pods of one workload one after the other, in the order in which they were written."""
        groups: dict[object, list[int]] = defaultdict(list)
        for index in sorted(self._left):
            pod = self._pods.get(self._writes[index].object.uid, {})
            groups[(controller(pod) or {}).get("uid", index)].append(index)
        ended = await asyncio.gather(*map(self._of_one, groups.values()), return_exceptions=True)
        for error in (one for one in ended if isinstance(one, BaseException)):
            raise error

    async def _of_one(self, indices: list[int]) -> None:
        try:
            await self._one_by_one(indices)
        except BaseException:
            self._stopped = True  # for the others, too
            raise

    async def _one_by_one(self, indices: list[int]) -> None:
        for index in indices:
            pod = self._pods.get(self._writes[index].object.uid)
            if pod is not None and not self._budgets.let_go(pod):
                continue
            async with self._slots:
                if asyncio.get_running_loop().time() >= self._over:  # also where the API server is slow
                    return
                self._stopped = self._stopped or not await self._go_on()
                if self._stopped:
                    return
                self._told(index, pod, await self._evict(index))

    def _told(self, index: int, pod: Json | None, state: State) -> None:
        """What was refused for now is asked for again; whatever else came of it, the next look sees to it."""
        if state != "Waiting" or pod is None:
            self._left.discard(index)
        if pod is not None and state == "Waiting":
            self._budgets.refused(pod)
        elif pod is not None:
            self._budgets.evicted(pod)

    async def _changed(self, changes: asyncio.Queue[Json | None]) -> bool:
        """Wait until a budget was counted anew. False: nobody tells us any more, or the pass is over."""
        now = asyncio.get_running_loop().time
        while not self._deaf and (left := self._over - now()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, SAFE_EACH)):
                    event = await changes.get()
                if self._taken(event, changes):
                    return True
                if now() - self._asked < SAFE_EACH:  # budgets elsewhere may change all the time
                    continue
            self._asked = now()
            if not await self._go_on():
                self._stopped = True
                return False
        return False

    def _taken(self, event: Json | None, changes: asyncio.Queue[Json | None]) -> bool:
        """Take in all that has come; whether any of it matters."""
        matters = False
        while event is not None:
            matters |= self._budgets.seen(event["object"], gone=event["type"] == "DELETED")
            if changes.empty():
                return matters
            event = changes.get_nowait()
        self._deaf = True
        return matters


@asynccontextmanager
async def _changes(cluster: Cluster) -> AsyncIterator[asyncio.Queue[Json | None]]:
    """The budgets as they are and then as they change; None at the end, also where they may not be watched."""
    queue: asyncio.Queue[Json | None] = asyncio.Queue()

    async def read() -> None:
        with suppress(GoldseamError):
            async with aclosing(cluster.watch(PDBS, seconds=PASS)) as events:
                async for event in events:
                    queue.put_nowait(event)
        queue.put_nowait(None)

    task = asyncio.create_task(read())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
