"""Uploads that are cut off: the next attempt goes on, nothing half-written has a name, and leftovers go away."""

import asyncio
import errno
import os
import random
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from failing_disk import CuttableLayer, FailingLayer
from failing_objects import FailingObjects, in_memory

from uptane.metadata.digests import Digests
from uptane.metadata.errors import BadHashError, StorageError
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.targets import ImageFile
from uptane.storage.atomic_files import FileLayer, Folder
from uptane.storage.folders import FILE_MODE, ImageFolder, hashed_names
from uptane.storage.incoming_images import INCOMING, IncomingImages, part_name
from uptane.storage.object_images import INCOMING as OBJECTS_INCOMING
from uptane.storage.object_images import ImageObjects
from uptane.storage.object_store import Objects

SEGMENT = 10_000
IMAGE = random.Random(7).randbytes(3 * SEGMENT + 1)
"""An image of four segments."""

OTHER = b"another image"
CHUNK = 1_000
SOON = timedelta(days=1)


def listed(data: bytes, path: str = "brakes/firmware.img") -> ImageFile:
    return ImageFile(path=ImagePath(path), length=len(data), digests=Digests.of(data, ("sha256", "sha512")))


def chunks(data: bytes) -> Iterator[bytes]:
    return (data[start : start + CHUNK] for start in range(0, len(data), CHUNK))


def cut_after(data: bytes, count: int) -> Iterator[bytes]:
    yield from chunks(data[:count])
    raise ConnectionResetError("the other side is gone")


def parts_in(root: Path) -> list[Path]:
    return [path for path in (root / INCOMING).glob("*") if path.is_file()]


class CountingLayer(FileLayer):
    """The disk, and how many bytes were written."""

    written = 0

    def write(self, file: int, data: memoryview) -> int:
        count = super().write(file, data)
        self.written += count
        return count


@pytest.mark.parametrize("came", [0, 1, SEGMENT, len(IMAGE) - 1, len(IMAGE)])
def test_an_upload_into_a_folder_goes_on_where_it_was_cut_off(tmp_path: Path, came: int) -> None:
    file, layer = listed(IMAGE), CountingLayer()
    with pytest.raises(ConnectionResetError):
        asyncio.run(ImageFolder(tmp_path).add_all([(listed(OTHER, "o"), [OTHER]), (file, cut_after(IMAGE, came))]))
    assert list(tmp_path.rglob("*.img")) == []
    images = ImageFolder(tmp_path, layer=layer)
    asyncio.run(images.add_all([(file, chunks(IMAGE))]))
    assert layer.written == len(IMAGE) - came
    for name in hashed_names(file):
        assert asyncio.run(images.read(name)) == IMAGE
        assert (tmp_path / name).stat().st_mode & 0o777 == FILE_MODE
    assert asyncio.run(images.read(file.path)) is None


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_resumed_uploads import IMAGE, SEGMENT, chunks, listed
from uptane.storage.folders import ImageFolder

