"""AlertSource: where alert state is read."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from goldseam.api.base import AnyDuration, Matcher, Model
from goldseam.api.constraints import Between, Pattern

Url = Annotated[
    str,
    Field(min_length=8, max_length=512),
    Pattern(
        r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        "must be an http or https URL without user, query and fragment, such as http://prometheus.monitoring:9090",
    ),
]
"""An http or https URL without user, query or fragment."""


class AlertSourceSpec(Model):
    """A Prometheus-compatible server whose rules API says which alerts fire."""

    url: Url
    """Where the server's API begins, without `/api/v1`, such as `http://prometheus.monitoring:9090`."""
    matchers: Annotated[list[Matcher], Field(max_length=16)] = []
    """What an alert must carry to be about THIS cluster, such as `cluster="prod-1"`. Needed where one server holds the
    alerts of several clusters. Default: every alert counts."""
    interval: Annotated[AnyDuration, Between("1s", "5m")] = timedelta(seconds=15)
    """How often the rules are read, from 1s to 5m. Default: 15s."""
    timeout: Annotated[AnyDuration, Between("1s", "1m")] = timedelta(seconds=10)
    """How long one read may take, from 1s to 1m. Default: 10s."""
