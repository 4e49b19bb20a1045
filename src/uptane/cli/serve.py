"""`uptane serve`: production servers."""

from pathlib import Path
from typing import Literal


def serve(folder: Path, *systems: Literal["director", "image-repository", "timeserver"]) -> None:
    """Run the servers in a folder that `uptane init` made, until Ctrl-C or SIGTERM.

    Example: uptane serve fleet

    Args:
        folder: the folder with `uptane.toml`.
        systems: those that run in this process; all three where none is named.
    """
    from uptane.assembly.event_loop import run
    from uptane.assembly.serving import System, serve
    from uptane.assembly.settings import load_settings

    which = frozenset(map(System, systems)) or frozenset(System)
    run(serve(load_settings(folder), which, lambda line: print(line, flush=True)))
