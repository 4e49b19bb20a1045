"""Uploads on disk: folders of images, metadata that waits, and a repository that is whole after every power cut."""

import asyncio
import contextlib
import errno
import os
import random
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from failing_disk import CuttableLayer, FailingLayer
from suppliers import entry
from world import NOW, delegation, new_signer

from uptane.formats.profiles import PROFILES
from uptane.image_repository.repository import ImageRepository
from uptane.image_repository.uploads import Upload
from uptane.metadata.errors import (
    BadHashError,
    DelegationError,
    EndlessDataError,
    FormatError,
    ReplayedMetadataError,
    SecurityError,
    StorageError,
)
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.root import Role
from uptane.metadata.targets import Targets
from uptane.signing.publish import new_root
from uptane.signing.sign import sign
from uptane.storage import incoming
from uptane.storage.atomic_files import OPERATING_SYSTEM, FileLayer
from uptane.storage.folders import ImageFolder, PublishedFolder
from uptane.storage.image_catalog import VerifiedImageCatalog
from uptane.storage.incoming import MAX_DEPTH, WaitingFolder, images_in, turn
from uptane.storage.memory import MemoryImages, MemoryWaiting
from uptane.verification.trusted import Held

PROFILE = PROFILES["der"]
SUPPLIER = RoleName("supplier")
PATHS = [ImagePath("supplier/a.img"), ImagePath("supplier/b.img")]
KEYS = {role: new_signer() for role in Role}
OWNERS = [new_signer(), new_signer()]


def repository_in(folder: Path, layer: FileLayer = OPERATING_SYSTEM) -> ImageRepository:
    """An Image repository over folders, as the assembly makes it."""
    repository = ImageRepository(
        profile=PROFILE,
        metadata=PublishedFolder(folder / "metadata", layer=layer),
        images=ImageFolder(folder / "targets", layer=layer),
        waiting=WaitingFolder(folder / "waiting", layer=layer),
        turn=lambda: turn(folder, layer=layer),
    )
    repository.add_signers(KEYS.values())
    return repository


def begin(repository: ImageRepository) -> None:
    """The first publication: it delegates to a supplier."""
    repository.stage_root(new_root({role: [signer] for role, signer in KEYS.items()}))
    asyncio.run(repository.publish(NOW))
    granted = delegation(SUPPLIER, OWNERS, paths=["supplier/*"], threshold=2)
    asyncio.run(repository.delegate(granted, [owner.key for owner in OWNERS]))
    asyncio.run(repository.publish(NOW))


def upload(version: int, *, signed_by: slice = slice(None)) -> Upload:
    """Two images whose bytes tell the version."""
    images = {path: content(version, path) for path in PATHS}
    targets = Targets(
        version=version,
        expires=NOW + timedelta(days=30),
        images={path: entry(path, data, version) for path, data in images.items()},
    )
    return Upload(
        role=SUPPLIER,
        metadata=sign(PROFILE, targets, OWNERS[signed_by]),
        images={path: _opener(data) for path, data in images.items()},
    )


def content(version: int, path: str) -> bytes:
    return f"{version} of {path}".encode() * 100


def _opener(data: bytes) -> Callable[[], Iterable[bytes]]:
    return lambda: [data]


def found_version(folder: Path) -> int:
    """What a client finds in the folder, and that it can fetch it: one whole version of both images, or 0."""
    store = PublishedFolder(folder / "metadata")
    root = asyncio.run(store.read(PROFILE.metadata_name(Role.ROOT, 1)))
    assert root is not None
    catalog = VerifiedImageCatalog(published=store, profile=PROFILE, held=Held(root=root))
    try:
        found = asyncio.run(catalog.look_up(dict.fromkeys(PATHS), NOW))
    except DelegationError:
        return 0  # no first file of the role
    if not found:
        return 0
    versions = {image.custom.must_match.release_counter for image in found.values()}
    assert len(found) == len(PATHS) and len(versions) == 1
    (version,) = versions
    assert version is not None
    for path, image in found.items():
        for _, digest in image.file.digests:
            name = PROFILE.requested_image(path, digest)
            assert asyncio.run(ImageFolder(folder / "targets").read(name)) == content(version, path)
    return version


