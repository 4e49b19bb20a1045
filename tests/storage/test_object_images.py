"""Images on object storage: of any size, checked on the way, and under a name only when they are whole."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from failing_objects import FailingObjects, in_memory, prefix_of
from s3_server import S3Server

from uptane.metadata.digests import Digests
from uptane.metadata.errors import BadHashError, EndlessDataError, FormatError, LengthMismatchError, StorageError
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.targets import ImageFile
from uptane.storage.folders import hashed_names
from uptane.storage.object_images import INCOMING, ImageObjects
from uptane.storage.object_store import PART, Objects
from uptane.storage.object_urls import open_objects
from uptane.storage.objects import PIECE

LARGE = bytes(range(256)) * (PART // 256) * 2 + b"and the end"
"""An image of three parts."""

SMALL = b"small"
PATH = ImagePath("brakes/v1/firmware.img")


@pytest.fixture(params=["memory", "s3"])
def objects(request: pytest.FixtureRequest) -> Objects:
    """A place for the images of one repository."""
    if request.param == "memory":
        return in_memory()
    server: S3Server = request.getfixturevalue("s3_server")
    return open_objects(server.url(prefix_of(request.node.name)), options=server.options)


def listed(data: bytes, path: str = PATH, functions: tuple[str, ...] = ("sha256", "sha512")) -> ImageFile:
    return ImageFile(path=ImagePath(path), length=len(data), digests=Digests.of(data, functions))


def pieces(data: bytes, size: int = 1_000_003) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def cut_off(data: bytes) -> Iterator[bytes]:
    """More than half of the bytes, and then the supplier's connection ends."""
    yield data[: len(data) * 2 // 3]
    raise ConnectionResetError("the supplier is gone")


async def names(objects: Objects) -> set[str]:
    return set(await objects.entries(""))


@pytest.mark.standard("STD-5.2.7-3", "STD-5.2.7-4")
@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("from_the_loop", [False, True])
def test_a_streamed_image_is_published_under_its_hashes_and_its_plain_name(
    objects: Objects, data: bytes, from_the_loop: bool
) -> None:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces(data):
            await asyncio.sleep(0)
            yield piece

    async def work() -> None:
        images, file = ImageObjects(objects), listed(data)
        for _ in range(2):  # again is fine
            await images.add_stream(file, body() if from_the_loop else pieces(data))
            for name in (PATH, *hashed_names(file)):
                assert await images.read(name) == data
            assert await names(objects) == {PATH, *hashed_names(file)}

    asyncio.run(work())


@pytest.mark.standard("STD-5.3.1-6")
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_an_image_that_is_not_the_listed_one_or_is_cut_off_has_no_name(objects: Objects, data: bytes) -> None:
    async def work() -> None:
        images, file = ImageObjects(objects), listed(data)
        wrong = bytes([data[0] ^ 1]) + data[1:]
        one_hash_wrong = ImageFile(
            path=PATH,
            length=len(data),
            digests=Digests((("sha256", file.digests["sha256"]), ("sha512", Digests.of(wrong, ("sha512",))["sha512"]))),
        )
        for described, chunks, error in (
            (file, pieces(data + b"x"), EndlessDataError),
            (file, pieces(data[:-1]), LengthMismatchError),
            (file, pieces(wrong), BadHashError),
            (one_hash_wrong, pieces(data), BadHashError),
            (file, cut_off(data), ConnectionResetError),
        ):
            with pytest.raises(error):
                await images.add_stream(described, chunks)
            assert await names(objects) == set()
        await images.add_stream(file, pieces(data))
        assert await images.read(PATH) == data

    asyncio.run(work())


def test_of_several_images_none_has_a_name_before_all_are_there(objects: Objects) -> None:
    async def work() -> None:
        images = ImageObjects(objects)
        batch = {"a/large.img": LARGE, "b/small.img": SMALL, "b/empty.img": b""}
        files = {path: listed(data, path) for path, data in batch.items()}
        with pytest.raises(BadHashError):
            await images.add_all(
                [(file, pieces(batch[path])) for path, file in files.items()]
                + [(listed(SMALL, "c.img"), pieces(b"SMALL"))]
            )
        assert await names(objects) == set()
        await images.add_all([(file, pieces(batch[path])) for path, file in files.items()])
        assert await names(objects) == {name for file in files.values() for name in hashed_names(file)}
        for path, file in files.items():
            assert [await images.read(name) for name in hashed_names(file)] == [batch[path]] * 2

    asyncio.run(work())


class Killed(ImageObjects):
    """A process that ends before it tidies up."""

    async def _remove_incoming(self, files: Iterable[ImageFile]) -> None:
        """Does not come to it."""


@pytest.mark.parametrize(("data", "arrived"), [(SMALL, 0), (LARGE, 2)], ids=["small", "large"])
def test_bytes_that_are_not_those_of_the_image_are_never_whole_in_the_store(
    objects: Objects, data: bytes, arrived: int
) -> None:
    """Somebody who sends the true image at the same moment has checked his own bytes, and publishes what is there."""

    async def work() -> None:
        with pytest.raises(BadHashError):
            await Killed(objects, segment=PART).add_all([(listed(data), pieces(data[:-1] + b"!"))])
        assert len(await names(objects)) == arrived

    asyncio.run(work())


def test_a_large_image_that_was_cut_off_goes_on_with_its_segments(objects: Objects) -> None:
    async def work() -> None:
        images, file = ImageObjects(objects, segment=PART), listed(LARGE)
        with pytest.raises(ConnectionResetError):
            await images.add_all([(file, cut_off(LARGE))])
        arrived = await objects.entries(INCOMING)
        assert [entry.length for entry in arrived.values()] == [PART]
        await images.add_all([(file, pieces(LARGE))])
        await images.name_plainly([file])
        for name in (PATH, *hashed_names(file)):
            assert await images.read(name) == LARGE
        assert await names(objects) == {PATH, *hashed_names(file)}

    asyncio.run(work())


def test_what_arrived_is_not_sent_again() -> None:
    async def work() -> None:
        objects, file = in_memory(), listed(LARGE)
        with pytest.raises(ConnectionResetError):
            await ImageObjects(objects, segment=PART).add_all([(file, cut_off(LARGE))])
        [arrived] = await objects.entries(INCOMING)
        for sent in (3, 0):  # two segments and the whole; and of an image that has its names, nothing
            watched = FailingObjects(objects, 1000)
            await ImageObjects(watched, segment=PART).add_all([(file, pieces(LARGE))])
            received = [name for name in watched.writes if name.startswith(INCOMING)]
            assert arrived not in received[:sent] and len(set(received) - {arrived}) == sent

    asyncio.run(work())


KILLED = """
import asyncio, os, signal, sys
from uptane.metadata.digests import Digests
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.targets import ImageFile
from uptane.storage.object_images import ImageObjects
from uptane.storage.object_store import PART
from uptane.storage.object_urls import open_objects

data = bytes(range(256)) * (PART // 256) * 2 + b"and the end"
digests = Digests.of(data, ("sha256", "sha512"))
file = ImageFile(path=ImagePath("brakes/v1/firmware.img"), length=len(data), digests=digests)

def killed():
    yield data[:PART]
    yield data[PART:-20]
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(ImageObjects(open_objects(sys.argv[1]), segment=PART).add_all([(file, killed())]))
"""


def test_a_process_that_is_killed_in_the_middle_leaves_nothing_with_a_name_in_a_store(
    s3_server: S3Server, tmp_path: Path
) -> None:
    url = s3_server.url("killed-in-the-middle")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, url], env={**s3_server.environment}, cwd=tmp_path, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL

    async def work() -> None:
        objects = open_objects(url, options=s3_server.options)
        images, file = ImageObjects(objects, segment=PART), listed(LARGE)
        arrived = await names(objects)
        assert len(arrived) == 1 and all(name.startswith(INCOMING) for name in arrived)
        assert await images.open(PATH) is None
        await images.add_all([(file, pieces(LARGE))])
        assert await names(objects) == set(hashed_names(file))

    asyncio.run(work())


