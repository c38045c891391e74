"""What the watches saw and nobody has looked at yet."""

from __future__ import annotations

import asyncio

from goldseam.services.inbox import Inbox, Seen


async def test_the_newest_of_each_object_is_taken_once_and_whole() -> None:
    inbox = Inbox()
    odd = {"metadata": {"name": "a"}, "spec": {"text": "\U0001f525 \ud83d \x00", "n": 1.5, "no": None}}
    inbox.put(Seen("Runbook", "", "a", {"metadata": {"name": "a"}}))
    inbox.put(Seen("Runbook", "", "a", odd))
    inbox.put(Seen("Pause", "shop", "a", None))
    assert list(await inbox.take()) == [Seen("Runbook", "", "a", odd), Seen("Pause", "shop", "a", None)]
    waiting = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.put(Seen("Runbook", "", "a", None))
    assert list(await waiting) == [Seen("Runbook", "", "a", None)]


async def test_what_comes_while_the_rest_is_worked_off_is_not_lost() -> None:
    inbox = Inbox()
    for name in ("a", "b"):
        inbox.put(Seen("Runbook", "", name, None))
    taken = []
    for seen in await inbox.take():
        taken.append(seen.name)
        inbox.put(Seen("Runbook", "", f"after {seen.name}", None))
    assert taken == ["a", "b"]
    assert [seen.name for seen in await inbox.take()] == ["after a", "after b"]
