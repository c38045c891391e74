"""Credentials for an alert source as a person has them: in files, not in Secrets."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from goldseam.adapters.credentials import Credentials, Way, basic
from goldseam.errors import Invalid


@dataclass(frozen=True)
class Files:
    """What to show a server, and whom to trust there. All are optional."""

    token: Path | None = None
    """One line: a bearer token."""
    user: Path | None = None
    """One line, `name:password`, for basic authentication."""
    certificate: Path | None = None
    """Our certificate with its private key, as PEM."""
    authority: Path | None = None
    """Who has signed the server's certificate, as PEM."""


class FileCredentials(Credentials):
    """Credentials from files that are read once, and the headers of a tenant."""

    def __init__(self, files: Files, tenant: dict[str, str]) -> None:
        """Read the files.

        Raises:
            Invalid: a file cannot be read, or holds something else.
        """
        self._found = Way(tenant | _authorization(files), _tls(files))

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


def _authorization(files: Files) -> dict[str, str]:
    if files.token and files.user:
        raise Invalid(f"{files.token} and {files.user}: a server takes a token or a user, not both")
    if files.token:
        return {"Authorization": f"Bearer {_line(files.token, 'the token')}"}
    if not files.user:
        return {}
    pair = _line(files.user, "name:password")
    if ":" not in pair:
        raise Invalid(f"{files.user}: must be one line of text, name:password")
    return {"Authorization": basic(pair)}


def _line(path: Path, what: str) -> str:
    text = _text(path).rstrip("\r\n")
    if not text.isprintable() or not text.isascii() or not text.strip():
        raise Invalid(f"{path}: must be one line of text, {what}")
    return text


def _tls(files: Files) -> ssl.SSLContext | None:
    if files.authority is None and files.certificate is None:
        return None
    context = _trusting(files.authority) if files.authority else ssl.create_default_context()
    if files.certificate is not None:
        _text(files.certificate)
        try:
            context.load_cert_chain(files.certificate, password="")
        except (ssl.SSLError, ValueError, OSError) as error:
            raise Invalid(f"{files.certificate}: has no certificate with its private key, as PEM") from error
    return context


def _trusting(path: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=_text(path))
    except (ssl.SSLError, ValueError) as error:
        raise Invalid(f"{path}: is no certificate authority as PEM") from error
