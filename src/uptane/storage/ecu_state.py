"""The durable state of one ECU in a folder: every write moves as one, whenever the power fails.

    index.json       every name with its value, or with the hash of its object; renamed into place last
    objects/SHA256   the values of more than INLINE_LIMIT bytes

A write stores new objects, then replaces the index, then removes objects that nothing names any more. The rename of
the index is the one moment at which old becomes new.
"""

import hashlib
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from uptane.metadata.errors import StorageError
from uptane.storage.atomic_files import OPERATING_SYSTEM, FileLayer, Folder, NewFile
from uptane.storage.names import components
from uptane.vehicle.ports import EcuStore

INLINE_LIMIT = 4096
"""Bytes of a value that stands in the index itself. Most metadata does, so that most writes touch one file only."""

INDEX = "index.json"
OBJECTS = "objects"
FORMAT = 1

FOLDER_MODE = 0o700
FILE_MODE = 0o600

_DIGEST = re.compile(r"[0-9a-f]{64}")


class _Contents(msgspec.Struct, forbid_unknown_fields=True):
    """What is stored: small values, and the SHA-256 of the objects that hold the large ones."""

    values: dict[str, bytes]
    objects: dict[str, str]


class _Index(msgspec.Struct, forbid_unknown_fields=True):
    """The file `index.json`; `sha256` is over the bytes of `contents` and tells damage."""

    format: int
    sha256: str
    contents: msgspec.Raw


