"""How to reach an API server: a kubeconfig file, or the pod's ServiceAccount."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio import client, config
from kubernetes.aio.config import ConfigException

from goldseam.errors import Invalid

DEFAULT = "~/.kube/config"


async def of_operator(kubeconfig: str | None) -> Any:
    """A client by a kubeconfig file, or without one by the pod's ServiceAccount.

    Raises:
        Invalid: there is no such configuration, or it cannot be read.
    """
    if kubeconfig:
        api, _ = await _loaded(kubeconfig, None)
        return api
    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)
    except (ConfigException, OSError) as error:
        raise Invalid(f"no connection by the pod's ServiceAccount: {error}"[:300]) from error
    return client.ApiClient(configuration=configuration)


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
        return client.ApiClient(configuration=configuration), str(chosen.get("namespace") or "default")
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