def complete(folder: Path, version: int) -> None:
    """The supplier hands it in again after a failure; it is there then, once."""
    repository = repository_in(folder)
    if found_version(folder) < version:
        asyncio.run(repository.receive(upload(version), NOW))
    with pytest.raises(ReplayedMetadataError):
        asyncio.run(repository.receive(upload(version), NOW))
    assert found_version(folder) == version
    assert not [file.name for file in folder.rglob(".new-*") if file.is_file()]


@pytest.mark.standard("STD-5.3.1-4", "STD-5.3.1-6")
@pytest.mark.slow
@pytest.mark.parametrize(("number", "for_ever"), [(errno.ENOSPC, False), (errno.EIO, True)], ids=["once", "for ever"])
def test_an_upload_that_fails_at_any_operation_shows_the_old_version_or_the_new_one(
    tmp_path: Path, number: int, for_ever: bool
) -> None:
    first, folder = tmp_path / "first", tmp_path / "repository"
    begin(repository_in(first))
    asyncio.run(repository_in(first).receive(upload(1), NOW))
    for fail_at in range(1, 2000):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(first, folder)
        layer = FailingLayer(fail_at, number, for_ever=for_ever)
        with contextlib.suppress(StorageError):
            repository = repository_in(folder, layer)
            asyncio.run(repository.receive(upload(2, signed_by=slice(1)), NOW))
            asyncio.run(repository.receive(upload(2, signed_by=slice(1, 2)), NOW))
        assert found_version(folder) in (1, 2)
        complete(folder, 2)
        if not layer.has_failed:
            return
    pytest.fail("never came to the end")


@pytest.mark.standard("STD-5.3.1-4", "STD-5.3.1-6")
def test_after_a_power_cut_at_any_write_of_an_upload_it_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    chance = random.Random(20261125)
    folder = tmp_path / "repository"
    folder.mkdir()
    layer = CuttableLayer(folder)
    begin(repository_in(folder, layer))
    cuts: list[int] = []

    def cut() -> None:
        survivor = tmp_path / f"cut-{len(cuts)}"
        layer.after_power_cut(survivor, chance)
        cuts.append(found_version(survivor))
        assert cuts[-1] in (0, 1)
        complete(survivor, 1)

    with ThreadPoolExecutor(1) as another_loop:
        layer.after_each = lambda: another_loop.submit(cut).result()
        asyncio.run(repository_in(folder, layer).receive(upload(1), NOW))
    layer.after_each = lambda: None
    assert found_version(folder) == 1
    assert len(cuts) > 50 and {0, 1} <= set(cuts)


def test_who_wants_to_publish_waits_until_another_process_has(tmp_path: Path) -> None:
    async def story() -> None:
        async with contextlib.AsyncExitStack() as other, contextlib.AsyncExitStack() as mine:
            await other.enter_async_context(turn(tmp_path))
            looks = 0

            async def pause(seconds: float) -> None:
                nonlocal looks
                looks += 1
                if looks == 3:
                    await other.aclose()

            await mine.enter_async_context(turn(tmp_path, pause=pause))
            assert looks == 3

    asyncio.run(story())


def test_who_has_waited_long_enough_for_another_process_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "TURN_PAUSE", 0)
    begin(repository_in(tmp_path))

    async def two() -> None:
        async with turn(tmp_path):
            await repository_in(tmp_path).receive(upload(1), NOW)

    with pytest.raises(StorageError, match="in use by another process"):
        asyncio.run(two())
    assert found_version(tmp_path) == 0
    asyncio.run(repository_in(tmp_path).receive(upload(1), NOW))
    assert found_version(tmp_path) == 1


@pytest.fixture(params=["folder", "memory"])
def images(request: pytest.FixtureRequest, tmp_path: Path) -> ImageFolder | MemoryImages:
    return MemoryImages() if request.param == "memory" else ImageFolder(tmp_path / "targets")


@pytest.mark.standard("STD-5.2.7-4")
def test_listed_images_are_stored_under_their_hashes_alone(images: ImageFolder | MemoryImages) -> None:
    files = [entry(path, path.encode()).file for path in PATHS]
    for _ in range(2):
        asyncio.run(images.add_all([(file, [file.path.encode()]) for file in files]))
    for file in files:
        assert asyncio.run(images.read(file.path)) is None
        for _, digest in file.digests:
            assert asyncio.run(images.read(PROFILE.requested_image(file.path, digest))) == file.path.encode()


