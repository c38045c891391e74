"""Credentials for an alert source as a person has them: in files, not in Secrets."""

from __future__ import annotations

import ssl
from pathlib import Path

from goldseam.adapters.credentials import Credentials, Way
from goldseam.errors import Invalid


class FileCredentials(Credentials):
    """A bearer token and a certificate authority, each from a file that is read once."""

    def __init__(self, token: Path | None, authority: Path | None) -> None:
        """Read both.

        Raises:
            Invalid: a file cannot be read, or holds something else.
        """
        headers = {"Authorization": f"Bearer {_line(token)}"} if token else {}
        self._found = Way(headers, _trusting(authority) if authority else None)

    def refused(self) -> None:
        """There is nothing to read again."""

    async def way(self) -> Way:
        """How to ask."""
        return self._found


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise Invalid(f"{path}: {(error.strerror or 'cannot be read').lower()}") from error
    except ValueError as error:
        raise Invalid(f"{path}: is not text") from error


def _line(path: Path) -> str:
    text = _text(path).rstrip("\r\n")
    if not text.isprintable() or not text.isascii() or not text.strip():
        raise Invalid(f"{path}: must be one line of text, the token")
    return text


def _trusting(path: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=_text(path))
    except (ssl.SSLError, ValueError) as error:
        raise Invalid(f"{path}: is no certificate authority as PEM") from error
