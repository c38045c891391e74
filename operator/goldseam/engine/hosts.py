"""What a label says of a node: its name, or one of its addresses, in whatever way it is written."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

from goldseam.engine.objects import Json

REMEMBERED = 20_000
"""Labels, as many as there are nodes in a large cluster: each look asks of every alert that fires what it is about."""
_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
_PORT = re.compile(r":[0-9]{1,5}$")
_KINDS = ("InternalIP", "Hostname", "InternalDNS")
"""The addresses by which a node is known inside the cluster; others may be those of a router in front of many."""


@lru_cache(REMEMBERED)
def host_of(label: str) -> str:
    """The name or the address of a node in a label, as nodes have it: without a port, in lower case, IPv6 in its short
    form. Empty where it is neither.

    An IPv6 address with a port is in brackets (RFC 3986), as Prometheus writes targets; one without brackets has none.
    """
    bracketed = re.fullmatch(r"\[([^\]]*)\](:[0-9]{1,5})?", label)
    if bracketed:
        return _address(bracketed[1])
    if found := _address(label):
        return found
    name = _PORT.sub("", label).lower()
    fits = len(name) <= 253 and ".." not in name and _NAME.match(name)
    return _address(name) or (name if fits else "")


def _address(text: str) -> str:
    """The IP address in one form, IPv4 written as IPv6 (`::ffff:10.0.0.7`) as IPv4; empty where it is none, or one of a
    single link (`fe80::1%eth0`)."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return "" if "%" in text else str(mapped or found)


def is_name(host: str) -> bool:
    """Whether it is no address."""
    return not _address(host)


def addresses(node: Json) -> frozenset[str]:
    """The addresses of a node inside the cluster, as `host_of` writes them."""
    listed = (node.get("status") or {}).get("addresses") or []
    found = (host_of(str(one.get("address"))) for one in listed if one.get("type") in _KINDS)
    return frozenset(one for one in found if one)


def fitting(host: str, nodes: Iterable[Json]) -> list[Json]:
    """The nodes that it may mean: the one of that name, else those that have it as an address."""
    nodes = list(nodes)
    named = [node for node in nodes if (node.get("metadata") or {}).get("name") == host]
    return named or [node for node in nodes if host in addresses(node)]
