"""The election, on a toy cluster and a virtual clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest

from goldseam.errors import Conflict, Fenced, GoldseamError
from goldseam.services.leadership import SANE, Leadership, Terms
from tests.support.harness import NAMESPACE, VirtualClock
from tests.support.toycluster import ToyCluster

PATH = ("leases", NAMESPACE, "goldseam")


class Race:
    """Candidates for one lease; time passes while they sleep."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.cluster = ToyCluster(now=lambda: self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"))
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    def candidate(self, name: str, **terms: float) -> Leadership:
        return Leadership(self.cluster, self.clock, NAMESPACE, name, Terms(**terms), self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)
        if self.meanwhile is not None:
            await self.meanwhile()

    @property
    def lease(self) -> dict[str, Any]:
        return dict(self.cluster.objects[PATH]["spec"])


@pytest.fixture
def race() -> Race:
    return Race()


async def leading(race: Race, name: str, *seen: int) -> Leadership:
    leader = race.candidate(name)
    await leader.won()
    await leader.raised(seen)
    return leader


async def test_the_first_leads_at_once(race: Race) -> None:
    leader = await leading(race, "a")
    assert (leader.epoch, race.lease["holderIdentity"], leader.left) == (1, "a", 15.0)


async def test_a_leader_hears_the_api_server_s_time_of_day_with_every_write_of_its_lease(race: Race) -> None:
    told: list[datetime] = []
    leader = Leadership(race.cluster, race.clock, NAMESPACE, "a", sleep=race._sleep, told=told.append)
    await leader.won()
    await leader.raised([])
    assert told == [race.clock.now()]
    race.clock.advance(60)
    await leader._renewed()
    assert told[-1] == race.clock.now()


async def test_another_leads_only_after_the_lease_was_not_renewed_for_its_whole_duration(race: Race) -> None:
    first = await leading(race, "a")
    begun = race.clock.monotonic()
    second = await leading(race, "b")
    assert race.clock.monotonic() - begun > 15
    assert first.left < 0
    assert (second.epoch, race.lease["holderIdentity"]) == (2, "b")


async def test_while_it_is_renewed_nobody_else_leads(race: Race) -> None:
    first = await leading(race, "a")
    renewals = 0

    async def renew() -> None:
        nonlocal renewals
        renewals += 1
        await first._renewed()
        if renewals > 50:
            raise TimeoutError

    race.meanwhile = renew
    with pytest.raises(TimeoutError):
        await race.candidate("b").won()
    assert race.lease["holderIdentity"] == "a"


async def test_a_leader_that_stops_well_hands_over_at_once(race: Race) -> None:
    first = await leading(race, "a")
    await first.release()
    begun = race.clock.monotonic()
    await leading(race, "b")
    assert race.clock.monotonic() == begun


async def test_who_hands_over_waits_until_another_one_leads_and_not_for_ever(race: Race) -> None:
    first = await leading(race, "a")
    await first.release()
    assert not await first.succeeded(10)
    race.cluster.unreadable = {"leases"}
    assert not await first.succeeded(10)
    race.cluster.unreadable = set()
    await leading(race, "b")
    begun = race.clock.monotonic()
    assert await first.succeeded(10)
    assert race.clock.monotonic() == begun


async def test_a_leader_that_slept_gives_up_when_another_leads(race: Race) -> None:
    first = await leading(race, "a")
    await leading(race, "b")
    with pytest.raises(Fenced, match="b has the lease now"):
        await first.keep()
    assert await first.deposed()
    await first.release()
    assert race.lease["holderIdentity"] == "b"


async def test_a_leader_that_cannot_renew_gives_up_before_another_may_lead(race: Race) -> None:
    leader = await leading(race, "a")
    race.cluster.refused.add("/".join(PATH))
    with pytest.raises(Fenced, match="could not be renewed within 10 s"):
        await leader.keep()
    assert leader.left > 0


async def test_a_lost_reply_is_no_reason_to_give_up(race: Race) -> None:
    leader = await leading(race, "a")
    race.cluster.deaf.add("/".join(PATH))
    rounds = 0

    async def stop() -> None:
        nonlocal rounds
        rounds += 1
        if rounds > 4:
            raise TimeoutError

    race.meanwhile = stop
    with pytest.raises(TimeoutError):
        await leader.keep()
    assert leader.left > 12


async def test_a_deleted_lease_is_made_again_and_the_number_only_grows(race: Race) -> None:
    leader = await leading(race, "a", 6)
    assert leader.epoch == 7
    race.cluster.remove(*PATH)
    await leader._renewed()
    assert (race.lease["holderIdentity"], race.lease["leaseTransitions"]) == ("a", 7)
    race.cluster.remove(*PATH)
    second = await leading(race, "b", 7, 3)
    assert second.epoch == 8
    with pytest.raises(Fenced, match="b has the lease now"):
        await leader._renewed()


async def test_a_number_that_no_operator_wrote_is_not_followed(race: Race) -> None:
    assert (await leading(race, "a", SANE, 2**53, 4)).epoch == 5


async def test_of_two_candidates_at_the_same_moment_one_leads(race: Race) -> None:
    gone = await leading(race, "gone")
    await gone.release()
    a, b = race.candidate("a"), race.candidate("b")
    await a._read()
    await b._read()
    assert await a._tried()
    b_read = b._read

    async def stale() -> None:
        return None

    b._read = stale  # type: ignore[method-assign]
    assert not await b._tried()
    b._read = b_read  # type: ignore[method-assign]
    assert race.lease["holderIdentity"] == "a"


def put_back(race: Race, *, lease: bool) -> None:
    """As when etcd is restored from a backup: versions begin again where they were."""
    race.cluster._version = 0
    found = race.cluster.objects.pop(PATH)
    if lease:
        race.cluster.add("leases", found)


@pytest.mark.parametrize("lease", [True, False], ids=["with its lease", "before its lease"])
async def test_a_leader_gives_up_when_the_cluster_was_put_back_to_an_earlier_state(race: Race, lease: bool) -> None:
    leader = await leading(race, "a")
    put_back(race, lease=lease)
    with pytest.raises(Fenced, match="put back to an earlier state"):
        await leader.keep()
    assert leader.left < 0, "no write is begun any more"


async def test_one_that_stands_by_gives_up_when_the_cluster_was_put_back_to_an_earlier_state(race: Race) -> None:
    await leading(race, "a")

    async def restore() -> None:
        put_back(race, lease=True)

    race.meanwhile = restore
    with pytest.raises(Fenced, match="put back to an earlier state"):
        await race.candidate("b").won()


async def test_without_its_number_a_leader_does_not_act(race: Race) -> None:
    leader = race.candidate("a")
    await leader.won()
    race.cluster.stale.add("/".join(PATH))
    with pytest.raises(Conflict):
        await leader.raised([])
    assert leader.epoch == 0


async def test_an_api_server_that_does_not_answer_is_asked_again(race: Race) -> None:
    race.cluster.unreadable.add("leases")
    tries = 0

    async def back() -> None:
        nonlocal tries
        tries += 1
        if tries == 3:
            race.cluster.unreadable.clear()

    race.meanwhile = back
    await race.candidate("a").won()
    assert tries == 3


async def test_what_cannot_be_read_counts_as_deposed(race: Race) -> None:
    leader = await leading(race, "a")
    assert not await leader.deposed()
    race.cluster.refused.add("/".join(PATH))
    assert await leader.deposed()
    assert issubclass(Fenced, GoldseamError)
