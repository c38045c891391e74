"""One JSON stream, and nothing secret in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

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
