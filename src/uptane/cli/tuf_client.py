"""The command `uptane-tuf-client`: a plain TUF client, with the command line that TUF's conformance tests drive.

It ends with 0 when all is well and with 1 after any failure. Libraries are imported when a command needs them.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from uptane.metadata.errors import UptaneError

PROGRAM = "uptane-tuf-client"
TRACEBACK_VARIABLE = "UPTANE_TRACEBACK"
FAILED = 1


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Ends with the one code of failure, where argparse would take another."""
        self.print_usage(sys.stderr)
        self.exit(FAILED, f"{PROGRAM}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: the words after the program's name; those of the process unless given.

    Returns:
        0 when all is well, 1 after any failure.
    """
    now = datetime.now(UTC)
    parser = _parser()
    words = parser.parse_args(arguments)
    for name in _REQUIRED[words.command]:
        if getattr(words, name) is None:
            parser.error(f"{words.command} needs --{name.replace('_', '-')}")
    try:
        _run(words, now)
    except (UptaneError, OSError) as error:
        if os.environ.get(TRACEBACK_VARIABLE, "0") not in ("", "0"):
            raise
        from uptane.formats.fault_text import printable

        print(f"{PROGRAM}: {printable(str(error))}", file=sys.stderr)
        return FAILED
    return 0


_REQUIRED = {
    "init": ("metadata_dir",),
    "refresh": ("metadata_dir", "metadata_url"),
    "download": ("metadata_dir", "metadata_url", "target_name", "target_dir", "target_base_url"),
}
"""The options of each command."""


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=PROGRAM, description="A client of The Update Framework (TUF).", allow_abbrev=False)
    parser.add_argument("--metadata-dir", metavar="DIR", type=Path, help="the folder of trusted metadata")
    parser.add_argument("--metadata-url", metavar="URL", help="where the repository's metadata is")
    parser.add_argument("--target-name", metavar="PATH", action="append", help="a target to download; may be repeated")
    parser.add_argument("--target-dir", metavar="DIR", type=Path, help="the folder to download to")
    parser.add_argument("--target-base-url", metavar="URL", help="where the repository's targets are")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    init = commands.add_parser("init", help="trust a Root from now on; needs no network")
    init.add_argument("trusted_root", metavar="TRUSTED_ROOT_FILE", type=Path)
    commands.add_parser("refresh", help="fetch and verify the top-level metadata")
    commands.add_parser("download", help="refresh, then look up and download targets")
    return parser


def _run(words: argparse.Namespace, now: datetime) -> None:
    from uptane.assembly.tuf_client import TufClient

    with TufClient(words.metadata_dir, now) as client:
        if words.command == "init":
            client.begin_with(words.trusted_root.read_bytes())
            return
        refreshed = client.refresh(words.metadata_url)
        if words.command == "download":
            refreshed.download(words.target_name, words.target_dir, words.target_base_url)


if __name__ == "__main__":
    sys.exit(main())
