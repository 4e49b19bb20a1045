"""What an Image repository needs from the world, besides a store for its metadata."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from uptane.image_repository.seen import Seen
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.targets import ImageFile


class ImageStore(Protocol):
    """Where image files are published."""

    async def add(self, path: ImagePath, data: bytes, functions: Sequence[str] = ("sha256", "sha512")) -> ImageFile:
        """Stores an image under each `FOLDER/HASH.FILE` and under its plain name (STD-5.2.7-3, -4).

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        ...

    async def add_all(self, images: Sequence[tuple[ImageFile, Iterable[bytes]]]) -> None:
        """Stores images under each `FOLDER/HASH.FILE`, and under no other name.

        All bytes are on disk before the first image has a name; an error of an iterator leaves none of them named. An
        attempt that was cut off may be gone on with.

        Args:
            images: what is or will be listed of each, and its bytes; they are checked on the way.

        Raises:
            EndlessDataError, LengthMismatchError, BadHashError: an image is not the listed one.
            StorageError: the disk is full or cannot be written, or a file of the hash's name holds other bytes.
            FormatError: a name cannot be stored, or looks hash-qualified itself.
        """
        ...

    async def name_plainly(self, files: Sequence[ImageFile]) -> None:
        """Gives images that `add_all` stored their plain names, in place of earlier ones; raises StorageError."""
        ...


class WaitingMetadata(Protocol):
    """Where signed metadata waits for more signatures; nobody but the Image repository reads it."""

    async def read(self, name: str) -> bytes | None:
        """A file, or None."""
        ...

    async def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Sets each file to its bytes, or removes it for None, one after the other; raises StorageError."""
        ...


class Floor(Protocol):
    """Where the newest published set is remembered, which whoever writes to the store cannot reach."""

    async def read(self) -> Seen | None:
        """What is remembered, or None; raises StorageError where that is damaged or cannot be read."""
        ...

    async def raise_to(self, seen: Seen) -> None:
        """Remembers a set, unless one that is as new is remembered already (`Seen.is_newer_than`).

        What cannot be written is told, and no error: what is published already would else seem not to be, and without
        a new Timestamp clients believe nothing any more.
        """
        ...


Turn = Callable[[], AbstractAsyncContextManager[object]]
"""Held while the repository changes, so that several processes publish one after the other.

Entering waits a little while somebody else holds it, and then raises StorageError.
"""
