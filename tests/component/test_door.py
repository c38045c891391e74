"""The receiver's port: no more connections than there is room for, none for longer than it is used, and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
import trustme

from goldseam.adapters import door
from goldseam.adapters.access import Certificates
from goldseam.adapters.door import CONNECTIONS, PER_SECOND, Bucket
from tests.support.harness import VirtualClock
from tests.support.pushing import Listener, alert, push, receiving

PATIENCE = 5.0
BEGUN, EXPIRED = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
async def url(listener: Listener) -> AsyncIterator[str]:
    async with receiving(listener) as found:
        yield found


async def connected(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))


async def closed(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side closes."""
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectionResetError):
            return await reader.read()
    return b""


async def test_a_flood_of_connections_is_closed_at_once_and_ends_with_those_that_made_it(
    url: str, listener: Listener
) -> None:
    held = [await connected(url) for _ in range(CONNECTIONS)]
    for _ in range(20):
        reader, writer = await connected(url)
        assert await closed(reader) == b""
        writer.close()
    for _, writer in held:
        writer.close()

    async def pushed() -> int:
        try:
            return (await push(url, [alert()]))[0]
        except aiohttp.ClientError:
            return 0

    async with asyncio.timeout(PATIENCE):
        while await pushed() != 200:
            await asyncio.sleep(0.01)
    assert listener.heard == [{"Trouble"}]


@pytest.mark.parametrize("sent", [b"", b"POST /api/v2/alerts HT", b"POST /api/v2/alerts HTTP/1.1\r\nHost: x\r\nX-A: "])
async def test_a_connection_on_which_no_request_comes_is_closed(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(door, "IDLE", 0.1)
    async with receiving(listener) as url:
        reader, writer = await connected(url)
        writer.write(sent)
        assert await closed(reader) == b""
        writer.close()


async def test_one_that_sends_its_headers_drop_by_drop_is_closed_all_the_same(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "IDLE", 0.2)
    async with receiving(listener) as url:
        reader, writer = await connected(url)
        over = asyncio.create_task(closed(reader))
        writer.write(b"POST /api/v2/alerts HTTP/1.1\r\n")
        while not over.done():
            writer.write(b"X-A: b\r\n")
            await asyncio.sleep(0.01)
        assert over.result() in (b"", b"HTTP/1.0 400 Bad Request\r\n")
        writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET " + b"/" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-A: " + b"b" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 1_000 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
    ids=["line", "header", "headers", "no HTTP"],
)
async def test_headers_beyond_all_measure_and_what_is_no_http_is_refused(
    url: str, listener: Listener, sent: bytes
) -> None:
    reader, writer = await connected(url)
    writer.write(sent)
    assert b" 400 " in (await closed(reader)).split(b"\r\n")[0]
    writer.close()


async def test_a_request_and_the_next_use_one_connection(url: str, listener: Listener) -> None:
    connector = aiohttp.TCPConnector(limit=1)
    made: list[str] = []
    trace = aiohttp.TraceConfig()

    async def count(*_: object) -> None:
        made.append("connection")

    trace.on_connection_create_end.append(count)
    async with aiohttp.ClientSession(connector=connector, trace_configs=[trace]) as session:
        for _ in range(3):
            async with session.post(url + "/api/v2/alerts", json=[alert()]) as answer:
                assert answer.status == 200
    assert (len(made), len(listener.heard)) == (1, 3)


def test_connections_that_come_too_fast_wait_for_their_turn() -> None:
    clock = VirtualClock()
    pace = Bucket(PER_SECOND, 2 * PER_SECOND, clock.monotonic)
    assert sum(pace.take() for _ in range(1_000)) == 2 * PER_SECOND
    clock.advance(1)
    assert sum(pace.take() for _ in range(1_000)) == PER_SECOND


class Identity:
    """Keys and certificates in files, as mounted Secrets have them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clients = folder, folder / "clients.pem"
        self.servers, self.ours = trustme.CA(), trustme.CA()
        self.issue(self.servers)
        self.clients.write_bytes(self.ours.cert_pem.bytes())

    def issue(self, authority: trustme.CA) -> None:
        """A new certificate of the receiver."""
        made = authority.issue_cert("127.0.0.1")
        (self.folder / "tls.crt").write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        (self.folder / "tls.key").write_bytes(made.private_key_pem.bytes())

    def client(self, authority: trustme.CA | None, **options: datetime) -> ssl.SSLContext:
        """One who trusts the receiver, and shows a certificate of this authority."""
        context = ssl.create_default_context(cadata=self.servers.cert_pem.bytes().decode())
        if authority is not None:
            authority.issue_cert("prometheus@example.com", **options).configure_cert(context)
        return context


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path)


async def refused(url: str, client: ssl.SSLContext) -> bool:
    """Whether it was not let in. With TLS 1.3 that is only known when the answer is read."""
    try:
        await push(url, [alert()], ssl=client)
    except (aiohttp.ClientError, OSError):
        return True
    return False


async def test_a_certificate_of_our_authority_is_let_in_and_no_other_none_and_no_expired_one(
    identity: Identity, listener: Listener
) -> None:
    async with receiving(listener, certificates=Certificates(identity.folder, identity.clients)) as url:
        assert await refused(url, identity.client(None))
        assert await refused(url, identity.client(trustme.CA()))
        assert await refused(url, identity.client(identity.ours, not_before=BEGUN, not_after=EXPIRED))
        assert listener.heard == []
        assert (await push(url, [alert()], ssl=identity.client(identity.ours)))[0] == 200
    assert len(listener.heard) == 1


async def test_a_certificate_and_an_authority_are_exchanged_without_a_restart(
    identity: Identity, listener: Listener
) -> None:
    clock = VirtualClock()
    async with receiving(
        listener, certificates=Certificates(identity.folder, identity.clients, clock.monotonic)
    ) as url:
        before, old = identity.client(identity.ours), identity.ours
        assert not await refused(url, before)
        identity.servers, identity.ours = trustme.CA(), trustme.CA()
        identity.issue(identity.servers)
        identity.clients.write_bytes(identity.ours.cert_pem.bytes())
        clock.advance(1)
        assert await refused(url, before), "it has another certificate"
        assert await refused(url, identity.client(old)), "the old authority counts no more"
        assert not await refused(url, identity.client(identity.ours))


async def test_without_a_usable_certificate_nobody_is_let_in_until_there_is_one(
    identity: Identity, listener: Listener
) -> None:
    clock = VirtualClock()
    whole = (identity.folder / "tls.key").read_bytes()
    (identity.folder / "tls.key").write_text("no key")
    async with receiving(
        listener, certificates=Certificates(identity.folder, identity.clients, clock.monotonic)
    ) as url:
        assert await refused(url, identity.client(identity.ours))
        (identity.folder / "tls.key").write_bytes(whole)
        clock.advance(1)
        assert not await refused(url, identity.client(identity.ours))


async def test_a_handshake_that_does_not_come_is_not_waited_for(
    identity: Identity, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "HANDSHAKE", 0.1)
    async with receiving(listener, certificates=Certificates(identity.folder, identity.clients)) as url:
        reader, writer = await connected(url)
        assert await closed(reader) == b""
        writer.close()
