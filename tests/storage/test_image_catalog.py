"""The Director's view of an Image repository: what it trusts, and that it never goes back."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import pytest
from catalogs import catalog_of
from fleet import Fleet
from fleet import profile as profile
from links import wait
from signed import FRESH, PATH, custom
from world import IMAGES

from uptane.formats.profile import Profile
from uptane.metadata.errors import EndlessDataError, ReplayedMetadataError, UnreachableError
from uptane.metadata.identifiers import HardwareIdentifier, ImagePath, RoleName
from uptane.metadata.root import Role
from uptane.metadata.targets import Custom, Image
from uptane.storage.image_catalog import VerifiedImageCatalog
from uptane.storage.memory import MemoryPublished
from uptane.verification.limits import Limits
from uptane.verification.trusted import Held


def test_listed_images_are_found_and_others_are_not(profile: Profile) -> None:
    fleet = Fleet(profile)
    catalog = catalog_of(fleet)
    image = fleet.add_image(PATH, FRESH)
    found = wait(catalog.look_up({ImagePath(PATH): None, ImagePath("other.img"): None}, fleet.now))
    assert found == {PATH: image}


def test_new_roots_are_followed_and_delegations_are_searched(profile: Profile) -> None:
    fleet = Fleet(profile)
    catalog = catalog_of(fleet)
    supplier, path = RoleName("supplier"), ImagePath("supplier/a.img")
    fleet.grant(supplier, "supplier/*", hardware=("board-7",))
    image = wait(fleet.images.add_image(path, FRESH, role=supplier, custom=_for("board-7")))
    wait(fleet.images.publish(fleet.now))
    fleet.rotate_images(Role.TARGETS, Role.SNAPSHOT, Role.TIMESTAMP)
    hardware = {name: frozenset({HardwareIdentifier(name)}) for name in ("board-7", "board-8")}
    assert wait(catalog.look_up({path: hardware["board-7"]}, fleet.now)) == {path: image}
    assert wait(catalog.look_up({path: hardware["board-8"]}, fleet.now)) == {}
    assert catalog.held.root == fleet.file(IMAGES, Role.ROOT)
    assert supplier in catalog.held.files


def test_an_older_set_of_files_is_refused_after_a_restart_as_well(profile: Profile) -> None:
    fleet = Fleet(profile)
    catalog = catalog_of(fleet)
    older = fleet.published()
    fleet.add_image(PATH, FRESH)
    wait(catalog.look_up({ImagePath(PATH): None}, fleet.now))
    fleet.image_metadata._files = older
    restarted = VerifiedImageCatalog(published=fleet.image_metadata, profile=profile, held=catalog.held)
    for each in (catalog, restarted):
        with pytest.raises(ReplayedMetadataError):
            wait(each.look_up({ImagePath(PATH): None}, fleet.now))


@pytest.mark.parametrize(("believed_for", "looks"), [(1, 1), (0, 3)])
def test_who_asks_while_the_same_is_looked_up_waits_for_that_answer(
    profile: Profile, believed_for: int, looks: int
) -> None:
    fleet = Fleet(profile)
    image, read = fleet.add_image(PATH, FRESH), list[str]()

    class Slow:
        async def read(self, name: str) -> bytes | None:
            read.append(name)
            await asyncio.sleep(0)
            return await fleet.image_metadata.read(name)

    catalog = VerifiedImageCatalog(
        published=Slow(),
        profile=profile,
        held=Held(root=fleet.file(IMAGES, Role.ROOT)),
        believed_for=timedelta(seconds=believed_for),
    )

    async def all_at_once() -> list[Mapping[ImagePath, Image]]:
        return await asyncio.gather(*(catalog.look_up({ImagePath(PATH): None}, fleet.now) for _ in range(3)))

    assert asyncio.run(all_at_once()) == [{PATH: image}] * 3
    assert len([name for name in read if name.startswith(Role.TIMESTAMP)]) == looks


def test_no_more_bytes_are_taken_than_allowed(profile: Profile) -> None:
    fleet = Fleet(profile)
    held = catalog_of(fleet).held
    small = VerifiedImageCatalog(
        published=fleet.image_metadata, profile=profile, held=held, limits=Limits(timestamp_bytes=10)
    )
    with pytest.raises(EndlessDataError):
        wait(small.look_up({}, fleet.now))


class _Silent(MemoryPublished):
    async def read(self, name: str) -> bytes | None:
        await asyncio.sleep(3600)
        return None


class _Broken(MemoryPublished):
    async def read(self, name: str) -> bytes | None:
        raise ConnectionResetError(name)


@pytest.mark.parametrize("published", [_Silent(), _Broken()])
def test_an_image_repository_that_is_silent_or_broken_is_unreachable(
    profile: Profile, published: MemoryPublished
) -> None:
    catalog = VerifiedImageCatalog(
        published=published, profile=profile, held=catalog_of(Fleet(profile)).held, seconds=0.01
    )
    with pytest.raises(UnreachableError, match="Image repository"):
        wait(catalog.look_up({}, Fleet(profile).now))


def _for(hardware: str) -> Custom:
    return custom(None, (hardware,))
