"""One JSON stream, and nothing secret in it."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from goldseam import logs


class Said:
    """What was written, once all of it is: another thread writes it."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured

    def out(self) -> str:
        for handler in logging.getLogger().handlers:
            handler.flush()
        return self._captured.readouterr().out


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Said:
    return Said(capfd)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def test_our_lines_and_those_of_libraries_are_one_stream(said: Said) -> None:
    logs.setup("INFO")
    structlog.get_logger("goldseam.x").info("acted", incident="shop/a")
    logging.getLogger("kopf.x").warning(
        "from %s", "kopf", extra={"k8s_ref": {"kind": "Pause", "name": "p", "uid": None}}
    )
    ours, theirs = (json.loads(line) for line in said.out().splitlines())
    assert (ours["msg"], ours["incident"], ours["level"]) == ("acted", "shop/a", "info")
    assert (theirs["msg"], theirs["object"]) == ("from kopf", {"kind": "Pause", "name": "p"})


def test_a_traceback_has_no_local_variables(said: Said) -> None:
    logs.setup("INFO")
    password = "hunter2"
    try:
        raise ValueError(len(password))
    except ValueError:
        structlog.get_logger("goldseam.x").exception("failed")
    line = said.out()
    assert "ValueError" in line
    assert "hunter2" not in line


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("logger", [structlog.get_logger("goldseam.x"), logging.getLogger("aiohttp.x")])
def test_no_form_and_no_library_shows_local_variables(said: Said, form: str, logger: Any) -> None:
    logs.setup(form=form)
    password = "hunter2"
    try:
        raise ValueError(len(password))
    except ValueError:
        logger.exception("failed")
    line = said.out()
    assert "ValueError" in line
    assert "hunter2" not in line


def test_what_kopf_hangs_on_its_records_is_not_logged(said: Said) -> None:
    logs.setup()
    logging.getLogger("kopf.x").warning("odd", extra={"settings": {"token": "hunter2"}})
    assert "hunter2" not in said.out()


def test_the_level_holds_for_all_and_the_loud_are_quiet(said: Said) -> None:
    logs.setup("DEBUG")
    structlog.get_logger("goldseam.x").debug("ours")
    logging.getLogger("kopf.objects").info("handler succeeded")
    assert [json.loads(line)["msg"] for line in said.out().splitlines()] == ["ours"]
    logs.setup("WARNING")
    logging.getLogger("goldseam.y").info("not now")
    assert said.out() == ""


def test_setting_up_twice_writes_each_line_once(said: Said) -> None:
    logs.setup()
    logs.setup()
    structlog.get_logger("goldseam.x").info("one\nline")
    assert len(said.out().splitlines()) == 1


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose reading end nobody reads for now."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


def test_a_pipe_that_nobody_reads_keeps_no_caller_waiting(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were it not so, this test would not end."""
    reading, writing = pipe
    monkeypatch.setattr(sys, "stdout", open(writing, "w"))  # noqa: SIM115, PTH123
    handler = logs.setup()
    log = structlog.get_logger("goldseam.x")
    for number in range(3 * logs.MOST):
        log.info("line", number=number, text="x" * 100)
    assert handler.dropped > 0
    read = b""
    while b"lines_dropped" not in read:
        read += os.read(reading, 65_536)
    lines = [json.loads(line) for line in read.splitlines()[:-1]]
    assert [line["number"] for line in lines if line["msg"] == "line"][:3] == [0, 1, 2], "in order, from the first"


def test_a_reader_that_is_gone_disturbs_nobody(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = pipe
    monkeypatch.setattr(sys, "stdout", open(writing, "w"))  # noqa: SIM115, PTH123
    handler = logs.setup()
    os.dup2(os.open(os.devnull, os.O_RDONLY), reading)
    structlog.get_logger("goldseam.x").info("to nobody")
    handler.flush()
    assert handler.dropped == 0
