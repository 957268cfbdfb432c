"""Logs of the commands: one line an event, plain or as JSON."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Final

FACTS: Final = ("jid", "jobtype", "queue", "run_seconds")


class PlainFormatter(logging.Formatter):
    """2026-11-23T10:00:00.123Z 4711 INFO faktory_django.worker.launcher: text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback follows on lines of its own."""
        head = f"{_time(record)} {record.process} {record.levelname} {record.name}: "
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return head + text


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with the facts of a job where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        entry = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        entry |= {fact: getattr(record, fact) for fact in FACTS if hasattr(record, fact)}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def set_up(*, log_format: str, verbosity: int, debug: bool) -> None:
    """Send our loggers to standard error, unless the project's LOGGING has them already.

    Each job's end is a line with verbosity 2 or more, or in DEBUG.
    """
    ours = logging.getLogger("faktory_django")
    if not ours.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter() if log_format == "json" else PlainFormatter())
        ours.addHandler(handler)
        ours.propagate = False
    levels = {0: logging.ERROR, 1: logging.INFO}
    ours.setLevel(levels.get(verbosity, logging.INFO))
    if verbosity >= 2 or (debug and verbosity >= 1):
        logging.getLogger("faktory_django.jobs").setLevel(logging.DEBUG)
    if verbosity >= 3:
        ours.setLevel(logging.DEBUG)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
