"""The newest published set, remembered in a file: who puts old metadata back cannot reach that."""

import asyncio
import logging
import os
from contextlib import suppress
from pathlib import Path

import msgspec

from uptane.image_repository.ports import Floor
from uptane.image_repository.seen import Seen
from uptane.metadata.errors import FormatError, StorageError
from uptane.storage.atomic_files import OPERATING_SYSTEM, FileLayer, Folder
from uptane.storage.names import single
from uptane.storage.one_file import read_kept

FOLDER_MODE = 0o700
FILE_MODE = 0o644
"""No secret is in it, and a command of another user who may write to the folder leaves it readable for the servers."""

_log = logging.getLogger(__name__)


class _Kept(msgspec.Struct, forbid_unknown_fields=True):
    """What the file holds, as JSON."""

    versions: dict[str, int]
    timestamp_sha256: str


class FloorFile(Floor):
    """A floor in a file, for all processes of a machine.

    Args:
        path: the file, made with the first publication.
        layer: the file operations that write it.
    """

    def __init__(self, path: Path, *, layer: FileLayer = OPERATING_SYSTEM) -> None:
        self._path = path
        self._layer = layer

    async def read(self) -> Seen | None:
        """See `Floor`."""
        return await asyncio.to_thread(self._read)

    async def raise_to(self, seen: Seen) -> None:
        """See `Floor`."""
        try:
            await asyncio.to_thread(self._raise_to, seen)
        except StorageError as error:
            _log.warning(
                "that Timestamp %d is published could not be written down: after a restart, an older set that somebody "
                "puts back would be taken for the newest: %s",
                seen.newest,
                error,
            )

    def _read(self) -> Seen | None:
        raw = read_kept(self._path, self._damaged)
        return None if raw is None else self._decoded(raw)

    def _raise_to(self, seen: Seen) -> None:
        name = single(self._path.name)
        with Folder.made(self._path.parent, FOLDER_MODE, layer=self._layer) as folder:
            folder.lock()
            raw = folder.read(name)
            if raw is None or seen.is_newer_than(self._decoded(raw)):
                kept = _Kept(dict(sorted(seen.versions.items())), seen.timestamp.hex())
                folder.replace(name, msgspec.json.encode(kept) + b"\n", FILE_MODE)
                with suppress(OSError):  # an umask may have taken from it what the servers need
                    os.chmod(name, FILE_MODE, dir_fd=folder.descriptor)

    def _decoded(self, raw: bytes) -> Seen:
        try:
            kept = msgspec.json.decode(raw, type=_Kept)
            return Seen(versions=kept.versions, timestamp=bytes.fromhex(kept.timestamp_sha256))
        except (msgspec.DecodeError, FormatError, ValueError) as error:
            raise self._damaged() from error

    def _damaged(self) -> StorageError:
        return StorageError(
            f"{self._path} does not say which versions were published last",
            next_step="Make sure that no older set was put back, by what vehicles have seen; then remove that file.",
            path=str(self._path),
        )
