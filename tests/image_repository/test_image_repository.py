"""An Image repository: what is added is published at once, under names that never change, by those who may."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from fleet import Fleet
from links import wait
from signed import EVIL, FRESH, PATH, custom
from world import IMAGES, NOW, new_signer

from uptane.formats.profile import Profile
from uptane.image_repository.repository import ImageRepository
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.digests import Digests
from uptane.metadata.errors import FormatError, ImageRollbackError, ProvisioningError, StorageError
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.root import Role, Root
from uptane.metadata.snapshot import Snapshot
from uptane.metadata.targets import ImageFile, Targets
from uptane.signing.publish import new_root
from uptane.signing.signer import KeySigner
from uptane.storage.memory import MemoryImages, MemoryPublished

SUPPLIER, DEEPER = RoleName("supplier"), RoleName("deeper")
IMAGE = ImagePath(PATH)
BRAKES = ImagePath("supplier/brakes.img")


@pytest.fixture
def fleet(profile: Profile) -> Fleet:
    """An Image repository that lists nothing yet."""
    return Fleet(profile)


@pytest.mark.standard("STD-5.2.7-3", "STD-5.2.7-6", "STD-5.2.3.1.1-3", "STD-5.2.3.1.1-5")
@pytest.mark.standard("STD-5.2.7-4")
@pytest.mark.standard("STD-5.2.3.1-5")
def test_an_image_is_stored_under_each_of_its_hashes_and_listed_with_the_next_publication(fleet: Fleet) -> None:
    image = wait(fleet.images.add_image(ImagePath("a/b.img"), FRESH, custom=custom(3, ("x", "y"))))
    assert dict(fleet.targets().images) == {}
    wait(fleet.images.publish(fleet.now))
    assert dict(fleet.targets().images) == {"a/b.img": image}
    assert [function for function, _ in image.file.digests] == ["sha256", "sha512"]
    for _, digest in image.file.digests:
        assert wait(fleet.image_store.read(f"a/{digest.hex()}.b.img")) == FRESH


def test_amb_15_an_image_that_nobody_may_download_in_plain_is_listed_and_not_hosted(fleet: Fleet) -> None:
    file = ImageFile(path=IMAGE, length=len(FRESH), digests=Digests.of(FRESH))
    with pytest.raises(FormatError):
        wait(fleet.images.add_image(BRAKES, file))
    image = wait(fleet.images.add_image(IMAGE, file, custom=custom(3)))
    wait(fleet.images.publish(fleet.now))
    assert dict(fleet.targets().images) == {PATH: image} and image.file == file
    assert fleet.image_store._files == {}


@pytest.mark.standard("STD-5.3.1-6")
def test_an_image_is_replaced_and_the_old_one_stays_under_its_hashes(fleet: Fleet) -> None:
    old = fleet.add_image(PATH, FRESH)
    new = fleet.add_image(PATH, EVIL)
    assert dict(fleet.targets().images) == {PATH: new}
    assert wait(fleet.image_store.read(PATH)) == EVIL
    name = fleet.profile.requested_image(IMAGE, old.file.digests["sha256"])
    assert wait(fleet.image_store.read(name)) == FRESH


@pytest.mark.standard("STD-5.2.3.1.1-4")
@pytest.mark.parametrize("counter", [6, None])
def test_an_older_release_does_not_take_the_place_of_a_newer_one(fleet: Fleet, counter: int | None) -> None:
    newer = wait(fleet.images.add_image(IMAGE, FRESH, custom=custom(7)))
    with pytest.raises(ImageRollbackError) as refusal:
        wait(fleet.images.add_image(IMAGE, EVIL, custom=custom(counter)))
    assert (refusal.value.facts["expected"], refusal.value.facts["offered"]) == (7, counter)
    wait(fleet.images.publish(fleet.now))
    assert dict(fleet.targets().images) == {PATH: newer}
    for released in (7, 8):
        wait(fleet.images.add_image(IMAGE, EVIL, custom=custom(released)))
    wait(fleet.images.publish(fleet.now))
    assert fleet.targets().images[IMAGE].custom.must_match.release_counter == 8


@pytest.mark.standard("STD-5.2.3.1-1")
def test_a_stored_image_that_no_role_lists_is_not_published(fleet: Fleet) -> None:
    wait(fleet.images.store_image(IMAGE, FRESH))
    wait(fleet.images.publish(fleet.now))
    assert dict(fleet.targets().images) == {}
    assert wait(fleet.image_store.read(PATH)) == FRESH


@pytest.mark.standard("STD-5.3.1-6")
def test_names_with_a_version_never_change(fleet: Fleet) -> None:
    before = fleet.published()
    fleet.add_image(PATH, FRESH)
    fleet.add_image(PATH, EVIL)
    after = fleet.published()
    plain = {fleet.profile.metadata_name(role) for role in Role}
    assert {name: raw for name, raw in after.items() if name in before and name not in plain} == {
        name: raw for name, raw in before.items() if name not in plain
    }
    for role in (Role.ROOT, Role.SNAPSHOT, Role.TARGETS):
        raw = after[fleet.profile.metadata_name(role)]
        assert raw in [data for name, data in after.items() if name not in plain]


@pytest.mark.standard("STD-5.1.3-1", "STD-5.2.1-8")
@pytest.mark.standard("STD-5.2.4-1")
def test_a_publication_without_a_change_raises_snapshot_and_timestamp_only(fleet: Fleet) -> None:
    fleet.add_image(PATH, FRESH)
    fleet.grant(SUPPLIER, "supplier/*")
    first = wait(fleet.images.publish(fleet.now))
    second = wait(fleet.images.publish(fleet.now))
    assert second.targets == first.targets
    assert (second.snapshot_version, second.timestamp_version) == (
        first.snapshot_version + 1,
        first.timestamp_version + 1,
    )
    snapshot = fleet.profile.format.decode(Snapshot, fleet.file(IMAGES, Role.SNAPSHOT)).payload
    assert {name: listed.version for name, listed in snapshot.files.items()} == {
        name: envelope.payload.version for name, envelope in second.targets.items()
    }


@pytest.mark.standard("STD-5.2.2-4", "STD-5-3")
def test_new_keys_of_the_top_level_roles_sign_everything_anew(fleet: Fleet) -> None:
    fleet.add_image(PATH, FRESH)
    fleet.grant(SUPPLIER, "supplier/*")
    wait(fleet.images.publish(fleet.now))
    images = dict(fleet.targets().images)
    fleet.rotate_images(Role.TARGETS, Role.SNAPSHOT, Role.TIMESTAMP)
    root = fleet.profile.format.decode(Root, fleet.file(IMAGES, Role.ROOT)).payload
    assert root.version == 2
    assert root.roles == new_root(fleet.image_keys, fleet.thresholds).roles
    assert dict(fleet.targets().images) == images
    signed = fleet.profile.format.decode(Targets, fleet.file(IMAGES, Role.TARGETS)).signatures
    assert {entry.key_id for entry in signed} == set(root.roles[Role.TARGETS].key_ids)


def test_roles_that_cannot_be_signed_here_are_left_as_they_are(fleet: Fleet) -> None:
    fleet.grant(SUPPLIER, "supplier/*", keys=3, threshold=2)
    fleet.grant(DEEPER, "supplier/*", keys=2, threshold=2)
    wait(fleet.images.publish(fleet.now))
    before = {role: fleet.file(IMAGES, role) for role in (SUPPLIER, DEEPER)}
    images = fleet.open_images()
    wait(images.renew())
    wait(images.publish(fleet.now))
    assert {role: fleet.file(IMAGES, role) for role in (SUPPLIER, DEEPER)} == before
    assert fleet.targets().version == 3


def test_a_supplier_whose_key_is_elsewhere_does_not_hold_up_the_publication(fleet: Fleet) -> None:
    (key,) = fleet.grant(SUPPLIER, "supplier/*", at_hand=False)
    wait(fleet.images.add_image(IMAGE, FRESH))
    published = wait(fleet.images.publish(fleet.now))
    assert set(published.targets) == {TARGETS_ROLE}
    assert [role.name for role in published.targets[TARGETS_ROLE].payload.delegations.roles] == [SUPPLIER]
    fleet.images.add_signers([key])
    assert set(wait(fleet.images.publish(fleet.now)).targets) == {TARGETS_ROLE, SUPPLIER}


def test_what_cannot_be_signed_can_be_discarded(fleet: Fleet) -> None:
    fleet.grant(SUPPLIER, "supplier/*")
    wait(fleet.images.publish(fleet.now))
    key = new_signer().key
    wait(fleet.images.replace_role_keys(SUPPLIER, {key.key_id: key}))
    with pytest.raises(ProvisioningError):
        wait(fleet.images.publish(fleet.now))
    wait(fleet.images.discard())
    wait(fleet.images.publish(fleet.now))


@pytest.mark.parametrize("action", ["add_image", "revoke", "root"])
def test_what_was_added_waits_while_a_key_is_missing(fleet: Fleet, action: str) -> None:
    fleet_keys: Sequence[KeySigner] = fleet.grant(SUPPLIER, "supplier/*")
    wait(fleet.images.publish(fleet.now))
    if action == "add_image":
        fleet.images = fleet.open_images()
        wait(fleet.images.add_image(BRAKES, FRESH, role=SUPPLIER))
    if action == "revoke":
        fleet_keys = [new_signer()]
        wait(fleet.images.replace_role_keys(SUPPLIER, {fleet_keys[0].key.key_id: fleet_keys[0].key}))
    if action == "root":
        fleet_keys = fleet.image_keys[Role.ROOT] = [new_signer()]
        fleet.images.stage_root(new_root(fleet.image_keys))
    before = fleet.published()
    for _ in range(2):
        with pytest.raises(ProvisioningError):
            wait(fleet.images.publish(fleet.now))
    assert fleet.published() == before
    fleet.images.add_signers(fleet_keys)
    wait(fleet.images.publish(fleet.now))
    after = fleet.published()
    assert after != before
    if action == "add_image":
        assert list(fleet.targets(SUPPLIER).images) == [BRAKES]
    if action == "root":
        assert fleet.profile.metadata_name(Role.ROOT, 2) in after


class FullDisk(MemoryPublished):
    """A store that has no room, until there is some; it publishes all or nothing, as every store must."""

    def __init__(self) -> None:
        super().__init__()
        self.full = True

    async def publish(self, files: Sequence[tuple[str, bytes]], mutable: Mapping[str, bytes]) -> None:
        if self.full:
            raise StorageError("the disk is full")
        await super().publish(files, mutable)


@pytest.mark.parametrize("first", [True, False], ids=["first publication", "later one"])
def test_what_was_added_waits_while_the_disk_is_full(profile: Profile, first: bool) -> None:
    store, signers = FullDisk(), {role: [new_signer()] for role in Role}
    images = ImageRepository(profile=profile, metadata=store, images=MemoryImages())
    images.add_signers(signer for held in signers.values() for signer in held)
    images.stage_root(new_root(signers))
    if not first:
        store.full = False
        wait(images.publish(NOW))
        store.full = True
        images.stage_root(new_root(signers))
    plain = [profile.metadata_name(role) for role in Role]
    before = [wait(store.read(name)) for name in plain]
    image = wait(images.add_image(IMAGE, FRESH))
    for _ in range(2):
        with pytest.raises(StorageError):
            wait(images.publish(NOW))
        assert [wait(store.read(name)) for name in plain] == before
    store.full = False
    wait(images.publish(NOW))
    published = wait(images.published())
    assert dict(published.targets[TARGETS_ROLE].payload.images) == {PATH: image}
    assert published.root.payload.roles == new_root(signers).roles


class NoRoom(MemoryImages):
    """A disk for images that is full."""

    async def add(self, path: ImagePath, data: bytes, functions: Sequence[str] = ("sha256",)) -> ImageFile:
        raise StorageError("the disk is full")


def test_an_image_that_could_not_be_stored_is_not_listed(fleet: Fleet) -> None:
    images = ImageRepository(profile=fleet.profile, metadata=fleet.image_metadata, images=NoRoom())
    images.add_signers(signer for held in fleet.image_keys.values() for signer in held)
    with pytest.raises(StorageError):
        wait(images.add_image(IMAGE, FRESH))
    wait(images.publish(fleet.now))
    assert dict(fleet.targets().images) == {}


class SlowPublished(MemoryPublished):
    """A store that lets others go on while it works."""

    async def read(self, name: str) -> bytes | None:
        await asyncio.sleep(0)
        return await super().read(name)

    async def publish(self, files: Sequence[tuple[str, bytes]], mutable: Mapping[str, bytes]) -> None:
        await asyncio.sleep(0)
        self.meanwhile()
        await super().publish(files, mutable)
        await asyncio.sleep(0)

    def meanwhile(self) -> None:
        """What somebody else does while files are written."""


class SlowImages(MemoryImages):
    """A store of images that lets others go on while it works."""

    async def add(self, path: ImagePath, data: bytes, functions: Sequence[str] = ("sha256",)) -> ImageFile:
        await asyncio.sleep(0)
        return await super().add(path, data, functions)


@pytest.fixture
def slow(fleet: Fleet) -> Fleet:
    """An Image repository whose work is cut into many pieces."""
    fleet.image_metadata, fleet.image_store = SlowPublished(), SlowImages()
    fleet.images = fleet.open_images()
    fleet.images.stage_root(new_root(fleet.image_keys))
    wait(fleet.images.publish(fleet.now))
    return fleet


def test_images_that_are_added_at_the_same_time_are_all_published(slow: Fleet) -> None:
    async def together() -> None:
        adding = [slow.images.add_image(ImagePath(f"{n}.img"), b"%d" % n) for n in range(8)]
        publishing = [slow.images.publish(slow.now) for _ in range(2)]
        await asyncio.gather(*adding[:4], publishing[0], *adding[4:], publishing[1])

    wait(together())
    wait(slow.images.publish(slow.now))
    assert set(slow.targets().images) == {f"{n}.img" for n in range(8)}


def test_a_root_that_is_staged_during_a_publication_goes_out_with_the_next_one(slow: Fleet) -> None:
    class Staging(SlowPublished):
        def meanwhile(self) -> None:
            slow.images.stage_root(new_root(slow.image_keys))

    slow.image_metadata.__class__ = Staging
    assert wait(slow.images.publish(slow.now)).root.payload.version == 1
    slow.image_metadata.__class__ = SlowPublished
    assert wait(slow.images.publish(slow.now)).root.payload.version == 2


def test_an_empty_repository_says_that_it_is_empty(profile: Profile) -> None:
    images = ImageRepository(profile=profile, metadata=MemoryPublished(), images=MemoryImages())
    for attempt in (images.published(), images.renew(), images.publish(NOW)):
        with pytest.raises(ProvisioningError):
            wait(attempt)
