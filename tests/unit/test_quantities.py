"""Quantities: how much they are, and how the API server writes them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.utils import parse_quantity

from goldseam.api.quantities import canonical, part_of, size_of

SUFFIXES = st.sampled_from(["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"])
NUMBERS = st.integers(0, 10**12).map(str) | st.decimals(0, 10**6, places=3).map(str)
ASKED = st.builds(
    "{}{}".format, st.integers(1, 10**12), st.sampled_from(["", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi"])
)


@given(number=NUMBERS, suffix=SUFFIXES)
def test_it_is_as_much_as_the_official_client_says(number: str, suffix: str) -> None:
    assert size_of(number + suffix) == parse_quantity(number + suffix)


@pytest.mark.parametrize(
    ("text", "size"), [("1e3", 1000), ("5E-1", "0.5"), (".5", "0.5"), ("1.", 1), ("+2", 2), ("0", 0), ("1E", 10**18)]
)
def test_every_form_is_read(text: str, size: object) -> None:
    assert size_of(text) == Decimal(str(size))


@pytest.mark.parametrize(
    "text", ["", "-1", "1 Gi", "Gi", "1KB", "1ki", "1e", "1e999", "0x10", "1Gi\n", "٣", 5, None, True, {}]
)
def test_what_is_none_is_none(text: object) -> None:
    assert size_of(text) is None


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1024Mi", "1Gi"), ("1536Mi", "1536Mi"), ("1048576Ki", "1Gi"), ("2000m", "2"), ("500m", "500m"),
        ("1500m", "1500m"), ("1000", "1k"), ("1024", "1024"), ("1000M", "1G"), ("1073741824", "1073741824"),
        ("1000Mi", "1000Mi"), ("0", "0"),
    ],
)  # fmt: skip
def test_it_is_written_as_the_api_server_writes_it(text: str, written: str) -> None:
    assert canonical(text) == written


@given(text=ASKED)
def test_writing_it_otherwise_changes_nothing(text: str) -> None:
    assert size_of(canonical(text)) == size_of(text)
    assert canonical(canonical(text)) == canonical(text)


@pytest.mark.parametrize(
    ("text", "part"),
    [("4Gi", "1Gi"), ("1Gi", "256Mi"), ("2", "500m"), ("10m", "3m"), ("4G", "976563Ki"), ("1", "250m"), ("1m", "1m")],
)
def test_a_part_of_it_is_rounded_up(text: str, part: str) -> None:
    assert part_of(text, 4) == part


@given(text=ASKED)
def test_a_part_of_it_is_never_less_than_it_should_be(text: str) -> None:
    part, whole = size_of(part_of(text, 4)), size_of(text)
    assert part is not None
    assert whole is not None
    assert part * 4 >= whole
