"""What an Image repository needs from the world, besides a store for its metadata."""

from collections.abc import Sequence
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
