"""`uptane serve`: production servers."""

from pathlib import Path
from typing import Literal


def serve(folder: Path, *systems: Literal["director", "image-repository", "timeserver"]) -> None:
    """Run the servers in a folder that `uptane init` made, until Ctrl-C or SIGTERM.

    Args:
        folder: the folder with `uptane.toml`.
        systems: those that run in this process; all three where none is named.
    """
    import asyncio

    from uptane.assembly.serving import System, serve
    from uptane.assembly.settings import load_settings

    which = frozenset(map(System, systems)) or frozenset(System)
    asyncio.run(serve(load_settings(folder), which, lambda line: print(line, flush=True)))
