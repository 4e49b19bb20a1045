"""The stand-ins in memory, and object storage, keep every promise that the folders keep."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from failing_objects import prefix_of
from msgspec import structs
from s3_server import S3Server

from uptane.metadata.errors import BadHashError, FormatError, StorageError, UptaneError
from uptane.metadata.identifiers import ImagePath
from uptane.signing.ports import MetadataStore
from uptane.storage.ecu_state import INLINE_LIMIT, EcuStateFolder
from uptane.storage.folders import ImageFolder, PublishedFolder, described, hashed_names
from uptane.storage.image_slots import CHUNK, ImageSlotFolder
from uptane.storage.memory import MemoryEcuStore, MemoryImages, MemoryImageSlots, MemoryPublished
from uptane.storage.object_images import ImageObjects
from uptane.storage.places import ObjectPlace, open_place
from uptane.vehicle.ports import EcuStore, ImageSlots

BAD = ["", "..", "a/../b", "/a", "a//b", "a\\b", "a\0", ".new-x"]


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EcuStore]:
    if request.param == "memory":
        yield MemoryEcuStore()
    else:
        with EcuStateFolder(tmp_path / "ecu") as folder:
            yield folder


@pytest.fixture(params=["folder", "memory"])
def slots(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ImageSlots]:
    if request.param == "memory":
        yield MemoryImageSlots()
    else:
        with ImageSlotFolder(tmp_path / "images") as folder:
            yield folder


PLACES = ["folder", "memory", "memory://", "s3://"]
"""Where a repository publishes: a folder, its stand-in, and object storage of two kinds."""


def object_place(request: pytest.FixtureRequest) -> ObjectPlace:
    """A place on object storage that is this test's own."""
    if request.param == "memory://":
        place = open_place("memory://")
    else:
        server: S3Server = request.getfixturevalue("s3_server")
        place = open_place(server.url(f"stand-ins/{prefix_of(request.node.name)}"), options=server.options)
    assert isinstance(place, ObjectPlace)
    return place


@pytest.fixture(params=PLACES)
def published(request: pytest.FixtureRequest, tmp_path: Path) -> MetadataStore:
    if request.param in ("folder", "memory"):
        return MemoryPublished() if request.param == "memory" else PublishedFolder(tmp_path / "metadata")
    return object_place(request).metadata("metadata")


Images = ImageFolder | MemoryImages | ImageObjects


@pytest.fixture(params=PLACES)
def images(request: pytest.FixtureRequest, tmp_path: Path) -> Images:
    if request.param in ("folder", "memory"):
        return MemoryImages() if request.param == "memory" else ImageFolder(tmp_path / "targets")
    return object_place(request).images("targets")


def test_ecu_values_of_every_size_are_read_back_and_removed(store: EcuStore) -> None:
    sizes = (0, 1, INLINE_LIMIT, INLINE_LIMIT + 1, 100_000)
    values = {f"a/{size}": bytes([size % 256]) * size for size in sizes}
    store.write({**values, "b": b"1"})
    assert {name: store.read(name) for name in values} == values
    assert store.names("a/") == tuple(sorted(values))
    assert store.names("") == (*sorted(values), "b")
    store.write({"a/0": None, "a/100000": b"small now", "b": bytes(50_000), "missing": None})
    assert store.read("a/0") is None
    assert store.read("a/100000") == b"small now"
    assert store.read("b") == bytes(50_000)
    assert "a/0" not in store.names("a")
    assert store.names("nothing") == ()


@pytest.mark.parametrize("name", BAD)
def test_a_bad_name_among_good_ones_changes_no_ecu_value(store: EcuStore, name: str) -> None:
    store.write({"a": b"old"})
    with pytest.raises(FormatError):
        store.write({"a": b"new", name: b"1"})
    with pytest.raises(FormatError):
        store.read(name)
    assert store.read("a") == b"old"
    assert store.names("") == ("a",)


def test_a_value_that_is_changed_by_its_giver_afterwards_stays_as_it_was_given(store: EcuStore) -> None:
    value = bytearray(b"given")
    store.write({"a": value})  # type: ignore[dict-item]
    value[:] = b"other"
    assert store.read("a") == b"given"


