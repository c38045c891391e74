"""Who may speak to the receiver of hints: whoever has a token, or a client certificate, as files say.

The files are looked at again each second, so that a rotation needs no restart. What cannot be read lets nobody in.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import structlog

log = structlog.get_logger("goldseam.receiver")

LOOKED = 1.0
"""Seconds after which files are looked at again."""
LARGEST = 65_536
"""Bytes of a file of tokens that are read."""
SHORTEST = 16
"""Characters: a token that is shorter can be guessed, and is not one."""
MOST = 8
"""Tokens at once: two are enough for a rotation."""


class _Files:
    """Some files, and when they have changed."""

    def __init__(self, paths: tuple[Path, ...], clock: Callable[[], float]) -> None:
        self._paths, self._clock = paths, clock
        self._at = float("-inf")
        self._seen: tuple[tuple[int, int, int], ...] | None = None

    def changed(self) -> bool:
        """Whether they are other files than when this was asked last, or it was never asked."""
        now = self._clock()
        if now - self._at < LOOKED:
            return False
        self._at = now
        before, self._seen = self._seen, tuple(self._signature(path) for path in self._paths)
        return self._seen != before

    def _signature(self, path: Path) -> tuple[int, int, int]:
        try:
            found = path.stat()  # of a mounted Secret it is the target of a link, another one after each change
        except OSError:
            return (0, 0, 0)
        return (found.st_ino, found.st_mtime_ns, found.st_size)


class Tokens:
    """The bearer tokens that are valid now: every line of a file, so that two are valid during a rotation."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._files = path, _Files((path,), clock)
        self._digests: tuple[bytes, ...] = ()

    def admits(self, authorization: str) -> bool:
        """Whether the header `Authorization` carries one of them. How long it takes tells nothing about them."""
        if self._files.changed():
            self._read()
        scheme, _, token = authorization.partition(" ")
        given = _digest(token.strip().encode())
        found = [hmac.compare_digest(given, known) for known in self._digests]
        return any(found) and scheme.lower() == "bearer"

    def _read(self) -> None:
        problem = ""
        try:
            with self._path.open("rb") as file:
                lines = [line.strip() for line in file.read(LARGEST).splitlines() if line.strip()]
        except OSError as error:
            lines, problem = [], os.strerror(error.errno or 0).lower()
        short = sum(len(line) < SHORTEST for line in lines)
        self._digests = tuple(_digest(line) for line in lines if len(line) >= SHORTEST)[:MOST]
        problem = problem or (f"{short} of its lines have less than {SHORTEST} characters" if short else "")
        if problem or not self._digests:
            log.error("receiver_tokens", file=str(self._path), usable=len(self._digests), problem=problem or "no token")
        else:
            log.info("receiver_tokens", file=str(self._path), usable=len(self._digests))


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


class Certificates:
    """The receiver's own certificate, and which authority clients' certificates must come from, if any."""

    def __init__(self, folder: Path, clients: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        """`folder` has `tls.crt` and `tls.key`, as a mounted Secret of type `kubernetes.io/tls`."""
        self._chain, self._key, self._clients = folder / "tls.crt", folder / "tls.key", clients
        self._files = _Files((self._chain, self._key, *([clients] if clients else [])), clock)
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext | None:
        """How a connection that comes now is secured; None while the files cannot be used, and then none is let in."""
        if self._files.changed():
            self._context = self._made()
        return self._context

    def _made(self) -> ssl.SSLContext | None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.options |= ssl.OP_NO_TICKET  # nothing of an older session counts: neither its certificate nor its time
        context.num_tickets = 0
        try:
            context.load_cert_chain(self._chain, self._key)
            if self._clients is not None:
                context.load_verify_locations(self._clients)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            said = getattr(error, "reason", "") or getattr(error, "strerror", "") or type(error).__name__
            log.error("receiver_certificates", folder=str(self._chain.parent), problem=str(said))
            return None
        log.info("receiver_certificates", folder=str(self._chain.parent), clients=self._clients is not None)
        return context
