"""The arguments of `demo/start_servers.py`."""

import argparse
from collections.abc import Sequence

from uptane.formats.profiles import PROFILES


def chosen_format(arguments: Sequence[str]) -> str | None:
    """The value of `--format`, or None; exits with a usage message for anything else."""
    parser = argparse.ArgumentParser(prog="start_servers.py", description="Starts the services of the walkthrough.")
    parser.add_argument("--format", choices=sorted(PROFILES), help="the metadata format (default: der)")
    value: str | None = parser.parse_args(arguments).format
    return value
