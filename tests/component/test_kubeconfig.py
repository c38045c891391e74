"""Which cluster, and which namespace, a person's command goes to: as kubectl decides it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from aiohttp import web

from goldseam.adapters.kube import connect
from goldseam.adapters.kubeconfig import TOKEN_AGE, TokenFile, of_operator, of_person, token_file
from goldseam.errors import Invalid
from goldseam.resources import GUARDRAILS
from tests.support.web import serving


def written(path: Path, *contexts: str, current: str | None = None, namespace: str | None = None) -> Path:
    """A kubeconfig whose contexts each lead to a server of their name."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": c, "cluster": {"server": f"http://{c}:1"}} for c in contexts],
        "users": [{"name": c, "user": {"token": f"token-of-{c}"}} for c in contexts],
        "contexts": [
            {"name": c, "context": {"cluster": c, "user": c} | ({"namespace": namespace} if namespace else {})}
            for c in contexts
        ],
    } | ({"current-context": current} if current else {})
    path.write_text(json.dumps(content))
    return path


async def reached(kubeconfig: str | None, context: str | None = None) -> tuple[str, str]:
    """The server's name and the namespace."""
    api, namespace = await of_person(kubeconfig, context)
    async with api:
        return api.configuration.host.removeprefix("http://").removesuffix(":1"), namespace


async def test_the_file_that_is_named_and_its_current_context(tmp_path: Path) -> None:
    file = written(tmp_path / "a", "one", "two", current="two", namespace="aurum")
    assert await reached(str(file)) == ("two", "aurum")
    assert await reached(str(file), "one") == ("one", "aurum")


async def test_without_a_namespace_it_is_default(tmp_path: Path) -> None:
    assert await reached(str(written(tmp_path / "a", "one", current="one"))) == ("one", "default")


async def test_of_several_files_the_first_that_names_a_context_decides_as_with_kubectl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [
        written(tmp_path / "a", "one"),
        written(tmp_path / "b", "two", current="two"),
        tmp_path / "is-not-there",
        written(tmp_path / "c", "three", current="three"),
    ]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, files)))
    assert await reached(None) == ("two", "default")
    assert await reached(None, "three") == ("three", "default")


async def test_without_anything_it_is_the_file_in_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kube").mkdir()
    written(tmp_path / ".kube" / "config", "home", current="home")
    assert await reached(None) == ("home", "default")


async def test_a_context_that_is_not_there_is_said(tmp_path: Path) -> None:
    file = written(tmp_path / "a", "one", current="one")
    with pytest.raises(Invalid, match=r"object with name never in .* list"):
        await reached(str(file), "never")


async def test_a_file_without_a_current_context_is_said(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="current-context"):
        await reached(str(written(tmp_path / "a", "one")))


async def test_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="there is no such file"):
        await reached(str(tmp_path / "never"))


async def test_a_token_that_is_replaced_in_its_file_is_used_without_a_restart(tmp_path: Path) -> None:
    token, now = tmp_path / "token", 100.0
    token.write_text("first\n")
    file = written(tmp_path / "a", "one", current="one")
    config = json.loads(file.read_text())
    config["users"][0]["user"] = {"tokenFile": "token"}
    file.write_text(json.dumps(config))
    async with await of_operator(str(file)) as api:
        assert await api.configuration.get_api_key_with_prefix("BearerToken") == "Bearer first"
        api.configuration.refresh_api_key_hook = TokenFile(str(token), lambda: now)
        assert await api.configuration.get_api_key_with_prefix("BearerToken") == "Bearer first"
        token.write_text("second")
        now += TOKEN_AGE - 1
        assert await api.configuration.get_api_key_with_prefix("BearerToken") == "Bearer first"
        now += 1
        assert await api.configuration.get_api_key_with_prefix("BearerToken") == "Bearer second"
        token.unlink()
        now += TOKEN_AGE
        assert await api.configuration.get_api_key_with_prefix("BearerToken") == "Bearer second", "for want of another"


async def test_a_token_that_stands_in_the_kubeconfig_is_in_no_file(tmp_path: Path) -> None:
    assert token_file(str(written(tmp_path / "a", "one", current="one"))) is None


async def test_the_proxy_of_the_environment_is_used_but_for_what_it_excepts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "two,.svc")
    file = str(written(tmp_path / "a", "one", "two"))
    found = {}
    for context in ("one", "two"):
        api, _ = await of_person(file, context)
        async with api:
            found[context] = api.rest_client.proxy
    assert found == {"one": "http://proxy:3128", "two": None}


async def test_a_netrc_that_names_the_server_breaks_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("default login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.json_response({"metadata": {"name": "cluster"}})

    async with serving(answer) as url:
        file = written(tmp_path / "a", "one", current="one")
        file.write_text(file.read_text().replace("http://one:1", url))
        async with connect(str(file), "goldseam") as cluster:
            await cluster.get(GUARDRAILS, "", "cluster")
    assert seen == ["Bearer token-of-one"]
