"""The folders of a plain TUF client: its trusted metadata, one file for each role, and its downloaded targets."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, unquote

from uptane.metadata.errors import FormatError, ProvisioningError, SecurityError
from uptane.metadata.root import Role
from uptane.metadata.targets import ImageFile
from uptane.storage.atomic_files import OPERATING_SYSTEM, READ_SIZE, FileLayer, Folder, storage_errors
from uptane.storage.names import UNFINISHED
from uptane.verification.steps import Commit, Keep
from uptane.verification.verify_image import ImageCheck

FOLDER_MODE = 0o755
FILE_MODE = 0o644

_EXTENSION = ".json"
_TEMPORARY = re.compile(re.escape(UNFINISHED) + "[0-9a-f]{16}")


class _LockedFolder:
    """A folder that is locked until it is closed, so that two processes do not mix their files: the second fails.

    Args:
        path: the folder; made where it is missing.
        layer: the file operations.
    """

    def __init__(self, path: Path, *, layer: FileLayer = OPERATING_SYSTEM) -> None:
        self._layer = layer
        self._folder = Folder.made(path, FOLDER_MODE, layer=layer)
        self._folder.lock_at_once()
        for name in self._folder.unfinished():  # what a crash left
            if _TEMPORARY.fullmatch(name):
                self._folder.remove(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._folder.close()


class TrustedMetadata(_LockedFolder, Mapping[str, bytes]):
    """What a client trusts, by role: `ROLE.json` in one folder, with the role's name percent-encoded whole."""

    def root(self) -> bytes:
        """The trusted Root; raises ProvisioningError where there is none."""
        raw = self._folder.read(_file(Role.ROOT))
        if raw is None:
            raise ProvisioningError(
                f"{self._folder.path} holds no trusted Root",
                next_step="Begin with: uptane-tuf-client --metadata-dir DIR init TRUSTED_ROOT_FILE",
            )
        return raw

    def begin_with(self, root: bytes) -> None:
        """Sets the Root that is trusted from now on."""
        self._folder.replace(_file(Role.ROOT), root, FILE_MODE)

    def keep(self, step: Keep) -> None:
        """Makes a new Root durable."""
        self.begin_with(step.raw)

    def commit(self, step: Commit) -> None:
        """Makes files durable, each by itself."""
        for files in step.files.values():
            for role, raw in files.items():
                self._folder.replace(_file(role), raw, FILE_MODE)

    def __getitem__(self, role: str) -> bytes:
        raw = self._folder.read(_file(role))
        if raw is None:
            raise KeyError(role)
        return raw

    def __iter__(self) -> Iterator[str]:
        names = self._folder.names()
        return (unquote(name.removesuffix(_EXTENSION)) for name in names if name.endswith(_EXTENSION))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class DownloadedTargets(_LockedFolder):
    """Targets in one folder, under their names percent-encoded whole; each appears whole and checked or not at all."""

    def holds(self, file: ImageFile) -> bool:
        """Whether the target is there with the length and hashes that are listed.

        Raises:
            StorageError: a symbolic link is in its place, or it cannot be read.
        """
        name = _target(file)
        descriptor = self._folder.open_file(name)
        if descriptor is None:
            return False
        check = ImageCheck(file)
        with storage_errors("read", self._folder.path / name):
            try:
                while chunk := self._layer.read(descriptor, READ_SIZE):
                    check.update(chunk)
                check.finish()
            except SecurityError:
                return False
            finally:
                self._layer.close(descriptor)
        return True

    def receive(self, file: ImageFile, chunks: Iterable[bytes]) -> None:
        """Stores a target as it streams in.

        Raises:
            EndlessDataError, LengthMismatchError, BadHashError: it is not the listed one; what was there before stays.
            StorageError: it cannot be written.
        """
        name, check = _target(file), ImageCheck(file)
        with self._folder.new_file(FILE_MODE) as new:
            for chunk in chunks:
                check.update(chunk)
                new.write(chunk)
            check.finish()
            new.finish()
            new.move_to(name)
        self._folder.sync()


def _file(role: str) -> str:
    return quote(role, safe="") + _EXTENSION


def _target(file: ImageFile) -> str:
    name = quote(file.path, safe="")
    if name in ("", ".", "..") or name.startswith(UNFINISHED):
        raise FormatError(f"no file can have the name of target {file.path!r}", field="image path")
    return name
