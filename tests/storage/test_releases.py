"""Releases: several images in one publication, of which vehicles see all or none, whatever store operation fails."""

import asyncio
import contextlib
import errno
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from failing_disk import FailingLayer
from failing_objects import FailingObjects, in_memory
from suppliers import entry
from world import NOW, new_signer

from uptane.formats.profiles import PROFILES
from uptane.image_repository.release import NewImage
from uptane.image_repository.repository import ImageRepository
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import BadHashError, FormatError, ImageRollbackError, ProvisioningError, StorageError
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.root import Role
from uptane.signing.publish import new_root
from uptane.storage.atomic_files import FileLayer
from uptane.storage.folders import ImageFolder, PublishedFolder
from uptane.storage.incoming import turn
from uptane.storage.memory import MemoryImages, MemoryPublished
from uptane.storage.object_images import ImageObjects
from uptane.storage.object_store import Objects
from uptane.storage.objects import PublishedObjects

PROFILE = PROFILES["der"]
KEYS = {role: new_signer() for role in Role}
PATHS = [ImagePath("a/one.img"), ImagePath("two.img")]
SEGMENT = 1_000


def content(version: int, path: str) -> bytes:
    return f"{version} of {path} ".encode() * 100


def new(version: int, path: ImagePath, data: bytes | None = None) -> NewImage:
    listed = content(version, path)
    return NewImage(image=entry(path, listed, version), chunks=lambda: [listed if data is None else data])


def release(version: int) -> list[NewImage]:
    return [new(version, path) for path in PATHS]


def repository_of(
    metadata: PublishedFolder | PublishedObjects | MemoryPublished, images: ImageFolder | ImageObjects | MemoryImages
) -> ImageRepository:
    if isinstance(metadata, PublishedFolder):
        repository = ImageRepository(
            profile=PROFILE, metadata=metadata, images=images, turn=lambda: turn(metadata.root.parent)
        )
    elif isinstance(metadata, PublishedObjects):
        repository = ImageRepository(profile=PROFILE, metadata=metadata, images=images, turn=metadata.turn)
    else:
        repository = ImageRepository(profile=PROFILE, metadata=metadata, images=images)
    repository.add_signers(KEYS.values())
    return repository


def in_folder(folder: Path, layer: FileLayer | None = None) -> ImageRepository:
    given = {} if layer is None else {"layer": layer}
    return repository_of(PublishedFolder(folder / "metadata", **given), ImageFolder(folder / "targets", **given))


def on_objects(objects: Objects) -> ImageRepository:
    return repository_of(
        PublishedObjects(objects.below("metadata")), ImageObjects(objects.below("targets"), segment=SEGMENT)
    )


async def begin(repository: ImageRepository) -> None:
    repository.stage_root(new_root({role: [signer] for role, signer in KEYS.items()}))
    await repository.publish(NOW)
    await repository.release(release(1), NOW)


async def found_version(repository: ImageRepository) -> int:
    """Of what vehicles see, verified: one version of both images, whose bytes are there under each hash."""
    images = (await repository.published()).targets[TARGETS_ROLE].payload.images
    assert set(images) == set(PATHS)
    (version,) = {image.custom.must_match.release_counter for image in images.values()}
    assert version is not None
    for path, image in images.items():
        for _, digest in image.file.digests:
            found = await repository._images.read(PROFILE.requested_image(path, digest))  # type: ignore[attr-defined]
            assert found == content(version, path)
    return version


async def goes_on(repository: ImageRepository) -> None:
    """The same release again is published, with its plain names."""
    await repository.release(release(2), NOW)
    assert await found_version(repository) == 2
    for path in PATHS:
        assert await repository._images.read(path) == content(2, path)  # type: ignore[attr-defined]


@pytest.mark.standard("STD-5.3.1-6", "STD-5.3.2-4")
def test_a_release_into_a_folder_that_fails_at_any_operation_is_seen_whole_or_not_at_all(tmp_path: Path) -> None:
    async def work() -> None:
        seen = set()
        await begin(in_folder(tmp_path / "first"))
        for fail_at in range(1, 400, 4):
            folder, layer = tmp_path / str(fail_at), FailingLayer(fail_at, errno.ENOSPC)
            shutil.copytree(tmp_path / "first", folder)
            with contextlib.suppress(StorageError):
                await in_folder(folder, layer).release(release(2), NOW)
            fresh = in_folder(folder)
            seen.add(await found_version(fresh))
            await goes_on(fresh)
            assert not [path for path in folder.rglob(".new-*") if path.is_file()]
            if not layer.has_failed:
                assert seen == {1, 2}
                return
        pytest.fail("never came to the end")

    asyncio.run(work())


