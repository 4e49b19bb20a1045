"""A published file for an HTTP door: what it is now, and its bytes as long as it is the same."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from uptane.metadata.errors import StorageError

PIECE = 256 << 10
"""Bytes that are read from the disk at once: few trips to a thread, and little memory for each reader."""


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A regular file.

    Args:
        length: in bytes.
        etag: in quotes, as HTTP writes it; another file of the same name has another one.
    """

    length: int
    etag: str
    _open: Callable[[], int | None]

    async def stream(self, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes from `start` to before `end` (None: the end of the file), in pieces of at most PIECE.

        Raises:
            StorageError: the file was replaced meanwhile, or cannot be read.
        """
        stop = self.length if end is None else min(end, self.length)
        file = await asyncio.to_thread(self._open)
        try:
            if file is None or _etag(os.fstat(file)) != self.etag:
                raise StorageError("a published file was replaced while it was read", next_step="Read it again.")
            while start < stop:
                piece = await asyncio.to_thread(_read, file, min(PIECE, stop - start), start)
                yield piece
                start += len(piece)
        finally:
            if file is not None:
                os.close(file)


def find_file(descriptor: Callable[[], int | None]) -> PublishedFile | None:
    """The file that `descriptor` opens for reading, or None where it opens none."""
    file = descriptor()
    if file is None:
        return None
    try:
        state = os.fstat(file)
    finally:
        os.close(file)
    return PublishedFile(state.st_size, _etag(state), descriptor)


def _etag(state: os.stat_result) -> str:
    return f'"{state.st_ino:x}-{state.st_mtime_ns:x}-{state.st_size:x}"'


def _read(file: int, size: int, at: int) -> bytes:
    try:
        piece = os.pread(file, size, at)
    except OSError as error:
        raise StorageError(f"a published file cannot be read: {error.strerror}", next_step="Check the disk.") from error
    if not piece:
        raise StorageError("a published file became shorter while it was read", next_step="Find out who changed it.")
    return piece