def test_images_are_kept_whole_replaced_and_removed(slots: ImageSlots) -> None:
    data = b"abc" * CHUNK
    assert slots.chunks("installed") is None
    with slots.receive("installed") as writer:
        writer.write(data[:10])
        writer.write(b"")
        writer.write(data[10:])
        assert slots.chunks("installed") is None
        writer.keep()
        writer.keep()
        with pytest.raises(StorageError):
            writer.write(b"more")
    chunks = list(slots.chunks("installed") or ())
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) <= CHUNK
    with slots.receive("installed") as writer:
        writer.keep()
    assert list(slots.chunks("installed") or ("none",)) == []
    with slots.receive("0" * 64) as writer:
        writer.write(b"x")
        writer.keep()
    slots.keep_only(frozenset({"0" * 64, "unknown"}))
    assert slots.chunks("installed") is None
    assert slots.chunks("0" * 64) is not None


def test_an_image_that_is_not_kept_disappears_and_leaves_the_earlier_one(slots: ImageSlots) -> None:
    with slots.receive("installed") as writer:
        writer.write(b"old")
        writer.keep()
    with slots.receive("installed") as writer:
        writer.write(b"new")
    with pytest.raises(KeyError), slots.receive("installed") as writer:
        writer.write(b"new")
        raise KeyError
    assert b"".join(slots.chunks("installed") or ()) == b"old"


def grow(slots: ImageSlots, name: str, *pieces: bytes) -> bytes:
    """Appends to an image that was cut off; gives what was there before."""
    with slots.resume(name) as partial:
        came = b"".join(partial.chunks())
        for piece in pieces:
            partial.write(piece)
    return came


def test_an_image_that_was_cut_off_is_continued_until_it_is_kept(slots: ImageSlots) -> None:
    data = b"abc" * CHUNK
    with pytest.raises(KeyError), slots.resume("a") as partial:
        assert list(partial.chunks()) == []
        partial.write(data[:CHUNK])
        partial.write(data[CHUNK : 2 * CHUNK])
        raise KeyError
    assert slots.chunks("a") is None
    with slots.resume("a") as partial:
        assert b"".join(partial.chunks()) == data[: 2 * CHUNK]
        partial.write(data[2 * CHUNK :])
        assert slots.chunks("a") is None
        partial.keep()
        partial.keep()
        with pytest.raises(StorageError):
            partial.write(b"more")
    assert b"".join(slots.chunks("a") or ()) == data
    assert grow(slots, "a") == b""


def test_an_image_that_was_cut_off_can_begin_again_and_replaces_an_earlier_one(slots: ImageSlots) -> None:
    with slots.receive("a") as writer:
        writer.write(b"old")
        writer.keep()
    grow(slots, "a", b"wrong")
    with slots.resume("a") as partial:
        partial.restart()
        partial.write(b"ri")
        partial.restart()
        partial.write(b"right")
    assert b"".join(slots.chunks("a") or ()) == b"old"
    with slots.resume("a") as partial:
        assert b"".join(partial.chunks()) == b"right"
        partial.keep()
    assert b"".join(slots.chunks("a") or ()) == b"right"


def test_one_image_at_a_time_is_cut_off(slots: ImageSlots) -> None:
    grow(slots, "a", b"of a")
    assert grow(slots, "b", b"of b") == b""
    assert grow(slots, "a") == b""


def test_an_image_that_was_cut_off_is_forgotten_with_those_that_are_not_wanted(slots: ImageSlots) -> None:
    grow(slots, "a", b"of a")
    slots.keep_only(frozenset({"a", "b"}))
    assert grow(slots, "a") == b"of a"
    slots.keep_only(frozenset({"b"}))
    assert grow(slots, "a") == b""


def test_an_image_that_does_not_fit_onto_the_disk_leaves_no_part_of_it(slots: ImageSlots) -> None:
    with pytest.raises(StorageError), slots.resume("a") as partial:
        partial.write(b"begun")
        raise StorageError("the disk is full")
    assert grow(slots, "a") == b""


@pytest.mark.parametrize("name", [*BAD, "A", "a/b", "a.b", "x" * 129])
def test_a_bad_slot_name_is_refused(slots: ImageSlots, name: str) -> None:
    with pytest.raises(FormatError):
        slots.chunks(name)
    with pytest.raises(FormatError), slots.resume(name):
        pass
    with pytest.raises(FormatError), slots.receive(name):
        pass


def test_metadata_is_published_and_plain_names_change(published: MetadataStore) -> None:
    async def work() -> None:
        assert await published.read("timestamp.json") is None
        await published.publish([("1.root.json", b"1")], {"root.json": b"1", "timestamp.json": b"1"})
        await published.publish([("1.root.json", b"1"), ("2.root.json", b"2")], {"root.json": b"2"})
        names = ("1.root.json", "2.root.json", "root.json", "timestamp.json", "3.root.json")
        assert [await published.read(name) for name in names] == [b"1", b"2", b"2", b"1", None]

    asyncio.run(work())


