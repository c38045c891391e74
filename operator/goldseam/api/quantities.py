"""Quantities of CPU and memory, as Kubernetes writes them: `500m`, `2`, `1536Mi`, `1G`.

Source: `staging/src/k8s.io/apimachinery/pkg/api/resource/quantity.go` in kubernetes. The API server writes each in its
canonical form: without a fraction, and with the largest suffix that allows it.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

_DECIMAL = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_QUANTITY = re.compile(r"\+?([0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]{1,2})?")


def size_of(text: object) -> Decimal | None:
    """How much it is, in cores or bytes; None where it is no quantity, or a negative one."""
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix in _BINARY:
        return number * Decimal(1024 ** _BINARY.index(suffix))
    power = 3 * (_DECIMAL.index(suffix) - 3) if suffix in _DECIMAL else int(suffix[1:])
    return number * Decimal(10) ** power


def canonical(text: str) -> str:
    """A whole number with or without a suffix, as the API server writes it: `1024Mi` is `1Gi`, `2000m` is `2`."""
    digits = re.match(r"[0-9]+", text)
    assert digits is not None, "the kind lets nothing else through"
    number, suffix = int(digits[0]), text[digits.end() :]
    family, base = (_BINARY, 1024) if suffix.endswith("i") else (_DECIMAL, 1000)
    place = family.index(suffix)
    while number and number % base == 0 and place + 1 < len(family):
        number, place = number // base, place + 1
    return f"{number}{family[place]}"


def part_of(text: str, divisor: int) -> str:
    """So much less, rounded up to thousandths of a core, or whole bytes where there are that many; canonical."""
    size = size_of(text)
    assert size is not None
    less = size / divisor
    if less > _MOST_CORES:
        return canonical(f"{int((less / 1024).to_integral_value(ROUND_CEILING))}Ki")
    return canonical(f"{int((less * 1000).to_integral_value(ROUND_CEILING))}m")


_MOST_CORES = 1_000_000
