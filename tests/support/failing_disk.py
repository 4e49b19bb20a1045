"""Disks that fail where a test wants it: at the n-th operation, or by losing whatever was not yet synced."""

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from uptane.storage.atomic_files import FileLayer

T = TypeVar("T")


class FailingLayer(FileLayer):
    """The real disk, whose `fail_at`-th operation (from 1) raises an OSError; with `for_ever` all later ones too.

    A write that fails has written half of its bytes, an fsync and a close that fail did nothing else wrong.
    """

    def __init__(self, fail_at: int, number: int = errno.EIO, *, for_ever: bool = False) -> None:
        self.fail_at, self.number, self.for_ever = fail_at, number, for_ever
        self.operations: list[str] = []

    @property
    def has_failed(self) -> bool:
        """Whether the operation that shall fail was reached."""
        return len(self.operations) >= self.fail_at

    def _step(self, name: str, work: Callable[[], T], instead: Callable[[], object] = lambda: None) -> T:
        self.operations.append(name)
        count = len(self.operations)
        if count == self.fail_at or (self.for_ever and count > self.fail_at):
            instead()
            raise OSError(self.number, os.strerror(self.number))
        return work()

    def open(self, name: str | Path, flags: int, mode: int = 0o600, *, folder: int | None = None) -> int:
        return self._step("open", lambda: super(FailingLayer, self).open(name, flags, mode, folder=folder))

    def read(self, file: int, size: int) -> bytes:
        return self._step("read", lambda: super(FailingLayer, self).read(file, size))

    def write(self, file: int, data: memoryview) -> int:
        half = data[: len(data) // 2]
        return self._step("write", lambda: os.write(file, data), lambda: os.write(file, half))

    def fsync(self, file: int) -> None:
        self._step("fsync", lambda: super(FailingLayer, self).fsync(file))

    def close(self, file: int) -> None:
        self._step("close", lambda: os.close(file), lambda: os.close(file))

    def rename(self, old: str, new: str, *, folder: int) -> None:
        self._step("rename", lambda: super(FailingLayer, self).rename(old, new, folder=folder))

    def link(self, old: str, new: str, *, folder: int, to: int | None = None) -> None:
        self._step("link", lambda: super(FailingLayer, self).link(old, new, folder=folder, to=to))

    def unlink(self, name: str, *, folder: int) -> None:
        self._step("unlink", lambda: super(FailingLayer, self).unlink(name, folder=folder))

    def mkdir(self, name: str | Path, mode: int, *, folder: int | None = None) -> None:
        self._step("mkdir", lambda: super(FailingLayer, self).mkdir(name, mode, folder=folder))

    def names(self, folder: int) -> list[str]:
        return self._step("names", lambda: super(FailingLayer, self).names(folder))


class CuttableLayer(FileLayer):
    """The real disk, with a record from which `after_power_cut` builds what a disk may hold when power fails.

    Of a file, only what was synced survives. Of a folder, every change before its last fsync survives, and any part of
    the later ones, chosen by the random numbers.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[int, dict[str, int]] = {}
        self._certain: dict[int, dict[str, int]] = {}
        self._written: dict[int, bytes] = {}
        self._synced: dict[int, bytes] = {}
        self._open: dict[int, int] = {}
        self._fresh = 0
        self._changes: dict[int, list[tuple[str, int | None, str | None]]] = {}
        self._top: int | None = None
        self.after_each: Callable[[], None] = lambda: None

    def open(self, name: str | Path, flags: int, mode: int = 0o600, *, folder: int | None = None) -> int:
        made = flags & os.O_CREAT
        file = super().open(name, flags, mode, folder=folder)
        if made and folder is not None:
            node = self._new_node()
            self._written[node] = self._synced[node] = b""
            self._enter(self._open[folder], str(name), node)
        elif folder is not None:
            node = self._folders[self._open[folder]].get(str(name), -1)
        else:
            if self._top is None and Path(name) == self._root:
                self._top = self._new_node()
                self._folders[self._top], self._certain[self._top], self._changes[self._top] = {}, {}, []
            node = self._known(Path(name))
        self._open[file] = node
        self.after_each()
        return file

    def write(self, file: int, data: memoryview) -> int:
        count = super().write(file, data)
        self._written[self._open[file]] += bytes(data[:count])
        self.after_each()
        return count

    def fsync(self, file: int) -> None:
        super().fsync(file)
        node = self._open[file]
        if node in self._folders:
            self._certain[node] = dict(self._folders[node])
            self._changes[node] = []
        elif node in self._written:
            self._synced[node] = self._written[node]
        self.after_each()

    def rename(self, old: str, new: str, *, folder: int) -> None:
        super().rename(old, new, folder=folder)
        parent = self._open[folder]
        node = self._folders[parent].pop(old)
        self._folders[parent][new] = node
        self._changes[parent].append((new, node, old))
        self.after_each()

    def link(self, old: str, new: str, *, folder: int, to: int | None = None) -> None:
        super().link(old, new, folder=folder, to=to)
        node = self._folders[self._open[folder]][old]
        self._enter(self._open[folder if to is None else to], new, node)
        self.after_each()

    def unlink(self, name: str, *, folder: int) -> None:
        super().unlink(name, folder=folder)
        parent = self._open[folder]
        self._folders[parent].pop(name)
        self._changes[parent].append((name, None, None))
        self.after_each()

    def mkdir(self, name: str | Path, mode: int, *, folder: int | None = None) -> None:
        super().mkdir(name, mode, folder=folder)
        if folder is None or self._open[folder] not in self._folders:
            return
        node = self._new_node()
        self._folders[node], self._certain[node], self._changes[node] = {}, {}, []
        self._enter(self._open[folder], str(name), node)
        self.after_each()

    def after_power_cut(self, into: Path, chance: random.Random) -> None:
        """Builds a folder as it may be found after a power cut at this moment."""
        if self._top is not None:
            self._build(self._top, into, chance)

    def _build(self, node: int, into: Path, chance: random.Random) -> None:
        into.mkdir(mode=0o700)
        entries = dict(self._certain[node])
        for name, entry, old in self._changes[node]:
            if chance.random() < 0.5:
                continue
            if old is not None:
                entries.pop(old, None)
            if entry is None:
                entries.pop(name, None)
            else:
                entries[name] = entry
        for name, entry in entries.items():
            if entry in self._folders:
                self._build(entry, into / name, chance)
            else:
                (into / name).write_bytes(self._synced[entry])

    def _known(self, path: Path) -> int:
        """The folder at a path that is the top or below it; -1 for any other."""
        if self._top is None or not path.is_relative_to(self._root):
            return -1
        node = self._top
        for part in path.relative_to(self._root).parts:
            node = self._folders[node][part]
        return node

    def _new_node(self) -> int:
        self._fresh += 1
        return self._fresh

    def _enter(self, parent: int, name: str, node: int) -> None:
        self._folders[parent][name] = node
        self._changes[parent].append((name, node, None))
