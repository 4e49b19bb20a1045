"""What an ECU needs from the world."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol


class EcuStore(Protocol):
    """The durable memory of one ECU: named values, changed together or not at all.

    Names are relative, with `/` between components, such as `director/timestamp` or `state/counter`.
    """

    def read(self, name: str) -> bytes | None:
        """The value, or None when there is none. Raises StorageError when what is stored is damaged."""
        ...

    def names(self, prefix: str) -> tuple[str, ...]:
        """The names that start with `prefix`, sorted."""
        ...

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Sets each name to its value, or removes it for None: all of them or, after an error or a crash, none.

        Raises:
            StorageError: the disk is full or cannot be written; nothing has changed.
        """
        ...


class ImageWriter(Protocol):
    """An image on its way in; what is not kept disappears."""

    def write(self, chunk: bytes) -> None:
        """Appends bytes. Raises StorageError when the disk is full."""
        ...

    def keep(self) -> None:
        """Makes the image durable under its name, replacing an earlier one of that name."""
        ...


class ImageSlots(Protocol):
    """Where an ECU keeps image files. A name is a hash in hexadecimal, or a fixed word such as `installed`."""

    def receive(self, name: str) -> AbstractContextManager[ImageWriter]:
        """Opens a new image; leaving the context without `keep()` drops what was written."""
        ...

    def chunks(self, name: str) -> Iterator[bytes] | None:
        """The bytes of an image in pieces, or None when there is none."""
        ...

    def keep_only(self, names: frozenset[str]) -> None:
        """Removes every image that is not named."""
        ...