@pytest.mark.standard("STD-5.3.1-6")
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_an_image_whose_store_stops_at_any_write_is_whole_wherever_it_has_a_name(data: bytes) -> None:
    async def work() -> None:
        for number in range(1, 20):
            objects = in_memory()
            images, file = ImageObjects(objects), listed(data)
            await images.add(PATH, b"old")
            failing = FailingObjects(objects, number)
            with contextlib.suppress(StorageError):
                await ImageObjects(failing).add_stream(file, pieces(data))
            assert await images.read(PATH) in (b"old", data)
            for name in hashed_names(file):
                assert await images.read(name) in (None, data)
            if await images.read(PATH) == data:
                assert [await images.read(name) for name in hashed_names(file)] == [data] * 2
            await images.add_stream(file, pieces(data))
            left = {name for name in await names(objects) if name.startswith(INCOMING)}
            assert await images.tidy(datetime.now(UTC) - timedelta(days=1)) == 0
            assert await images.tidy(datetime.now(UTC) + timedelta(days=1)) == len(left)
            assert await names(objects) == {PATH, *hashed_names(file), *hashed_names(listed(b"old"))}
            if not failing.has_failed:
                return
        pytest.fail("never came to the end")

    asyncio.run(work())


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_an_intruders_bytes_under_a_hash_are_not_taken_for_the_image(objects: Objects, data: bytes) -> None:
    async def work() -> None:
        images, file = ImageObjects(objects), listed(data)
        for evil in (b"evil", bytes(len(data))):
            await objects.overwrite(hashed_names(file)[1], evil)
            for call in (images.add_stream(file, pieces(data)), images.add_all([(file, pieces(data))])):
                with pytest.raises(StorageError, match="exists with other bytes") as refused:
                    await call
                assert refused.value.next_step
            assert await images.read(PATH) is None
        await objects.remove(hashed_names(file)[1])
        await images.add_stream(file, pieces(data))
        assert await images.read(hashed_names(file)[1]) == data

    asyncio.run(work())


