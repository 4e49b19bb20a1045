"""Two processes change one Image repository: neither undoes what the other has published."""

import asyncio
from pathlib import Path

import pytest
from failing_objects import StallingObjects, in_memory
from signed import custom
from suppliers import entry
from world import NOW, delegation, new_signer

from uptane.assembly.servers import image_repository_over_folder
from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.image_repository.release import NewImage
from uptane.image_repository.repository import ImageRepository
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import OvertakenError, StorageError
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.root import Role
from uptane.signing.publish import new_root
from uptane.storage.object_images import ImageObjects
from uptane.storage.object_store import Objects
from uptane.storage.objects import PublishedObjects

BRAKES, RADIO, SUPPLIER = ImagePath("brakes.img"), ImagePath("radio.img"), RoleName("supplier")
KEYS = {role: [new_signer()] for role in Role}


@pytest.fixture(params=["der", "json"])
def profile(request: pytest.FixtureRequest) -> Profile:
    return PROFILES[request.param]


def opened(profile: Profile, folder: Path) -> ImageRepository:
    """The repository in a folder, as another process opens it."""
    repository = image_repository_over_folder(profile, folder)
    repository.add_signers(signer for signers in KEYS.values() for signer in signers)
    return repository


@pytest.mark.standard("STD-5.2.3.1.1-4")
def test_a_release_counter_that_another_process_has_raised_does_not_fall_again(
    profile: Profile, tmp_path: Path
) -> None:
    async def story() -> None:
        first = opened(profile, tmp_path)
        first.stage_root(new_root(KEYS))
        await first.add_image(BRAKES, b"v1", custom=custom(1))
        await first.publish(NOW)
        slow, quick = opened(profile, tmp_path), opened(profile, tmp_path)
        await slow.add_image(RADIO, b"radio", custom=custom(1))
        await quick.add_image(BRAKES, b"v5", custom=custom(5))
        await quick.publish(NOW)
        with pytest.raises(StorageError, match="another process has published targets"):
            await slow.publish(NOW)
        await slow.discard()
        await slow.add_image(RADIO, b"radio", custom=custom(1))
        published = await slow.publish(NOW)
        images = published.targets[TARGETS_ROLE].payload.images
        assert {path: image.custom.must_match.release_counter for path, image in images.items()} == {
            BRAKES: 5,
            RADIO: 1,
        }

    asyncio.run(story())


def test_a_key_that_another_process_has_revoked_does_not_come_back(profile: Profile, tmp_path: Path) -> None:
    stolen, new = new_signer(), new_signer()

    async def story() -> None:
        first = opened(profile, tmp_path)
        first.stage_root(new_root(KEYS))
        first.add_signers([stolen])
        await first.delegate(delegation(SUPPLIER, [stolen], paths=["supplier/*"]), [stolen.key])
        await first.publish(NOW)
        slow, quick = opened(profile, tmp_path), opened(profile, tmp_path)
        await slow.add_image(RADIO, b"radio")
        quick.add_signers([new])
        await quick.replace_role_keys(SUPPLIER, {new.key.key_id: new.key})
        await quick.publish(NOW)
        with pytest.raises(StorageError, match="another process"):
            await slow.publish(NOW)
        found = (await slow.published()).targets[TARGETS_ROLE].payload
        assert set(found.delegations.keys) == {new.key.key_id}

    asyncio.run(story())


def test_what_was_only_signed_again_meanwhile_hinders_nobody(profile: Profile, tmp_path: Path) -> None:
    async def story() -> None:
        first = opened(profile, tmp_path)
        first.stage_root(new_root(KEYS))
        await first.add_image(BRAKES, b"v1")
        await first.publish(NOW)
        slow, quick = opened(profile, tmp_path), opened(profile, tmp_path)
        await slow.add_image(RADIO, b"radio")
        await quick.renew()
        await quick.publish(NOW)
        images = (await slow.publish(NOW)).targets[TARGETS_ROLE].payload.images
        assert set(images) == {BRAKES, RADIO}

    asyncio.run(story())


class Overtaken:
    """An Image repository on object storage, before whose publications another process publishes, so many times."""

    def __init__(self, profile: Profile, times: int) -> None:
        self.profile, self.left, self.objects = profile, times, in_memory()
        self.repository = self.opened(StallingObjects(self.objects, 1, self.meanwhile))

    def opened(self, objects: Objects) -> ImageRepository:
        metadata, images = PublishedObjects(objects), ImageObjects(self.objects.below("targets"))
        repository = ImageRepository(profile=self.profile, metadata=metadata, images=images, turn=metadata.turn)
        repository.add_signers(signer for signers in KEYS.values() for signer in signers)
        return repository

    async def meanwhile(self) -> None:
        if self.left:
            self.left -= 1
            self.repository._metadata._objects.writes.clear()  # type: ignore[attr-defined]
            await self.opened(self.objects).publish(NOW)

    async def begin(self) -> None:
        first = self.opened(self.objects)
        first.stage_root(new_root(KEYS))
        await first.publish(NOW)


@pytest.mark.parametrize(("times", "goes_on"), [(0, True), (1, True), (4, True), (5, False)])
@pytest.mark.parametrize("released", [True, False])
def test_whoever_is_overtaken_on_object_storage_builds_on_what_was_published(
    profile: Profile, times: int, goes_on: bool, released: bool
) -> None:
    async def story() -> None:
        other = Overtaken(profile, times)
        await other.begin()
        repository, image = other.repository, NewImage(image=entry(BRAKES, b"brakes"), chunks=lambda: [b"brakes"])
        if not released:
            await repository.add_image(BRAKES, b"brakes")
        publishing = repository.release([image], NOW) if released else repository.publish(NOW)
        if goes_on:
            await publishing
        else:
            with pytest.raises(OvertakenError) as refusal:
                await publishing
            assert refusal.value.next_step
        published = await repository.published()
        assert published.timestamp_version == 1 + times + goes_on
        assert (BRAKES in published.targets[TARGETS_ROLE].payload.images) is goes_on

    asyncio.run(story())
