"""Images that are cut off: whatever the disk does, no wrong byte is ever under the name of an image."""

import contextlib
import errno
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from failing_disk import CuttableLayer, FailingLayer

from uptane.metadata.digests import Digests
from uptane.metadata.errors import StorageError
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.targets import ImageFile
from uptane.storage.atomic_files import FileLayer
from uptane.storage.image_slots import ImageSlotFolder
from uptane.vehicle.ports import PartialImage
from uptane.verification.verify_image import ImageCheck

IMAGE = b"0123456789" * 1000
CUTS = [2000, 5000, 9999]
"""Where the transfer is cut off."""


class Cut(Exception):
    """The transfer ends here."""


def entries(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def continue_to(partial: PartialImage, end: int) -> None:
    """What a download does: whatever is there is hashed, the rest comes, and only the whole genuine image is kept."""
    file = ImageFile(path=ImagePath("a.img"), length=len(IMAGE), digests=Digests.of(IMAGE, ("sha256",)))
    check = ImageCheck(file)
    for chunk in partial.chunks():
        check.update(chunk)
    if check.received > end:
        return
    for start in range(check.received, end, 500):
        piece = IMAGE[start : min(start + 500, end)]
        check.update(piece)
        partial.write(piece)
    if end < len(IMAGE):
        raise Cut
    check.finish()
    partial.keep()


def transfers(root: Path, layer: FileLayer) -> None:
    """Three transfers that are cut off and one that is not, each in a process of its own."""
    for end in (*CUTS, len(IMAGE)):
        with ImageSlotFolder(root, layer=layer) as slots, contextlib.suppress(Cut), slots.resume("a") as partial:
            continue_to(partial, end)


def stored(root: Path) -> bytes | None:
    with ImageSlotFolder(root) as slots:
        chunks = slots.chunks("a")
        return None if chunks is None else b"".join(chunks)


def test_a_transfer_that_is_cut_off_grows_one_file_and_ends_with_one(tmp_path: Path) -> None:
    with ImageSlotFolder(tmp_path) as slots:
        with contextlib.suppress(Cut), slots.resume("a") as partial:
            continue_to(partial, 5000)
        assert entries(tmp_path) == ["a.part"]
        assert (tmp_path / "a.part").read_bytes() == IMAGE[:5000]
        assert (tmp_path / "a.part").stat().st_mode & 0o777 == 0o600
        with slots.resume("a") as partial:
            continue_to(partial, len(IMAGE))
    assert entries(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == IMAGE


@pytest.mark.standard("STD-5.4.4-4")
def test_a_disk_that_fails_at_any_operation_leaves_no_wrong_byte_and_the_next_transfer_is_whole(tmp_path: Path) -> None:
    for fail_at in range(1, 400):
        root = tmp_path / str(fail_at)
        layer = FailingLayer(fail_at, errno.ENOSPC if fail_at % 2 else errno.EIO)
        with contextlib.suppress(StorageError):
            transfers(root, layer)
        if root.exists():
            assert stored(root) in (None, IMAGE)
            assert set(entries(root)) <= {"a", "a.part"}
        transfers(root, FileLayer())
        assert stored(root) == IMAGE
        assert entries(root) == ["a"]
        if not layer.has_failed:
            print(f"{fail_at - 1} operations failed in turn")
            return
    pytest.fail("never came to the end")


@pytest.mark.standard("STD-5.4.4-5")
def test_a_power_cut_after_any_step_leaves_no_wrong_byte_and_the_next_transfer_is_whole(tmp_path: Path) -> None:
    root = tmp_path / "images"
    root.mkdir()
    layer, moments = CuttableLayer(root), 0

    def cut() -> None:
        nonlocal moments
        moments += 1
        for seed in (0, 1):
            found = tmp_path / f"{moments}-{seed}"
            layer.after_power_cut(found, random.Random(seed))
            if not found.exists():
                continue
            assert stored(found) in (None, IMAGE)
            transfers(found, FileLayer())
            assert stored(found) == IMAGE
            assert entries(found) == ["a"]

    layer.after_each = cut
    transfers(root, layer)
    assert moments > 30


KILLED = """
import os, pathlib, signal, sys
from uptane.storage.image_slots import ImageSlotFolder
slots = ImageSlotFolder(pathlib.Path(sys.argv[1]))
with slots.resume("a") as partial:
    print(sum(map(len, partial.chunks())), flush=True)
    partial.write(b"0123456789" * 100)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_had_received_is_there_for_the_next_one(tmp_path: Path) -> None:
    for had in (0, 1000, 2000):
        done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, check=False)
        assert done.returncode == -9
        assert int(done.stdout) == had
    with ImageSlotFolder(tmp_path) as slots, slots.resume("a") as partial:
        continue_to(partial, len(IMAGE))
    assert stored(tmp_path) == IMAGE


def plant_link(place: Path) -> None:
    (place.parent.parent / "outside").write_bytes(b"secret")
    place.symlink_to("../outside")


@pytest.mark.parametrize("plant", [plant_link, os.mkfifo, Path.mkdir])
def test_what_was_planted_in_the_place_of_a_cut_off_image_is_not_used(
    tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    root = tmp_path / "images"
    root.mkdir()
    plant(root / "a.part")
    with ImageSlotFolder(root) as slots:
        with pytest.raises(StorageError), slots.resume("a"):
            pass
        if not (root / "a.part").is_dir():
            with slots.resume("a") as partial:
                continue_to(partial, len(IMAGE))
            assert stored_in(slots) == IMAGE
    outside = tmp_path / "outside"
    assert not outside.exists() or outside.read_bytes() == b"secret"


def stored_in(slots: ImageSlotFolder) -> bytes:
    return b"".join(slots.chunks("a") or ())


def test_files_that_only_look_like_a_cut_off_image_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "READ.ME.part").write_bytes(b"")
    with ImageSlotFolder(tmp_path) as slots:
        with slots.resume("a") as partial:
            partial.write(b"x")
        with slots.resume("b") as partial:
            partial.write(b"x")
        assert entries(tmp_path) == ["READ.ME.part", "b.part"]
        slots.keep_only(frozenset())
    assert entries(tmp_path) == ["READ.ME.part"]
