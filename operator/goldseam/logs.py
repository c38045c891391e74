"""One stream of JSON lines for us, kopf, and every other library.

Lines are written by a thread of their own. A pipe that nobody reads blocks whoever writes to it, and that must not be
the loop that renews the Lease and answers the kubelet: what does not fit into the queue is dropped and counted.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import MutableMapping
from typing import Any

import structlog

_QUIET = {"kopf.objects": "WARNING", "kopf.activities": "WARNING", "aiohttp.access": "WARNING", "urllib3": "WARNING"}

_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
]

MOST = 2_000
"""Lines that wait to be written; beyond them lines are dropped."""
LAST_WORDS = 2.0
"""Seconds that the end of the process waits for lines to be written."""


class PatientHandler(logging.Handler):
    """Writes to a file descriptor, and never keeps its caller waiting."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = os.dup(descriptor)  # ours: nobody closes it, and its number never means another file
        self._lines: queue.Queue[str] = queue.Queue(MOST)
        self.dropped = 0
        """Lines that nobody will see, because nobody read in time."""
        self._told = 0
        threading.Thread(target=self._write_on, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the line, or drop it; formatted here, for it speaks of the caller's context."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self.dropped += 1  # under the handler's lock
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Wait until all is written, but not for long: perhaps nobody reads."""
        until = time.monotonic() + LAST_WORDS
        while self._lines.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.005)

    def _write_on(self) -> None:
        while True:
            self._write(self._lines.get())
            self._lines.task_done()
            if self.dropped > self._told:
                lost, self._told = self.dropped - self._told, self.dropped
                self._write(self.format(_record("lines_dropped: %d, for nobody read them in time", lost)))

    def _write(self, line: str) -> None:
        """Around Python's own buffer, whose lock a blocked thread would hold when the process ends."""
        rest = (line + "\n").encode(errors="replace")
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # whoever shares it has made it so
                time.sleep(0.05)
            except OSError:
                return  # the reader is gone, or the disk is full: there is nobody to tell


def _record(message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("goldseam.logs", logging.WARNING, __file__, 0, message, args, None)


def setup(level: str = "INFO", form: str = "json") -> PatientHandler:
    """Set up logging for the whole process. Tracebacks carry no local variables, for these may hold secrets.

    Returns:
        What writes the lines.
    """
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_SHARED, _object_of_kopf],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(form)],
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    out = PatientHandler(sys.stdout.fileno())
    out.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [out]
    root.setLevel(level)
    logging.captureWarnings(True)
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(quiet)
    return out


def _rendering(form: str) -> list[Any]:
    if form == "console":
        # the renderer's own choice would be rich, where it is installed, and that prints local variables
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), exception_formatter=plain)]
    transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=30)
    return [
        structlog.processors.ExceptionRenderer(transformer),
        structlog.processors.EventRenamer("msg"),
        structlog.processors.JSONRenderer(default=str),
    ]


def _object_of_kopf(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """kopf's loggers know which object they speak of (`k8s_ref`, kopf/_core/actions/loggers.py)."""
    ref = getattr(event.get("_record"), "k8s_ref", None)
    if ref:
        event.setdefault("object", {key: value for key, value in ref.items() if value is not None})
    return event
