"""One JSON stream, and nothing secret in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from goldseam import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def test_our_lines_and_those_of_libraries_are_one_stream(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("INFO")
    structlog.get_logger("goldseam.x").info("acted", incident="shop/a")
    logging.getLogger("kopf.x").warning(
        "from %s", "kopf", extra={"k8s_ref": {"kind": "Pause", "name": "p", "uid": None}}
    )
    ours, theirs = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (ours["msg"], ours["incident"], ours["level"]) == ("acted", "shop/a", "info")
    assert (theirs["msg"], theirs["object"]) == ("from kopf", {"kind": "Pause", "name": "p"})


def test_a_traceback_has_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("INFO")
    password = "hunter2"
    try:
        raise ValueError(len(password))
    except ValueError:
        structlog.get_logger("goldseam.x").exception("failed")
    line = capsys.readouterr().out
    assert "ValueError" in line
    assert "hunter2" not in line


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("logger", [structlog.get_logger("goldseam.x"), logging.getLogger("aiohttp.x")])
def test_no_form_and_no_library_shows_local_variables(
    capsys: pytest.CaptureFixture[str], form: str, logger: Any
) -> None:
    logs.setup(form=form)
    password = "hunter2"
    try:
        raise ValueError(len(password))
    except ValueError:
        logger.exception("failed")
    said = capsys.readouterr().out
    assert "ValueError" in said
    assert "hunter2" not in said


def test_what_kopf_hangs_on_its_records_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup()
    logging.getLogger("kopf.x").warning("odd", extra={"settings": {"token": "hunter2"}})
    assert "hunter2" not in capsys.readouterr().out


def test_the_level_holds_for_all_and_the_loud_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("DEBUG")
    structlog.get_logger("goldseam.x").debug("ours")
    logging.getLogger("kopf.objects").info("handler succeeded")
    assert [json.loads(line)["msg"] for line in capsys.readouterr().out.splitlines()] == ["ours"]
    logs.setup("WARNING")
    logging.getLogger("goldseam.y").info("not now")
    assert capsys.readouterr().out == ""


def test_setting_up_twice_writes_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup()
    logs.setup()
    structlog.get_logger("goldseam.x").info("one\nline")
    assert len(capsys.readouterr().out.splitlines()) == 1
