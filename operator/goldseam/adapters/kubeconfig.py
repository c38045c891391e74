"""How to reach an API server: a kubeconfig file, or the pod's ServiceAccount."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import yaml
from kubernetes.aio import client, config
from kubernetes.aio.config import ConfigException

from goldseam.errors import Invalid

DEFAULT = "~/.kube/config"
TOKEN_AGE = 5.0
"""Seconds after which a token's file is read again: fewer than the leader may take to renew its lease."""
SERVICE_ACCOUNT_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - where it is, not what


class TokenFile:
    """A token that others replace in its file, as the kubelet does: the client's hook that reads it again.

    The library reads a kubeconfig's file once, and the pod's by the time of day: when that is set back by an hour, it
    keeps the token for an hour longer, beyond its end.
    """

    def __init__(self, path: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path, self._monotonic = Path(path), monotonic
        self._until = float("-inf")

    def __call__(self, configuration: Any) -> None:
        """Give the client the token that is in the file now; the one before stays while the file cannot be read."""
        now = self._monotonic()
        if now < self._until:
            return
        self._until = now + TOKEN_AGE
        if token := self.read():
            configuration.api_key["BearerToken"] = f"Bearer {token}"

    def read(self) -> str:
        """The token; empty when there is none."""
        try:
            return self._path.read_text().strip()
        except (OSError, ValueError):
            return ""


def token_file(kubeconfig: str) -> TokenFile | None:
    """The file that the current context's user has the token in; None when the token stands there itself, or none."""
    config = yaml.safe_load(Path(kubeconfig).read_text())
    context: Any = _named(config, "contexts", config.get("current-context")).get("context") or {}
    user: Any = _named(config, "users", context.get("user")).get("user") or {}
    if not user.get("tokenFile") or user.get("token"):
        return None
    return TokenFile(str(Path(kubeconfig).parent / user["tokenFile"]))


def _named(config: Any, what: str, name: object) -> Any:
    return next((entry for entry in config.get(what) or [] if entry.get("name") == name), {})


async def of_operator(kubeconfig: str | None) -> Any:
    """A client by a kubeconfig file, or without one by the pod's ServiceAccount.

    Raises:
        Invalid: there is no such configuration, or it cannot be read.
    """
    if kubeconfig:
        api, _ = await _loaded(kubeconfig, None)
        if token := await asyncio.to_thread(token_file, kubeconfig):
            api.configuration.refresh_api_key_hook = token
        return api
    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)
    except (ConfigException, OSError) as error:
        raise Invalid(f"no connection by the pod's ServiceAccount: {error}"[:300]) from error
    configuration.refresh_api_key_hook = TokenFile(SERVICE_ACCOUNT_TOKEN)
    return _client(configuration)


def _client(configuration: Any) -> Any:
    """A client that asks the environment once, for its proxy.

    By itself aiohttp asks for proxy and netrc before each request, in a thread: two thirds of what a request costs, and
    a netrc that names the host breaks every one that carries a token.
    """
    configuration.client_session_kwargs = {"trust_env": False}
    configuration.proxy = configuration.proxy or _proxy(configuration.host)
    return client.ApiClient(configuration=configuration)


def _proxy(server: str) -> str | None:
    """The proxy that `HTTPS_PROXY` and `NO_PROXY` name for this server."""
    parts = urlsplit(server)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


async def of_person(kubeconfig: str | None, context: str | None) -> tuple[Any, str]:
    """A client and a namespace as kubectl finds them: the file, else `KUBECONFIG`, else `~/.kube/config`.

    Raises:
        Invalid: there is no such configuration or context, or it cannot be read.
    """
    return await _loaded(kubeconfig or os.environ.get("KUBECONFIG") or os.path.expanduser(DEFAULT), context)  # noqa: ASYNC240, PTH111 - no I/O


async def _loaded(paths: str, context: str | None) -> tuple[Any, str]:
    configuration = client.Configuration()
    try:
        found = await asyncio.to_thread(_files, paths)
        if not found:
            raise FileNotFoundError("there is no such file")
        loader = await config.load_kube_config(
            config_file=os.pathsep.join(found),
            context=context or await asyncio.to_thread(_current, found),
            client_configuration=configuration,
            persist_config=False,
        )
        chosen = loader.current_context.get("context") or {}
        return _client(configuration), str(chosen.get("namespace") or "default")
    except (ConfigException, OSError) as error:
        raise Invalid(f"no connection by {paths}: {error}"[:300]) from error
    except Exception as error:  # the file's text is anyone's, and parsers quote it: tokens stand in it
        raise Invalid(f"no connection by {paths}: it cannot be read ({type(error).__name__})") from None


def _files(paths: str) -> list[str]:
    """Those that are there: several are separated as in PATH, and kubectl leaves out what is missing, too."""
    return [path for path in paths.split(os.pathsep) if path and Path(path).is_file()]


def _current(paths: list[str]) -> str | None:
    """The current context as kubectl has it: of the first file that names one. The library takes the last one's, which
    could be another cluster."""
    named = (yaml.safe_load(Path(path).read_text()) for path in paths)
    return next((str(one["current-context"]) for one in named if one and one.get("current-context")), None)