def test_an_image_that_the_store_does_not_copy_at_once_is_sent_again(objects: Objects) -> None:
    async def work() -> None:
        images, file = ImageObjects(objects, largest_copy=PART), listed(LARGE)
        await images.add_stream(file, pieces(LARGE))
        for name in (PATH, *hashed_names(file)):
            assert await images.read(name) == LARGE

    asyncio.run(work())


def test_an_image_is_given_out_in_ranges(objects: Objects) -> None:
    async def work() -> None:
        images = ImageObjects(objects)
        await images.add(PATH, LARGE)
        found = await images.open(PATH)
        assert found is not None and found.length == len(LARGE)
        for start, end in ((0, None), (0, 1), (PIECE - 1, PIECE + 1), (len(LARGE) - 3, None), (5, 5), (7, 3 * PIECE)):
            got = [piece async for piece in found.stream(start, end)]
            assert b"".join(got) == LARGE[start:end]
            assert all(len(piece) <= PIECE for piece in got)
        pulled = found.stream()
        assert await anext(pulled) == LARGE[:PIECE]
        await images.add(PATH, bytes(len(LARGE)))
        with pytest.raises(StorageError, match="was replaced while it was read"):
            await anext(pulled)
        assert await images.open("brakes/v1/none.img") is None
        assert await images.open(f"{INCOMING}x") is None

    asyncio.run(work())


ODD = [
    "a b/c d",
    "ä/日本",
    "100%",
    "a%20b/x%2fy",
    "a+b&c=d",
    "a#b?c",
    "x" * 120 + "/'\"{}|^`~*:",
    "...",
    "a;b,c@d!$()[]<>",
]


def test_images_with_odd_names_are_kept_apart(objects: Objects) -> None:
    async def work() -> None:
        images = ImageObjects(objects)
        for name in ODD:
            await images.add(ImagePath(name), name.encode())
        for name in ODD:
            assert await images.read(name) == name.encode()
            found = await images.open(name)
            assert found is not None and found.length == len(name.encode())
        assert set(ODD) <= await names(objects)

    asyncio.run(work())


@pytest.mark.standard("STD-5.2.7-5")
@pytest.mark.parametrize("name", ["..", "a/../b", "/a", "a//b", "a\\b", "a\0", ".new-x", "a/.new-b", "0" * 64 + ".img"])
def test_an_image_by_a_name_that_leaves_its_place_is_refused(name: str) -> None:
    async def work() -> None:
        objects = in_memory()
        images = ImageObjects(objects.below("images"))
        file = ImageFile(path=str.__new__(ImagePath, name), length=1, digests=Digests.of(b"x"))
        for call in (images.add(file.path, b"x"), images.add_stream(file, [b"x"]), images.add_all([(file, [b"x"])])):
            with pytest.raises(FormatError):
                await call
        assert await names(objects) == set()

    asyncio.run(work())


MEGABYTES = 192
UPLOAD = """
import asyncio, hashlib, resource, sys
from uptane.metadata.digests import Digests
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.targets import ImageFile
from uptane.storage.object_images import ImageObjects
from uptane.storage.object_urls import open_objects

megabytes = int(sys.argv[2])
chunks = lambda: (bytes([number]) * (1 << 20) for number in range(megabytes))
sha256, sha512 = hashlib.sha256(), hashlib.sha512()
for chunk in chunks():
    sha256.update(chunk)
    sha512.update(chunk)
digests = Digests((("sha256", sha256.digest()), ("sha512", sha512.digest())))
file = ImageFile(path=ImagePath("large.img"), length=megabytes << 20, digests=digests)
images = ImageObjects(open_objects(sys.argv[1]))

async def work():
    await images.add_stream(file, chunks())
    found = await images.open("large.img")
    return sum([len(piece) async for piece in found.stream()])

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert asyncio.run(work()) == megabytes << 20
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
def test_an_image_much_larger_than_the_memory_it_takes(s3_server: S3Server, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UPLOAD, s3_server.url("much-larger"), str(MEGABYTES)],
        capture_output=True,
        text=True,
        check=False,
        env={**s3_server.environment},
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) < MEGABYTES // 3
