"""Settings: GOLDSEAM_* only, and a wrong one says what to write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from goldseam.__main__ import main
from goldseam.settings import PREFIX, Settings, SettingsProblem, load

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference" / "settings.md"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


def test_defaults_are_those_of_a_pod() -> None:
    settings = load()
    assert (settings.namespace, settings.listen_port, settings.log_format) == ("goldseam-system", 8080, "json")


def test_an_unknown_name_is_an_error_that_lists_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOLDSEAM_LOGLEVEL", "INFO")
    with pytest.raises(SettingsProblem, match=r"unknown setting GOLDSEAM_LOGLEVEL; known are .*GOLDSEAM_LOG_LEVEL"):
        load()


@pytest.mark.parametrize(("name", "value"), [("LISTEN_PORT", "many"), ("LOG_LEVEL", "LOUD"), ("NAMESPACE", "A_b")])
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(SettingsProblem, match=PREFIX + name):
        load()


def test_the_command_ends_with_status_2_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GOLDSEAM_LISTEN_PORT", "x")
    assert main(["run"]) == 2
    assert "GOLDSEAM_LISTEN_PORT" in capsys.readouterr().err


def test_every_setting_is_in_the_docs_and_no_other() -> None:
    documented = set(re.findall(r"^\| `(GOLDSEAM_[A-Z_]+)`", DOCS.read_text(), re.MULTILINE))
    assert documented == {PREFIX + name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"PORT": "9095"}, "GOLDSEAM_RECEIVER_PORT needs GOLDSEAM_RECEIVER_TOKEN_FILE or .*ANONYMOUS=true"),
        ({"PORT": "9095", "TLS_DIR": "/tls"}, "GOLDSEAM_RECEIVER_PORT needs"),
        ({"TOKEN_FILE": "/token"}, "GOLDSEAM_RECEIVER_TOKEN_FILE does nothing without GOLDSEAM_RECEIVER_PORT"),
        ({"PORT": "9095", "CLIENT_CA_FILE": "/ca.crt"}, "CLIENT_CA_FILE needs GOLDSEAM_RECEIVER_TLS_DIR"),
        ({"PORT": "9095", "TOKEN_FILE": "/token", "ANONYMOUS": "true"}, "ANONYMOUS=true contradicts"),
    ],
)
def test_a_receiver_that_would_not_know_who_speaks_is_not_begun(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"{PREFIX}RECEIVER_{name}", value)
    with pytest.raises(SettingsProblem, match=f"^GOLDSEAM_RECEIVER.*{said.removeprefix('GOLDSEAM_RECEIVER')}"):
        load()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"PORT": "0", "ANONYMOUS": "true"},
        {"PORT": "9095", "TOKEN_FILE": "/token", "TLS_DIR": "/tls"},
        {"PORT": "9095", "CLIENT_CA_FILE": "/ca.crt", "TLS_DIR": "/tls"},
    ],
)
def test_a_receiver_is_begun_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"{PREFIX}RECEIVER_{name}", value)
    assert (load().receiver_port is not None) == bool(given)


@pytest.mark.parametrize("name", ["KUBECONFIG", "POD_NAMESPACE", "NAMESPACE", "LOG_LEVEL"])
def test_what_is_meant_for_others_is_not_read(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "other")
    settings = load()
    assert (settings.kubeconfig, settings.namespace, settings.log_level) == (None, "goldseam-system", "INFO")
