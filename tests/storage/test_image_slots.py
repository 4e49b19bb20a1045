"""Image slots: large images go in and out in pieces, and only whole ones are ever seen."""

import contextlib
import errno
import subprocess
import sys
from pathlib import Path

import pytest
from failing_disk import FailingLayer

from uptane.metadata.errors import StorageError
from uptane.storage.image_slots import CHUNK, ImageSlotFolder

OLD, NEW = b"old" * 100_000, b"new" * 100_000


def keep(slots: ImageSlotFolder, name: str, data: bytes) -> None:
    with slots.receive(name) as writer:
        for start in range(0, len(data), 100_000):
            writer.write(data[start : start + 100_000])
        writer.keep()


def stored(slots: ImageSlotFolder, name: str) -> bytes | None:
    chunks = slots.chunks(name)
    return None if chunks is None else b"".join(chunks)


def entries(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_an_image_survives_its_process_and_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    with ImageSlotFolder(tmp_path / "images") as slots:
        keep(slots, "installed", NEW)
    with ImageSlotFolder(tmp_path / "images") as slots:
        chunks = list(slots.chunks("installed") or ())
    assert b"".join(chunks) == NEW
    assert {len(chunk) for chunk in chunks[:-1]} == {CHUNK}
    assert (tmp_path / "images").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "images" / "installed").stat().st_mode & 0o777 == 0o600


def test_an_image_that_is_being_read_is_read_to_its_end_though_it_is_replaced_and_removed(tmp_path: Path) -> None:
    with ImageSlotFolder(tmp_path) as slots:
        keep(slots, "installed", OLD)
        chunks = slots.chunks("installed")
        assert chunks is not None
        first = next(chunks)
        keep(slots, "installed", NEW)
        slots.keep_only(frozenset())
        assert stored(slots, "installed") is None
    assert first + b"".join(chunks) == OLD
    assert next(chunks, None) is None


def test_an_image_that_fails_at_any_operation_leaves_the_old_one_or_the_whole_new_one(tmp_path: Path) -> None:
    for fail_at in range(1, 100):
        root = tmp_path / str(fail_at)
        with ImageSlotFolder(root) as slots:
            keep(slots, "installed", OLD)
        layer = FailingLayer(fail_at, errno.ENOSPC)
        with contextlib.suppress(StorageError), ImageSlotFolder(root, layer=layer) as slots:
            keep(slots, "installed", NEW)
        with ImageSlotFolder(root) as slots:
            found = stored(slots, "installed")
            assert found in (OLD, NEW)
            if "rename" not in layer.operations[: fail_at - 1]:
                assert found == OLD
        assert entries(root) == ["installed"]
        if not layer.has_failed:
            return
    pytest.fail("never came to the end")


def test_a_disk_that_fails_while_an_image_is_read_says_so(tmp_path: Path) -> None:
    with ImageSlotFolder(tmp_path) as slots:
        keep(slots, "installed", OLD)
    layer = FailingLayer(10**9)
    with ImageSlotFolder(tmp_path, layer=layer) as slots:
        chunks = slots.chunks("installed")
        assert chunks is not None
        next(chunks)
        layer.fail_at = len(layer.operations) + 1
        with pytest.raises(StorageError, match="cannot read"):
            next(chunks)
        assert next(chunks, None) is None


KILLED = """
import os, pathlib, signal, sys
from uptane.storage.image_slots import ImageSlotFolder
slots = ImageSlotFolder(pathlib.Path(sys.argv[1]))
with slots.receive("installed") as writer:
    writer.write(b"new" * 100_000)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_unfinished_is_gone_at_the_next_opening(tmp_path: Path) -> None:
    with ImageSlotFolder(tmp_path) as slots:
        keep(slots, "installed", OLD)
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False).returncode == -9
    assert len(entries(tmp_path)) == 2
    with ImageSlotFolder(tmp_path) as slots:
        assert stored(slots, "installed") == OLD
        assert entries(tmp_path) == ["installed"]


LIMITED = """
import pathlib, resource, sys
from uptane.metadata.errors import StorageError
from uptane.storage.image_slots import ImageSlotFolder
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
with ImageSlotFolder(pathlib.Path(sys.argv[1])) as slots:
    try:
        with slots.receive("installed") as writer:
            for _ in range(100):
                writer.write(b"new" * 1000)
            writer.keep()
    except StorageError as error:
        print(error)
"""


def test_a_real_limit_of_the_operating_system_keeps_the_old_image(tmp_path: Path) -> None:
    with ImageSlotFolder(tmp_path) as slots:
        keep(slots, "installed", OLD)
    child = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "File too large" in child.stdout
    with ImageSlotFolder(tmp_path) as slots:
        assert stored(slots, "installed") == OLD
    assert entries(tmp_path) == ["installed"]


def test_a_second_process_is_refused_and_does_not_remove_what_the_first_one_writes(tmp_path: Path) -> None:
    with ImageSlotFolder(tmp_path) as slots:
        with slots.receive("installed") as writer:
            writer.write(NEW)
            with pytest.raises(StorageError, match="in use by another process"):
                ImageSlotFolder(tmp_path)
            writer.keep()
        assert stored(slots, "installed") == NEW


def test_a_planted_symbolic_link_is_not_read_and_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    root = tmp_path / "images"
    root.mkdir()
    (root / "installed").symlink_to("../outside")
    with ImageSlotFolder(root) as slots:
        with pytest.raises(StorageError, match="symbolic link"):
            slots.chunks("installed")
        keep(slots, "installed", NEW)
        assert stored(slots, "installed") == NEW
    assert (tmp_path / "outside").read_bytes() == b"secret"


def test_files_that_are_no_slots_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "README.txt").write_bytes(b"")
    with ImageSlotFolder(tmp_path) as slots:
        keep(slots, "a", NEW)
        keep(slots, "b", NEW)
        slots.keep_only(frozenset({"b"}))
    assert entries(tmp_path) == ["README.txt", "b"]
