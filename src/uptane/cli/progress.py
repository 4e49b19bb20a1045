"""Progress bars for long work: on a terminal only, and never in what a program reads."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

NameT = TypeVar("NameT")


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while the context is open, if that is a terminal.

    Args:
        what: what is done, in a few words.
        total: bytes.

    Yields:
        What takes the number of further bytes that are done.
    """
    import sys

    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bars:
        task = bars.add_task(what, total=total)
        yield lambda done: bars.advance(task, done)


def counted(
    images: Mapping[NameT, Callable[[], Iterable[bytes]]], done: Callable[[int], None]
) -> dict[NameT, Callable[[], Iterable[bytes]]]:
    """The same images, whose bytes are counted as they are read."""

    def opener(chunks: Callable[[], Iterable[bytes]]) -> Callable[[], Iterable[bytes]]:
        def read() -> Iterator[bytes]:
            for chunk in chunks():
                yield chunk
                done(len(chunk))

        return read

    return {name: opener(chunks) for name, chunks in images.items()}