def test_of_listed_images_all_are_stored_or_none(images: ImageFolder | MemoryImages, tmp_path: Path) -> None:
    good, bad = (entry(path, b"good").file for path in PATHS)
    with pytest.raises(BadHashError):
        asyncio.run(images.add_all([(good, [b"good"]), (bad, [b"evil"])]))
    for _, digest in good.digests:
        assert asyncio.run(images.read(PROFILE.requested_image(good.path, digest))) is None
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_a_listed_image_never_takes_the_place_of_other_bytes(images: ImageFolder | MemoryImages) -> None:
    file = entry(PATHS[0], b"good").file
    asyncio.run(images.add_all([(file, [b"good"])]))
    for content in (b"evil", b"goo", b"goods", b""):
        with pytest.raises(SecurityError):
            asyncio.run(images.add_all([(file, [content])]))
    digest = file.digests["sha256"]
    assert asyncio.run(images.read(PROFILE.requested_image(file.path, digest))) == b"good"


@pytest.fixture(params=["folder", "memory"])
def waiting(request: pytest.FixtureRequest, tmp_path: Path) -> WaitingFolder | MemoryWaiting:
    return MemoryWaiting() if request.param == "memory" else WaitingFolder(tmp_path / "waiting")


def test_what_waits_is_read_back_replaced_and_removed(waiting: WaitingFolder | MemoryWaiting) -> None:
    assert asyncio.run(waiting.read("a.der")) is None
    asyncio.run(waiting.write({"a.der": None}))
    asyncio.run(waiting.write({"a.der": b"1", "b.der": b"2"}))
    asyncio.run(waiting.write({"a.der": b"3", "b.der": None, "c.der": None}))
    assert [asyncio.run(waiting.read(name)) for name in ("a.der", "b.der", "c.der")] == [b"3", None, None]
    for name in ("../a", "a/b", ""):
        with pytest.raises(FormatError):
            asyncio.run(waiting.read(name))
        with pytest.raises(FormatError):
            asyncio.run(waiting.write({name: b"x"}))


def test_a_folder_of_images_is_read_with_the_folders_in_it(tmp_path: Path) -> None:
    for name, data in (("a.img", b"a"), ("supplier/b.img", b"b"), ("supplier/deep/c.img", b"c")):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    (tmp_path / "empty").mkdir()
    found = images_in(tmp_path)
    assert {path: b"".join(chunks()) for path, chunks in found.items()} == {
        "a.img": b"a", "supplier/b.img": b"b", "supplier/deep/c.img": b"c",
    }  # fmt: skip
    (tmp_path / "a.img").unlink()
    with pytest.raises(StorageError, match="there is no file"):
        list(found[ImagePath("a.img")]())
    with pytest.raises(StorageError, match="no folder"):
        images_in(tmp_path / "gone")


@pytest.mark.parametrize("planted", ["file", "folder", "pipe"])
def test_a_symbolic_link_or_a_pipe_in_a_folder_of_images_is_refused(tmp_path: Path, planted: str) -> None:
    """Whoever can write to the folder would have files published that he cannot read himself."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.pem").write_bytes(b"secret")
    images = tmp_path / "images" / "supplier"
    images.mkdir(parents=True)
    if planted == "pipe":
        os.mkfifo(images / "x.img")
    else:
        (images / "x.img").symlink_to(secret if planted == "folder" else secret / "key.pem")
    with pytest.raises(StorageError, match=r"x\.img"):
        images_in(tmp_path / "images")


def test_a_link_that_is_planted_after_the_folder_was_read_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    images = tmp_path / "images"
    images.mkdir()
    (images / "x.img").write_bytes(b"x")
    found = images_in(images)
    (images / "x.img").unlink()
    (images / "x.img").symlink_to(tmp_path / "secret")
    with pytest.raises(StorageError, match="symbolic link"):
        list(found[ImagePath("x.img")]())


@pytest.mark.parametrize("name", [b"a\\b.img", b"\xff.img", b"a%2f..%2fb", b"x" * 130])
def test_a_file_with_a_name_that_no_image_can_have_is_refused(tmp_path: Path, name: bytes) -> None:
    (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    with pytest.raises(FormatError):
        images_in(tmp_path)


def test_a_folder_that_never_ends_is_refused(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(MAX_DEPTH + 2):
        deep /= "d"
    deep.mkdir(parents=True)
    with pytest.raises(EndlessDataError):
        images_in(tmp_path)
