"""Which cluster, and which namespace, a person's command goes to: as kubectl decides it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from goldseam.adapters.kubeconfig import of_person
from goldseam.errors import Invalid


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