def killed():
    yield from chunks(IMAGE[:2 * SEGMENT])
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(ImageFolder(Path(sys.argv[1])).add_all([(listed(IMAGE), killed())]))
"""


def test_a_process_that_is_killed_in_the_middle_leaves_a_part_that_the_next_one_goes_on_with(tmp_path: Path) -> None:
    here = Path(__file__).parent
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(here), str(here.parent / "support")]
    done = subprocess.run(command, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    [part] = parts_in(tmp_path)
    assert part.stat().st_size == 2 * SEGMENT
    assert [path.name for path in tmp_path.iterdir()] == [INCOMING], "nothing has a name"
    layer = CountingLayer()
    asyncio.run(ImageFolder(tmp_path, layer=layer).add_all([(listed(IMAGE), chunks(IMAGE))]))
    assert layer.written == len(IMAGE) - 2 * SEGMENT and parts_in(tmp_path) == []


@pytest.mark.standard("STD-5.3.1-6")
@pytest.mark.parametrize("part", [b"", bytes(SEGMENT), IMAGE[:1500] + bytes(9), IMAGE + b"more", bytes(len(IMAGE))])
def test_what_an_earlier_attempt_left_is_not_trusted(tmp_path: Path, part: bytes) -> None:
    file = listed(IMAGE)
    (tmp_path / INCOMING).mkdir()
    (tmp_path / INCOMING / part_name(file)).write_bytes(part)
    images = ImageFolder(tmp_path)
    asyncio.run(images.add_all([(file, chunks(IMAGE))]))
    assert [asyncio.run(images.read(name)) for name in hashed_names(file)] == [IMAGE] * 2


def test_an_image_that_is_there_is_not_written_again_and_bad_bytes_for_it_are_still_refused(tmp_path: Path) -> None:
    file, layer = listed(IMAGE), CountingLayer()
    images = ImageFolder(tmp_path, layer=layer)
    asyncio.run(images.add_all([(file, chunks(IMAGE))]))
    asyncio.run(images.add_all([(file, chunks(IMAGE))]))
    assert layer.written == len(IMAGE)
    with pytest.raises(BadHashError):
        asyncio.run(images.add_all([(file, chunks(bytes(len(IMAGE))))]))
    (tmp_path / hashed_names(file)[1]).unlink()
    (tmp_path / hashed_names(file)[1]).write_bytes(IMAGE[:-1] + b"x")
    with pytest.raises(StorageError, match="exists with other bytes"):
        asyncio.run(images.add_all([(file, chunks(IMAGE))]))


@pytest.mark.standard("STD-5.2.7-4")
def test_a_part_that_is_published_already_is_never_written_to(tmp_path: Path) -> None:
    file = listed(IMAGE)
    images = ImageFolder(tmp_path)
    asyncio.run(images.add_all([(file, chunks(IMAGE))]))
    os.link(tmp_path / hashed_names(file)[0], tmp_path / INCOMING / part_name(file))
    (tmp_path / hashed_names(file)[1]).unlink()
    with pytest.raises(BadHashError):
        asyncio.run(images.add_all([(file, chunks(bytes(len(IMAGE))))]))
    assert asyncio.run(images.read(hashed_names(file)[0])) == IMAGE
    asyncio.run(images.add_all([(file, chunks(IMAGE))]))
    assert [asyncio.run(images.read(name)) for name in hashed_names(file)] == [IMAGE] * 2


@pytest.mark.standard("STD-5.3.1-6")
def test_after_a_power_cut_every_image_with_a_hash_in_its_name_is_whole(tmp_path: Path) -> None:
    root, chance, number = tmp_path / "targets", random.Random(11), 0
    root.mkdir()
    file, layer = listed(IMAGE), CuttableLayer(root)

    def cut() -> None:
        nonlocal number
        for _ in range(3):
            number += 1
            layer.after_power_cut(tmp_path / str(number), chance)

    layer.after_each = cut
    asyncio.run(ImageFolder(root, layer=layer).add_all([(file, chunks(IMAGE)), (listed(OTHER, "o.img"), [OTHER])]))
    asyncio.run(ImageFolder(root, layer=layer).name_plainly([file]))
    found = [path for path in tmp_path.rglob("*.img") if root not in path.parents]
    assert number > 50 and found
    assert all(path.read_bytes() in (IMAGE, OTHER) for path in found)


def test_a_disk_that_fails_at_any_operation_leaves_nothing_half_written(tmp_path: Path) -> None:
    batch = {"a/large.img": IMAGE, "b/small.img": OTHER}
    files = {path: listed(data, path) for path, data in batch.items()}
    for fail_at in range(1, 200):
        root = tmp_path / str(fail_at)
        layer = FailingLayer(fail_at, errno.ENOSPC)
        failing = ImageFolder(root, layer=layer)
        try:
            asyncio.run(failing.add_all([(file, chunks(batch[path])) for path, file in files.items()]))
            asyncio.run(failing.name_plainly(list(files.values())))
        except StorageError as error:
            assert error.code == "E-STORAGE" and error.next_step
        for path in root.rglob("*.img"):
            assert path.read_bytes() in (IMAGE, OTHER)
        images = ImageFolder(root)
        asyncio.run(images.add_all([(file, chunks(batch[path])) for path, file in files.items()]))
        asyncio.run(images.name_plainly(list(files.values())))
        for path, file in files.items():
            assert [asyncio.run(images.read(name)) for name in (path, *hashed_names(file))] == [batch[path]] * 3
        assert len([path for path in root.rglob("*") if path.is_file()]) == 6, "no leftover"
        if not layer.has_failed:
            return
    pytest.fail("never came to the end")


def test_a_large_image_takes_little_memory(tmp_path: Path) -> None:
    size, block = 48 << 20, bytes(1 << 20)
    data = Digests.of(bytes(size), ("sha256", "sha512"))
    file = ImageFile(path=ImagePath("large.img"), length=size, digests=data)
    tracemalloc.start()
    try:
        asyncio.run(ImageFolder(tmp_path).add_all([(file, (block for _ in range(size >> 20)))]))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert (tmp_path / hashed_names(file)[0]).stat().st_nlink == 2, "one copy on the disk for all its hashes"


def test_leftovers_go_when_they_are_old_and_nobody_uploads(tmp_path: Path) -> None:
    file, images, now = listed(IMAGE), ImageFolder(tmp_path), datetime.now(UTC)
    assert asyncio.run(images.tidy(now)) == 0, "there is nothing yet"
    with pytest.raises(ConnectionResetError):
        asyncio.run(images.add_all([(file, cut_after(IMAGE, SEGMENT))]))
    assert asyncio.run(images.tidy(now - SOON)) == 0 and len(parts_in(tmp_path)) == 1

    def while_tidying() -> Iterator[bytes]:
        yield from chunks(IMAGE[: 2 * SEGMENT])
        assert asyncio.run(ImageFolder(tmp_path).tidy(now + SOON)) == 0
        raise ConnectionResetError("gone again")

    with pytest.raises(ConnectionResetError):
        asyncio.run(images.add_all([(file, while_tidying())]))
    assert [path.stat().st_size for path in parts_in(tmp_path)] == [2 * SEGMENT]
    assert asyncio.run(images.tidy(now + SOON)) == 1 and parts_in(tmp_path) == []


def test_the_same_bytes_under_two_names_and_a_folder_in_the_way(tmp_path: Path) -> None:
    one, two, images = listed(OTHER, "a/b.img"), listed(OTHER, "c.img"), ImageFolder(tmp_path)
    asyncio.run(images.add_all([(one, [OTHER]), (two, [OTHER])]))
    asyncio.run(images.name_plainly([one, two]))
    asyncio.run(images.name_plainly([one, two]))
    for file in (one, two):
        assert [asyncio.run(images.read(name)) for name in (file.path, *hashed_names(file))] == [OTHER] * 3
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 6
    with pytest.raises(StorageError, match="is a folder"):
        asyncio.run(images.add_all([(listed(OTHER, "a"), [OTHER])]))


def test_what_is_being_received_is_shown_to_nobody(tmp_path: Path) -> None:
    images, file = ImageFolder(tmp_path), listed(IMAGE)
    with pytest.raises(ConnectionResetError):
        asyncio.run(images.add_all([(file, cut_after(IMAGE, SEGMENT))]))
    assert images.open_for_reading(f"{INCOMING}/{part_name(file)}") is None
    assert (tmp_path / INCOMING).stat().st_mode & 0o077 == 0
    with Folder.made(tmp_path, 0o755) as root, IncomingImages(root, FILE_MODE) as incoming:
        assert list(incoming.chunks(listed(OTHER))) == []


class SentObjects(Objects):
    """The same objects, and which were sent and not copied."""

    def __init__(self, objects: Objects) -> None:
        super().__init__(objects._store, objects._url, objects._prefix)
        self.sent: set[str] = set()

    async def receive(self, name: str, chunks: Iterable[bytes], length: int) -> None:
        self.sent.add(name)
        await super().receive(name, chunks, length)


@pytest.mark.parametrize("data", [IMAGE, IMAGE[:SEGMENT], OTHER, b""], ids=["segments", "one", "small", "empty"])
def test_an_upload_to_object_storage_that_stops_at_any_write_goes_on(data: bytes) -> None:
    async def work() -> None:
        file = listed(data)
        for number in range(1, 30):
            for reply_lost in (False, True):
                objects = in_memory()
                failing = FailingObjects(objects, number, reply_lost=reply_lost)
                images = ImageObjects(objects, segment=SEGMENT)
                try:
                    await ImageObjects(failing, segment=SEGMENT).add_all([(file, chunks(data))])
                except StorageError:
                    for name in hashed_names(file):
                        assert await images.read(name) in (None, data)
                arrived = await objects.entries(OBJECTS_INCOMING)
                again = SentObjects(objects)
                await ImageObjects(again, segment=SEGMENT).add_all([(file, chunks(data))])
                assert not {name for name in arrived if not name.endswith("whole")} & again.sent
                assert [await images.read(name) for name in hashed_names(file)] == [data] * 2
                assert set(await objects.entries("")) == set(hashed_names(file))
            if not failing.has_failed:
                return
        pytest.fail("never came to the end")

    asyncio.run(work())


@pytest.mark.standard("STD-5.3.1-6")
@pytest.mark.parametrize("data", [IMAGE, OTHER], ids=["segments", "one"])
def test_what_an_earlier_attempt_left_in_a_store_is_verified(data: bytes) -> None:
    async def work() -> None:
        objects, file = in_memory(), listed(data)
        evil = bytes(min(SEGMENT, len(data)))
        await objects.overwrite(f"{OBJECTS_INCOMING}{part_name(file)}/0", evil)
        images = ImageObjects(objects, segment=SEGMENT)
        with pytest.raises(StorageError, match="damaged"):
            await images.add_all([(file, chunks(data))])
        assert set(await objects.entries("")) == set()
        await images.add_all([(file, chunks(data))])
        assert [await images.read(name) for name in hashed_names(file)] == [data] * 2
        await images.name_plainly([file])
        assert await images.read(file.path) == data

    asyncio.run(work())
