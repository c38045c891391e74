"""The settings: environment variables `GOLDSEAM_*`, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator
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
    pod_name: Annotated[str, Field(max_length=253)] = ""
    """The name of the pod that it runs in. Default: the host's name. Before that pod is evicted by a drain, it hands
    over to another replica."""
    listen_host: str = "0.0.0.0"  # noqa: S104 - the kubelet's probes come from outside the pod
    """Where `/metrics`, `/healthz` and `/readyz` are served."""
    listen_port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """The port for that; 0 takes a free one."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """How much is logged."""
    log_format: Literal["json", "console"] = "json"
    """`json`: one object a line. `console`: for people."""
    watch_seconds: Annotated[int, Field(ge=1, le=290)] = 120
    """Each watch is opened anew after so many seconds at most. One that could not be for twice as long makes the
    process unready, and one that could not be for five times as long ends it, so that it is started again."""
    requests_per_second: Annotated[float, Field(ge=1, le=1_000)] = 100.0
    """How many requests to the API server are sent in a second, over any longer time; twice as many at once. What is
    owed, and the lease, go before the rest."""
    record_dir: Path | None = None
    """Where every decision that changes something is recorded as JSON, with all that it was made from: for tests and
    reports. Default: nowhere. The files hold what the API server says of workloads, nodes and pods."""
    receiver_port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """The port of the receiver of hints (docs/how-to/push.md); 0 takes a free one. Default: there is no receiver."""
    receiver_host: str = "0.0.0.0"  # noqa: S104 - Prometheus is another pod
    """Where it listens."""
    receiver_token_file: Path | None = None
    """The bearer tokens that it takes: each line of the file is one, of 16 characters or more. It is read again when it
    changes."""
    receiver_tls_dir: Path | None = None
    """A directory with `tls.crt` and `tls.key`, read again when they change. Default: plain HTTP."""
    receiver_client_ca_file: Path | None = None
    """Clients must show a certificate of one of these authorities (PEM). Needs `receiver_tls_dir`."""
    receiver_anonymous: bool = False
    """Take hints of anybody who reaches the port."""

    @model_validator(mode="after")
    def _receiver_is_guarded(self) -> Self:
        identified = self.receiver_token_file or self.receiver_client_ca_file
        if self.receiver_port is None:
            given = [name for name in sorted(self.model_fields_set) if name.startswith("receiver_")]
            if given:
                raise ValueError(f"{PREFIX}{given[0].upper()} does nothing without {PREFIX}RECEIVER_PORT")
        elif not identified and not self.receiver_anonymous:
            raise ValueError(
                f"{PREFIX}RECEIVER_PORT needs {PREFIX}RECEIVER_TOKEN_FILE or {PREFIX}RECEIVER_CLIENT_CA_FILE,"
                f" so that it is known who speaks; to take hints of anybody, set {PREFIX}RECEIVER_ANONYMOUS=true"
            )
        elif identified and self.receiver_anonymous:
            raise ValueError(f"{PREFIX}RECEIVER_ANONYMOUS=true contradicts a token file or an authority of clients")
        if self.receiver_client_ca_file and not self.receiver_tls_dir:
            raise ValueError(f"{PREFIX}RECEIVER_CLIENT_CA_FILE needs {PREFIX}RECEIVER_TLS_DIR")
        return self


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
        name = PREFIX + str(first["loc"][0]).upper() + ": " if first["loc"] else ""
        raise SettingsProblem(name + first["msg"].removeprefix("Value error, ")) from error
