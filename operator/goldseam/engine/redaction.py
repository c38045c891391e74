"""What may be kept of a log: its end, and nothing in it that looks like a secret.

Whoever reads the Incident reads it. What a program prints cannot be known: what is found here is what programs print by
mistake, such as a connection string in an error. It is no promise.
"""

from __future__ import annotations

from collections.abc import Sequence

import re2

LINES = 20
BYTES = 2_000
HIDDEN = "<hidden>"

_WORD = "(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)"
_SHAPES: Sequence[tuple[str, str]] = (
    (r"(?s)-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\z)", HIDDEN),
    (r"(?m)^[A-Za-z0-9+/=_-]{40,}$", HIDDEN),  # part of a key, or of a certificate
    (r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@]+@", rf"\1{HIDDEN}@"),
    (r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}", rf"\1 {HIDDEN}"),
    (rf"""(?i)([\w.-]*{_WORD}[\w.-]*["']?\s*[=:]\s*)("[^"\n]*"|'[^'\n]*'|[^\s,;&"']+)""", rf"\1{HIDDEN}"),
    (rf"(?i)(--?[\w-]*{_WORD}[\w-]*\s+)\S+", rf"\1{HIDDEN}"),
    (r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", HIDDEN),
    (r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", HIDDEN),
)
"""Shapes and what stands in their place. RE2, for whoever writes a log could else keep us busy."""


def end_of(log: str) -> str:
    """The last lines of a log, at most so many and of so many bytes, without what looks like a secret."""
    text = "".join(char for char in log if char in "\t\n" or char.isprintable())
    for shape, instead in _SHAPES:
        text = str(re2.sub(shape, instead, text))
    raw = "\n".join(text.rstrip().split("\n")[-LINES:]).encode(errors="replace")
    return raw.decode() if len(raw) <= BYTES else "…" + raw[-BYTES:].decode(errors="ignore")
