"""What was seen published is compared in the right order, and nothing of it is forgotten."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from fleet import Fleet
from fleet import profile as profile
from links import wait
from world import NOW

from uptane.formats.profile import Profile
from uptane.image_repository.newest import Newest
from uptane.image_repository.repository import ImageRepository
from uptane.image_repository.seen import Seen
from uptane.metadata.errors import StorageError
from uptane.metadata.root import Role
from uptane.storage.floor_file import FloorFile
from uptane.storage.memory import MemoryPublished


@pytest.fixture
def fleet(profile: Profile) -> Fleet:
    return Fleet(profile)


def opened(fleet: Fleet, floor: FloorFile) -> ImageRepository:
    """The Image repository as another process of this machine opens it."""
    made = ImageRepository(
        profile=fleet.profile, metadata=fleet.image_metadata, images=fleet.image_store, newest=Newest(floor)
    )
    made.add_signers(signer for signers in fleet.image_keys.values() for signer in signers)
    return made


class Published(FloorFile):
    """Just before it is read for the first time, another process publishes and writes it."""

    def __init__(self, path: Path, publish: Callable[[], object]) -> None:
        super().__init__(path)
        self._publish = [publish]

    async def read(self) -> Seen | None:
        while self._publish:
            await asyncio.to_thread(self._publish.pop())
        return await super().read()


def test_whoever_publishes_at_this_moment_is_not_taken_for_an_attacker(fleet: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "newest.json"
    other = opened(fleet, FloorFile(file))
    wait(other.published())
    reader = opened(fleet, Published(file, lambda: asyncio.run(other.publish(NOW))))
    assert wait(reader.published()).timestamp_version == 2


class Full(FloorFile):
    """The disk is full."""

    def _raise_to(self, seen: Seen) -> None:
        raise StorageError("no space left")


def test_where_it_cannot_be_written_down_the_process_remembers_it(fleet: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "newest.json"
    wait(opened(fleet, FloorFile(file)).published())
    older = dict(fleet.image_metadata._files)
    server = opened(fleet, Full(file))
    wait(server.publish(NOW))
    fleet.image_metadata._files = older
    with pytest.raises(StorageError, match="an older set was put back"):
        wait(server.publish(NOW))


class FromBefore(MemoryPublished):
    """What somebody finds who looked for the next Root just before it was published, and for all else afterwards."""

    def __init__(self, fleet: Fleet) -> None:
        self._files = fleet.image_metadata._files
        self._hidden = fleet.profile.metadata_name(Role.ROOT, 2)

    async def read(self, name: str) -> bytes | None:
        return None if name == self._hidden else await super().read(name)


class ReadMeanwhile(FloorFile):
    """Another process has read what is published now, and wrote it down first."""

    def __init__(self, path: Path, fleet: Fleet) -> None:
        super().__init__(path)
        self._path, self._fleet = path, fleet

    async def raise_to(self, seen: Seen) -> None:
        await Newest(FloorFile(self._path)).read(FromBefore(self._fleet), self._fleet.profile)
        await super().raise_to(seen)


def test_a_root_that_somebody_did_not_find_yet_beside_a_new_timestamp_is_remembered(
    fleet: Fleet, tmp_path: Path
) -> None:
    file = tmp_path / "newest.json"
    wait(opened(fleet, FloorFile(file)).published())
    wait(opened(fleet, ReadMeanwhile(file, fleet)).renew_expiring(NOW + timedelta(days=1), frozenset({"root"})))
    kept = wait(FloorFile(file).read())
    assert kept is not None and kept.versions["root"] == kept.versions["timestamp"] == 2
    del fleet.image_metadata._files[fleet.profile.metadata_name(Role.ROOT, 2)]
    with pytest.raises(StorageError, match="published is root 1, and 2 was"):
        wait(opened(fleet, FloorFile(file)).published())
