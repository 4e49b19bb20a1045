"""Two processes change one Image repository: neither undoes what the other has published."""

import asyncio
from pathlib import Path

import pytest
from signed import custom
from world import NOW, delegation, new_signer

from uptane.assembly.servers import image_repository_over_folder
from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.image_repository.repository import ImageRepository
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import StorageError
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.root import Role
from uptane.signing.publish import new_root

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