class EcuStateFolder(EcuStore):
    """An `EcuStore` in a folder that belongs to one process at a time.

    Args:
        root: the folder; made, for its owner only, where it is missing.
        layer: the file operations.

    Raises:
        StorageError: another process uses the folder, or what it holds is damaged.
    """

    def __init__(self, root: Path, *, layer: FileLayer = OPERATING_SYSTEM) -> None:
        self._mutex = threading.Lock()
        self._folder = Folder.made(root, FOLDER_MODE, layer=layer)
        try:
            self._folder.lock_at_once()
            self._raw = self._first_index()
            self._contents = self._decoded(self._raw)
            objects = self._folder.inside(OBJECTS, create=FOLDER_MODE)
            if objects is None:
                raise self._damaged(OBJECTS, "is not a folder")
            self._objects = objects
            self._stored = set(objects.names())
            self._tidy_after_a_crash()
        except BaseException:
            self._folder.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Lets another process use the folder; again is fine."""
        with self._mutex:
            self._objects.close()
            self._folder.close()

    def read(self, name: str) -> bytes | None:
        """The value, or None when there is none.

        Raises:
            StorageError: the object is missing, or is not what the index says.
            FormatError: the name is none.
        """
        components(name)
        with self._mutex:
            if (value := self._contents.values.get(name)) is not None:
                return value
            if (digest := self._contents.objects.get(name)) is None:
                return None
            data = self._objects.read(digest)
        if data is None:
            raise self._damaged(f"{OBJECTS}/{digest}", f"is missing; it held {name!r}")
        if hashlib.sha256(data).hexdigest() != digest:
            raise self._damaged(f"{OBJECTS}/{digest}", f"does not hold what was written; it held {name!r}")
        return data

    def names(self, prefix: str) -> tuple[str, ...]:
        """The names that start with `prefix`, sorted."""
        with self._mutex:
            every = (*self._contents.values, *self._contents.objects)
        return tuple(sorted(name for name in every if name.startswith(prefix)))

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Sets each name to its value, or removes it for None: all of them or, after an error or a crash, none.

        Raises:
            StorageError: the disk is full or cannot be written; nothing has changed.
            FormatError: a name is none; nothing has changed.
        """
        for name in changes:
            components(name)
        with self._mutex:
            contents, large = self._changed(changes)
            missing = {digest: data for digest, data in large.items() if self._objects.read(digest) != data}
            if contents == self._contents and not missing:
                return
            raw = _encoded(contents)
            with self._folder.new_file(FILE_MODE) as index:
                try:
                    self._store(missing)
                    index.write(raw)
                    index.finish()
                except StorageError:
                    self._remove_unnamed()
                    raise
                self._switch(index, raw)
            self._raw, self._contents = raw, contents
            self._remove_unnamed()

    def _changed(self, changes: Mapping[str, bytes | None]) -> tuple[_Contents, dict[str, bytes]]:
        values, objects = dict(self._contents.values), dict(self._contents.objects)
        large: dict[str, bytes] = {}
        for name, value in changes.items():
            values.pop(name, None)
            objects.pop(name, None)
            if value is None:
                continue
            if len(value) <= INLINE_LIMIT:
                values[name] = bytes(value)
            else:
                objects[name] = hashlib.sha256(value).hexdigest()
                large[objects[name]] = value
        return _Contents(values, objects), large

    def _store(self, objects: Mapping[str, bytes]) -> None:
        for digest, data in objects.items():
            with self._objects.new_file(FILE_MODE) as new:
                new.write(data)
                new.finish()
                new.move_to(digest)
            self._stored.add(digest)
        if objects:
            self._objects.sync()

    def _switch(self, index: NewFile, raw: bytes) -> None:
        try:
            index.move_to(INDEX)
            self._folder.sync()
        except StorageError:
            # The new index may be in place without being durable, so the old one is put back. Which of the two
            # a power cut would leave is unknown: the objects of both stay until the next write that succeeds.
            with suppress(StorageError):
                self._folder.replace(INDEX, self._raw, FILE_MODE)
            raise

    def _remove_unnamed(self) -> None:
        for digest in self._stored - set(self._contents.objects.values()):
            # An object that cannot be removed harms nobody; the next write or opening tries again.
            with suppress(StorageError):
                self._objects.remove(digest)
                self._stored.discard(digest)

    def _first_index(self) -> bytes:
        raw = self._folder.read(INDEX)
        if raw is None:
            if OBJECTS in self._folder.names():
                raise self._damaged(INDEX, "is missing beside its objects")
            raw = _encoded(_Contents({}, {}))
            self._folder.replace(INDEX, raw, FILE_MODE)
        return raw

    def _decoded(self, raw: bytes) -> _Contents:
        try:
            index = msgspec.json.decode(raw, type=_Index)
            if index.format != FORMAT:
                raise self._damaged(INDEX, f"is of format {index.format}, and this program knows {FORMAT}")
            if hashlib.sha256(index.contents).hexdigest() != index.sha256:
                raise self._damaged(INDEX, "does not hold what was written")
            contents = msgspec.json.decode(index.contents, type=_Contents)
        except msgspec.DecodeError as error:
            raise self._damaged(INDEX, f"cannot be read ({error})") from error
        if not all(_DIGEST.fullmatch(digest) for digest in contents.objects.values()):
            raise self._damaged(INDEX, "names an object by something else than a SHA-256")
        return contents

    def _tidy_after_a_crash(self) -> None:
        unnamed = self._stored - set(self._contents.objects.values())
        if not (unnamed or self._folder.unfinished() or self._objects.unfinished()):
            return
        # The index that is there may not be durable yet; only once it is may objects of an older one go.
        self._folder.sync()
        self._folder.remove_unfinished()
        self._objects.remove_unfinished()
        self._remove_unnamed()

    def _damaged(self, file: str, how: str) -> StorageError:
        path = self._folder.path / file
        return StorageError(
            f"{path} {how}",
            next_step="The stored state of this ECU is damaged: restore the folder, or provision the ECU again.",
            path=str(path),
        )


def _encoded(contents: _Contents) -> bytes:
    inner = msgspec.json.encode(contents, order="deterministic")
    digest = hashlib.sha256(inner).hexdigest()
    return msgspec.json.encode(_Index(FORMAT, digest, msgspec.Raw(inner)))
