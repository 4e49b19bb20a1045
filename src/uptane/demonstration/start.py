"""How `demo/start_servers.py` reads its arguments, and starts the services one after the other."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from uptane.demonstration.console import ERROR_LINE, failures, say
from uptane.demonstration.settings import PREFIX, Settings, load_settings
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import UptaneError

READY = "The services are ready: di (Image repository), dd (Director) and dt (Timeserver)."
NOT_READY = "The services are not ready: see the error above."
WRONG_USE = 2


def settings_or_end() -> Settings:
    """The demonstration's settings; ends the program with one line where a variable is not usable."""
    try:
        return load_settings()
    except UptaneError as error:
        sys.stdout.flush()
        print(f"{ERROR_LINE}{error}", file=sys.stderr, flush=True)
        os._exit(WRONG_USE)  # an ordinary exit prints a traceback in an interactive shell


def chosen_format(arguments: Sequence[str]) -> str | None:
    """The value of `--format`, or None; ends the program with a usage message for anything else."""
    parser = argparse.ArgumentParser(prog="start_servers.py", description="Starts the services of the walkthrough.")
    parser.add_argument(
        "--format", choices=sorted(PROFILES), help=f"the metadata format (default: {PREFIX}FORMAT, or der)"
    )
    try:
        value: str | None = parser.parse_args(arguments).format
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else WRONG_USE)
    return value


def start(*services: Callable[[], object]) -> None:
    """Starts each service, and stops at the first that fails."""
    for service in services:
        before = failures()
        service()
        if failures() != before:
            say(NOT_READY)
            return
    say(READY)
