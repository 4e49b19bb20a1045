"""The log of servers: one line for each event on standard error, as JSON, or readable at a terminal."""

import logging
import os
import sys
import unicodedata
from collections.abc import MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger, Processor

from uptane.assembly.log_lines import WAITING_SECONDS, LogLines
from uptane.services.request_context import CURRENT

LogFormat: TypeAlias = Literal["auto", "json", "text"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]

_Event: TypeAlias = MutableMapping[str, Any]


def start_logging(
    form: LogFormat = "auto",
    level: LogLevel = "info",
    stream: TextIO | None = None,
    waiting_seconds: float = WAITING_SECONDS,
) -> None:
    """Everything that this process logs goes to one stream from now on, what libraries log from `warning` on.

    Args:
        form: `auto` is text at a terminal, else JSON.
        level: what is below it is left out.
        stream: standard error unless given.
        waiting_seconds: how long what is no warning may wait, to be written with others.
    """
    target = stream or sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for good
    lines = LogLines(target, waiting_seconds)
    readable = form == "text" or (form == "auto" and target.isatty())
    first: list[Processor] = [
        structlog.stdlib.add_log_level,
        _facts(os.getpid()),
        structlog.processors.format_exc_info,  # without local variables, which may hold secrets
    ]
    if readable:
        console = structlog.dev.ConsoleRenderer(
            colors=target.isatty(), timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
        )
        last: list[Processor] = [_on_one_line, console]
    else:
        last = [_json]
    number = getattr(logging, level.upper())
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=first, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("uptane").setLevel(number)


def server_log() -> FilteringBoundLogger:
    """The log for what servers themselves have to say; a silent one where `start_logging` was not called."""
    log: FilteringBoundLogger = (
        structlog.get_logger().bind()
        if structlog.is_configured()
        else structlog.wrap_logger(
            structlog.ReturnLogger(), wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
        )
    )
    return log


def _facts(pid: int) -> Processor:
    """What is said of every event: when it was, in which process and with which request."""

    def add(logger: Any, method: str, event: _Event) -> _Event:
        event["time"] = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        event["pid"] = pid
        record = CURRENT.get()
        if record is not None:
            event.setdefault("request", record.id)
        return event

    return add


def _json(logger: Any, method: str, event: _Event) -> str:
    """The event as JSON. What it would escape is escaped before, for those who show what they have decoded."""
    with suppress(UnicodeEncodeError):
        line = msgspec.json.encode(event).decode()
        if line.isascii() and line.isprintable() and "\\" not in line:
            return line
    return msgspec.json.encode(_on_one_line(logger, method, event)).decode()


def _on_one_line(logger: Any, method: str, event: _Event) -> _Event:
    """Nothing that came from outside begins a line of its own, or steers a terminal."""
    for name, value in event.items():
        if isinstance(value, str) and not (value.isascii() and value.isprintable()):
            event[name] = (
                "\n    ".join(map(_printable, value.split("\n"))) if name == "exception" else _printable(value)
            )
    return event


def _printable(text: str) -> str:
    return "".join(
        character.encode("unicode_escape").decode() if unicodedata.category(character)[0] in "CZ" and character != " "
        else character
        for character in text
    )  # fmt: skip
