"""An operator and suppliers change one repository: neither undoes what the other did."""

import asyncio
from collections.abc import Iterable, Sequence

import pytest
from catalogs import catalog_of
from fleet import Fleet
from links import wait
from signed import EVIL, FRESH
from suppliers import Supplier, UploadDesk, entry
from world import delegation, delegations

from uptane.formats.profile import Profile
from uptane.metadata.errors import BadSignatureError, UptaneError
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.root import Role
from uptane.metadata.targets import ImageFile

SUPPLIER = RoleName("supplier")
BRAKES = ImagePath("supplier/brakes.img")


@pytest.fixture
def fleet(profile: Profile) -> Fleet:
    """An Image repository that lists nothing yet."""
    return Fleet(profile)


def desk_of(fleet: Fleet) -> UploadDesk:
    """The desk of the same program in which the operator works."""
    desk = UploadDesk(fleet)
    desk.repository = fleet.images
    return desk


def test_after_a_first_upload_the_operator_publishes_as_before(fleet: Fleet) -> None:
    supplier = Supplier(fleet, SUPPLIER, fleet.grant(SUPPLIER, "supplier/*", at_hand=False))
    wait(fleet.images.publish(fleet.now))
    desk = desk_of(fleet)
    upload = supplier.upload({BRAKES: FRESH})
    desk.receive(upload)
    wait(fleet.images.add_image(ImagePath("own.img"), FRESH))
    wait(fleet.images.publish(fleet.now))
    assert set(fleet.targets(SUPPLIER).images) == {BRAKES}
    desk.receive(supplier.upload({BRAKES: b"next"}, version=2, counter=2))
    assert set(fleet.targets().images) == {"own.img"}


def test_an_upload_waits_for_the_operator_to_publish_what_he_added_to_that_role(fleet: Fleet) -> None:
    supplier = Supplier(fleet, SUPPLIER, fleet.grant(SUPPLIER, "supplier/*"))
    wait(fleet.images.publish(fleet.now))
    desk = desk_of(fleet)
    wait(fleet.images.add_image(ImagePath("supplier/lights.img"), FRESH, role=SUPPLIER))
    desk.refuses(supplier.upload({BRAKES: EVIL}, version=2), UptaneError)
    wait(fleet.images.publish(fleet.now))
    assert set(fleet.targets(SUPPLIER).images) == {"supplier/lights.img"}


@pytest.mark.parametrize("published", [True, False], ids=["with a first file", "before its first file"])
def test_keys_that_are_being_revoked_upload_nothing_more(fleet: Fleet, published: bool) -> None:
    """Else the new keys would be published over a file that they did not sign, which every client refuses."""
    stolen = fleet.grant(SUPPLIER, "supplier/*", at_hand=published)
    wait(fleet.images.publish(fleet.now))
    desk, thief, new = desk_of(fleet), Supplier(fleet, SUPPLIER, stolen), fleet.new_key()
    wait(fleet.images.replace_role_keys(SUPPLIER, {new.key.key_id: new.key}))
    desk.refuses(thief.upload({BRAKES: EVIL}, version=2 if published else 1), UptaneError)
    fleet.images.add_signers([new])
    wait(fleet.images.publish(fleet.now))
    desk.receive(Supplier(fleet, SUPPLIER, [new]).upload({BRAKES: FRESH}, version=3 if published else 2))
    assert set(fleet.targets(SUPPLIER).images) == {BRAKES}


def test_whoever_still_delegates_to_a_role_with_its_old_keys_keeps_it_from_nothing(fleet: Fleet) -> None:
    """He delegated to it with the keys that it had, and does not follow when they are replaced."""
    other = RoleName("other")
    old, new = fleet.grant(SUPPLIER, "supplier/*"), fleet.new_key()
    stubborn = Supplier(fleet, other, fleet.grant(other, "other/*", at_hand=False))
    wait(fleet.images.publish(fleet.now))
    desk = desk_of(fleet)
    desk.receive(stubborn.upload({}, delegations=delegations(old, delegation(SUPPLIER, old, paths=["other/*"]))))
    fleet.images.add_signers([new])
    wait(fleet.images.replace_role_keys(SUPPLIER, {new.key.key_id: new.key}))
    wait(fleet.images.publish(fleet.now))
    desk.refuses(Supplier(fleet, SUPPLIER, old).upload({BRAKES: EVIL}, version=3), BadSignatureError)
    desk.receive(Supplier(fleet, SUPPLIER, [new]).upload({BRAKES: FRESH}, version=3))
    assert wait(catalog_of(fleet).look_up({BRAKES: None}, fleet.now))[BRAKES].file == entry(BRAKES, FRESH).file


@pytest.mark.parametrize("revokes", [False, True], ids=["publishes", "revokes the supplier's key"])
def test_while_the_images_of_an_upload_are_stored_others_publish(fleet: Fleet, revokes: bool) -> None:
    """A long upload keeps no Timestamp from being renewed, and what is published meanwhile counts."""
    supplier = Supplier(fleet, SUPPLIER, fleet.grant(SUPPLIER, "supplier/*", at_hand=False))
    wait(fleet.images.publish(fleet.now))
    before, new, turn = fleet.published(), fleet.new_key(), asyncio.Lock()
    store = fleet.image_store.add_all

    async def slowly(images: Sequence[tuple[ImageFile, Iterable[bytes]]]) -> None:
        await store(images)
        assert not turn.locked() or not images, "others wait"
        if images and revokes:
            await fleet.images.replace_role_keys(SUPPLIER, {new.key.key_id: new.key})
        if images:
            await fleet.images.publish(fleet.now)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fleet.image_store, "add_all", slowly)
        desk = UploadDesk(fleet, turn=lambda: turn)
        if revokes:
            with pytest.raises(BadSignatureError):
                desk.receive(supplier.upload({BRAKES: EVIL}))
            assert fleet.profile.metadata_name(SUPPLIER) not in fleet.published()
        else:
            desk.receive(supplier.upload({BRAKES: FRESH}))
            listed = wait(catalog_of(fleet).look_up({BRAKES: None}, fleet.now))
            assert listed[BRAKES].file == entry(BRAKES, FRESH).file
    name = fleet.profile.metadata_name(Role.TIMESTAMP)
    assert fleet.published()[name] != before[name]
