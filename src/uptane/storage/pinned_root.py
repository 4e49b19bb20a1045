"""A repository's first Root, kept where its metadata is not: who writes over the one need not reach the other."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from uptane.metadata.errors import StorageError
from uptane.signing.ports import MetadataStore
from uptane.storage.atomic_files import Folder
from uptane.storage.names import single
from uptane.storage.one_file import read_kept


class PinnedRoot(MetadataStore):
    """A store whose first Root has to be a certain one.

    Args:
        store: the published metadata.
        name: of the first Root there.
        first: its bytes.
    """

    def __init__(self, store: MetadataStore, name: str, first: bytes) -> None:
        self._store, self._name, self._first = store, name, first

    async def read(self, name: str) -> bytes | None:
        """See `MetadataStore`.

        Raises:
            StorageError: it is the first Root, and another one or missing.
        """
        raw = await self._store.read(name)
        if name != self._name or raw == self._first:
            return raw
        if raw is None:
            raise missing_first_root(name)
        raise StorageError(
            f"the published {name} is not the first Root that these servers were made with",
            next_step="Undo the attack, or restore the published files from a backup.",
            name=name,
        )

    async def publish(self, files: Sequence[tuple[str, bytes]], mutable: Mapping[str, bytes]) -> None:
        """See `MetadataStore`."""
        await self._store.publish(files, mutable)


def missing_first_root(name: str) -> StorageError:
    """The error for a store that lacks the first Root that was kept."""
    return StorageError(
        f"the published {name}, the first Root that these servers were made with, is missing",
        next_step="Restore the published files from a backup, or make new servers in another folder.",
        name=name,
    )


def read_pin(path: Path) -> bytes | None:
    """The first Root in a file; None where there is nothing of that name. StorageError where there is no Root in it."""
    return read_kept(
        path, lambda: StorageError(f"{path} holds no Root", next_step="Restore it from a backup.", path=str(path))
    )


def write_pin(path: Path, first: bytes) -> None:
    """Keeps the first Root in a file, where none is there yet. Raises StorageError."""
    with Folder.made(path.parent, 0o700) as folder:
        folder.create(single(path.name), first, 0o600)