@pytest.mark.standard("STD-5.3.1-6")
def test_metadata_that_never_changes_never_changes(published: MetadataStore) -> None:
    async def work() -> None:
        await published.publish([("1.root.json", b"1")], {"root.json": b"1"})
        with pytest.raises(StorageError, match="never changes"):
            await published.publish([("2.root.json", b"2"), ("1.root.json", b"x")], {"root.json": b"x"})
        for files, mutable in (
            ([("2.root.json", b"2"), ("2.root.json", b"3")], {}),
            ([("root.json", b"2")], {"root.json": b"2"}),
            ([("a/b", b"2")], {"root.json": b"2"}),
            *(([("2.root.json", b"2")], {name: b"2"}) for name in BAD),
        ):
            with pytest.raises(FormatError):
                await published.publish(files, mutable)
        assert await published.read("root.json") == b"1"
        assert await published.read("2.root.json") is None

    asyncio.run(work())


@pytest.mark.standard("STD-5.2.7-3", "STD-5.2.7-4")
def test_images_are_published_under_their_hashes_and_their_plain_name(images: Images) -> None:
    async def work() -> None:
        path = ImagePath("brakes/v1/firmware.img")
        for data in (b"first", b"second", b"second"):
            file = await images.add(path, data)
            assert (file.path, file.length) == (path, len(data))
            assert [name for name, _ in file.digests] == ["sha256", "sha512"]
            assert file.digests.matches(data)
            for _, digest in file.digests:
                assert await images.read(f"brakes/v1/{digest.hex()}.firmware.img") == data
            assert await images.read(path) == data
        first = await images.add(path, b"first", ("sha384",))
        assert await images.read(f"brakes/v1/{first.digests['sha384'].hex()}.firmware.img") == b"first"
        assert await images.read("brakes/v1") is None
        assert await images.read("brakes/missing") is None
        assert await images.read("brakes/v1/firmware.img/deeper") is None

    asyncio.run(work())


@pytest.mark.parametrize("name", [*BAD, "0" * 64 + ".img", "a/" + "f" * 128 + ".b", "x" * 300, "a/.new-b"])
def test_an_image_by_a_bad_name_is_refused(images: ImageFolder | MemoryImages, name: str) -> None:
    with pytest.raises(FormatError):
        asyncio.run(images.add(str.__new__(ImagePath, name), b"x"))


def test_images_with_bad_hash_functions_or_in_the_place_of_a_folder_are_refused(images: Images) -> None:
    async def work() -> None:
        await images.add(ImagePath("a/b"), b"x")
        for functions in ((), ("md5",), ("sha256", "sha256"), ("sha256", "crc")):
            with pytest.raises(FormatError):
                await images.add(ImagePath("a/c"), b"x", functions)
        for path in ("a", "a/b/c"):
            if not isinstance(images, ImageObjects):  # object storage has no folders that could be in the way
                with pytest.raises(StorageError):
                    await images.add(ImagePath(path), b"x")
        assert await images.read("a/c") is None
        assert await images.read("a/b") == b"x"

    asyncio.run(work())


@pytest.mark.standard("STD-5.2.7-3")
def test_several_images_are_published_under_their_hashes_only_and_none_where_one_is_wrong(images: Images) -> None:
    def pieces(data: bytes, error: UptaneError | None = None) -> Iterator[bytes]:
        yield data[:1]
        yield data[1:]
        if error is not None:
            raise error

    async def work() -> None:
        files = {data: described(ImagePath(f"folder/{data.decode()}.img"), data) for data in (b"one", b"two")}
        wrong = [(files[b"one"], pieces(b"one")), (files[b"two"], pieces(b"two", BadHashError("not the listed one")))]
        with pytest.raises(BadHashError):
            await images.add_all(wrong)
        names = {name: data for data, file in files.items() for name in hashed_names(file)}
        assert [await images.read(name) for name in names] == [None] * 4
        for _ in range(2):
            await images.add_all([(file, pieces(data)) for data, file in files.items()])
            assert [await images.read(name) for name in names] == list(names.values())
            assert [await images.read(file.path) for file in files.values()] == [None] * 2
        with pytest.raises(FormatError):
            await images.add_all([(structs.replace(files[b"one"], path=ImagePath(f"{'0' * 64}.img")), pieces(b"one"))])

    asyncio.run(work())
