"""The settings: environment variables `GOLDSEAM_*`, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "GOLDSEAM_"


class SettingsProblem(ValueError):
    """A setting is wrong or unknown; the message says which, and what to write."""


class Settings(BaseSettings):
    """How the operator runs."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, use_attribute_docstrings=True, extra="forbid")

    kubeconfig: Path | None = None
    """A kubeconfig file. Default: the pod's ServiceAccount."""
    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)] = "goldseam-system"
    """The operator's own namespace: node incidents and signing keys live there."""
    listen_host: str = "0.0.0.0"  # noqa: S104 - the kubelet's probes come from outside the pod
    """Where `/metrics`, `/healthz` and `/readyz` are served."""
    listen_port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """The port for that; 0 takes a free one."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """How much is logged."""
    log_format: Literal["json", "console"] = "json"
    """`json`: one object a line. `console`: for people."""
    watch_seconds: Annotated[float, Field(ge=1, le=290)] = 120.0
    """Each watch is opened anew after so many seconds at most. One that could not be for twice as long makes the
    process unready, and one that could not be for five times as long ends it, so that it is started again."""
    requests_per_second: Annotated[float, Field(ge=1, le=1_000)] = 100.0
    """How many requests to the API server are sent in a second, over any longer time; twice as many at once. What is
    owed, and the lease, go before the rest."""
    record_dir: Path | None = None
    """Where every decision that changes something is recorded as JSON, with all that it was made from: for tests and
    reports. Default: nowhere. The files hold what the API server says of workloads, nodes and pods."""


def load() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsProblem: a name is unknown or a value is wrong.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise SettingsProblem(f"unknown setting {unknown[0]}; known are {', '.join(sorted(known))}")
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper() if first["loc"] else "settings"
        raise SettingsProblem(f"{name}: {first['msg']}") from error