@pytest.mark.standard("STD-5.3.1-6", "STD-5.3.2-4")
@pytest.mark.parametrize("reply_lost", [False, True])
def test_a_release_to_object_storage_that_stops_at_any_write_is_seen_whole_or_not_at_all(reply_lost: bool) -> None:
    class Failing(FailingObjects):
        """Fails at the same write, whichever part of the store it goes to."""

        def below(self, *names: str) -> Objects:
            part = Failing(
                Objects(self._store, self._url, self._prefix).below(*names), self.fail_at, reply_lost=self.reply_lost
            )
            part.writes = self.writes
            return part

    async def work() -> None:
        seen = set()
        for fail_at in range(1, 60):
            objects = in_memory()
            await begin(on_objects(objects))
            failing = Failing(objects, fail_at, reply_lost=reply_lost)
            with contextlib.suppress(StorageError):
                await on_objects(failing).release(release(2), NOW)
            fresh = on_objects(objects)
            seen.add(await found_version(fresh))
            await goes_on(fresh)
            assert not [name for name in await objects.entries("") if ".new-images" in name]
            if not failing.has_failed:
                assert seen == {1, 2}
                return
        pytest.fail("never came to the end")

    asyncio.run(work())


@pytest.fixture(params=["folder", "objects", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], ImageRepository]:
    objects, stand_ins = in_memory(), (MemoryPublished(), MemoryImages())
    return {
        "folder": lambda: in_folder(tmp_path),
        "objects": lambda: on_objects(objects),
        "memory": lambda: repository_of(*stand_ins),
    }[request.param]


def test_a_release_is_one_new_version_of_targets_snapshot_and_timestamp(make: Callable[[], ImageRepository]) -> None:
    async def work() -> None:
        repository = make()
        await begin(repository)
        before = await repository.published()
        published = await repository.release(release(2), NOW)
        versions = [
            (each.targets[TARGETS_ROLE].payload.version, each.snapshot_version, each.timestamp_version)
            for each in (before, published)
        ]
        assert versions[1] == tuple(version + 1 for version in versions[0])
        assert await found_version(repository) == 2

    asyncio.run(work())


@pytest.mark.standard("STD-5.2.3.1.1-4", "STD-5.3.1-5", "STD-5.3.1-6")
def test_of_a_release_with_one_bad_image_nothing_is_listed_and_nothing_waits(
    make: Callable[[], ImageRepository],
) -> None:
    async def work() -> None:
        repository = make()
        await begin(repository)
        await repository.release(release(2), NOW)
        good = new(3, PATHS[0])
        for bad, error in (
            ([new(3, PATHS[1], bytes(len(content(3, PATHS[1]))))], BadHashError),
            ([new(1, PATHS[1])], ImageRollbackError),
            ([new(3, PATHS[0])], FormatError),
        ):
            with pytest.raises(error):
                await repository.release([good, *bad], NOW)
            await repository.publish(NOW)
            assert await found_version(repository) == 2
        with pytest.raises(ProvisioningError):
            await repository.release([good], NOW, role=RoleName("nobody"))

    asyncio.run(work())


def test_a_release_is_built_on_what_another_process_has_published_meanwhile(
    make: Callable[[], ImageRepository],
) -> None:
    async def work() -> None:
        repository, other = make(), make()
        await begin(repository)
        third = ImagePath("three.img")

        def meanwhile() -> list[bytes]:
            with ThreadPoolExecutor(1) as thread:
                thread.submit(lambda: asyncio.run(other.release([new(1, third)], NOW))).result()
            return [content(2, PATHS[0])]

        late = NewImage(image=entry(PATHS[0], content(2, PATHS[0]), 2), chunks=meanwhile)
        await repository.release([late, new(2, PATHS[1])], NOW)
        images = (await repository.published()).targets[TARGETS_ROLE].payload.images
        counters = {path: image.custom.must_match.release_counter for path, image in images.items()}
        assert counters == {PATHS[0]: 2, PATHS[1]: 2, third: 1}

    asyncio.run(work())
