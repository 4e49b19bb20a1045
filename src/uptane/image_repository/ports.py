"""What an Image repository needs from the world, besides a store for its metadata."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

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
        """Stores images that signed metadata lists under each `FOLDER/HASH.FILE`, and under no other name.

        All bytes are on disk before the first image has a name; an error of an iterator leaves none of them.

        Args:
            images: what is listed of each, and its bytes, which raise an error where they are not the listed ones.

        Raises:
            StorageError: the disk is full or cannot be written, or a file of the hash's name holds other bytes.
            FormatError: a name cannot be stored, or looks hash-qualified itself.
        """
        ...


class WaitingMetadata(Protocol):
    """Where signed metadata waits for more signatures; nobody but the Image repository reads it."""

    async def read(self, name: str) -> bytes | None:
        """A file, or None."""
        ...

    async def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Sets each file to its bytes, or removes it for None, one after the other; raises StorageError."""
        ...


Turn = Callable[[], AbstractAsyncContextManager[object]]
"""Held while the repository changes, so that several processes publish one after the other.

Entering raises StorageError while somebody else holds it.
"""
