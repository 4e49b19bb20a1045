"""`uptane serve`: production servers."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number


def serve(
    folder: Path,
    *systems: Literal["director", "image-repository", "timeserver"],
    workers: Annotated[int | None, Parameter(validator=Number(gte=1, lte=64))] = None,
    log_format: Literal["auto", "json", "text"] | None = None,
) -> None:
    """Run the servers in a folder that `uptane init` made, until Ctrl-C or SIGTERM.

    Args:
        folder: the folder with `uptane.toml`.
        systems: those that run here; all three where none is named.
        workers: processes, 1 to 64; as in the settings where it is not given. Several of the Director need PostgreSQL.
        log_format: of the log on standard error: json, text, or auto, which is text at a terminal and else JSON.
    """
    from uptane.assembly.event_loop import run
    from uptane.assembly.production import System
    from uptane.assembly.serving import serve
    from uptane.assembly.settings import load_settings

    which = frozenset(map(System, systems)) or frozenset(System)
    settings = load_settings(folder).with_workers(workers).with_log_format(log_format)
    run(serve(settings, which, lambda line: print(line, flush=True)))
