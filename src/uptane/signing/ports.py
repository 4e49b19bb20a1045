"""What publishing needs from the world."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class MetadataStore(Protocol):
    """The published metadata of one Image repository, or of one vehicle on a Director.

    A publication is all or nothing: readers see the old set or the new one, also after a crash.
    """

    async def read(self, name: str) -> bytes | None:
        """A file, or None."""
        ...

    async def publish(self, files: Sequence[tuple[str, bytes]], mutable: Mapping[str, bytes]) -> None:
        """Writes `files`, which are immutable, in their order, and then replaces the `mutable` ones in their order.

        Raises:
            StorageError: an immutable file exists with other bytes, or the disk is full.
        """
        ...
